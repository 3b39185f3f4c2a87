# SPDX-License-Identifier: Apache-2.0
"""The state of the safety filter as an operator may trust it, from its messages and their age.

Fed with messages and times; knows no ROS, no clock and no terminal. The filter's status is latched, so it outlives the
filter: a mode is believed only as long as something keeps coming.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from safe_transfer_ros.record.episode import stamp_ns
from safe_transfer_ros.safety.reasons import MODE_TEXT, Mode, Reason, describe, split
from safe_transfer_ros.untrusted import printable

LOST_SECONDS = 2.5
"""Diagnostics come once a second: two missed in a row, and half a second for a busy machine."""

ROUTINE = Reason.CLAMPED_TORQUE_LIMIT | Reason.CLAMPED_EFFORT_LIMIT | Reason.CLAMPED_TORQUE_RATE
"""Interventions that are everyday work: under a low torque limit nearly every torque is clamped."""

_STOPPED = (Mode.HOLDING, Mode.TRIPPED)
_REASON_KEY = "reason "
_MOST_PARTS, _MOST_FIGURES, _MOST_CHARACTERS = 16, 200, 1000  # of one message


class Contact(Enum):
    """Whether a filter lives where we listen."""

    WAITING = "waiting"  # nothing heard yet
    ALIVE = "alive"
    LOST = "lost"  # heard, and silent since or gone from the graph: nothing may be believed
    ENDED = "ended"  # gone after it said that it was told to end, and it was disarmed then


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """One reason for which the filter intervened."""

    reason: Reason
    count: int
    last: float | None  # when it was last seen, s on the caller's clock; None: before this view began


@dataclass(kw_only=True)
class _Tally:
    """Counts of a reason by each of its three sources, none of which is certain to be complete."""

    in_decisions: int = 0  # best effort: some may be missed
    in_status: int = 0  # stops without a decision, an operator's for one
    in_diagnostics: int = 0  # the filter's own count of decisions, since it started
    last: float | None = None

    @property
    def count(self) -> int:
        return max(self.in_decisions, self.in_status, self.in_diagnostics)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The newest closed iteration, as unsafety_monitor accounts for it."""

    iteration: int
    unsafety_rate: float
    predicted_unsafety_rate: float
    torque_limit: float
    d_safe: float
    missing: int

    @property
    def damage(self) -> float:
        """p_u times T_lim of that iteration, N·m (PSPT's linear damage model)."""
        return self.unsafety_rate * self.torque_limit


