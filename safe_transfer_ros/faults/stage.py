# SPDX-License-Identifier: Apache-2.0
"""The processes of a fault: the real filter, a real recorder, and around them the robot, policy and monitor."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.faults import ledger, recorded
from safe_transfer_ros.faults.disk import SmallDisk
from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.network import Cable
from safe_transfer_ros.faults.observer import NotSo, Observer, until
from safe_transfer_ros.faults.promises import Bounds, Grants
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.launching.embedded import child_environment
from safe_transfer_ros.launching.graph import SHARED, Parameters, complete, write_parameters
from safe_transfer_ros.safety.reasons import Mode
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask

TASK = "pr2_cup_swirl"
FILTER = "safe_transfer_ros.nodes.safety_filter"
FIRST_ITERATION = 5
T_MIN, T_FIRST, T_MAX = 0.1, 2.8, 3.5  # N·m; 1.2 T_FIRST < T_MAX: a rise of 20 % breaks only the rule about growth
LEASE = 0.6  # s: short, so that its end is seen soon
REMEMBERED = 2000  # records of each stand-in: five seconds of the quickest
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_HEARD = ("robot", "policy", "monitor")  # they speak when the filter and the recorder listen


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Configuration of a stage: the shipped one, except for these fields.

    Attributes:
      robot: "robot", the stand-in, or "mujoco_sim", the real node.
      filter_module: Module of the filter's process.
      first_limit: Torque limit to start with, N·m.
      parameters: Further parameters, node or /** -> name -> value.
      e_stop: Whether an external stop belongs to the graph.
      second_stop: Whether another one does, whose publisher promises best effort only.
      intruder: Whether the process of a second publisher stands by.
      robot_beyond: Whether the robot is in a network of its own, beyond a link that can be cut.
      bag_bytes: Size of the disk that is recorded to, bytes; 0: an ordinary folder.
      simulated_clock: Whether the filter uses /clock (use_sim_time).
    """

    robot: str = "robot"
    filter_module: str = FILTER
    first_limit: float = T_FIRST
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    e_stop: bool = False
    second_stop: bool = False
    intruder: bool = False
    robot_beyond: bool = False
    bag_bytes: int = 0
    simulated_clock: bool = False


