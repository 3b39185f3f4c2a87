# SPDX-License-Identifier: Apache-2.0
"""The stand-in does what ros2_control 4.46 was measured to do; each test is one row of that list.

What the tests of the supervisor and of the graph on hardware rest on: were the stand-in kinder than the real one, they
would prove nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

from client import BEST_EFFORT, LATCHED, Client, started
from controller_manager_msgs.srv import ListControllers, SetHardwareComponentState, SwitchController
from descriptions import with_blocks, with_safety_controllers
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSPresetProfiles,
    QoSReliabilityPolicy,
)
from sensor_msgs.msg import JointState
from stand_in import JOINTS
from std_msgs.msg import String

from safe_transfer_ros.robots.description import load

BOTH = pytest.mark.parametrize("name", ["effort_controller", "forward_controller"])
TORQUE = [0.5] * 7
ROBOT = load("pr2_left_arm")
NAN = float("nan")


@pytest.fixture(scope="module")
def running() -> Iterator[Client]:
    with started() as client:
        yield client


@pytest.fixture
def client(running: Client) -> Client:
    """One stand-in for all tests that leave it whole: at zero torque, both controllers inactive."""
    running.switch(stop=("effort_controller", "forward_controller"), strictness=BEST_EFFORT)
    assert running.switch(start=("effort_controller",))
    running.torque("effort_controller", 0.0)
    assert running.switch(stop=("effort_controller",))
    running.until(lambda: running.state_of("effort_controller") == "inactive", "activity telling it")
    return running


@pytest.fixture
def own() -> Iterator[Client]:
    """A stand-in of its own, for tests that break it."""
    with started() as client:
        yield client


@BOTH
def test_a_killed_publisher_leaves_its_last_torque_for_ever(client: Client, name: str) -> None:
    assert client.switch(start=(name,))
    client.torque(name, 0.5)
    client.destroy_publisher(client.commands.pop(name))
    client.let(0.5)
    assert client.arm.torque() == 0.5


@pytest.mark.parametrize(("name", "left"), [("effort_controller", 0.0), ("forward_controller", 0.5)])
def test_deactivation_zeroes_the_one_and_holds_the_other(client: Client, name: str, left: float) -> None:
    assert client.switch(start=(name,))
    client.torque(name, 0.5)
    assert client.switch(stop=(name,))
    client.until(lambda: client.state_of(name) == "inactive", "the activity topic telling it")
    client.let(0.1)
    assert client.arm.torque() == left


@pytest.mark.parametrize(("name", "left"), [("effort_controller", 0.0), ("forward_controller", 0.5)])
def test_a_wrong_length_deactivates(client: Client, name: str, left: float) -> None:
    assert client.switch(start=(name,))
    client.torque(name, 0.5)
    client.command(name, [0.1] * 6)
    client.until(lambda: client.state_of(name) == "inactive", "deactivation")
    client.let(0.1)
    assert client.arm.torque() == left


@BOTH
@pytest.mark.parametrize("values", [[], [NAN] * 7, [0.1] * 6 + [float("inf")]])
def test_empty_and_non_finite_commands_change_nothing(client: Client, name: str, values: list[float]) -> None:
    assert client.switch(start=(name,))
    client.torque(name, 0.5)
    client.command(name, values)
    client.let(0.2)
    assert client.arm.torque() == 0.5 and client.state_of(name) == "active"


def test_activation_writes_nothing_until_the_first_command(client: Client) -> None:
    assert client.switch(start=("forward_controller",))
    client.torque("forward_controller", 3.0)
    assert client.switch(start=("effort_controller",), stop=("forward_controller",))
    client.let(0.2)
    assert client.arm.torque() == 3.0
    client.torque("effort_controller", 0.0)


def test_commands_sent_while_inactive_are_discarded(client: Client) -> None:
    client.command("effort_controller", TORQUE)
    client.let(0.1)
    assert client.switch(start=("effort_controller",))
    client.let(0.2)
    assert client.arm.torque() == 0.0


def test_strict_switching_is_atomic(client: Client) -> None:
    assert client.switch(start=("effort_controller",))
    assert not client.switch(start=("effort_controller",)), "already active"
    assert not client.switch(start=("forward_controller",)), "its interfaces are claimed"
    assert not client.switch(start=("forward_controller", "no_such"), stop=("effort_controller",))
    client.let(0.1)
    assert client.state_of("effort_controller") == "active", "nothing of a refused switch was done"
    assert client.switch(start=("no_such",), strictness=BEST_EFFORT), "says ok, did nothing"
    assert not client.switch(start=("forward_controller",), strictness=SwitchController.Request.AUTO)


def command_too_much(client: Client) -> float:
    assert client.switch(start=("effort_controller",))
    client.until(lambda: client.command("effort_controller", [500.0] * 7) or client.arm.torque() > 0, "a torque")
    return client.arm.torque()


def test_limits_are_off_by_default(client: Client) -> None:
    assert command_too_much(client) == 500.0


def test_limits_hold_when_enforced() -> None:
    with started(controller_manager={"enforce_command_limits": True}) as client:
        assert command_too_much(client) == 30.0


ELBOW = JOINTS.index("l_elbow_flex_joint")
BEYOND = np.asarray(ROBOT.home).copy()
BEYOND[ELBOW] = -0.01  # rad: its soft limit is at -.15, its hard one at 0


def beyond_its_soft_limit(urdf: str, *, enforced: bool = True) -> tuple[float, float]:
    """Torque at the arm while +2.54 N·m is commanded, and long after the deactivation that means zero."""
    manager = {"enforce_command_limits": enforced}
    with started(controller_manager=manager, stand_in={"urdf": urdf}) as client:
        assert client.switch(start=("effort_controller",))
        command = [0.0] * 7
        command[ELBOW] = 2.54
        client.arm.place(BEYOND)
        client.until(lambda: client.command("effort_controller", command) or client.arm.torque() > 0, "a torque")
        client.let(0.05)
        while_active = client.states[-1].effort[ELBOW]
        client.arm.place(BEYOND)
        client.let(0.05)
        assert client.switch(stop=("effort_controller",))
        client.let(0.1)
        held = client.arm.torque()
        client.let(1.0)
        assert client.arm.torque() == held, "nobody writes again"
        return while_active, held


def test_soft_limits_turn_the_zero_of_deactivation_into_a_torque_for_ever() -> None:
    """-k_velocity (dq - v), v the speed at which it is to come back, here 3 x 3.3 N·m at rest; held, the arm moving."""
    while_active, held = beyond_its_soft_limit(with_safety_controllers(ROBOT))
    assert while_active < 0.0, "the command is overridden"
    assert 1.0 < held <= 9.9


@pytest.mark.parametrize(("softened", "enforced"), [(False, True), (True, False)])
def test_without_the_tag_or_without_limits_deactivation_is_zero(softened: bool, enforced: bool) -> None:
    urdf = with_safety_controllers(ROBOT) if softened else with_blocks(ROBOT)
    assert beyond_its_soft_limit(urdf, enforced=enforced) == (2.54, 0.0)


def test_the_description_is_latched_and_has_the_blocks_of_every_ros2_control_robot(client: Client) -> None:
    heard: list[String] = []
    client.create_subscription(String, "/robot_description", heard.append, LATCHED)
    client.until(lambda: bool(heard), "robot_description")
    assert "<ros2_control" in heard[0].data and "<transmission" in heard[0].data


def test_inactive_hardware_still_takes_commands(client: Client) -> None:
    assert client.switch(start=("effort_controller",))
    request = SetHardwareComponentState.Request(name="arm")
    request.target_state.label = "inactive"
    assert client.call("set_hardware_component_state", request).ok
    client.until(lambda: client.activity[-1].hardware_components[0].state.label == "inactive", "activity telling it")
    client.torque("effort_controller", 0.5)
    assert client.state_of("effort_controller") == "active"
    request.target_state.label = "active"
    client.call("set_hardware_component_state", request)


def test_a_dead_plant_freezes_the_data_under_fresh_stamps(own: Client) -> None:
    own.arm.kill("plant")
    own.let(0.2)
    own.states.clear()
    own.let(0.3)
    stamps = [state.header.stamp.sec * 10**9 + state.header.stamp.nanosec for state in own.states]
    assert len(stamps) > 5 and stamps == sorted(set(stamps))
    assert len({tuple(state.position) for state in own.states}) == 1
    assert own.activity[-1].hardware_components[0].state.label == "active"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_manager_that_ends_sends_no_zero(own: Client, number: int) -> None:
    assert own.switch(start=("effort_controller",))
    own.torque("effort_controller", 0.5)
    own.arm.kill("manager", number)
    own.let(0.3)
    assert own.arm.torque() == 0.5


def test_a_controller_that_fails_is_deactivated_and_its_fallback_takes_over(client: Client) -> None:
    assert client.switch(start=("effort_controller",))
    client.torque("effort_controller", 0.5)
    client.fault("controller_error effort_controller")
    client.until(lambda: client.state_of("effort_controller") == "inactive", "deactivation")
    client.until(lambda: client.arm.torque() == 0.0, "zero torque")


def test_quality_of_service(client: Client) -> None:
    [states] = client.get_publishers_info_by_topic("/joint_states")
    assert states.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert states.qos_profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
    [commands] = client.get_subscriptions_info_by_topic("/effort_controller/commands")
    assert commands.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    assert commands.qos_profile.durability == QoSDurabilityPolicy.VOLATILE
    [activity] = client.get_publishers_info_by_topic("/controller_manager/activity")
    assert activity.qos_profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL


def test_a_late_latched_listener_gets_a_stale_joint_state(client: Client) -> None:
    client.fault("pause")
    client.let(0.3)
    late: list[JointState] = []
    client.create_subscription(JointState, "/joint_states", late.append, LATCHED)
    volatile: list[JointState] = []
    client.create_subscription(JointState, "/joint_states", volatile.append, QoSPresetProfiles.SYSTEM_DEFAULT.value)
    client.until(lambda: bool(late), "the old sample")
    client.let(0.2)
    client.fault("play")
    assert not volatile, "volatile listeners are spared"


def test_the_list_tells_what_is_claimed_and_in_which_order(client: Client) -> None:
    wanted = [f"{joint}/effort" for joint in JOINTS]

    def listed() -> Any:
        controllers = client.call("list_controllers", ListControllers.Request()).controller
        return next(controller for controller in controllers if controller.name == "effort_controller")

    assert (listed().claimed_interfaces, listed().required_command_interfaces) == ([], wanted)
    assert client.switch(start=("effort_controller",))
    assert (listed().claimed_interfaces, listed().state) == (wanted, "active")