@dataclass(kw_only=True)
class FilterView:
    """The state of one filter as seen from outside."""

    mode: Mode | None = None  # None: not told, or a mode this version does not know
    cause: str = ""  # why it is holding or tripped
    torque_limit: float = math.nan  # N·m
    limit_iteration: int | None = None
    lease_lost: bool = False
    refusal: str = ""  # why the newest torque-limit offer was refused; empty: it was accepted
    robot: str = ""
    warning: str = ""  # what the filter's diagnostics complain of
    monitor_warning: str = ""  # what unsafety_monitor's do
    pause: str = ""  # what policy_server tells of a pause; empty: there is none
    figures: dict[str, str] = field(default_factory=dict)  # the filter's diagnostics, as told
    figures_at: float | None = None
    estimate: Estimate | None = None
    filters: int = 0  # announced in the graph
    stranger: bool = False  # one of them is another than the filter of this view, which has gone
    simulated: bool = False  # known to drive a simulated arm
    heard: float | None = None  # when the filter last said anything, s on the caller's clock
    left: bool = False  # it is not announced any more
    ended: bool = False  # and it left before it fell silent, as one does that is told to end
    _ours: Hashable = None  # the filter's identity in the graph; None: not told apart yet
    _superseded: bool = False
    _disarmed_at_end: bool = False  # the newest status says that it was told to end, and it was disarmed then
    _status_stamp: int = 0
    _tallies: dict[Reason, _Tally] = field(default_factory=dict)

    # What arrives ----------------------------------------------------------------------------------------------------

    def on_status(self, message: Any, now: float) -> None:
        """Process a FilterStatus."""
        first = self.heard is None
        if not self._hear(now):
            return
        before, self.mode = self.mode, _mode(message.mode)
        told_to_end = int(message.cause) == Reason.SHUTDOWN and self.mode is Mode.TRIPPED
        self._disarmed_at_end = told_to_end and (before is Mode.DISARMED or self._disarmed_at_end)
        self._status_stamp = stamp_ns(message)
        self.torque_limit, self.limit_iteration = float(message.torque_limit), int(message.iteration)
        self.lease_lost = bool(message.lease_lost)
        self.refusal = "" if message.accepted else _told(message.message)
        self.cause = describe(int(message.cause))
        if self.mode in _STOPPED and before is not self.mode:
            for reason in split(int(message.cause)):
                self._tally(reason, None if first else now).in_status += 1  # the first status is latched: no news
        if not message.accepted:
            self._tally(Reason.LIMIT_REFUSED, None if first else now).in_status += 1

    def on_decision(self, message: Any, now: float) -> None:
        """Process a SafetyDecision."""
        if not self._hear(now):
            return
        for reason in split(int(message.reasons)):
            self._tally(reason, now).in_decisions += 1

    def on_diagnostics(self, message: Any, now: float) -> None:
        """Process a DiagnosticArray; of other nodes' statuses those of unsafety_monitor and policy_server count."""
        for status in () if self.left else message.status:
            if _is_of(status.name, "unsafety_monitor"):
                self.monitor_warning = _told(status.message) if _level(status.level) > 0 else ""
            if _is_of(status.name, "policy_server"):
                self.pause = _told(status.message) if _level(status.level) > 0 else ""
        ours = [status for status in message.status if _is_of(status.name, "safety_filter")]
        if not ours or not self._hear(now):
            return
        pairs = [pair for status in ours for pair in status.values][:_MOST_FIGURES]
        figures = {_told(pair.key): _told(pair.value) for pair in pairs}
        if _number(figures.get("decisions", "")) < _number(self.figures.get("decisions", "")):
            self._forget()  # its counters began anew: another process
        self.robot = _told(ours[0].hardware_id) or self.robot
        self.warning = "; ".join(_told(status.message) for status in ours[:_MOST_PARTS] if _level(status.level) > 0)
        self._count(figures, now)
        self.figures, self.figures_at = figures, now
        # A filter that is deactivated publishes no status any more. Only from newer diagnostics: the two topics can
        # overtake each other, and a trip must not look undone for a second.
        if stamp_ns(message) > self._status_stamp:
            self._believe(figures, _told(ours[0].message))

    def on_estimate(self, message: Any, now: float) -> None:
        """Process an UnsafetyEstimate. It comes from the monitor and is not a sign of life of the filter."""
        if self.left:
            return
        self.estimate = Estimate(
            iteration=int(message.iteration),
            unsafety_rate=float(message.unsafety_rate),
            predicted_unsafety_rate=float(message.predicted_unsafety_rate),
            torque_limit=float(message.torque_limit),
            d_safe=float(message.d_safe),
            missing=int(message.missing),
        )

    def on_filters(self, announced: frozenset[Hashable], now: float) -> None:
        """Process the identities of the filters that the graph announces.

        The view is of one filter. Once it has gone, nothing that another says is taken for its word.
        """
        self.filters = len(announced)
        if self._ours is None and self.heard is not None and len(announced) == 1:
            [self._ours] = announced
        there = self._ours in announced if self._ours is not None else bool(announced) or self.heard is None
        if not there:
            self._leave(now)
        elif not self._superseded:
            self.left = self.ended = False
        self.stranger = self._superseded or (self.left and bool(announced))

    def on_robot(self, simulated: bool) -> None:
        """Process whether the arm that is driven is known to be a simulated one."""
        if not self.left:
            self.simulated = simulated

    def supersede(self, now: float) -> None:
        """Process that another run has taken the place where this view listens."""
        self._superseded = self.stranger = True
        self._leave(now)

    def may_be_asked(self, announced: frozenset[Hashable], *, alone: bool) -> bool:
        """Whether a request sent now reaches the filter of this view; with `alone`, no other either."""
        if self._superseded or self._ours is None:
            return not self._superseded
        return announced == {self._ours} if alone else self._ours in announced

    # What may be believed --------------------------------------------------------------------------------------------

    def contact(self, now: float) -> Contact:
        """Whether the filter lives."""
        if self.heard is None:
            return Contact.WAITING
        if self.left and self.ended and self._disarmed_at_end:
            return Contact.ENDED
        return Contact.LOST if self.left or now - self.heard > LOST_SECONDS else Contact.ALIVE

    def tripped(self, now: float) -> bool:
        """Whether a filter is alive and reports TRIPPED."""
        return self.contact(now) is Contact.ALIVE and self.mode is Mode.TRIPPED

    @property
    def mode_name(self) -> str:
        """The mode in one word."""
        return "UNKNOWN" if self.mode is None else self.mode.name

    @property
    def mode_text(self) -> str:
        """The mode in plain words."""
        return "a mode that this version does not know" if self.mode is None else MODE_TEXT[self.mode]

    def interventions(self) -> list[Intervention]:
        """Reasons seen, newest first; everyday clamping after everything else."""
        found = [
            Intervention(reason=reason, count=tally.count, last=tally.last) for reason, tally in self._tallies.items()
        ]
        return sorted(found, key=lambda item: (bool(item.reason & ROUTINE), -(item.last or 0.0), int(item.reason)))

    # How it is kept --------------------------------------------------------------------------------------------------

    def _hear(self, now: float) -> bool:
        """Note a message; false when it may be another filter's."""
        if not self.left:
            self.heard = now
        return not self.left

    def _leave(self, now: float) -> None:
        if not self.left:
            self.ended, self.left = self.contact(now) is Contact.ALIVE, True

    def _forget(self) -> None:
        """Forget the counts of another filter process; its run may be another as well."""
        self._tallies.clear()
        self.estimate, self.monitor_warning, self.pause = None, "", ""
        self.figures, self.figures_at, self.warning = {}, None, ""

    def _tally(self, reason: Reason, now: float | None) -> _Tally:
        tally = self._tallies.setdefault(reason, _Tally())
        tally.last = now
        return tally

    def _count(self, figures: dict[str, str], now: float) -> None:
        for key, text in figures.items():
            name = key.removeprefix(_REASON_KEY)
            if name == key or name not in Reason.__members__ or not _whole(text):
                continue
            tally = self._tallies.setdefault(Reason[name], _Tally())
            if tally.count < int(text) and self.figures_at is not None:
                tally.last = now  # it has happened since the last report, and no decision of it reached us
            tally.in_diagnostics = int(text)

    def _believe(self, figures: dict[str, str], message: str) -> None:
        if "mode" in figures:
            mode = Mode.__members__.get(figures["mode"])
            if mode is not self.mode:
                self.mode, self.cause = mode, message if mode in _STOPPED else ""
        limit = _number(figures.get("torque_limit", ""))
        if math.isfinite(limit):
            self.torque_limit = limit
        if _whole(figures.get("limit_iteration", "")):
            self.limit_iteration = int(figures["limit_iteration"])
        if "limit_lease_lost" in figures:
            self.lease_lost = figures["limit_lease_lost"].lower() == "true"


def _told(text: Any) -> str:
    """Text from outside in printable form: any node may publish what looks like the filter's."""
    return printable(str(text)[:_MOST_CHARACTERS])


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _is_of(name: str, node: str) -> bool:
    """Whether a diagnostic status is a node's: its name, also with a namespace before or a part after it."""
    return name.rpartition("/")[2].partition(":")[0] == node


def _mode(number: int) -> Mode | None:
    return Mode(number) if number in Mode.__members__.values() else None


def _level(level: bytes | int) -> int:
    """The level of a DiagnosticStatus; rclpy gives the message type `byte` as bytes."""
    return level[0] if isinstance(level, bytes) else int(level)


def _number(text: str) -> float:
    """The number a figure starts with ("0.1 N·m"); NaN if there is none, which compares as false."""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return math.nan
