# SPDX-License-Identifier: Apache-2.0
"""The filter as a process, and everything around it as the test says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import graph_runs
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue, SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.tasks.task import make

JOINTS = list(make("pr2_cup_swirl").robot.joint_names)
NAN = float("nan")


class Bench(Node):
    """Everything around the filter, driven by the test."""

    def __init__(self, context: Context) -> None:
        super().__init__("bench", context=context)
        self.states = self.create_publisher(JointState, "joint_states", qos.STREAM)
        self.actions = self.create_publisher(PolicyAction, "policy_server/action", qos.STREAM)
        self.limits = self.create_publisher(TorqueLimit, "unsafety_monitor/torque_limit", qos.LATCHED)
        self.arm = self.create_client(SetBool, "safety_filter/arm")
        self.reset = self.create_client(Trigger, "safety_filter/reset")
        self.set_parameters = self.create_client(SetParametersAtomically, "safety_filter/set_parameters_atomically")
        self.commands: list[array[float]] = []
        self.decisions: list[SafetyDecision] = []
        self.status = FilterStatus()
        self.create_subscription(Float64MultiArray, "effort_controller/commands", self._on_command, qos.STREAM)
        self.create_subscription(SafetyDecision, "safety_filter/decision", self.decisions.append, qos.RECORD)
        self.create_subscription(FilterStatus, "safety_filter/status", self._on_status, qos.LATCHED)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.time_ns = 0

    def _on_command(self, message: Float64MultiArray) -> None:
        self.commands.append(message.data)

    def _on_status(self, message: FilterStatus) -> None:
        self.status = message

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
            self.executor_.spin_once(timeout_sec=0.01)

    def turn(self, seconds: float) -> None:
        """Process what comes for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor_.spin_once(timeout_sec=0.01)

    def state(self, names: list[str] | None = None, value: float = 0.1) -> None:
        self.time_ns += 50_000_000
        names = names or JOINTS
        count = len(names)
        message = JointState(name=names, position=[value] * count, velocity=[5.0 + 1e-12 * self.time_ns] * count)
        set_ns(message.header.stamp, self.time_ns)
        self.states.publish(message)

    def propose(self, step: int, effort: list[float], names: list[str] | None = None, offset_ns: int = 0) -> None:
        message = PolicyAction(action_names=names or JOINTS, step=step, effort=effort)
        message.mean, message.stddev = [0.0] * len(effort), [0.3] * len(effort)
        set_ns(message.header.stamp, self.time_ns + offset_ns)
        self.actions.publish(message)

    def armed(self, wanted: bool = True) -> SetBool.Response:
        return self.call(self.arm, SetBool.Request(data=wanted))

    def call(self, client: Client, request: Any) -> Any:
        self.until(client.service_is_ready, f"{client.srv_name}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def set(self, **values: float) -> SetParametersResult:
        request = SetParametersAtomically.Request()
        for name, value in values.items():
            kind = ParameterType.PARAMETER_DOUBLE
            request.parameters.append(Parameter(name=name, value=ParameterValue(type=kind, double_value=value)))
        return self.call(self.set_parameters, request).result

    def button(self, *, reliable: bool = True, latched: bool = False) -> Publisher:
        """An external stop that the filter listens to."""
        profile = QoSProfile(
            depth=1,
            reliability=QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
        )
        button = self.create_publisher(Bool, "safety_filter/e_stop", profile)
        self.until(lambda: button.get_subscription_count() >= 2, "the filter listening")
        return button

    def an_iteration(self) -> None:
        """A proposal decided on, and disarmed again: what a higher limit asks for."""
        self.state()
        assert self.armed().success
        self.step(0, [0.01] * 7)
        assert self.armed(False).success

    def step(self, step: int, effort: list[float], **changes: object) -> tuple[array[float], SafetyDecision]:
        """One lockstep exchange: state and proposal in, command and decision out."""
        commands, decisions = len(self.commands), len(self.decisions)
        self.state(value=0.1 + 0.001 * step)
        self.propose(step, effort, **changes)  # type: ignore[arg-type]
        self.until(
            lambda: len(self.commands) > commands and len(self.decisions) > decisions, "a command and a decision"
        )
        return self.commands[-1], self.decisions[-1]


@pytest.fixture
def parameters(request: pytest.FixtureRequest) -> list[str]:
    """Parameters of the filter; a test gives its own by `@with_parameters`."""
    return [f"{name}:={value}" for name, value in getattr(request, "param", {}).items()]


def with_parameters(**values: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("parameters", [values], indirect=True, ids=[""])


@pytest.fixture
def filter_process(parameters: list[str]) -> Iterator[subprocess.Popen[str]]:
    claimed = domain.claim()
    os.environ["ROS_DOMAIN_ID"] = str(claimed.number)
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", *arguments],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()
    del os.environ["ROS_DOMAIN_ID"]


@pytest.fixture
def bench(filter_process: subprocess.Popen[str]) -> Iterator[Bench]:
    context = Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    bench = Bench(context)
    try:  # what is left of a test is seen by whoever gets its domain next
        bench.until(
            lambda: (
                bench.status.torque_limit > 0
                and bench.arm.service_is_ready()
                and bench.actions.get_subscription_count() > 0
            ),
            "the filter being up",
        )
        yield bench
    finally:
        bench.destroy_node()
        rclpy.shutdown(context=context)


def diagnostics(bench: Bench) -> dict[str, str]:
    """The newest diagnostics, as they come."""
    values: dict[str, str] = {}

    def heard(message: DiagnosticArray) -> None:
        values.clear()
        values.update({pair.key: pair.value for pair in message.status[0].values})

    bench.create_subscription(DiagnosticArray, "diagnostics", heard, qos.STREAM)
    return values
