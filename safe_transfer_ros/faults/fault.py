# SPDX-License-Identifier: Apache-2.0
"""Definition of a fault: how it is injected, its expected effect and time, and how it is undone.

A fault that stops torque is timed from the last good message of whoever fell silent or went bad (its own ledger), or
from the injection, to the first command from which on every command is safe.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.stage import Setting, Stage
from safe_transfer_ros.safety.reasons import Mode, Reason

Act = Callable[[Stage], None]

LAST_STATE_SEEN = "observer"  # the last joint state that came to this side
GRACE = 0.02  # s beyond a timeout in which stop torque must be there
ALWAYS = (
    Reason.CLAMPED_TORQUE_LIMIT
    | Reason.CLAMPED_EFFORT_LIMIT
    | Reason.CLAMPED_TORQUE_RATE
    | Reason.CLAMPED_SOFT_POSITION
    | Reason.CLAMPED_SOFT_VELOCITY
    | Reason.NOT_ARMED
)  # the proposals ask for too much on purpose, and go on while the filter is tripped


class Safe(Enum):
    """Meaning of "safe torque" for a fault."""

    ZERO = "zero"
    LOWEST_LIMIT = "within T_min"
    ROBOT_ZERO = "the robot itself at zero torque"
    UNCHANGED = "torque goes on"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
      name: As on the command line.
      what: As in the table.
      inject: Brings it about.
      undo: Takes it away again; what is left of it must be gone with a reset.
      modes: Modes that the filter must go through, in order; none: it stays ARMED.
      reasons: Reasons that must be told, and no others but `may`.
      may: Reasons that may be told besides.
      safe: What the torque must come to.
      since: Role whose ledger starts the time; LAST_STATE_SEEN; empty: the injection.
      begin: Record that starts it: the last GOOD one, or the first BAD one after the injection.
      within: Parameter that is the timeout, or seconds; 0.02 s more are allowed.
      reset_refused: A reset must be refused while the fault stands.
      hold_s: How long it stands when nothing is expected to happen, s.
      setting: What the stage is made of.
      ends_filter: Exit status of the filter's process when the fault ends it.
      ends_recorder: Exit status of the recorder's process when the fault ends it.
      jitters: The filter goes back and forth between ARMED and HOLDING; only that is expected.
      needs: Returns why this machine cannot do it, or "".
    """

    name: str
    what: str
    inject: Act
    undo: Act
    modes: tuple[Mode, ...] = ()
    reasons: Reason = Reason.NONE
    may: Reason = Reason.NONE
    safe: Safe = Safe.ZERO
    since: str = ""
    begin: Kind = Kind.GOOD
    within: str | float = 0.0
    reset_refused: bool = False
    hold_s: float = 0.4
    setting: Setting = Setting()
    ends_filter: int | None = None
    ends_recorder: int | None = None
    jitters: bool = False
    needs: Callable[[], str] = lambda: ""

    @property
    def expected(self) -> str:
        """In words, for the table."""
        if self.ends_filter is not None:
            return "stop torque, then exit status 0" if self.safe is Safe.ZERO else "silence; the robot's own timeout"
        if self.jitters:
            return f"HOLDING in every gap: {names(self.reasons)}"
        if self.ends_recorder is not None:
            return "the recorder says why and ends; torque goes on"
        told = f": {names(self.reasons)}" if self.reasons else ", nothing to tell"
        if self.modes:
            return ", ".join(mode.name for mode in self.modes) + told
        return ("within T_min" if self.safe is Safe.LOWEST_LIMIT else "stays ARMED") + told


def says(role: str, *lines: str) -> Act:
    """Send a command to a stand-in."""

    def act(stage: Stage) -> None:
        for line in lines:
            stage.tell(role, line)

    return act


def signals(role: str, number: signal.Signals) -> Act:
    """Send a signal to a process."""
    return lambda stage: stage.signal(role, number)


def starts(role: str) -> Act:
    """Start a process that has ended, once it is gone."""

    def act(stage: Stage) -> None:
        stage.stop(role)
        stage.start(role)

    return act


def nothing(stage: Stage) -> None:
    """Do nothing: there is nothing left to undo."""


def names(reasons: Reason) -> str:
    """Reasons by name, joined by commas."""
    return ", ".join(str(reason.name) for reason in Reason if reasons & reason)
