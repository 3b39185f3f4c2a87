# SPDX-License-Identifier: Apache-2.0
"""Every fault of the campaign, as data."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import Any

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.faults import disk, network
from safe_transfer_ros.faults.fault import LAST_STATE_SEEN, Act, Fault, Safe, nothing, says, signals, starts
from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.stage import Setting, Stage
from safe_transfer_ros.safety.reasons import Mode, Reason

STALL_S = 0.2  # of the filter: longer than any timeout but the trip's
_HOLDING, _TRIPPED = Mode.HOLDING, Mode.TRIPPED


def _no_proposals(name: str, what: str, inject: Act, undo: Act, **changes: Any) -> Fault:
    """Fault after which nothing usable comes from the policy, and nothing of it is reported."""
    expected: dict[str, Any] = {
        "modes": (_HOLDING, _TRIPPED),
        "reasons": Reason.PROPOSAL_TIMEOUT,
        "since": "policy",
        "within": "action_timeout",
    }
    return Fault(name=name, what=what, inject=inject, undo=undo, **(expected | changes))


def _bad_proposals(kind: str, what: str, reason: Reason) -> Fault:
    """First one bad proposal among good ones, which must change nothing; then only bad ones."""
    return _no_proposals(
        f"proposals_{kind}",
        what,
        says("policy", f"extra {kind}", kind),
        says("policy", "behave"),
        reasons=reason | Reason.PROPOSAL_TIMEOUT,
        may=Reason.PROPOSAL_STALE,  # where a good one has answered the same joint state already
    )


def _critic(kind: str, what: str) -> Fault:
    return _no_proposals(
        f"critic_{kind}",
        what,
        says("filter", kind),
        says("filter", "behave"),
        reasons=Reason.CRITIC_FAILED | Reason.PROPOSAL_TIMEOUT,
        since="filter",
        setting=Setting(filter_module="safe_transfer_ros.faults.filter_with_stub_critic"),
    )


def _no_states(name: str, what: str, inject: Act, undo: Act, **changes: Any) -> Fault:
    """Joint states that the arm must not be moved on."""
    expected: dict[str, Any] = {
        "modes": (_TRIPPED,),
        "reasons": Reason.JOINT_STATE_STALE,
        "may": Reason.PROPOSAL_STALE,  # the policy answers the last good state again and again
        "since": "robot",
        "within": "joint_state_timeout",
        "reset_refused": True,
    }
    return Fault(name=name, what=what, inject=inject, undo=undo, **(expected | changes))


def _bad_states(behaviour: str, what: str, **changes: Any) -> Fault:
    name, undo = f"joint_states_{behaviour}", says("robot", "behave")
    return _no_states(name, what, says("robot", behaviour), undo, **changes)


def _network_cut(side: str, **changes: Any) -> Fault:
    return _no_states(
        f"network_cut_{side}",
        f"network cut between filter and robot: the {side}",
        lambda stage: stage.cable.cut(),
        lambda stage: stage.cable.restore(),
        since=LAST_STATE_SEEN,
        setting=Setting(robot="mujoco_sim", robot_beyond=True),
        needs=network.why_not,
        **changes,
    )


def _stop(name: str, what: str, role: str, behaviour: str, reason: Reason, setting: Setting, **changes: Any) -> Fault:
    """Fault beside the control loop that must trip the filter for as long as it lasts."""
    return Fault(
        name=name,
        what=what,
        inject=says(role, behaviour),
        undo=says(role, "behave"),
        modes=(_TRIPPED,),
        reasons=reason,
        since=role,
        reset_refused=True,
        setting=setting,
        **changes,
    )


def _intruder(name: str, topic: str, **changes: Any) -> Fault:
    what, setting = f"second publisher of {topic}", Setting(intruder=True)
    return _stop(name, what, "intruder", topic, Reason.SECOND_PUBLISHER, setting, begin=Kind.BAD, within=0.5, **changes)


_BUTTON = Setting(e_stop=True, parameters={"safety_filter": {"e_stop_lease": 0.2}})


def _e_stop(name: str, behaviour: str, **changes: Any) -> Fault:
    what = f"external e-stop {name}"
    return _stop(f"e_stop_{name}", what, "e_stop", behaviour, Reason.OPERATOR_STOP, _BUTTON, **changes)


def _one_of_two(name: str, what: str, role: str) -> Fault:
    """Press of one stop button, while another goes on saying that it is released."""
    setting = replace(_BUTTON, second_stop=True)
    return _stop(f"e_stop_{name}", what, role, "press", Reason.OPERATOR_STOP, setting, begin=Kind.BAD)


def _stop_behind(role: str, what: str, told: Reason) -> Fault:
    """Press right behind a message of 20,000 names, which must not keep the filter from hearing it."""

    def inject(stage: Stage) -> None:
        says(role, "extra many_names")(stage)
        says("e_stop", "press")(stage)

    behind = _e_stop("pressed", "press", begin=Kind.BAD, may=told)
    name = f"e_stop_behind_{role}"
    return replace(behind, name=name, what=f"external e-stop pressed behind {what} of 20,000 names", inject=inject)


def _harmless(name: str, what: str, inject: Act, undo: Act = nothing, **changes: Any) -> Fault:
    return Fault(name=name, what=what, inject=inject, undo=undo, safe=Safe.UNCHANGED, **changes)


def _bad_limit(kind: str, what: str, **changes: Any) -> Fault:
    inject = says("monitor", f"extra {kind}")
    return _harmless(f"limit_{kind}", what, inject, reasons=Reason.LIMIT_REFUSED, **changes)


def _clock(kind: str, what: str) -> Fault:
    return _harmless(
        f"clock_{kind}",
        f"/clock {what} (filter with use_sim_time)",
        says("robot", f"clock_{kind}"),
        says("robot", "behave"),
        hold_s=1.0,
        setting=Setting(simulated_clock=True),
    )


def _garbage_everywhere(stage: Stage) -> None:
    for role in ("policy", "robot", "monitor"):
        says(role, *["extra garbage"] * 20)(stage)


def _stall_the_filter(stage: Stage) -> None:
    """Stop the filter's process, and the policy before it goes on: what waits in its queues is old by then."""
    stage.signal("filter", signal.SIGSTOP)
    time.sleep(0.8 * STALL_S)
    says("policy", "silent")(stage)
    time.sleep(0.2 * STALL_S)
    stage.signal("filter", signal.SIGCONT)


