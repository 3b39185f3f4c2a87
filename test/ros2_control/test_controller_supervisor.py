# SPDX-License-Identifier: Apache-2.0
"""Filter and supervisor before an arm with ros2_control: each fault ends in stop torque and a named reason."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

from arm_bench import FILTER, TORQUES, ArmBench, bench
from controller_manager_msgs.srv import SetHardwareComponentState
from safe_transfer_msgs.msg import SafetyDecision
from stand_in import JOINTS, configuration
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.safety.reasons import Reason

pytestmark = pytest.mark.timeout(300)

TRIPPED = SafetyDecision.MODE_TRIPPED


@pytest.fixture(scope="module")
def running() -> Iterator[ArmBench]:
    with bench() as arm:
        yield arm


@pytest.fixture
def arm(running: ArmBench) -> ArmBench:
    """Driving, with torque at the arm."""
    running.drive()
    return running


def test_nothing_moves_before_an_operator_says_so() -> None:
    with bench() as arm:
        arm.ready()
        arm.until(lambda: arm.state_of("effort_controller") == "inactive", "loaded and configured")
        assert "active" not in {arm.state_in(activity, "effort_controller") for activity in arm.activity}
        refused = arm.call("safety_filter/arm", SetBool.Request(data=True))
        assert not refused.success and "supervisor" in refused.message
        arm.drive()
        # It leaves the arm without torque and the controller inactive.
        arm.signal("controller_supervisor", signal.SIGTERM)
        arm.nodes["controller_supervisor"].wait(timeout=30)
        arm.until(lambda: arm.state_of("effort_controller") == "inactive", "deactivation")
        assert arm.arm.torque() == 0.0
        arm.until(lambda: arm.filter.mode == TRIPPED, "the filter stopping without permission")
        assert arm.filter.cause & Reason.NO_PERMISSION


def test_activation_begins_with_zero(running: ArmBench) -> None:
    """Torque that another controller left is gone with the first command."""
    if running.phase == "active":
        assert running.activate(False).success
    running.driving = False
    if running.filter.mode == SafetyDecision.MODE_ARMED:
        assert running.call("safety_filter/arm", SetBool.Request(data=False)).success
    assert running.switch(start=("forward_controller",))
    running.torque("forward_controller", 3.0)
    assert running.switch(stop=("forward_controller",))
    running.destroy_publisher(running.commands.pop("forward_controller"))
    assert running.arm.torque() == 3.0, "it holds"
    running.drive()


def test_a_filter_that_hangs(arm: ArmBench) -> None:
    arm.signal("safety_filter", signal.SIGSTOP)
    arm.stopped()
    assert "commands have stopped" in arm.supervisor.message
    arm.signal("safety_filter", signal.SIGCONT)
    arm.until(lambda: arm.filter.mode == TRIPPED, "the filter tripping when it wakes up")


def test_a_trip_is_zero_first_then_deactivation(arm: ArmBench) -> None:
    arm.driving = False  # no proposals any more
    arm.until(lambda: arm.filter.mode == TRIPPED, "a trip")
    arm.stopped()
    assert "the filter has tripped: no fresh proposal" in arm.supervisor.message
    refused = arm.activate()
    assert not refused.success and "has tripped" in refused.message, "not before the filter is reset"


def test_a_controller_that_somebody_else_switches_off(arm: ArmBench) -> None:
    assert arm.switch(stop=("effort_controller",))
    arm.stopped()
    arm.until(lambda: arm.filter.mode == TRIPPED, "the filter stopping")
    assert arm.filter.cause & Reason.NO_PERMISSION


def test_a_controller_that_fails(arm: ArmBench) -> None:
    arm.fault("controller_error effort_controller")
    arm.stopped()
    arm.until(lambda: arm.filter.mode == TRIPPED, "the filter stopping")


def test_a_controller_that_somebody_else_switches_on(arm: ArmBench) -> None:
    assert arm.activate(False).success
    arm.stopped()
    arm.until(lambda: arm.switch(start=("effort_controller",)), "somebody switching it on")
    arm.until(lambda: arm.state_of("effort_controller") == "inactive", "the supervisor switching it off")


def test_joint_states_that_pause(arm: ArmBench) -> None:
    arm.fault("pause")
    arm.stopped()
    assert arm.filter.cause & (Reason.JOINT_STATE_STALE | Reason.JOINT_STATE_FROZEN), "whichever is noticed first"
    arm.fault("play")


def test_hardware_that_is_set_inactive(arm: ArmBench) -> None:
    request = SetHardwareComponentState.Request(name="arm")
    request.target_state.label = "inactive"
    assert arm.call("set_hardware_component_state", request).ok
    arm.stopped()
    assert "hardware arm is inactive" in arm.supervisor.message
    request.target_state.label = "active"
    assert arm.call("set_hardware_component_state", request).ok


def test_services_that_do_not_answer(arm: ArmBench) -> None:
    arm.fault("deaf")
    arm.until(lambda: arm.phase == "stopping", "the supervisor noticing")
    arm.until(lambda: arm.arm.torque() == 0.0, "the filter stopping without permission")
    arm.until(lambda: "still not known to be inactive" in arm.supervisor.message, "being told so")
    arm.fault("hear")
    arm.stopped()


def test_a_killed_filter(arm: ArmBench) -> None:
    arm.signal("safety_filter", signal.SIGKILL)
    arm.stopped()
    assert "commands have stopped" in arm.supervisor.message
    arm.nodes["safety_filter"].wait()
    arm.start("safety_filter", **FILTER)
    arm.until(
        lambda: arm.filter.mode != TRIPPED and arm.requests["safety_filter/arm"].service_is_ready(), "a new filter"
    )


def test_a_whole_robot_in_another_order() -> None:
    """A PR2 publishes 40 joints and more, and its controller may take ours the other way round."""
    others = [f"other_{number}_joint" for number in range(45)]
    backwards = JOINTS[::-1]
    config = configuration(
        joint_state_broadcaster={"extra_joints": others, "reversed": True},
        effort_controller={"joints": backwards},
        controller_manager={"update_rate": 100},
    )
    with bench(config, controller_joints=",".join(backwards)) as arm:
        arm.drive()
        arm.states.clear()
        arm.until(lambda: bool(arm.states), "a joint state")
        state = arm.states[-1]
        assert len(state.name) == 52 and state.name[:7] == backwards
        at_the_arm = dict(zip(state.name, state.effort, strict=True))
        assert [at_the_arm[joint] for joint in JOINTS] == TORQUES
        arm.driving = False
        arm.stopped()


def test_an_arm_that_does_not_carry_its_weight_is_carried() -> None:
    hanging = np.array([0.714, 1.2, 1.828, -1.459, 1.634, -1.306, 0.0])  # not more than the motors can hold
    carrying = ArmDynamics(load("pr2_left_arm")).gravity_torque(hanging)
    with bench(watchdog=0.2, add_gravity="always") as arm:
        commands: list[Float64MultiArray] = []
        arm.create_subscription(Float64MultiArray, "/effort_controller/commands", commands.append, qos.COMMAND)
        arm.ready()  # for the supervisor, who reckons by himself, the filter commands no more than rest
        arm.arm.place(hanging)
        arm.until(
            lambda: bool(commands) and np.allclose(commands[-1].data, carrying, atol=1e-6), "what carries it there"
        )
        arm.ready()
        assert np.abs(carrying).max() > 10.0
        assert arm.activate().success
        arm.until(lambda: arm.arm.torque() > 10.0, "torque at the arm")
        assert arm.activate(False).success
        arm.stopped()


def test_hardware_error() -> None:
    with bench(watchdog=0.1) as arm:
        arm.drive()
        arm.fault("hardware_error")
        arm.stopped()
        assert "hardware arm is unconfigured" in arm.supervisor.message
        assert not arm.activate().success


def test_a_plant_that_dies_under_fresh_stamps() -> None:
    with bench() as arm:
        arm.drive()
        arm.arm.kill("plant")
        arm.until(lambda: arm.filter.mode == TRIPPED, "a trip")
        assert arm.filter.cause & SafetyDecision.REASON_JOINT_STATE_FROZEN
        arm.until(lambda: arm.phase == "inactive", "deactivation")


def test_a_manager_that_dies() -> None:
    with bench(watchdog=0.1) as arm:
        arm.drive()
        arm.arm.kill("manager")
        arm.until(lambda: arm.arm.torque() == 0.0, "the arm's own watchdog")
        arm.until(lambda: arm.filter.mode == TRIPPED, "a trip")
        assert arm.filter.cause & (Reason.JOINT_STATE_STALE | Reason.JOINT_STATE_FROZEN), "whichever is noticed first"


@pytest.mark.parametrize(
    ("joints", "says"),
    [
        (JOINTS[::-1], "another order: set controller_joints to l_wrist_roll_joint"),
        (JOINTS[:-1], "lacks l_wrist_roll_joint"),
        ([*JOINTS, "torso_lift_joint"], "drives torso_lift_joint as well"),
    ],
)
def test_a_controller_of_other_joints_is_never_activated(joints: list[str], says: str) -> None:
    with bench(configuration(effort_controller={"joints": joints})) as arm:
        arm.until(lambda: says in arm.supervisor.message, "the supervisor saying so")
        assert says in arm.activate().message
        assert not arm.call("safety_filter/arm", SetBool.Request(data=True)).success


def test_a_filter_that_was_started_anew_is_believed(running: ArmBench) -> None:
    """The last test of the shared arm: DDS takes the killed one (above) for alive for 20 s, in which others are run."""
    running.drive()
