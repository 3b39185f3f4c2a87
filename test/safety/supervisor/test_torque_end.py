# SPDX-License-Identifier: Apache-2.0
"""A controller is given torques only if something is known to end them when it goes."""

from dataclasses import dataclass, field, replace

import pytest

from safe_transfer_ros.safety.supervisor.torque_end import (
    EFFORT_CONTROLLER,
    FORWARD_CONTROLLER,
    TorqueEnd,
    giving_way,
    taking_over,
    unended_torque,
)

MULTI = "forward_command_controller/MultiInterfaceForwardCommandController"
JOINTS = ("a", "b")


@dataclass
class Listed:
    name: str = "ours"
    state: str = "inactive"
    type: str = EFFORT_CONTROLLER
    claimed_interfaces: list[str] = field(default_factory=list)
    required_command_interfaces: list[str] = field(default_factory=lambda: ["a/effort", "b/effort"])


ZEROES = Listed()
HOLDS = Listed(type=FORWARD_CONTROLLER)
CHAINED = replace(HOLDS, required_command_interfaces=["hold/a/effort", "hold/b/effort"])
HOLD = Listed(name="hold", type="joint_trajectory_controller/JointTrajectoryController")
FALLBACK = TorqueEnd(fallback="hold")


def judge(ours: Listed, end: TorqueEnd, *others: Listed, fallbacks: tuple[str, ...] | None = ("hold",)) -> str | None:
    return unended_torque(ours, [ours, *others], JOINTS, end, fallbacks)


@pytest.mark.parametrize("kind", [FORWARD_CONTROLLER, MULTI])
def test_a_controller_that_holds_its_last_torque_is_refused_and_told_what_to_use(kind: str) -> None:
    says = str(judge(replace(HOLDS, type=kind), TorqueEnd()))
    assert f"ours is a {kind}, which holds its last torque even when deactivated" in says
    for fix in (EFFORT_CONTROLLER, "robot:=franka", "hardware_timeout", "fallback_controller"):
        assert fix in says


def test_a_controller_of_a_type_that_is_not_known_is_refused_too() -> None:
    says = str(judge(replace(HOLDS, type="mine/MyController"), TorqueEnd()))
    assert "is not known to end its torque when deactivated" in says


@pytest.mark.parametrize(
    ("ours", "end", "others"),
    [
        (ZEROES, TorqueEnd(), []),
        (HOLDS, TorqueEnd(hardware=True), []),
        (HOLDS, TorqueEnd(nothing=True), []),
        (HOLDS, FALLBACK, [HOLD]),
        (HOLDS, FALLBACK, [replace(HOLD, state="active")]),  # it has taken over
        (CHAINED, FALLBACK, [replace(HOLD, state="active")]),
    ],
)
def test_something_ends_it(ours: Listed, end: TorqueEnd, others: list[Listed]) -> None:
    assert judge(ours, end, *others) is None


@pytest.mark.parametrize(
    ("ours", "others", "says"),
    [
        (HOLDS, [], "fallback_controller hold is not loaded"),
        (HOLDS, [replace(HOLD, state="unconfigured")], "hold is unconfigured: spawn it inactive"),
        (HOLDS, [replace(HOLD, type=FORWARD_CONTROLLER)], "leaves the torque that it finds in force"),
        (HOLDS, [replace(HOLD, type=MULTI)], "leaves the torque that it finds in force"),
        (HOLDS, [replace(HOLD, type=EFFORT_CONTROLLER)], "leaves the torque that it finds in force"),
        (HOLDS, [replace(HOLD, required_command_interfaces=["a/position"])], "hold does not drive b"),
        (CHAINED, [HOLD], "hold, through which ours drives the arm, is inactive"),
        (ZEROES, [], "fallback_controller hold is not loaded"),  # it is relied upon, for an arm that falls at zero say
    ],
)
def test_a_fallback_that_could_not_take_over_is_refused(ours: Listed, others: list[Listed], says: str) -> None:
    assert says in str(judge(ours, FALLBACK, *others))
    assert says in str(judge(ours, replace(FALLBACK, hardware=True), *others)), "who names one relies on it"


@pytest.mark.parametrize(
    ("fallbacks", "says"),
    [
        (None, "has not told ours.fallback_controllers yet"),
        ((), "activates nothing when ours fails in its update"),
        (("other",), "set ours.fallback_controllers: [hold]"),
    ],
)
def test_the_manager_must_know_the_fallback_of_a_controller_that_holds(
    fallbacks: tuple[str, ...] | None, says: str
) -> None:
    assert says in str(judge(HOLDS, FALLBACK, HOLD, fallbacks=fallbacks))
    assert judge(ZEROES, FALLBACK, HOLD, fallbacks=fallbacks) is None
    assert judge(CHAINED, FALLBACK, replace(HOLD, state="active"), fallbacks=fallbacks) is None


def test_the_fallback_takes_over_and_gives_way_only_where_it_is_not_below_ours() -> None:
    active = replace(HOLD, state="active")
    assert (taking_over([HOLDS, HOLD], "hold"), taking_over([HOLDS, active], "hold")) == (["hold"], [])
    assert taking_over([HOLDS], "") == []
    assert giving_way([HOLDS, active], "ours", "hold") == ["hold"]
    assert giving_way([HOLDS, HOLD], "ours", "hold") == []
    assert giving_way([CHAINED, active], "ours", "hold") == []
