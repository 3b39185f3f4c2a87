# SPDX-License-Identifier: Apache-2.0
"""Runs a graph's processes without the launch packages.

Every process gets a session of its own, so that Ctrl-C reaches only the launcher, which then stops them in the graph's
order: who proposes first, who records last. The kernel ends them if the launcher is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from safe_transfer_ros.interpreter import module_command, safe_environment
from safe_transfer_ros.launching.domain import Domain
from safe_transfer_ros.launching.graph import Process
from safe_transfer_ros.middleware import dds
from safe_transfer_ros.untrusted import printable

STOP_SECONDS = 10.0  # a process that has not ended this long after SIGINT is killed, and that is reported


def child_environment(domain: int) -> dict[str, str]:
    """Environment of a node's process in a ROS domain: localhost only, bound to the life of this process."""
    return safe_environment(os.environ) | {
        "ROS_DOMAIN_ID": str(domain),
        **dds.environment(),
        "SAFE_TRANSFER_LAUNCHER_PID": str(os.getpid()),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",  # one process a role, two cores: threads inside them only get in each other's way
    }


class ProcessFailed(RuntimeError):
    """A process of the graph ended by itself when it should not have."""

    def __init__(self, node: str, exit_code: int, last_line: str) -> None:
        """Name the process, its status and its last line of output."""
        status = f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit status {exit_code}"
        super().__init__(last_line if last_line.startswith(node) else f"{node} ended ({status}): {last_line}")
        self.exit_code = exit_code if exit_code > 0 else 1


class Launcher:
    """Starts, watches and stops the processes of one graph; use as a context manager."""

    def __init__(
        self,
        processes: tuple[Process, ...],
        parameters_file: Path,
        domain: Domain,
        log_dir: Path,
        *,
        namespace: str = "",
    ) -> None:
        """Prepare; nothing runs until the context is entered.

        Args:
          processes: In the order they are to be stopped.
          parameters_file: ROS parameter file passed to each.
          domain: Claimed ROS domain.
          log_dir: Standard output and error of each process go to `<log_dir>/<node>.log`.
          namespace: Of every node; empty: the root.
        """
        self._processes = processes
        self._domain = domain  # held: a claim that is forgotten is given up, and the next run would join ours
        self._arguments = ["--ros-args", "--params-file", str(parameters_file), "--disable-external-lib-logs"]
        self._arguments += ["-r", f"__ns:={namespace}"] if namespace else []
        self._log_dir = log_dir
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._missed: set[str] = set()  # optional ones that have ended, and were told
        self.environment = child_environment(domain.number)

    def __enter__(self) -> Launcher:
        """Start every process, the last to be stopped first."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for process in reversed(self._processes):
                self._start(process.node)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop all processes that still run."""
        self.stop()

    def running(self) -> bool:
        """Whether the run is still under way.

        Raises:
          ProcessFailed: a process ended that should not have, or the one that ends the run failed.
        """
        for process in self._processes:
            child = self._children[process.node]
            exit_code = child.poll()
            if exit_code is None or process.optional:
                continue
            if process.ends_run and exit_code == 0:
                return False
            raise ProcessFailed(process.node, exit_code, self._last_line(process.node))
        return True

    def lost(self) -> list[str]:
        """Sentences on the optional processes that have ended since the last call; the run goes on."""
        sentences = []
        for process in self._processes:
            exit_code = self._children[process.node].poll()
            if process.optional and exit_code is not None and process.node not in self._missed:
                self._missed.add(process.node)
                ended = ProcessFailed(process.node, exit_code, self._last_line(process.node))
                sentences.append(f"{ended}; the run goes on without it")
        return sentences

    def stop(self) -> None:
        """Stop all processes in order, each by SIGINT and, if that does not help, SIGKILL."""
        for process in self._processes:
            child = self._children.get(process.node)
            if child is None or child.poll() is not None:
                continue
            child.send_signal(signal.SIGINT)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{process.node} did not end within {STOP_SECONDS:g} s of SIGINT: killed", file=sys.stderr)
                child.kill()
                child.wait()

    def process_id(self, node: str) -> int:
        """Process id of one node, for tests and tools."""
        return self._children[node].pid

    def _start(self, node: str) -> None:
        log = open(self._log_dir / f"{node}.log", "wb")
        with log:
            self._children[node] = subprocess.Popen(
                module_command(f"safe_transfer_ros.nodes.{node}", *self._arguments),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _last_line(self, node: str) -> str:
        text = (self._log_dir / f"{node}.log").read_text(errors="replace").strip()
        return printable(text.splitlines()[-1]) if text else "it said nothing"


def wait(launcher: Launcher, period: float = 0.1) -> None:
    """Block until the run is over; ProcessFailed and KeyboardInterrupt pass through."""
    while launcher.running():
        time.sleep(period)
