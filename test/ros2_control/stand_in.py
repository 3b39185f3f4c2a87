# SPDX-License-Identifier: Apache-2.0
"""Starts the ros2_control stand-in: an arm and a controller_manager, one process each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import graph_runs
import numpy as np
import yaml
from plant import FAULT, PLACE, TRACE

from safe_transfer_ros.robots.description import load

HERE = Path(__file__).parent
JOINTS = list(load("pr2_left_arm").joint_names)


def configuration(*, start: Sequence[str] = ("joint_state_broadcaster",), **changes: Any) -> dict[str, Any]:
    """A controller_manager YAML with one effort and one forward controller; `changes` go on top, section by section."""
    sections: dict[str, Any] = {
        "controller_manager": {
            "update_rate": 200,
            "joint_state_broadcaster": {"type": "joint_state_broadcaster/JointStateBroadcaster"},
            "effort_controller": {"type": "effort_controllers/JointGroupEffortController"},
            "forward_controller": {"type": "forward_command_controller/ForwardCommandController"},
        },
        "effort_controller": {"joints": JOINTS},
        "forward_controller": {"joints": JOINTS, "interface_name": "effort"},
        "stand_in": {"start": list(start)},
    }
    for section, values in changes.items():
        sections.setdefault(section, {}).update(values)
    return {name: {"ros__parameters": values} for name, values in sections.items()}


class StandIn:
    """The two processes; use as a context manager."""

    def __init__(
        self,
        domain: int,
        config: dict[str, Any] | Path | None = None,
        *,
        rate: float = 200.0,
        watchdog: float = 0.0,
        perturbation: str = "nominal",
        robot: str = "pr2_left_arm",
    ) -> None:
        self._environment = graph_runs.environment(
            ROS_DOMAIN_ID=str(domain), PYTHONPATH=f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        )
        self._holder = tempfile.TemporaryDirectory(prefix="arm")  # a socket's path must be short
        self._folder = Path(self._holder.name)
        self._config = config if isinstance(config, Path) else self._folder / "controllers.yaml"
        if not isinstance(config, Path):
            self._config.write_text(yaml.safe_dump(config or configuration()))
        self._options = [f"--rate={rate}", f"--watchdog={watchdog}", f"--perturbation={perturbation}"]
        self._options.append(f"--robot={robot}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> StandIn:
        self.start("plant", *self._options)
        self.start("manager", str(self._config))
        # The manager publishes states whether there is an arm or not; who asks for the arm's torque needs one.
        until((self._folder / "trace").exists, "the arm being up")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._holder.cleanup()

    def start(self, name: str, *arguments: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, str(HERE / f"{name}.py"), str(self._folder), *arguments], env=self._environment
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        self.processes[name].send_signal(number)
        self.processes[name].wait()

    def place(self, position: Sequence[float]) -> None:
        """Put the arm somewhere, as hands would."""
        self._send(PLACE + np.asarray(position, dtype=float).tobytes())

    def home(self) -> None:
        """Put it back where it started, at rest."""
        self.place(load("pr2_left_arm").home)

    def wrong(self, fault: str) -> None:
        """Build the arm otherwise: `flip JOINT`, `swap JOINT JOINT`, `sag` (nothing carries its weight), `stuck` (it
        keeps the torque it has, whatever it is sent), `none`."""
        self._send(FAULT + fault.encode())

    def _send(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(message, str(self._folder / "plant"))

    def trace(self) -> list[tuple[int, float]]:
        """Monotonic time, ns, and largest torque at the arm, N·m, of every step so far."""
        data = (self._folder / "trace").read_bytes()
        return list(TRACE.iter_unpack(data[: len(data) - len(data) % TRACE.size]))

    def torque(self) -> float:
        """Largest torque at the arm now, N·m."""
        trace = self.trace()
        return trace[-1][1] if trace else 0.0

    def zero_since(self) -> int | None:
        """Monotonic time, ns, since when the torque at the arm is zero; None when it is not, or always was."""
        trace = self.trace()
        last = next((index for index in range(len(trace) - 1, -1, -1) if trace[index][1]), None)
        return None if last is None or last + 1 == len(trace) else trace[last + 1][0]


def until(condition: Any, what: str, seconds: float = 60.0) -> None:
    """Poll until `condition()`; fail naming `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
        time.sleep(0.005)