def _record_again(stage: Stage) -> None:
    stage.disk.relieve()
    starts("recorder")(stage)


FAULTS: tuple[Fault, ...] = (
    _no_proposals("policy_killed", "policy killed (SIGKILL)", signals("policy", signal.SIGKILL), starts("policy")),
    _no_proposals(
        "policy_stopped",
        "policy stopped (SIGSTOP)",
        signals("policy", signal.SIGSTOP),
        signals("policy", signal.SIGCONT),
    ),
    _harmless(
        "policy_slow",
        "policy slow, 50 to 350 ms between proposals",
        says("policy", "slow"),
        says("policy", "behave"),
        reasons=Reason.PROPOSAL_TIMEOUT,
        hold_s=1.5,
        jitters=True,
    ),
    _bad_proposals("old_stamps", "proposals replayed with old stamps", Reason.PROPOSAL_STALE),
    _bad_proposals("future_stamps", "proposals stamped 0.5 s ahead", Reason.PROPOSAL_FROM_FUTURE),
    _bad_proposals("wrong_name", "proposals name another robot's joint", Reason.PROPOSAL_WRONG_JOINTS),
    _bad_proposals("doubled_name", "proposals name a joint twice", Reason.PROPOSAL_WRONG_JOINTS),
    _harmless(
        "proposals_permuted",
        "proposals in another joint order",
        says("policy", "permuted"),
        says("policy", "behave"),
    ),
    _bad_proposals("short", "proposals one value short", Reason.PROPOSAL_WRONG_LENGTH),
    _bad_proposals("nan", "proposals with NaN", Reason.PROPOSAL_NOT_FINITE),
    _bad_proposals("inf", "proposals with infinity", Reason.PROPOSAL_NOT_FINITE),
    _harmless(
        "random_bytes",
        "random bytes beside good messages on every topic the filter hears",
        _garbage_everywhere,
        reasons=Reason.JOINT_STATE_WRONG_JOINTS,  # joint states are read by us; the rest by the middleware, silently
    ),
    _no_proposals(
        "proposals_random_bytes",
        "random bytes instead of proposals",
        says("policy", "garbage"),
        says("policy", "behave"),
    ),
    _intruder("second_proposer", "proposals", may=Reason.PROPOSAL_STALE),
    _intruder("second_commander", "commands"),
    _intruder("second_monitor", "limits", may=Reason.LIMIT_REFUSED),
    _intruder("second_status", "status"),
    _intruder("second_robot", "states", may=Reason.JOINT_STATE_STALE | Reason.PROPOSAL_STALE),
    _bad_states("stop", "joint states stopped"),
    _bad_states(
        "frozen",
        "joint states frozen with fresh stamps",
        reasons=Reason.JOINT_STATE_FROZEN,
        within="frozen_timeout",
    ),
    _bad_states("nan", "joint states with NaN", reasons=Reason.JOINT_STATE_NOT_FINITE, within=0.0, begin=Kind.BAD),
    _bad_states(
        "absurd",
        "a joint's position is 1e308 rad",
        reasons=Reason.JOINT_STATE_IMPLAUSIBLE,
        within=0.0,
        begin=Kind.BAD,
    ),
    # Without torque an arm may have been put elsewhere: a reset is granted.
    _bad_states(
        "wrapped",
        "a joint's position wraps by a turn",
        reasons=Reason.JOINT_STATE_IMPLAUSIBLE,
        within=0.0,
        begin=Kind.BAD,
        reset_refused=False,
    ),
    _bad_states(
        "missing",
        "joint states lack a joint",
        # The policy answers states that are refused here.
        may=Reason.PROPOSAL_STALE | Reason.JOINT_STATE_WRONG_JOINTS | Reason.PROPOSAL_FROM_FUTURE,
    ),
    _bad_states("stamps_paused", "joint states' stamps stand still"),
    # Without torque, stamps that were set back are the new order: a reset is granted.
    _bad_states("stamps_back", "joint states' stamps go back", reset_refused=False),
    _harmless(
        "joint_states_reordered", "joint states in another order", says("robot", "reorder"), says("robot", "behave")
    ),
    _clock("paused", "stands still"),
    _clock("jumping", "jumps back and forth by 500 s"),
    Fault(
        name="monitor_killed",
        what="monitor killed (SIGKILL)",
        inject=signals("monitor", signal.SIGKILL),
        undo=starts("monitor"),
        reasons=Reason.LIMIT_LEASE_LOST,
        safe=Safe.LOWEST_LIMIT,
        since="monitor",
        within="lease",
        hold_s=0.3,
    ),
    _bad_limit("raised", "limit raised by 20 %"),
    _bad_limit("raised_a_little", "limit of a newer iteration raised by 4 % while armed"),
    _bad_limit("above_ceiling", "limit above the ceiling, by less than 5 %", setting=Setting(first_limit=3.4)),
    _bad_limit("nan", "limit NaN"),
    _bad_limit("old_iteration", "limit with an old iteration number"),
    _critic("raising", "critic raises"),
    _critic("slow", "critic waits for 2 s"),
    _critic("busy", "critic computes for 2 s in Python"),
    _critic("nan", "critic's risk is NaN"),
    _e_stop("pressed", "press", begin=Kind.BAD),
    _e_stop("silent", "silent", within="e_stop_lease"),
    _one_of_two("among_two", "one of two external e-stops pressed, the other released", "e_stop"),
    _one_of_two("best_effort", "external e-stop of best effort pressed, beside another", "e_stop_beside"),
    _stop_behind("robot", "a joint state", Reason.JOINT_STATE_WRONG_JOINTS),
    _stop_behind("policy", "a proposal", Reason.PROPOSAL_WRONG_LENGTH),
    Fault(
        name="filter_stalled",
        what="filter stopped for 0.2 s (SIGSTOP), the policy silent before it goes on",
        inject=_stall_the_filter,
        undo=says("policy", "behave"),
        modes=(_TRIPPED,),
        reasons=Reason.JOINT_STATE_STALE,
        may=Reason.PROPOSAL_STALE | Reason.PROPOSAL_TIMEOUT,
        within=STALL_S,
    ),
    Fault(
        name="filter_terminated",
        what="filter ended (SIGTERM)",
        inject=signals("filter", signal.SIGTERM),
        undo=starts("filter"),
        ends_filter=0,
    ),
    Fault(
        name="filter_killed",
        what="filter killed (SIGKILL)",
        inject=signals("filter", signal.SIGKILL),
        undo=starts("filter"),
        safe=Safe.ROBOT_ZERO,
        within="command_timeout",
        ends_filter=-signal.SIGKILL,
        setting=Setting(robot="mujoco_sim"),
    ),
    _no_states(
        "reset_refused",
        "reset and arming while joint states are still missing",
        says("robot", "stop"),
        says("robot", "behave"),
    ),
    _network_cut("filter"),
    _network_cut("robot", safe=Safe.ROBOT_ZERO, within="command_timeout", reset_refused=False),
    _harmless(
        "disk_full",
        "disk full under the recorder",
        lambda stage: stage.disk.fill(),
        _record_again,
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
