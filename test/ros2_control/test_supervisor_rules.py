# SPDX-License-Identifier: Apache-2.0
"""The supervisor's rules one by one, before a filter that does as the test tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

from arm_bench import ArmBench, bench
from client import LATCHED
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision
from sensor_msgs.msg import JointState
from stand_in import JOINTS
from stand_in_filter import TORQUE, ZERO, StandInFilter, drive
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.safety.reasons import Reason

pytestmark = pytest.mark.timeout(300)

ARMED, TRIPPED = SafetyDecision.MODE_ARMED, SafetyDecision.MODE_TRIPPED
SLOW = {"zero_timeout": 3.0}  # so that what ends a wait is what the test names


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[ArmBench, StandInFilter]]:
    with bench(own_filter=False, **SLOW) as arm, StandInFilter(arm.domain) as stand_in:
        yield arm, stand_in


@pytest.fixture
def arm(running: tuple[ArmBench, StandInFilter]) -> ArmBench:
    """Inactive, and ready to be activated."""
    arm, stand_in = running
    stand_in.begin()
    if arm.phase == "active":
        assert arm.activate(False).success
    arm.ready()
    return arm


@pytest.fixture
def stand_in(running: tuple[ArmBench, StandInFilter], arm: ArmBench) -> StandInFilter:
    return running[1]


def inactive_at(arm: ArmBench) -> int:
    """Monotonic time, ns, when the controller was seen to be inactive."""
    arm.until(lambda: arm.state_of("effort_controller") == "inactive", "deactivation")
    return time.monotonic_ns()


# Zero first, then deactivation ---------------------------------------------------------------------------------------


def test_the_controller_is_deactivated_only_when_the_commands_are_zero(arm: ArmBench, stand_in: StandInFilter) -> None:
    drive(arm, stand_in)
    stand_in.obeys_after = 0.5
    began = time.monotonic_ns()
    order = arm.requests["controller_supervisor/activate"].call_async(SetBool.Request(data=False))
    inactive = inactive_at(arm)
    arm.until(order.done, "the answer")
    assert order.result().success
    assert stand_in.zero_ns - began > 0.5e9 and inactive > stand_in.zero_ns, "deactivated before zero was commanded"
    assert inactive - stand_in.zero_ns < 1.0e9, "it was the zero that was waited for, not zero_timeout"


def test_commands_that_do_not_become_zero_are_waited_for_no_longer_than_zero_timeout(
    arm: ArmBench, stand_in: StandInFilter
) -> None:
    drive(arm, stand_in)
    began = time.monotonic_ns()
    order = arm.requests["controller_supervisor/activate"].call_async(SetBool.Request(data=False))
    took = (inactive_at(arm) - began) * 1e-9
    arm.until(order.done, "the answer")
    assert SLOW["zero_timeout"] <= took < SLOW["zero_timeout"] + 2.0
    arm.until(lambda: arm.arm.torque() == 0.0, "zero by deactivation")


# What must be so before activation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "mode"), [([0.0] * 6 + [0.01], SafetyDecision.MODE_DISARMED), (ZERO, ARMED), (TORQUE, ARMED)]
)
def test_it_activates_only_a_disarmed_filter_that_commands_zero(
    arm: ArmBench, stand_in: StandInFilter, command: list[float], mode: int
) -> None:
    arm.activity.clear()
    stand_in.command = command
    stand_in.tell(mode)
    arm.until(lambda: "command zero" in arm.supervisor.message, "being told so")
    refused = arm.activate()
    assert not refused.success and "must be disarmed and command zero" in refused.message
    arm.let(0.3)
    assert "active" not in {arm.state_in(activity, "effort_controller") for activity in arm.activity}
    assert arm.arm.torque() == 0.0


def test_it_activates_only_while_its_lifecycle_has_it_active(arm: ArmBench, stand_in: StandInFilter) -> None:
    arm.requests["change"] = arm.create_client(ChangeState, "controller_supervisor/change_state")

    def change(transition: int) -> None:
        request = ChangeState.Request()
        request.transition.id = transition
        assert arm.call("change", request).success

    drive(arm, stand_in)
    stand_in.obeys_after = 0.0
    change(Transition.TRANSITION_DEACTIVATE)
    inactive_at(arm)
    arm.until(lambda: arm.told("last_stop") == "the supervisor was deactivated", "the reason")
    stand_in.begin()
    arm.ready()
    refused = arm.activate()
    assert not refused.success and refused.message == "the supervisor is not active"
    arm.let(0.3)
    assert arm.state_of("effort_controller") == "inactive"
    change(Transition.TRANSITION_ACTIVATE)
    assert arm.activate().success


def test_cleanup_takes_its_services_out_of_the_graph_and_configure_brings_them_back_once(
    arm: ArmBench, stand_in: StandInFilter
) -> None:
    arm.requests["change"] = arm.create_client(ChangeState, "controller_supervisor/change_state")

    def change(*transitions: int) -> None:
        for transition in transitions:
            request = ChangeState.Request()
            request.transition.id = transition
            assert arm.call("change", request).success

    def served() -> tuple[int, int, int]:
        names = arm.get_node_names()
        permission = arm.count_publishers("controller_supervisor/permission")
        return (
            arm.count_services("controller_supervisor/activate"),
            permission,
            names.count("controller_supervisor_services"),
        )

    before = (1, 1, 1)
    arm.until(lambda: served() == before, "all of it being there once")
    for _ in range(2):
        change(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
        arm.until(lambda: served() == (0, 0, 0), "nothing of it being left in the graph")
        change(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
        arm.until(lambda: served() == before, "all of it being there once")
    # "Ready" may still be the word of the time before: what it waits for, it must hear anew.
    arm.until(lambda: arm.activate().success, "its being activated")


def test_ready_is_not_said_while_the_graph_still_connects(arm: ArmBench, stand_in: StandInFilter) -> None:
    stand_in.tell(connected=False, message="trainer not listening yet")
    arm.until(lambda: "still connecting: trainer not listening" in arm.supervisor.message, "being told so")
    assert "still connecting" in arm.activate().message
    stand_in.tell()
    arm.ready()


# How it runs ---------------------------------------------------------------------------------------------------------


def test_permission_is_renewed_a_hundred_times_a_second(arm: ArmBench, stand_in: StandInFilter) -> None:
    """A filter on hardware bears a silence of 100 ms. The median: this is no real-time machine."""
    stand_in.permissions.clear()
    arm.let(2.0)
    gaps = np.diff([time_ns for time_ns, _ in stand_in.permissions])
    assert len(gaps) > 20 and np.median(gaps) < 0.03e9


def test_permission_is_given_while_active_and_never_else(arm: ArmBench, stand_in: StandInFilter) -> None:
    stand_in.permissions.clear()
    arm.let(0.2)
    assert stand_in.permissions and not any(given for _, given in stand_in.permissions)
    drive(arm, stand_in)
    arm.until(lambda: stand_in.permissions[-1][1], "permission")
    stand_in.tell(TRIPPED, message="a test")
    arm.until(lambda: not stand_in.permissions[-1][1], "the end of permission")
    stand_in.command = ZERO
    inactive_at(arm)


# Who feeds the controller --------------------------------------------------------------------------------------------


def test_a_stranger_on_the_command_topic_is_refused_by_name(arm: ArmBench, stand_in: StandInFilter) -> None:
    stranger = arm.create_publisher(Float64MultiArray, "effort_controller/commands", qos.STREAM)
    try:
        arm.until(lambda: "/client publishes on /effort_controller/commands" in arm.supervisor.message, "being told")
        refused = arm.activate()
        assert not refused.success and "where only /safety_filter may" in refused.message
    finally:
        arm.destroy_publisher(stranger)
    arm.ready()


def test_a_stranger_on_the_command_topic_ends_the_motion(arm: ArmBench, stand_in: StandInFilter) -> None:
    """At once: who is no filter of ours will not send zero because permission has ended."""
    drive(arm, stand_in)
    began = time.monotonic_ns()
    stranger = arm.create_publisher(Float64MultiArray, "effort_controller/commands", qos.STREAM)
    try:
        assert inactive_at(arm) - began < 2.0e9 < SLOW["zero_timeout"] * 1e9
        arm.until(lambda: " publishes on /effort_controller/commands" in arm.told("last_stop"), "the reason")
        # It is stopped as soon as it is there, which may be before anybody knows its node's name.
        arm.until(lambda: "/client publishes on" in arm.supervisor.message, "its name")
    finally:
        arm.destroy_publisher(stranger)
    arm.until(lambda: arm.arm.torque() == 0.0, "zero torque")


# Who tells what the filter does --------------------------------------------------------------------------------------


def test_a_stranger_on_the_filters_status_ends_the_motion_and_is_named(arm: ArmBench, stand_in: StandInFilter) -> None:
    """It may say that a tripped filter is armed, so nothing that anybody says there is believed."""
    drive(arm, stand_in)
    stand_in.obeys_after = 0.0
    stranger = arm.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED)
    try:
        inactive_at(arm)
        arm.until(lambda: "safety_filter/status has 2 publishers" in arm.told("last_stop"), "the reason")
        stranger.publish(FilterStatus(mode=SafetyDecision.MODE_DISARMED, connected=True))
        stand_in.begin()
        arm.let(0.5)
        assert "ready" not in arm.supervisor.message
        refused = arm.activate()
        assert not refused.success and "client" in refused.message and "safety_filter" in refused.message
    finally:
        arm.destroy_publisher(stranger)
    arm.ready()  # what the filter said meanwhile is asked for again
    assert arm.activate().success


@pytest.mark.parametrize("mode", [4, 255])
def test_a_mode_that_stands_for_nothing_ends_the_motion(arm: ArmBench, stand_in: StandInFilter, mode: int) -> None:
    drive(arm, stand_in)
    stand_in.obeys_after = 0.0
    stand_in.tell(mode)
    inactive_at(arm)
    arm.until(lambda: f"the filter's mode is {mode}" in arm.told("last_stop"), "the reason")
    refused = arm.activate()
    assert not refused.success and "stands for nothing" in refused.message


# An operator's requests, when they cross ------------------------------------------------------------------------------


def test_a_deactivation_asked_for_during_an_activation_is_not_lost(arm: ArmBench, stand_in: StandInFilter) -> None:
    """An arm that measures a torque under commands of zero keeps an activation waiting."""
    drive(arm, stand_in)
    try:
        arm.arm.wrong("stuck")
        stand_in.obeys_after = 0.0
        assert arm.activate(False).success
        stand_in.begin()
        arm.until(lambda: "ready" in arm.supervisor.message, "commands of zero")
        ask = arm.requests["controller_supervisor/activate"].call_async
        activation = ask(SetBool.Request(data=True))
        arm.until(lambda: arm.phase == "activating", "an activation that waits")
        deactivation = ask(SetBool.Request(data=False))
        arm.until(activation.done, "the first answer", 1.5)
        assert not activation.result().success and "an operator asked for it" in activation.result().message
        arm.until(deactivation.done, "its answer")
        assert deactivation.result().success and arm.state_of("effort_controller") == "inactive"
    finally:
        arm.arm.wrong("none")


def test_an_activation_during_a_deactivation_is_refused(arm: ArmBench, stand_in: StandInFilter) -> None:
    drive(arm, stand_in)
    ask = arm.requests["controller_supervisor/activate"].call_async
    deactivation = ask(SetBool.Request(data=False))  # it waits for commands of zero
    arm.until(lambda: arm.phase == "stopping", "a deactivation that waits")
    refused = arm.activate()
    assert not refused.success and refused.message == "a deactivation is under way"
    arm.until(deactivation.done, "its answer")
    assert deactivation.result().success and arm.state_of("effort_controller") == "inactive"


# What a stop leaves --------------------------------------------------------------------------------------------------


def test_a_torque_that_outlives_its_controller_is_told(arm: ArmBench, stand_in: StandInFilter) -> None:
    drive(arm, stand_in)
    try:
        arm.arm.wrong("stuck")
        stand_in.obeys_after = 0.0
        assert arm.activate(False).success
        arm.until(lambda: arm.told("torque") == "TORQUE_HELD", "being told")
        assert arm.phase == "inactive" and arm.supervisor.level == DiagnosticStatus.ERROR
        assert "+0.5 N·m" in arm.supervisor.message and "USE THE HARDWARE EMERGENCY STOP" in arm.supervisor.message
        # Commands of zero that do not reach the arm give no permission.
        stand_in.begin()
        arm.until(lambda: "ready" in arm.supervisor.message, "commands of zero")
        stand_in.permissions.clear()
        refused = arm.activate()
        assert not refused.success and "under commands of zero the arm still measures torque" in refused.message
        assert not any(given for _, given in stand_in.permissions)
    finally:
        arm.arm.wrong("none")
    arm.until(lambda: arm.told("torque") == "AT_REST", "the end of it")
    assert arm.supervisor.level == DiagnosticStatus.WARN


def test_two_descriptions_are_refused_until_there_is_one(arm: ArmBench, stand_in: StandInFilter) -> None:
    second = arm.create_publisher(String, "robot_description", LATCHED)
    second.publish(String(data=load("pr2_left_arm").urdf))
    arm.until(lambda: "2 publish robot_description" in arm.supervisor.message, "being told so")
    assert not arm.activate().success
    arm.destroy_publisher(second)
    arm.ready()


def test_a_second_driver_of_the_arm_cannot_hide_a_torque_behind_its_zeros(
    arm: ArmBench, stand_in: StandInFilter
) -> None:
    drive(arm, stand_in)
    second = arm.create_publisher(JointState, "joint_states", qos.STREAM)
    n = len(JOINTS)
    try:
        arm.arm.wrong("stuck")
        stand_in.obeys_after = 0.0
        assert arm.activate(False).success

        def hidden() -> bool:
            state = JointState(name=JOINTS, position=[0.0] * n, velocity=[0.0] * n, effort=[0.0] * n)
            second.publish(state)
            return arm.told("torque") == "EFFORT_UNKNOWN"

        arm.until(hidden, "being told that nothing is known")
        assert "joint_states has 2 publishers" in arm.supervisor.message
        assert arm.supervisor.level == DiagnosticStatus.ERROR and not arm.activate().success
        arm.destroy_publisher(second)
        arm.until(lambda: arm.told("torque") == "TORQUE_HELD", "the arm's own word once more")
    finally:
        arm.arm.wrong("none")


# What is told --------------------------------------------------------------------------------------------------------


def test_the_cause_of_a_stop_is_not_replaced_by_what_the_stop_did(arm: ArmBench, stand_in: StandInFilter) -> None:
    drive(arm, stand_in)
    stand_in.command = [0.5] * 6  # one short
    inactive_at(arm)
    stand_in.command = ZERO
    stand_in.tell(TRIPPED, cause=int(Reason.NO_PERMISSION), message="the supervisor permits no torque")
    arm.until(lambda: "waits for its reset" in arm.supervisor.message, "what to do")
    assert "a command had 6 values instead of 7" in arm.supervisor.message
    assert "permits no torque" not in arm.supervisor.message
    stand_in.tell(TRIPPED, cause=int(Reason.NO_PERMISSION | Reason.OPERATOR_STOP), message="an operator stop")
    arm.until(lambda: "an operator stop" in arm.supervisor.message, "a cause of the filter's own")
    assert "stopped before: a command had 6 values" in arm.supervisor.message
