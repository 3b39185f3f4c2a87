# SPDX-License-Identifier: Apache-2.0
"""The ROS side's handle on the process that owns a Franka arm: start, newest command, orders, end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from safe_transfer_ros.franka.exchange import Exchange, OrderKind, Reader, Writer
from safe_transfer_ros.franka.settings import ArmSettings
from safe_transfer_ros.interpreter import module_command, safe_environment
from safe_transfer_ros.middleware import clock

END_SECONDS = 3.0  # to come to zero torque; libfranka waits about a second for an arm that does not answer
POLL_SECONDS = 0.002


class ArmProcess:
    """A child process with the arm, and the ends of the memory shared with it.

    Attributes:
      commands: What the arm's process is to follow; fill in `record[0]` and publish.
      process: The child.
    """

    def __init__(self, settings: ArmSettings) -> None:
        """Start it."""
        self._exchange = Exchange()
        self.commands = self._exchange.commands(Writer)
        self._orders = self._exchange.orders(Writer)
        self._giving = threading.Lock()  # of this process: two services may be asked at once
        descriptor = self._exchange.descriptor
        self.process = subprocess.Popen(
            module_command("safe_transfer_ros.franka.process", str(os.getpid()), str(descriptor), settings.to_text()),
            env=safe_environment(os.environ),
            stdin=subprocess.DEVNULL,
            pass_fds=[descriptor],
        )

    def states(self) -> Reader:
        """A reader of the arm's states; one for each thread."""
        return self._exchange.states(Reader)

    def order(self, kind: OrderKind, timeout_s: float) -> str | None:
        """Have an order carried out, and wait for what becomes of it.

        Args:
          kind: See OrderKind.
          timeout_s: Longest wait, s.

        Returns:
          Reason why it was not done; None where it was.
        """
        with self._giving:
            record = self._orders.record[0]
            record["number"] += 1
            record["kind"], record["given_ns"] = kind, clock.now_ns()
            self._orders.publish()
            states, deadline = self.states(), time.monotonic() + timeout_s
            while time.monotonic() < deadline:
                states.read()
                state = states.record[0]
                if state["answered"] == record["number"]:
                    return str(state["words"].decode("utf-8", "replace")) if state["refused"] else None
                if self.process.poll() is not None:
                    return "the process that owns the arm has ended"
                time.sleep(POLL_SECONDS)
        return f"the process that owns the arm did not answer within {timeout_s:g} s"

    def close(self) -> None:
        """End it: zero torque first, and only an arm's process that hangs is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                print("franka_robot: the arm's process did not end and is killed", file=sys.stderr, flush=True)
                self.process.kill()
                self.process.wait()
