# SPDX-License-Identifier: Apache-2.0
"""The stand-in with the real filter and the real supervisor before it; the test is policy and operator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graph_runs
import rclpy
from client import LATCHED, Client
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision
from sensor_msgs.msg import JointState
from stand_in import JOINTS, StandIn, configuration
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos

# Two cores shared with others are no real-time machine, and these tests are not about time.
FILTER = {
    "timing": "realtime",
    "permission_lease": 1.0,
    "e_stop_lease": "off",
    "joint_state_timeout": 1.0,
    "frozen_timeout": 1.0,
    "action_timeout": 1.0,
    "trip_timeout": 1.5,
    "reset_torque_limit": 1.0,
}
SUPERVISOR = {
    "timing": "realtime",
    "command_timeout": 0.8,
    "service_timeout": 2.0,
    "activation_timeout": 10.0,
    "steady_time": 0.3,
}
TRIPPED = SafetyDecision.MODE_TRIPPED
TORQUE = 0.05  # N·m, the largest proposed; below T_min
TORQUES = [TORQUE - 0.005 * place for place in range(len(JOINTS))]  # each joint another


class ArmBench(Client):
    """Policy and operator: answers every joint state with a proposal while `driving`."""

    def __init__(self, context: Context, arm: StandIn, environment: dict[str, str]) -> None:
        super().__init__(context, arm)
        self.driving = False
        self.filter = FilterStatus()
        self.supervisor = DiagnosticStatus()
        self.nodes: dict[str, subprocess.Popen[str]] = {}
        self._environment = environment
        self.actions = self.create_publisher(PolicyAction, "policy_server/action", qos.STREAM)
        self.create_subscription(JointState, "/joint_states", self._propose, qos.STREAM)
        self.create_subscription(FilterStatus, "safety_filter/status", self._on_filter, LATCHED)
        self.create_subscription(DiagnosticStatus, "controller_supervisor/status", self._on_supervisor, LATCHED)
        self.requests |= {
            name: self.create_client(kind, name)
            for kind, name in (
                (SetBool, "safety_filter/arm"),
                (Trigger, "safety_filter/reset"),
                (Trigger, "safety_filter/trip"),
                (SetBool, "controller_supervisor/activate"),
            )
        }

    def _on_filter(self, message: FilterStatus) -> None:
        self.filter = message

    def _on_supervisor(self, message: DiagnosticStatus) -> None:
        self.supervisor = message

    def _propose(self, state: JointState) -> None:
        if self.driving:
            n = len(JOINTS)
            action = PolicyAction(action_names=JOINTS, mean=[0.0] * n, stddev=[0.3] * n, effort=TORQUES)
            action.header.stamp = state.header.stamp
            self.actions.publish(action)

    def start(self, name: str, **parameters: object) -> None:
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        self.nodes[name] = subprocess.Popen(
            [sys.executable, "-m", f"safe_transfer_ros.nodes.{name}", "--ros-args", *words],
            env=self._environment,
            text=True,
        )

    def start_nodes(
        self, controller_joints: str = "", add_gravity: str = "auto", own_filter: bool = True, **supervisor: object
    ) -> None:
        shared = {"add_gravity": add_gravity}
        if controller_joints:
            shared["controller_joints"] = controller_joints
        if own_filter:
            self.start("safety_filter", **(FILTER | shared))
        self.start("controller_supervisor", **(SUPERVISOR | shared | supervisor))

    @property
    def phase(self) -> str:
        return self.told("phase")

    def told(self, key: str) -> str:
        """A value of the supervisor's status."""
        return next((entry.value for entry in self.supervisor.values if entry.key == key), "")

    def signal(self, name: str, number: int) -> None:
        os.kill(self.nodes[name].pid, number)

    def activate(self, wanted: bool = True) -> SetBool.Response:
        return self.call("controller_supervisor/activate", SetBool.Request(data=wanted))

    def ready(self) -> None:
        """Until an operator may activate."""
        self.until(
            lambda: self.phase == "inactive" and "ready" in self.supervisor.message, "the supervisor being ready"
        )

    def drive(self) -> None:
        """From wherever it is to torque at the arm, as an operator and a policy would."""
        self.driving = True
        deadline = time.monotonic() + 60.0
        while self.phase != "active" or self.arm.torque() != TORQUE:
            assert time.monotonic() < deadline, f"no torque: {self.phase}, {self.supervisor.message}, {self.filter}"
            if self.filter.mode == TRIPPED:
                self.call("safety_filter/reset", Trigger.Request())
            elif self.phase == "inactive" and "ready" in self.supervisor.message:
                self.activate()
            elif self.phase == "active":
                self.call("safety_filter/arm", SetBool.Request(data=True))
            self.let(0.1)

    def stopped(self) -> None:
        """Until there is no torque at the arm, and its controller is inactive."""
        self.until(lambda: self.arm.torque() == 0.0, "zero torque at the arm")
        self.until(lambda: self.phase == "inactive", "an inactive controller")

    def close(self) -> None:
        for process in self.nodes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.destroy_node()


@contextmanager
def bench(
    config: dict[str, Any] | Path | None = None, *, watchdog: float = 0.0, rate: float = 100.0, **supervisor: object
) -> Iterator[ArmBench]:
    """Stand-in, filter and supervisor, until the supervisor knows where it stands."""
    claimed = domain.claim()
    start = ("joint_state_broadcaster", "forward_controller")
    config = config or configuration(start=start, controller_manager={"update_rate": 100})
    with StandIn(claimed.number, config, watchdog=watchdog, rate=rate) as arm:
        context = Context()
        rclpy.init(context=context, domain_id=claimed.number)
        bench = ArmBench(context, arm, graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)))
        bench.domain = claimed.number
        try:
            bench.start_nodes(**supervisor)
            yield bench
        finally:
            bench.close()
            rclpy.shutdown(context=context)
            claimed.release()
