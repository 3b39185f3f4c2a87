# SPDX-License-Identifier: Apache-2.0
"""Common life of the stand-ins: a node that acts at a rate, keeps a ledger, and takes its behaviour from stdin."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message

from safe_transfer_ros import realtime
from safe_transfer_ros.faults.ledger import Kind, Ledger
from safe_transfer_ros.randomness import Purpose, stdlib_generator
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask


class StandIn(Node):
    """Node with a ledger, controlled by stdin."""

    def __init__(self, role: str, options: argparse.Namespace, rate_hz: float) -> None:
        """Act from the first spin on, or when `options.listeners` subscribers have been matched."""
        super().__init__(f"stand_in_{role}")
        self.options = options
        self.ledger = Ledger(options.ledger)
        self.behaviour = "behave"
        self._heard = False
        self.random = stdlib_generator(Purpose.FAULTY_PROCESS, options.seed)
        robot = make("pr2_cup_swirl", TorqueTask).robot
        self.joints = list(robot.joint_names)
        self.n_joints = len(self.joints)
        self.every(1.0 / rate_hz, self._on_time)

    def begin(self) -> None:
        """Listen to stdin from now on; the node is complete."""
        threading.Thread(target=self._listen, daemon=True).start()
        for refusal in realtime.request(self.options.priority, lock_memory=False):
            print(refusal, flush=True)

    def every(self, period_s: float, act: Callable[[], None]) -> None:
        """Call `act` at a period of the steady clock."""
        self.create_timer(period_s, act, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def told(self, words: list[str]) -> None:
        """Process a line: a behaviour, or `extra KIND`. Called from the thread that reads stdin."""
        if words[0] == "extra":
            while not self._heard:  # a latched message would be delivered later, and look as if it had been late
                time.sleep(0.01)
            self.extra(words[1])
        else:
            self.behaviour = words[0]

    def extra(self, kind: str) -> None:
        """Publish one message of a kind beside the good ones."""
        raise NotImplementedError

    def act(self) -> None:
        """Do what is due in a period."""
        raise NotImplementedError

    def speaker(self) -> Publisher | None:
        """The publisher whose listeners are awaited; None for none."""
        return None

    def send(self, publisher: Publisher, message: Any, kind: Kind, stamp_ns: int, value: float = 0.0) -> None:
        """Publish, with a record before and after."""
        self.ledger.note(kind, stamp_ns, value)
        publisher.publish(message)
        self.ledger.note(Kind.SENT, stamp_ns, value)

    def crowded_names(self, more: int) -> list[str]:
        """The robot's joints, and so many others."""
        return [*self.joints, *(f"joint_{number:06d}" for number in range(more))]

    def garbage(self, message: Any) -> bytes:
        """Bytes that are not the CDR of any message of that type."""
        whole = serialize_message(message)
        noise = self.random.randbytes(self.random.randrange(1, 400))
        return self.random.choice(
            (
                noise,
                whole[:4] + noise,
                whole[: len(whole) // 2],
                whole[:12] + b"\xff\xff\xff\xff" + whole[16:],  # a string of four gigabytes
                whole[:4],
                b"\x00",
            )
        )

    def close(self) -> None:
        """Do nothing: nothing outlives the process."""

    def _on_time(self) -> None:
        if not self._heard:
            speaker = self.speaker()
            if speaker is not None and speaker.get_subscription_count() < self.options.listeners:
                return
            self._heard = True
        self.act()

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.split():
                self.told(line.split())
