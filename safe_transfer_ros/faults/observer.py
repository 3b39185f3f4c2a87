# SPDX-License-Identifier: Apache-2.0
"""Watches what the filter publishes, beside it and without a part in it, and calls its services.

Times are CLOCK_MONOTONIC at receipt in this process; what is later than it was in truth only makes a bound harder to
keep. Messages are taken raw as well, so that they can be found again, byte for byte, in the bag.
"""

from __future__ import annotations

import bisect
import os
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.faults.recorded import COMMANDS, DECISIONS, key
from safe_transfer_ros.faults.stand_ins import INTRUDER_TORQUE
from safe_transfer_ros.middleware import dds, qos, topics

ANSWER_SECONDS = 20.0  # discovery can take three seconds a try


class NotSo(RuntimeError):
    """An awaited condition did not become true."""


class Observer:
    """A node with an executor in a thread of its own; use as a context manager.

    Attributes:
      commands: (time_ns, torque (n_joints,) N·m) of each command, the intruder's left out.
      decisions: (time_ns, SafetyDecision).
      statuses: (time_ns, FilterStatus).
      efforts: (time_ns, largest |torque| that the robot says it applies, N·m).
      raw: (time_ns, `recorded.key`) of each command and decision.
    """

    def __init__(self, domain: int) -> None:
        """Prepare; nothing runs until the context is entered."""
        self._domain = domain
        self._over = threading.Event()
        self.commands: list[tuple[int, array[float]]] = []
        self.decisions: list[tuple[int, SafetyDecision]] = []
        self.statuses: list[tuple[int, FilterStatus]] = []
        self.efforts: list[tuple[int, float]] = []
        self.raw: list[tuple[int, int]] = []
        self.status = FilterStatus()

    def forget(self, before_ns: int) -> None:
        """Forget what was seen before a time."""
        seen: tuple[list[Any], ...] = (self.commands, self.decisions, self.statuses, self.efforts, self.raw)
        for events in seen:
            # In place and at once: the executor's thread goes on appending.
            del events[: bisect.bisect_left(events, before_ns, key=lambda event: event[0])]

    def __enter__(self) -> Observer:
        """Join the graph."""
        dds.set_defaults()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self._domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = node = Node("fault_observer", context=self._context)
        topics.COMMANDS.listen(node, self._on_command, qos.RECORD, raw=True)
        topics.DECISIONS.listen(node, self._on_decision, raw=True)
        topics.FILTER_STATUS.history.listen(node, self._on_status, qos.LATCHED_RECORD)
        topics.JOINT_STATES.listen(node, self._on_joint_state, qos.RECORD)
        self._arm = node.create_client(SetBool, "safety_filter/arm")
        self._reset = node.create_client(Trigger, "safety_filter/reset")
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="observer", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the graph."""
        self._over.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        never: Future = Future()
        while not self._over.is_set():
            self._executor.spin_until_future_complete(never, timeout_sec=0.1)

    def hurry(self, priority: int) -> None:
        """Give every thread but the main one, whose children would inherit it, a SCHED_FIFO priority; 0: none.

        Raises:
          OSError: not permitted.
        """
        for thread in os.listdir("/proc/self/task") if priority else ():
            if int(thread) != os.getpid():
                with suppress(ProcessLookupError):  # it has ended since
                    os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))

    # What is seen ---

    def _on_command(self, data: bytes) -> None:
        now = time.monotonic_ns()
        torque = deserialize_message(data, Float64MultiArray).data
        if len(torque) and torque[0] == INTRUDER_TORQUE:
            return
        self.commands.append((now, torque))
        self.raw.append((now, key(COMMANDS, data)))

    def _on_decision(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.decisions.append((now, deserialize_message(data, SafetyDecision)))
        self.raw.append((now, key(DECISIONS, data)))

    def _on_status(self, message: FilterStatus) -> None:
        self.statuses.append((time.monotonic_ns(), message))
        self.status = message

    def _on_joint_state(self, message: JointState) -> None:
        if message.effort:
            self.efforts.append((time.monotonic_ns(), float(np.abs(message.effort).max())))

    # What is asked of the filter ---

    def arm(self) -> tuple[bool, str]:
        """`safety_filter/arm`: whether it was done, else why not."""
        return self._ask(self._arm, SetBool.Request(data=True))

    def disarm(self) -> tuple[bool, str]:
        """`safety_filter/arm` with false."""
        return self._ask(self._arm, SetBool.Request(data=False))

    def reset(self) -> tuple[bool, str]:
        """`safety_filter/reset`."""
        return self._ask(self._reset, Trigger.Request())

    def _ask(self, client: Any, request: Any) -> tuple[bool, str]:
        deadline = time.monotonic() + ANSWER_SECONDS
        until(client.service_is_ready, ANSWER_SECONDS, f"{client.srv_name} being served")
        while time.monotonic() < deadline:
            # A request sent before the server has discovered this client is lost: ask again.
            future = client.call_async(request)
            again = time.monotonic() + 1.0
            while time.monotonic() < again:
                if future.done():
                    answer = future.result()
                    return bool(answer.success), str(answer.message)
                time.sleep(0.001)
            client.remove_pending_request(future)
        raise NotSo(f"no answer of {client.srv_name} within {ANSWER_SECONDS:g} s")


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until `condition()` holds.

    Raises:
      NotSo: naming `what`, after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotSo(f"not so within {seconds:g} s: {what}")
        time.sleep(0.002)
