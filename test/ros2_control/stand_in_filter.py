# SPDX-License-Identifier: Apache-2.0
"""A safety filter that does as it is told: what a supervisor must bear of one, step by step.

A real node by the filter's name, on a thread of its own, so that commands go on while a test waits for an answer.
"""

from __future__ import annotations

import threading
import time

import rclpy
from arm_bench import ArmBench
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision
from stand_in import JOINTS
from std_msgs.msg import Bool, Float64MultiArray

from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.state_publisher import StatePublisher

ZERO = [0.0] * len(JOINTS)
TORQUE = [0.5] * len(JOINTS)
PERIOD = 0.01


class StandInFilter:
    """Publishes `command` every ten milliseconds, or nothing where it is None; use as a context manager.

    Attributes:
      command: What is published, N·m.
      obeys_after: From the end of permission to a command of zero, s; None: it goes on as it was.
      zero_ns: Monotonic time when it began to obey; 0 before.
      permissions: Monotonic time, ns, and value of every permission heard.
    """

    def __init__(self, domain: int, name: str = "safety_filter") -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._status = StatePublisher(self._node, topics.FILTER_STATUS)
        self._commands = self._node.create_publisher(Float64MultiArray, "effort_controller/commands", qos.STREAM)
        self._node.create_subscription(Bool, "controller_supervisor/permission", self._on_permission, qos.COMMAND)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = threading.Event()
        self.command: list[float] | None = ZERO
        self.obeys_after: float | None = None
        self.zero_ns = 0
        self.permissions: list[tuple[int, bool]] = []

    def __enter__(self) -> StandInFilter:
        self.tell()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def tell(
        self, mode: int = SafetyDecision.MODE_DISARMED, *, cause: int = 0, connected: bool = True, message: str = ""
    ) -> None:
        """Publish a status."""
        self._status.publish(FilterStatus(mode=mode, cause=cause, connected=connected, message=message))

    def begin(self) -> None:
        """As it was at the start."""
        self.command, self.obeys_after, self.zero_ns = ZERO, None, 0
        self.tell()

    def _on_permission(self, message: Bool) -> None:
        now = time.monotonic_ns()
        ended = self.permissions and self.permissions[-1][1] and not message.data
        self.permissions.append((now, message.data))
        if ended and self.obeys_after is not None:
            self.zero_ns = now + round(self.obeys_after * 1e9)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            if self.zero_ns and time.monotonic_ns() >= self.zero_ns:
                self.command = ZERO
            if self.command is not None:
                self._commands.publish(Float64MultiArray(data=self.command))
            due = max(due + PERIOD, time.monotonic() - PERIOD)
            while (left := due - time.monotonic()) > 0.0:
                self._executor.spin_once(timeout_sec=left)


def drive(arm: ArmBench, stand_in: StandInFilter) -> None:
    """Active, armed, with torque at the arm."""
    assert arm.activate().success
    arm.until(lambda: arm.phase == "active", "activation")  # a commanded torque must not overtake it
    stand_in.tell(SafetyDecision.MODE_ARMED)
    stand_in.command = TORQUE
    arm.until(lambda: arm.arm.torque() == TORQUE[0], "torque at the arm")