class Stage:
    """Manager of the processes of a fault: starts, commands, stops and restarts them; use as a context manager.

    Attributes:
      setting: As given.
      folder: New or empty; parameters, ledgers, logs and bags.
      observer: Watches the filter.
      cable: To the robot, where that is beyond one.
      disk: Recorded to, where that is a small one.
      bags: Folders recorded so far.
    """

    def __init__(self, setting: Setting, folder: Path, domain: int, *, seed: int = 0, priority: int = 0) -> None:
        """Prepare; nothing runs until the context is entered.

        Args:
          setting: What to start.
          folder: New or empty.
          domain: Claimed ROS domain.
          seed: Of the stand-ins' delays and garbage.
          priority: SCHED_FIFO priority of filter, stand-ins and observer, for a machine that has other work; 0: none.
        """
        self._priority = priority
        self.setting = setting
        self.folder = folder
        self.bags: list[Path] = []
        self.observer = Observer(domain)
        self._seed = seed
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._first: dict[str, int] = {}
        self._started_ns: dict[str, int] = {}
        self._recorded_ns = 0  # when the bag was last seen to hold what filter and robot publish
        self._iteration = FIRST_ITERATION
        self._domain = domain
        self._opened = contextlib.ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        self._parameters = self._complete()
        self._file = folder / "parameters.yaml"
        write_parameters(self._parameters, self._file)
        filter_settings = self._parameters["safety_filter"]
        self.bounds = Bounds(
            effort_limit=make(TASK, TorqueTask).robot.limits.effort,
            lowest_limit=T_MIN,
            rate=filter_settings["torque_rate_limit"],
            period_s=1.0 / self._parameters["mujoco_sim"]["joint_state_rate"],
            freshness_s=filter_settings["action_timeout"] + 0.02,
        )

    def _complete(self) -> Parameters:
        parameters: Parameters = {
            SHARED: {
                "task": TASK,
                "timing": "realtime",
                "initial_torque_limit": T_MIN,
                "torque_limit_floor": T_MIN,
                "torque_limit_max": T_MAX,
                "first_iteration": FIRST_ITERATION,
                "first_torque_limit": self.setting.first_limit,
                "damage_budget": False,  # what the stand-in does between faults must not decide the limit
            }
        }
        if self._priority:
            parameters["safety_filter"] = {"realtime_priority": self._priority}
        for node, values in self.setting.parameters.items():
            parameters.setdefault(node, {}).update(values)
        parameters = complete(parameters)
        del parameters["bag_recorder"]["bag"]  # each start has its own
        if self.setting.simulated_clock:
            parameters["safety_filter"]["use_sim_time"] = True
        return parameters

    def parameter(self, name: str) -> float:
        """One of the filter's parameters, or of the simulated robot's."""
        for node in ("safety_filter", "mujoco_sim"):
            if name in self._parameters[node]:
                return float(self._parameters[node][name])
        raise KeyError(name)

    # Processes ---

    def __enter__(self) -> Stage:
        """Start everything, the recorder first, and wait until torque flows."""
        try:
            if self.setting.robot_beyond:
                self.cable = self._opened.enter_context(Cable(f"safe_transfer_domain_{self._domain}"))
            if self.setting.bag_bytes:
                self.disk = self._opened.enter_context(SmallDisk(self.folder / "disk", self.setting.bag_bytes))
            self._environment = child_environment(self._domain)
            self._opened.enter_context(self.observer)
            self.observer.hurry(self._priority)
            for role in ("canary", "recorder", "filter", *self._roles()):
                self.start(role)
            self.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the recorder last and in order."""
        for role in sorted(self._children, key=lambda name: name == "recorder"):
            self.stop(role)
        self._children.clear()
        if self.setting.bag_bytes:  # bags are read when the disk is gone
            self.bags = [Path(shutil.copytree(bag, self.folder / bag.name)) for bag in self.bags if bag.exists()]
        self._opened.close()

    def _roles(self) -> list[str]:
        roles = [self.setting.robot, "policy", "monitor"]
        roles += ["e_stop"] * self.setting.e_stop + ["e_stop_beside"] * self.setting.second_stop
        roles += ["intruder"] * self.setting.intruder
        roles += ["witness"] * self.setting.robot_beyond
        return roles

    def start(self, role: str) -> None:
        """Start a process that is not running."""
        command = module_command(*self._command(role))
        if self.setting.robot_beyond and role in ("mujoco_sim", "witness"):
            command = [*self.cable.to_far, *command]
        log = open(self.folder / f"{role}.log", "ab")
        with log:
            self._children[role] = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started_ns[role] = time.monotonic_ns()
        if role == "canary":
            self.tell("canary", f"watch {os.getpid()}")  # the observer's lateness is not the filter's either
        elif role == "filter":
            self.tell("canary", f"watch {self.process_id(role)}")

    def _command(self, role: str) -> list[str]:
        ros = ["--ros-args", "--params-file", str(self._file), "--disable-external-lib-logs"]
        if role == "filter":
            watched = [] if self.setting.filter_module == FILTER else ["--ledger", str(self.ledger_path("filter"))]
            return [self.setting.filter_module, *watched, *ros]
        if role == "canary":
            return ["safe_transfer_ros.faults.canary", "--ledger", str(self.ledger_path("canary"))]
        if role == "mujoco_sim":
            return ["safe_transfer_ros.nodes.mujoco_sim", *ros]
        if role == "recorder":
            bag = (self.disk.folder if self.setting.bag_bytes else self.folder) / f"bag_{len(self.bags)}"
            self.bags.append(bag)
            return ["safe_transfer_ros.nodes.bag_recorder", *ros, "-p", f"bag:={bag}"]
        self._seed += 1
        command = ["safe_transfer_ros.faults.stand_ins", role, "--ledger", str(self.ledger_path(role))]
        command += ["--seed", str(self._seed), "--iteration", str(self._iteration), "--lease", str(LEASE)]
        command += ["--priority", str(self._priority)] + ["--gentle"] * (self.setting.robot == "mujoco_sim")
        return [*command, "--limit", str(self.setting.first_limit), "--listeners", str(2 if role in _HEARD else 0)]

    def stop(self, role: str) -> int:
        """Stop a process in order, if it still runs; its exit status."""
        child = self._children[role]
        assert child.stdin is not None
        if child.poll() is None:
            child.send_signal(signal.SIGCONT)
            child.send_signal(signal.SIGINT)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        try:
            return child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def signal(self, role: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        self._children[role].send_signal(number)

    def running(self, role: str) -> bool:
        """Whether a process is alive."""
        return role in self._children and self._children[role].poll() is None

    def wait(self, role: str, seconds: float) -> int:
        """Wait for a process to end by itself; its exit status.

        Raises:
          NotSo: it has not ended by then.
        """
        try:
            return self._children[role].wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotSo(f"{role} had not ended after {seconds:g} s") from None

    def process_id(self, role: str) -> int:
        """Process id."""
        return self._children[role].pid

    def tell(self, role: str, words: str) -> None:
        """Set the behaviour of a stand-in."""
        stdin = self._children[role].stdin
        assert stdin is not None
        try:
            stdin.write(words.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise NotSo(f"{role} has ended: {self._last_line(role)}") from None

    def renew_iteration(self) -> None:
        """Let the monitor grant a newer iteration, as a lost lease requires."""
        self._iteration += 1
        self.tell("monitor", "extra next")

    # What was done ---

    def ledger_path(self, role: str) -> Path:
        """File that a stand-in writes to."""
        return self.folder / f"{role}.ledger"

    def ledger(self, role: str) -> npt.NDArray[np.void]:
        """Actions of a stand-in, as far back as they are remembered."""
        return ledger.read(self.ledger_path(role), self._first.get(role, 0))

    def forget(self) -> None:
        """Forget all observations but those needed to judge the next ones."""
        self.observer.forget(time.monotonic_ns() - 2 * 10**9)
        for role in self._children:
            self._first[role] = max(0, ledger.count(self.ledger_path(role)) - REMEMBERED)

    def times(self, role: str, kind: Kind = Kind.GOOD) -> npt.NDArray[np.int64]:
        """Times at which a stand-in did something of a kind, ns."""
        records = self.ledger(role)
        return np.asarray(records["time_ns"][records["kind"] == kind])

    def grants(self) -> Grants:
        """The limits that the monitor granted."""
        records = self.ledger("monitor")
        good = records[records["kind"] == Kind.GOOD]
        return Grants(times=good["time_ns"], limits=good["value"], iterations=good["stamp_ns"], lease_s=LEASE)

    def robot_efforts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times at which the robot reported its applied torque, ns, and the largest over its joints, N·m."""
        if self.setting.robot_beyond:  # only the witness hears it
            records = self.ledger("witness")
            return records["time_ns"], records["value"]
        seen = list(self.observer.efforts)
        return np.array([t for t, _ in seen], dtype=np.int64), np.array([effort for _, effort in seen])

    def published(self, begin_ns: int, end_ns: int) -> recorded.Published:
        """Messages of filter, robot and policy in a span of time."""
        published = recorded.Published()
        published.messages.update(number for t, number in list(self.observer.raw) if begin_ns <= t < end_ns)
        for role, topic in (("robot", recorded.STATES), ("policy", recorded.ACTIONS)):
            if role in self._children:
                records = self.ledger(role)
                sent = records[(records["kind"] == Kind.SENT) & (records["time_ns"] >= begin_ns)]
                published.stamps[topic] = set(sent["stamp_ns"][sent["time_ns"] < end_ns].tolist())
        return published

    # To a torque that flows ---

    def ready(self, seconds: float = START_SECONDS) -> None:
        """Reset and arm the filter and wait until torque flows within the first limit.

        Raises:
          NotSo: it does not come to that.
        """
        deadline = time.monotonic() + seconds
        why, renewed = "no answer", 0.0
        while time.monotonic() < deadline:
            for role in ("filter", "recorder", *self._roles()):
                if not self.running(role):
                    raise NotSo(f"{role} is not running: {self._last_line(role)}")
            status = self.observer.status
            if status.lease_lost and time.monotonic() > renewed + 1.0:
                self.observer.disarm()  # an armed filter takes no limit above the one in force
                self.renew_iteration()
                renewed = time.monotonic()
                with contextlib.suppress(NotSo):
                    until(lambda: not self.observer.status.lease_lost, 0.2, "the newer iteration being in force")
            if status.mode == Mode.TRIPPED:
                self.observer.reset()
            done, why = self.observer.arm()
            if done and self._flows() and self._all_speak() and self._recorded():
                return
            time.sleep(0.05)
        raise NotSo(f"no torque within {seconds:g} s: {why or 'armed'}; mode {Mode(self.observer.status.mode).name}")

    def _flows(self) -> bool:
        """Whether commands follow proposals, half a second from now at the latest."""
        start = time.monotonic_ns()
        try:
            until(lambda: self._moved_since(start), 0.6, "torque")
        except NotSo:
            return False
        if self.setting.robot == "mujoco_sim" and not (self.observer.efforts and self.observer.efforts[-1][1] > 0.0):
            return False
        return self.observer.status.mode == Mode.ARMED and not self.observer.status.lease_lost

    def _all_speak(self) -> bool:
        """Whether every stand-in that awaits its listeners has found them since it was started."""
        return all((self.times(role) > self._started_ns[role]).any() for role in _HEARD if role in self._roles())

    def _recorded(self) -> bool:
        """Whether the recorder hears the filter, both as they run now; looked up once after a start of either."""
        began = max(self._started_ns["recorder"], self._started_ns["filter"])
        if self._recorded_ns > began:
            return True
        now = time.monotonic_ns()
        published = self.published(now - 200_000_000, now)
        deadline = time.monotonic() + 1.5  # a recorder writes twice a second
        while time.monotonic() < deadline:
            if recorded.missing(self.bags[-1:], [published]) == [0]:
                self._recorded_ns = now
                return True
            time.sleep(0.1)
        return False

    def _moved_since(self, start_ns: int) -> bool:
        distinct = {
            tuple(torque) for time_ns, torque in self.observer.commands[-60:] if time_ns > start_ns and any(torque)
        }
        return len(distinct) >= 3

    def _last_line(self, role: str) -> str:
        path = self.folder / f"{role}.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return lines[-1] if lines else "it said nothing"
