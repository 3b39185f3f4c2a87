# SPDX-License-Identifier: Apache-2.0
"""The stand-in does what ros2_control 4.46 was measured to do; each test is one row of that list.

What the tests of the supervisor and of the graph on hardware rest on: were the stand-in kinder than the real one, they
would prove nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy

pytest.importorskip("controller_manager_msgs")

from controller_manager_msgs.msg import ControllerManagerActivity
from controller_manager_msgs.srv import ListControllers, SetHardwareComponentState, SwitchController
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSPresetProfiles,
    QoSProfile,
    QoSReliabilityPolicy,
)
from sensor_msgs.msg import JointState
from stand_in import JOINTS, StandIn, configuration
from std_msgs.msg import Float64MultiArray, String

from safe_transfer_ros.launching import domain

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BOTH = pytest.mark.parametrize("name", ["effort_controller", "forward_controller"])
STRICT, BEST_EFFORT = SwitchController.Request.STRICT, SwitchController.Request.BEST_EFFORT
TORQUE = [0.5] * 7
NAN = float("nan")


class Client(Node):
    """A program that talks to ros2_control."""

    def __init__(self, context: Context, arm: StandIn) -> None:
        super().__init__("client", context=context)
        self.arm = arm
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.activity: list[ControllerManagerActivity] = []
        self.states: list[JointState] = []
        self.create_subscription(
            ControllerManagerActivity, "/controller_manager/activity", self.activity.append, LATCHED
        )
        self.create_subscription(JointState, "/joint_states", self.states.append, 10)
        names = ("effort_controller", "forward_controller")
        self.commands = {name: self.create_publisher(Float64MultiArray, f"/{name}/commands", 10) for name in names}
        self.faults = self.create_publisher(String, "/stand_in/fault", LATCHED)
        self.requests: dict[str, Any] = {
            name: self.create_client(kind, f"/controller_manager/{name}")
            for kind, name in (
                (ListControllers, "list_controllers"),
                (SwitchController, "switch_controller"),
                (SetHardwareComponentState, "set_hardware_component_state"),
            )
        }

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
            self.executor_.spin_once(timeout_sec=0.005)

    def let(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor_.spin_once(timeout_sec=0.005)

    def call(self, name: str, request: Any) -> Any:
        self.until(self.requests[name].service_is_ready, name)
        future = self.requests[name].call_async(request)
        self.until(future.done, f"an answer of {name}")
        return future.result()

    def switch(
        self,
        *,
        start: tuple[str, ...] = (),
        stop: tuple[str, ...] = (),
        strictness: int = STRICT,
    ) -> bool:
        request = SwitchController.Request(strictness=strictness)
        request.activate_controllers, request.deactivate_controllers = list(start), list(stop)
        return bool(self.call("switch_controller", request).ok)

    def command(self, name: str, values: list[float]) -> None:
        self.until(lambda: self.commands[name].get_subscription_count() > 0, f"{name} listening")
        self.commands[name].publish(Float64MultiArray(data=values))

    def torque(self, name: str, value: float) -> None:
        """Command it until the arm has it."""

        def there() -> bool:
            self.command(name, [value] * 7)
            return self.arm.torque() == value

        self.until(there, f"{value} N·m at the arm")

    def fault(self, text: str) -> None:
        self.until(lambda: self.faults.get_subscription_count() > 0, "the stand-in listening")
        self.faults.publish(String(data=text))

    def state_of(self, name: str) -> str:
        """As `activity` told it last."""
        self.executor_.spin_once(timeout_sec=0.0)
        states = {entry.name: entry.state.label for entry in self.activity[-1].controllers} if self.activity else {}
        return states.get(name, "unknown")


@contextmanager
def started(**changes: Any) -> Iterator[Client]:
    claimed = domain.claim()
    start = ("joint_state_broadcaster", "effort_controller", "forward_controller")
    with StandIn(claimed.number, configuration(start=start, **changes)) as arm:
        context = Context()
        rclpy.init(context=context, domain_id=claimed.number)
        client = Client(context, arm)
        client.until(lambda: bool(client.activity) and bool(client.states), "the stand-in being up")
        yield client
        client.destroy_node()
        rclpy.shutdown(context=context)
    claimed.lock.close()


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
    client.destroy_publisher(client.commands[name])
    client.let(0.5)
    client.commands[name] = client.create_publisher(Float64MultiArray, f"/{name}/commands", 10)
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
