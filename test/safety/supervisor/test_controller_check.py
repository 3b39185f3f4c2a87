# SPDX-License-Identifier: Apache-2.0
"""Which controllers may be given torques: exactly ours, in our order, of the kind that zeroes."""

from dataclasses import dataclass, field, replace

import pytest

from safe_transfer_ros.safety.supervisor.controller_check import drivers, unfit, wrong_feeders
from safe_transfer_ros.safety.supervisor.torque_end import FORWARD_CONTROLLER, TorqueEnd


@dataclass
class Listed:
    name: str = "effort_controller"
    state: str = "inactive"
    type: str = "effort_controllers/JointGroupEffortController"
    claimed_interfaces: list[str] = field(default_factory=list)
    required_command_interfaces: list[str] = field(default_factory=lambda: ["a/effort", "b/effort"])


OURS = Listed()
STATES = Listed(name="joint_state_broadcaster", state="active", required_command_interfaces=[])
ACTIVE = replace(OURS, state="active", claimed_interfaces=["b/effort", "a/effort"])


NOTHING = TorqueEnd()


def judge(*controllers: Listed, joints: tuple[str, ...] = ("a", "b"), end: TorqueEnd = NOTHING) -> str | None:
    return unfit(controllers, "effort_controller", joints, "joint_state_broadcaster", end=end)


@pytest.mark.parametrize("ours", [OURS, ACTIVE])
def test_ours_will_do(ours: Listed) -> None:
    assert judge(ours, STATES) is None


@pytest.mark.parametrize(
    ("controllers", "says"),
    [
        ([STATES], "effort_controller is not loaded"),
        ([replace(OURS, state="unconfigured"), STATES], "is unconfigured"),
        ([replace(OURS, type=FORWARD_CONTROLLER), STATES], "holds its last torque"),
        ([OURS], "joint_state_broadcaster is not loaded"),
        ([OURS, replace(STATES, state="inactive")], "joint_state_broadcaster is inactive"),
        (
            [replace(OURS, required_command_interfaces=["b/effort", "a/effort"]), STATES],
            "controller_joints to b, a",
        ),
        (
            [replace(OURS, required_command_interfaces=["a/effort"]), STATES],
            "effort_controller lacks b: its joints must be exactly ours",
        ),
        (
            [replace(OURS, required_command_interfaces=["a/effort", "b/effort", "c/effort"]), STATES],
            "effort_controller drives c as well: its joints must be exactly ours",
        ),
        (
            [replace(OURS, required_command_interfaces=["a/position", "b/effort"]), STATES],
            "lacks a and drives a/pos",
        ),
        ([replace(ACTIVE, claimed_interfaces=["a/effort"]), STATES], "not what it needs"),
    ],
)
def test_anything_else_will_not(controllers: list[Listed], says: str) -> None:
    assert says in str(judge(*controllers))


def test_another_order_will_do_when_commands_are_sent_in_it() -> None:
    assert judge(OURS, STATES, joints=("b", "a")) is not None
    assert judge(replace(OURS, required_command_interfaces=["b/effort", "a/effort"]), STATES, joints=("b", "a")) is None


def test_a_holding_controller_has_to_be_asked_for() -> None:
    assert judge(replace(OURS, type=FORWARD_CONTROLLER), STATES, end=TorqueEnd(nothing=True)) is None


def test_the_joints_of_a_chain_are_those_of_its_references_in_their_order() -> None:
    end, below = TorqueEnd(fallback="hold"), replace(ACTIVE, name="hold", type="mine/Hold")
    chained = replace(OURS, type=FORWARD_CONTROLLER, required_command_interfaces=["hold/a/effort", "hold/b/effort"])
    assert judge(chained, below, STATES, end=end) is None
    assert "another order" in str(judge(chained, below, STATES, end=end, joints=("b", "a")))
    short = replace(chained, required_command_interfaces=["hold/a/effort"])
    assert "lacks b" in str(judge(short, below, STATES, end=end))


@pytest.mark.parametrize(
    ("publishers", "says"),
    [
        (["/safety_filter"], None),
        ([], "/safety_filter does not publish"),
        (["/safety_filter", "/stranger"], "/stranger publishes on /c/commands"),
        (["/stranger"], "/stranger publishes on /c/commands"),
        ([f"/s{n}" for n in (7, 2, 5, 1, 9, 3)], "/s1, /s2, /s3, /s5, /s7, /s9 publishes on"),
        (["/other/safety_filter"], "/other/safety_filter publishes"),
        (["/safety_filter", "/safety_filter"], "there 2 times"),
    ],
)
def test_the_filter_alone_feeds_the_controller(publishers: list[str], says: str | None) -> None:
    found = wrong_feeders("/c/commands", publishers, "/safety_filter")
    assert found is None if says is None else says in str(found)


def test_who_drives_a_joint() -> None:
    ours = replace(Listed(), state="active", claimed_interfaces=["a/effort", "b/effort"])
    other = replace(Listed(), name="other", state="active", claimed_interfaces=["x/effort", "b/position"])
    elsewhere = replace(Listed(), name="elsewhere", state="active", claimed_interfaces=["c/effort"])
    inactive = replace(Listed(), name="inactive", claimed_interfaces=["a/effort"])
    assert drivers([ours, other, elsewhere, inactive], ["a", "b"]) == ("effort_controller", "other")
    assert drivers([elsewhere, inactive], ["a", "b"]) == ()
