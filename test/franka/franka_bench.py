# SPDX-License-Identifier: Apache-2.0
"""The real filter, supervisor and franka_robot before franka-sim; the test is policy and operator."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import graph_runs
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, FrankaState, PolicyAction, SafetyDecision
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.overrides import RobotOverrides
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, Cause

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIMULATOR = ROOT / ".venv-franka" / "bin" / "python"
PORT = 1337  # fixed in libfranka
MS = 1_000_000
SHARED = {"task": "fr3_cup_swirl", "timing": "realtime", "limit_rule": "fixed", "torque_limit_max": 6.0}
# Two cores shared with others are no real-time machine: what is not measured is patient.
FILTER = {
    "permission_lease": 1.0,
    "e_stop_lease": 1.0,
    "joint_state_timeout": 0.5,
    "frozen_timeout": 1.0,
    "action_timeout": 0.5,
    "trip_timeout": 1.0,
    "torque_rate_limit": 1e5,  # a step of 5 N·m leaves the filter as one
    "realtime_priority": 10,
}
SUPERVISOR = {
    "hardware": "franka",
    "command_timeout": 0.8,
    "service_timeout": 4.0,
    "activation_timeout": 10.0,
    "steady_time": 0.3,
    "rest_effort": "zero",  # franka-sim tells torque without what carries the arm
}
ROBOT = {
    "realtime_kernel": "not_required",
    "realtime_priority": 20,
    "command_timeout": 0.3,
    "state_timeout": 0.3,
    "permission_lease": 1.0,
}
# As on an arm, for a machine of one's own: benchmarks/franka_stops.py.
STRICT = ROBOT | {"command_timeout": 0.05, "state_timeout": 0.02, "permission_lease": 0.1}

# Causes by which a machine that stands still ends a motion, as it should.
STOOD_STILL = ("COMMUNICATION_CONSTRAINTS", "COMMAND_STALE", "STATE_STALE", "COMMUNICATION_LOST", "NO_PERMISSION")


def missing() -> str:
    """Why these tests cannot run; empty when they can."""
    try:
        import pylibfranka  # noqa: F401
    except ImportError:
        return "pylibfranka is not installed (Franka's wheel is for CPython 3.9 to 3.12 on x86-64)"
    return "" if SIMULATOR.exists() else ".venv-franka is not there: scripts/setup.sh test makes it where it can"


class Server:
    """One franka-sim server."""

    def __init__(
        self,
        address: str,
        *,
        strict: bool = False,
        model: Path = ROOT / "urdf" / "fr3.xml",
        start: Sequence[float] = (),
    ) -> None:
        self.address, self._model = address, model
        self._words = ["strict"] * strict
        if len(start):
            self._words.append(f"at={','.join(map(str, start))}")
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(SIMULATOR), str(HERE / "server.py"), self.address, *self._words],
            env=graph_runs.environment(FR3_MJCF=str(self._model), OMP_NUM_THREADS="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=_realtime,
        )
        deadline = time.monotonic() + 30.0
        while socket.socket().connect_ex((self.address, PORT)):
            assert self.process.poll() is None and time.monotonic() < deadline, "franka-sim did not come up"
            time.sleep(0.05)

    def tell(self, line: str) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def trace(self) -> list[tuple[int, list[float]]]:
        """Steady time, ns, and torques, N·m, of every command since the last question, and the last before it."""
        assert self.process is not None and self.process.stdout is not None
        self.tell("trace")
        return [tuple(entry) for entry in json.loads(self.process.stdout.readline())]

    @property
    def newest(self) -> list[float]:
        """Torques of the newest command, N·m; empty before the first."""
        assert self.process is not None and self.process.stdout is not None
        self.tell("newest")
        return list(json.loads(self.process.stdout.readline()))

    @property
    def block(self) -> list[float]:
        """Pose of the model's block, x y z in m, quaternion x y z w; empty where it has none."""
        assert self.process is not None and self.process.stdout is not None
        self.tell("block")
        return list(json.loads(self.process.stdout.readline()))

    def kill(self) -> None:
        """As a cable that is cut, or an arm that is switched off."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Wire:
    """The cable to it: a process that loses or delays packets when told; see wire.py."""

    def __init__(self, address: str, server: Server) -> None:
        self.address = address
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "wire.py"), address, server.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_realtime,
        )

    def tell(self, line: str) -> int:
        """Steady time, ns, from which it holds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _realtime() -> None:
    """As the arm's own computer is; without the permission the tests are only less sure."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(85))
    except OSError:
        pass


class Bench(Node):
    """Policy and operator: answers every joint state with a proposal while `driving`; without `acts` only operator.

    It is `torque` at joint 1, or what `policy` makes of the state.
    """

    def __init__(
        self,
        context: Context,
        server: Server,
        environment: dict[str, str],
        robot_ip: str,
        shared: Mapping[str, object] = MappingProxyType({}),
        *,
        acts: bool = True,
    ) -> None:
        super().__init__("client", context=context)
        self.server, self._environment, self._robot_ip = server, environment, robot_ip
        self._shared = SHARED | dict(shared)
        names = RobotOverrides.of(self._shared)
        self.joints = list(load("fr3", names).joint_names)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.nodes: dict[str, subprocess.Popen[str]] = {}
        self.driving, self.torque = False, 0.0
        self.policy: Callable[[JointState], list[float]] | None = None
        self.filter, self.supervisor, self.arm = FilterStatus(), DiagnosticStatus(), DiagnosticStatus()
        self.states, self.position = 0, 0.0
        self.whole: list[FrankaState] = []
        self.refusal = ""
        if acts:
            self.actions = self.create_publisher(PolicyAction, "policy_server/action", qos.STREAM)
            self.create_subscription(JointState, "joint_states", self._propose, qos.STREAM)
            self.create_subscription(FrankaState, "franka_joint_states", self.whole.append, qos.STREAM)
        for topic, kind, name in (
            ("safety_filter/status", FilterStatus, "filter"),
            ("controller_supervisor/status", DiagnosticStatus, "supervisor"),
            ("franka_robot/status", DiagnosticStatus, "arm"),
        ):
            self.create_subscription(kind, topic, lambda message, name=name: setattr(self, name, message), qos.LATCHED)
        self.requests: dict[str, Any] = {
            name: self.create_client(kind, name)
            for kind, name in (
                (SetBool, "safety_filter/arm"),
                (Trigger, "safety_filter/reset"),
                (SetBool, "controller_supervisor/activate"),
                (SetBool, "franka_robot/activate"),
                (Trigger, "franka_robot/recover"),
            )
        }

    def _propose(self, state: JointState) -> None:
        self.states += 1
        self.position = state.position[0]
        if self.driving:
            effort = [self.torque] + [0.0] * 6 if self.policy is None else self.policy(state)
            action = PolicyAction(action_names=self.joints, mean=[0.0] * 7, stddev=[0.3] * 7, effort=effort)
            action.header.stamp = state.header.stamp
            self.actions.publish(action)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"not so within {seconds:g} s: {what}; {self.arm.message} / {self.supervisor.message} / {self.filter}"
                f" / {self.refusal}"
            )
            self.executor_.spin_once(timeout_sec=0.005)

    def let(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor_.spin_once(timeout_sec=0.005)

    def call(self, name: str, request: Any) -> Any:
        client = self.requests[name]
        self.until(client.service_is_ready, f"{name} being there")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {name}", 20.0)
        return future.result()

    def start(self, name: str, **parameters: object) -> None:
        words = [word for key, value in (self._shared | parameters).items() for word in ("-p", f"{key}:={value}")]
        self.nodes[name] = subprocess.Popen(
            [sys.executable, str(HERE / "busy_node.py"), name, "--ros-args", *words],
            env=self._environment,
            text=True,
        )

    def start_nodes(self, robot: dict[str, object]) -> None:
        self.start("franka_robot", **robot, robot_ip=self._robot_ip)
        self.start("safety_filter", **FILTER)
        self.start("controller_supervisor", **SUPERVISOR)

    def start_robot(self) -> None:
        self.start("franka_robot", **ROBOT, robot_ip=self._robot_ip)

    def arm_process(self) -> int:
        """Process id of the one that owns the arm, a child of franka_robot."""
        node = self.nodes["franka_robot"].pid
        children = Path(f"/proc/{node}/task/{node}/children").read_text().split()
        return next(
            int(child) for child in children if b"franka.process" in Path(f"/proc/{child}/cmdline").read_bytes()
        )

    def end(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.nodes[name]
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait(20.0)

    def told(self, status: DiagnosticStatus, key: str) -> str:
        return next((entry.value for entry in status.values if entry.key == key), "")

    @property
    def moving(self) -> bool:
        return self.told(self.arm, "motion") == "active"

    def activate(self) -> Any:
        return self.call("controller_supervisor/activate", SetBool.Request(data=True))

    def ready(self) -> None:
        """Until an operator may activate; with what he does himself: a recovery, a reset of the filter."""

        def ready() -> bool:
            if self.filter.mode == FilterStatus().mode and "ready" in self.supervisor.message:
                return True
            if self.told(self.arm, "standing") == "COMMUNICATION_CONSTRAINTS":  # a machine that stood still, say
                self.call("franka_robot/recover", Trigger.Request())
            if self.filter.mode == TRIPPED:
                self.refusal = self.call("safety_filter/reset", Trigger.Request()).message
                self.let(0.1)
            return False

        self.until(ready, "the supervisor being ready")

    def at(self, size: float) -> None:
        """From wherever it is to a torque of that size at joint 1, as an operator and a policy would.

        It pushes towards the middle of the joint's range, whose end many pushes would come to. A machine that stands
        still ends a motion, as it should: then again.
        """
        deadline = time.monotonic() + 40.0
        while not (self.moving and self.pushed and abs(self.torque) == size):
            assert time.monotonic() < deadline, f"no torque: {self.arm.message} / {self.supervisor.message}"
            if not self.moving:
                self.torque, self.driving = 0.0, True
                self.ready()
                if self.activate().success:
                    self.call("safety_filter/arm", SetBool.Request(data=True))
            if abs(self.torque) != size:
                self.torque = -math.copysign(size, self.position)
            self.let(0.1)

    @property
    def pushed(self) -> bool:
        """Whether the newest torque at the arm is the one that is proposed."""
        newest = self.server.newest
        return bool(newest) and newest[0] == self.torque

    def stopped(self) -> None:
        self.until(lambda: not self.moving, "the end of the motion", 10.0)
        assert not any(self.server.newest)

    def close(self) -> None:
        for name, process in self.nodes.items():
            if process.poll() is None:
                self.end(name)
        self.destroy_node()


TRIPPED = 3


def zero_since(trace: list[tuple[int, list[float]]]) -> int:
    """Time, ns, of the first command of zero that no torque followed."""
    last = max(index for index, (_, torque) in enumerate(trace) if any(torque))
    return trace[last + 1][0]


def largest_step(trace: list[tuple[int, list[float]]]) -> float:
    """Largest change of a torque from one command to the next, N·m."""
    return float(np.abs(np.diff([torque for _, torque in trace], axis=0)).max(initial=0.0))


def assert_named(arm: Bench, cause: Cause) -> None:
    """By the filter itself, in its reasons and in the arm's own words; and no reset helps while it stands."""
    arm.until(lambda: bool(arm.filter.cause & SafetyDecision.REASON_ARM_STOPPED), "the filter's own reason")
    arm.until(lambda: CAUSE_TEXT[cause] in arm.filter.message, "the arm's words in the filter's status")
    answer = arm.call("safety_filter/reset", Trigger.Request())
    assert not answer.success and "ARM_STOPPED" in answer.message


@contextmanager
def bench(
    address: str,
    *,
    strict: bool = False,
    wire: Wire | None = None,
    robot: dict[str, object] | None = None,
    server: Server | None = None,
    shared: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[Bench]:
    """Server and nodes; with a wire the nodes reach the server through it.

    `robot`: franka_robot's parameters; `shared`: those of every node beside SHARED.
    """
    reason = missing()
    if reason:
        pytest.skip(reason)
    claimed = domain.claim()
    server = server or Server(address, strict=strict)
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number))
    made = Bench(context, server, environment, wire.address if wire is not None else address, shared)
    try:
        server.start()
        made.start_nodes(robot or (STRICT if strict else ROBOT))
        yield made
    finally:
        made.close()
        server.kill()
        rclpy.shutdown(context=context)
        claimed.release()
