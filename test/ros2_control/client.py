# SPDX-License-Identifier: Apache-2.0
"""A program beside ros2_control: what the tests see of the stand-in, and what they ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import graph_runs
import rclpy
from controller_manager_msgs.msg import ControllerManagerActivity
from controller_manager_msgs.srv import ListControllers, SetHardwareComponentState, SwitchController
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from stand_in import StandIn, configuration
from std_msgs.msg import Float64MultiArray, String

from safe_transfer_ros.launching import domain

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
STRICT, BEST_EFFORT = SwitchController.Request.STRICT, SwitchController.Request.BEST_EFFORT


class Client(Node):
    """A program that talks to ros2_control."""

    def __init__(self, context: Context, arm: StandIn) -> None:
        super().__init__("client", context=context)
        self.arm = arm
        self.domain = 0
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.activity: list[ControllerManagerActivity] = []
        self.states: list[JointState] = []
        self.create_subscription(
            ControllerManagerActivity, "/controller_manager/activity", self.activity.append, LATCHED
        )
        self.create_subscription(JointState, "/joint_states", self.states.append, 10)
        self.commands: dict[str, Publisher] = {}
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
        # What is sent before both ends have found each other is lost: ask again.
        futures = []
        deadline = time.monotonic() + 60.0
        while not any(future.done() for future in futures):
            assert time.monotonic() < deadline, f"no answer of {name}"
            futures.append(self.requests[name].call_async(request))
            asked = time.monotonic()
            while not futures[-1].done() and time.monotonic() < asked + 3.0:
                self.executor_.spin_once(timeout_sec=0.005)
        return next(future.result() for future in futures if future.done())

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
        if name not in self.commands:
            self.commands[name] = self.create_publisher(Float64MultiArray, f"/{name}/commands", 10)
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
        """As `activity` told it last; it may still be on its way."""
        self.executor_.spin_once(timeout_sec=0.0)
        return self.state_in(self.activity[-1], name) if self.activity else "unknown"

    @staticmethod
    def state_in(activity: ControllerManagerActivity, name: str) -> str:
        """As one message tells it."""
        return next((entry.state.label for entry in activity.controllers if entry.name == name), "unknown")


@contextmanager
def _claimed() -> Iterator[int]:
    claimed = domain.claim()
    yield claimed.number
    claimed.release()


@contextmanager
def started(*, shared: bool = False, robot: str = "pr2_left_arm", **changes: Any) -> Iterator[Client]:
    """A stand-in and its client; `shared`: its domain is free to be claimed, by a graph that the test starts."""
    start = ("joint_state_broadcaster", "effort_controller", "forward_controller")
    with (
        graph_runs.to_share() if shared else _claimed() as number,
        StandIn(number, configuration(start=start, **changes), robot=robot) as arm,
    ):
        context = Context()
        rclpy.init(context=context, domain_id=number)
        client = Client(context, arm)
        client.domain = number
        client.until(lambda: bool(client.activity) and bool(client.states), "the stand-in being up")
        yield client
        client.destroy_node()
        rclpy.shutdown(context=context)
