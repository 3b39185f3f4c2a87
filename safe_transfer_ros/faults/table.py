# SPDX-License-Identifier: Apache-2.0
"""The faults, as data: what is done, what must come of it, how fast, and how it is mended.

A fault that stops torque is timed from the last good message of whoever fell silent or went bad (its own ledger), or
from the injection, to the first command from which on every command is safe.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.faults import disk, network
from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.stage import Setting, Stage
from safe_transfer_ros.safety.reasons import Mode, Reason

Act = Callable[[Stage], None]

LAST_STATE_SEEN = "observer"  # the last joint state that came to this side
GRACE = 0.02  # s beyond a timeout in which stop torque must be there
_HOLDING, _TRIPPED = Mode.HOLDING, Mode.TRIPPED
ALWAYS = (
    Reason.CLAMPED_TORQUE_LIMIT
    | Reason.CLAMPED_EFFORT_LIMIT
    | Reason.CLAMPED_TORQUE_RATE
    | Reason.CLAMPED_SOFT_POSITION
    | Reason.CLAMPED_SOFT_VELOCITY
    | Reason.NOT_ARMED
)  # the proposals ask for too much on purpose, and go on while the filter is tripped


class Safe(Enum):
    """What "safe torque" means for a fault."""

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
      mend: Takes it away again; what is left of it must be gone with a reset.
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
    mend: Act
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
    """Tell a stand-in something."""

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


def _nothing(stage: Stage) -> None:
    """Nothing is left to be mended."""


def names(reasons: Reason) -> str:
    """Reasons by name, joined by commas."""
    return ", ".join(str(reason.name) for reason in Reason if reasons & reason)


def _bad_proposals(kind: str, what: str, reason: Reason) -> Fault:
    """First one bad proposal among good ones, which must change nothing; then only bad ones."""
    return Fault(
        name=f"proposals_{kind}",
        what=what,
        inject=says("policy", f"extra {kind}", kind),
        mend=says("policy", "behave"),
        modes=(_HOLDING, _TRIPPED),
        reasons=reason | Reason.PROPOSAL_TIMEOUT,
        may=Reason.PROPOSAL_STALE,  # where a good one has answered the same joint state already
        since="policy",
        within="action_timeout",
    )


def _bad_states(
    behaviour: str,
    what: str,
    reason: Reason,
    within: str | float,
    *,
    begin: Kind = Kind.GOOD,
    may: Reason = Reason.NONE,
) -> Fault:
    return Fault(
        name=f"joint_states_{behaviour}",
        what=what,
        inject=says("robot", behaviour),
        mend=says("robot", "behave"),
        modes=(_TRIPPED,),
        reasons=reason,
        may=may | Reason.PROPOSAL_STALE,  # the policy answers the last good state again and again
        since="robot",
        begin=begin,
        within=within,
        reset_refused=behaviour != "stamps_back",  # without torque, stamps that were set back are the new order
    )


def _bad_limit(kind: str, what: str, setting: Setting | None = None) -> Fault:
    return Fault(
        name=f"limit_{kind}",
        what=what,
        inject=says("monitor", f"extra {kind}"),
        mend=_nothing,
        reasons=Reason.LIMIT_REFUSED,
        safe=Safe.UNCHANGED,
        setting=setting or Setting(),
    )


def _critic(kind: str, what: str) -> Fault:
    return Fault(
        name=f"critic_{kind}",
        what=what,
        inject=says("filter", kind),
        mend=says("filter", "behave"),
        modes=(_HOLDING, _TRIPPED),
        reasons=Reason.CRITIC_FAILED | Reason.PROPOSAL_TIMEOUT,
        since="filter",
        within="action_timeout",
        setting=Setting(filter_module="safe_transfer_ros.faults.filter_with_stub_critic"),
    )


def _garbage_everywhere(stage: Stage) -> None:
    for role in ("policy", "robot", "monitor"):
        says(role, *["extra garbage"] * 20)(stage)


def _restart_filter(stage: Stage) -> None:
    stage.stop("filter")
    stage.start("filter")


def _record_again(stage: Stage) -> None:
    stage.disk.relieve()
    starts("recorder")(stage)


def _monitor_back(stage: Stage) -> None:
    stage.stop("monitor")
    stage.start("monitor")


_FAR_ROBOT = Setting(robot="mujoco_sim", robot_beyond=True)
_INTRUDER = Setting(intruder=True)
_E_STOP = Setting(e_stop=True, parameters={"safety_filter": {"e_stop_lease": 0.2}})

FAULTS: tuple[Fault, ...] = (
    Fault(
        name="policy_killed",
        what="policy killed (SIGKILL)",
        inject=signals("policy", signal.SIGKILL),
        mend=starts("policy"),
        modes=(_HOLDING, _TRIPPED),
        reasons=Reason.PROPOSAL_TIMEOUT,
        since="policy",
        within="action_timeout",
    ),
    Fault(
        name="policy_stopped",
        what="policy stopped (SIGSTOP)",
        inject=signals("policy", signal.SIGSTOP),
        mend=signals("policy", signal.SIGCONT),
        modes=(_HOLDING, _TRIPPED),
        reasons=Reason.PROPOSAL_TIMEOUT,
        since="policy",
        within="action_timeout",
    ),
    Fault(
        name="policy_slow",
        what="policy slow, 50 to 350 ms between proposals",
        inject=says("policy", "slow"),
        mend=says("policy", "behave"),
        reasons=Reason.PROPOSAL_TIMEOUT,
        safe=Safe.UNCHANGED,
        hold_s=1.5,
        jitters=True,
    ),
    _bad_proposals("old_stamps", "proposals replayed with old stamps", Reason.PROPOSAL_STALE),
    _bad_proposals("future_stamps", "proposals stamped 0.5 s ahead", Reason.PROPOSAL_FROM_FUTURE),
    _bad_proposals("wrong_name", "proposals name another robot's joint", Reason.PROPOSAL_WRONG_JOINTS),
    _bad_proposals("doubled_name", "proposals name a joint twice", Reason.PROPOSAL_WRONG_JOINTS),
    Fault(
        name="proposals_permuted",
        what="proposals in another joint order",
        inject=says("policy", "permuted"),
        mend=says("policy", "behave"),
        safe=Safe.UNCHANGED,
    ),
    _bad_proposals("short", "proposals one value short", Reason.PROPOSAL_WRONG_LENGTH),
    _bad_proposals("nan", "proposals with NaN", Reason.PROPOSAL_NOT_FINITE),
    _bad_proposals("inf", "proposals with infinity", Reason.PROPOSAL_NOT_FINITE),
    Fault(
        name="random_bytes",
        what="random bytes beside good messages on every topic the filter hears",
        inject=_garbage_everywhere,
        mend=_nothing,
        safe=Safe.UNCHANGED,
    ),
    Fault(
        name="proposals_random_bytes",
        what="random bytes instead of proposals",
        inject=says("policy", "garbage"),
        mend=says("policy", "behave"),
        modes=(_HOLDING, _TRIPPED),
        reasons=Reason.PROPOSAL_TIMEOUT,
        since="policy",
        within="action_timeout",
    ),
    Fault(
        name="second_proposer",
        what="second publisher of proposals",
        inject=says("intruder", "proposals"),
        mend=says("intruder", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.SECOND_PUBLISHER,
        may=Reason.PROPOSAL_STALE,
        since="intruder",
        begin=Kind.BAD,
        within=0.5,
        reset_refused=True,
        setting=_INTRUDER,
    ),
    Fault(
        name="second_commander",
        what="second publisher of commands",
        inject=says("intruder", "commands"),
        mend=says("intruder", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.SECOND_PUBLISHER,
        since="intruder",
        begin=Kind.BAD,
        within=0.5,
        reset_refused=True,
        setting=_INTRUDER,
    ),
    _bad_states("stop", "joint states stopped", Reason.JOINT_STATE_STALE, "joint_state_timeout"),
    _bad_states("frozen", "joint states frozen with fresh stamps", Reason.JOINT_STATE_FROZEN, "frozen_timeout"),
    _bad_states("nan", "joint states with NaN", Reason.JOINT_STATE_NOT_FINITE, 0.0, begin=Kind.BAD),
    _bad_states(
        "missing",
        "joint states lack a joint",
        Reason.JOINT_STATE_STALE,
        "joint_state_timeout",
        may=Reason.JOINT_STATE_WRONG_JOINTS | Reason.PROPOSAL_FROM_FUTURE,  # the policy answers states refused here
    ),
    _bad_states("stamps_paused", "joint states' stamps stand still", Reason.JOINT_STATE_STALE, "joint_state_timeout"),
    _bad_states("stamps_back", "joint states' stamps go back", Reason.JOINT_STATE_STALE, "joint_state_timeout"),
    Fault(
        name="joint_states_reordered",
        what="joint states in another order",
        inject=says("robot", "reorder"),
        mend=says("robot", "behave"),
        safe=Safe.UNCHANGED,
    ),
    Fault(
        name="clock_paused",
        what="/clock stands still (filter with use_sim_time)",
        inject=says("robot", "clock_paused"),
        mend=says("robot", "behave"),
        safe=Safe.UNCHANGED,
        hold_s=1.0,
        setting=Setting(simulated_clock=True),
    ),
    Fault(
        name="clock_jumping",
        what="/clock jumps back and forth by 500 s (filter with use_sim_time)",
        inject=says("robot", "clock_jumping"),
        mend=says("robot", "behave"),
        safe=Safe.UNCHANGED,
        hold_s=1.0,
        setting=Setting(simulated_clock=True),
    ),
    Fault(
        name="monitor_killed",
        what="monitor killed (SIGKILL)",
        inject=signals("monitor", signal.SIGKILL),
        mend=_monitor_back,
        reasons=Reason.LIMIT_LEASE_LOST,
        safe=Safe.LOWEST_LIMIT,
        since="monitor",
        within="lease",
        hold_s=0.3,
    ),
    _bad_limit("raised", "limit raised by 20 %"),
    _bad_limit("above_ceiling", "limit above the ceiling, by less than 5 %", Setting(first_limit=3.4)),
    _bad_limit("nan", "limit NaN"),
    _bad_limit("old_iteration", "limit with an old iteration number"),
    _critic("raising", "critic raises"),
    _critic("slow", "critic waits for 2 s"),
    _critic("busy", "critic computes for 2 s in Python"),
    _critic("nan", "critic's risk is NaN"),
    Fault(
        name="e_stop_pressed",
        what="external e-stop pressed",
        inject=says("e_stop", "press"),
        mend=says("e_stop", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.OPERATOR_STOP,
        since="e_stop",
        begin=Kind.BAD,
        reset_refused=True,
        setting=_E_STOP,
    ),
    Fault(
        name="e_stop_silent",
        what="external e-stop silent",
        inject=says("e_stop", "silent"),
        mend=says("e_stop", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.OPERATOR_STOP,
        since="e_stop",
        within="e_stop_lease",
        reset_refused=True,
        setting=_E_STOP,
    ),
    Fault(
        name="filter_terminated",
        what="filter ended (SIGTERM)",
        inject=signals("filter", signal.SIGTERM),
        mend=_restart_filter,
        ends_filter=0,
    ),
    Fault(
        name="filter_killed",
        what="filter killed (SIGKILL)",
        inject=signals("filter", signal.SIGKILL),
        mend=_restart_filter,
        safe=Safe.ROBOT_ZERO,
        within="command_timeout",
        ends_filter=-signal.SIGKILL,
        setting=Setting(robot="mujoco_sim"),
    ),
    Fault(
        name="reset_refused",
        what="reset and arming while joint states are still missing",
        inject=says("robot", "stop"),
        mend=says("robot", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.JOINT_STATE_STALE,
        may=Reason.PROPOSAL_STALE,
        since="robot",
        within="joint_state_timeout",
        reset_refused=True,
    ),
    Fault(
        name="network_cut_filter",
        what="network cut between filter and robot: the filter",
        inject=lambda stage: stage.cable.cut(),
        mend=lambda stage: stage.cable.mend(),
        modes=(_TRIPPED,),
        reasons=Reason.JOINT_STATE_STALE,
        may=Reason.PROPOSAL_STALE,
        since=LAST_STATE_SEEN,
        within="joint_state_timeout",
        reset_refused=True,
        setting=_FAR_ROBOT,
        needs=network.why_not,
    ),
    Fault(
        name="network_cut_robot",
        what="network cut between filter and robot: the robot",
        inject=lambda stage: stage.cable.cut(),
        mend=lambda stage: stage.cable.mend(),
        modes=(_TRIPPED,),
        reasons=Reason.JOINT_STATE_STALE,
        may=Reason.PROPOSAL_STALE,
        safe=Safe.ROBOT_ZERO,
        since=LAST_STATE_SEEN,
        within="command_timeout",
        setting=_FAR_ROBOT,
        needs=network.why_not,
    ),
    Fault(
        name="disk_full",
        what="disk full under the recorder",
        inject=lambda stage: stage.disk.fill(),
        mend=_record_again,
        safe=Safe.UNCHANGED,
        ends_recorder=2,
        setting=Setting(bag_bytes=64_000_000),
        needs=disk.why_not,
    ),
)


def find(names: list[str]) -> tuple[Fault, ...]:
    """Faults by name, in the order of the table; all of them for no names.

    Raises:
      ValueError: a name is unknown; the nearest is named.
    """
    known = [fault.name for fault in FAULTS]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown fault '{name}'; {nearest(name, known)}")
    return tuple(fault for fault in FAULTS if not names or fault.name in names)
