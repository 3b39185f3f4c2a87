# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer commission` before the stand-in: a right arm passes, a wrong one fails in the step that names it."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("controller_manager_msgs")

import graph_runs
from arm_bench import FILTER, SUPERVISOR, ArmBench, bench
from client import Client, started
from commissioning_bench import TIMEOUTS, Person
from descriptions import with_blocks, with_safety_controllers
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from stand_in import JOINTS, configuration
from std_msgs.msg import Bool

from safe_transfer_ros import resources
from safe_transfer_ros.commissioning.link import CommissioningLink
from safe_transfer_ros.commissioning.procedure import STEPS, commission
from safe_transfer_ros.commissioning.step import Bench, StepResult
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import pr2_cup_swirl
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.manager_description import fingerprint

pytestmark = pytest.mark.timeout(300)

SHIPPED = {
    name: section["ros__parameters"]
    for name, section in yaml.safe_load(resources.path("config/ros2_control_effort_arm.yaml").read_text()).items()
}
SHIPPED["controller_manager"]["update_rate"] = 100  # a machine shared with others
STOOD_STILL = 0.25  # s that a sleeping thread was late by: what happened meanwhile tells nothing of the arm
# Two cores shared with others are no real-time machine, and a person is not waited for.
QUICK = {
    "gravity_time": 0.5,
    "push_settling": 0.1,
    "latency_time": 1.0,
    "latency_limit": 1.0,
    "watchdog_slack": 5.0,
}
ARGUMENTS = {
    f"{node}.{name}": str(value)
    for node, values in {"safety_filter": FILTER, "controller_supervisor": SUPERVISOR, "commission": QUICK}.items()
    for name, value in values.items()
    if name != "timing"
}
SETTINGS = CommissionParameters(e_stop_wait=0.5, **QUICK)


@pytest.fixture(scope="module")
def arm() -> Iterator[ArmBench]:
    start = ("joint_state_broadcaster",)
    with bench(configuration(start=start, **SHIPPED), watchdog=0.2) as arm:
        arm.ready()
        yield arm


@pytest.fixture(scope="module")
def link(arm: ArmBench) -> Iterator[CommissioningLink]:
    ids = {name: process.pid for name, process in arm.nodes.items()}
    link = CommissioningLink(ExperimentParameters(), SupervisorParameters(), domain=arm.domain, process_ids=ids)
    yield link
    link.close()


def outcome(link: CommissioningLink, step: str, person: Person | None = None) -> StepResult:
    """One step, alone."""
    link.forget()
    everything = Bench(arm=link, operator=person or Person(), settings=SETTINGS, timeouts=TIMEOUTS)
    [made] = commission(everything, [step])
    return made


@pytest.mark.parametrize(
    ("fault", "step", "says"),
    [
        ("flip 0", "directions", f"{JOINTS[0]} moved against its torque"),
        ("swap 0 5", "directions", f"torque for {JOINTS[0]} moved {JOINTS[5]}"),
        ("sag", "gravity", "does not carry its weight"),
        ("none", "e_stop", "the emergency stop is not wired"),
    ],
)
def test_a_wrong_arm_fails_in_the_step_that_names_it(
    arm: ArmBench, link: CommissioningLink, fault: str, step: str, says: str
) -> None:
    try:
        arm.arm.wrong(fault)
        found = outcome(link, step)
    finally:
        arm.arm.wrong("none")
        arm.arm.home()
    assert not found.passed and says in found.says, found.says
    arm.stopped()


def test_nothing_moves_without_a_yes(arm: ArmBench, link: CommissioningLink) -> None:
    before = len(arm.arm.trace())
    for step in ("gravity", "e_stop", "watchdog", "latency", "directions"):
        person = Person(says_yes=False)
        assert outcome(link, step, person).says == "the operator did not confirm"
        assert len(person.asked) == 1
    assert arm.phase == "inactive"
    assert not any(torque for _, torque in arm.arm.trace()[before:])


def test_an_arm_may_swing_for_long_between_two_pushes(arm: ArmBench, link: CommissioningLink) -> None:
    def nothing(time_s: float) -> np.ndarray:
        return np.zeros(len(JOINTS))

    assert not link.free() and not link.push(nothing)
    link.wait(0.2)
    link.ease()
    assert not link.until(lambda: link.tripped or link.phase != "active", 1.3 * FILTER["trip_timeout"]), link.says
    assert not link.push(nothing)
    link.rest()
    arm.stopped()


def test_a_controller_that_is_not_known_to_have_stopped_fails_the_step(arm: ArmBench, link: CommissioningLink) -> None:
    assert not link.free()
    try:
        arm.fault("mute")  # nobody tells the supervisor that the controller is inactive
        link.rest()
        assert "not known to be inactive and without torque" in link.held
    finally:
        arm.fault("hear")
    link.rest()
    assert link.held == ""
    arm.stopped()


def test_limits_that_nobody_enforces_are_found(arm: ArmBench, link: CommissioningLink) -> None:
    assert outcome(link, "limits").passed
    urdf = link.urdf
    link.urdf = urdf.replace('effort="30.0"', 'effort="300.0"', 1)
    assert link.urdf != urdf
    assert "effort limit 300 in robot_description, 30 in" in outcome(link, "limits").says
    link.urdf = with_safety_controllers(load("pr2_left_arm"))
    assert "has <safety_controller> for l_shoulder_pan_joint" in outcome(link, "limits").says
    link.urdf = urdf
    arm.requests["set"] = arm.create_client(SetParameters, "/controller_manager/set_parameters")
    for enforced in (False, True):
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=enforced)
        wanted = Parameter(name="enforce_command_limits", value=value)
        assert arm.call("set", SetParameters.Request(parameters=[wanted])).results[0].successful
        found = outcome(link, "limits")
        assert found.passed is enforced
        assert enforced or "does not enforce limits: set enforce_command_limits: true" in found.says


@contextmanager
def operated(client: Client, home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The program at a terminal of its own, answered yes; its lines as they come."""
    arguments = [f"{name}:={value}" for name, value in ARGUMENTS.items()]
    process = subprocess.Popen(
        graph_runs.command("commission", *words, "pr2_cup_swirl", "timing:=realtime", *arguments),
        env=graph_runs.environment(ROS_DOMAIN_ID=str(client.domain), ROS_HOME=str(home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin and process.stdout
    process.stdin.write("yes\n" * 20)
    process.stdin.flush()
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        print(*lines)  # shown when the test fails


class Witness:
    """Sleeps, again and again, beside a test; `latest` is by how much it was woken too late at worst, s."""

    def __init__(self) -> None:
        self.latest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.01):
            now = time.monotonic()
            self.latest, before = max(self.latest, now - before - 0.01), now

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def told(lines: list[str], word: str) -> Callable[[], bool]:
    return lambda: any(word in line for line in lines)


def assert_accepted(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, ros_domain: int) -> None:
    """A run with the words of the commissioning is driven on its report, held to the description the arm has."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain))
    given = {"robot": "hardware", "run_dir": str(folder / "run"), "commission": str(path), **ARGUMENTS}
    run = pr2_cup_swirl.GRAPH.plan(given)
    assert yaml.safe_load((run.run_dir / "commission.yaml").read_text()) == {"report": str(path), "overridden": False}
    published = with_blocks(load("pr2_left_arm"))
    assert run.parameters["controller_supervisor"]["commissioned_description"] == fingerprint(published)
    with pytest.raises(ConfigurationError, match="safety_filter.action_timeout was 1, is 0.9"):
        pr2_cup_swirl.GRAPH.plan(given | {"run_dir": str(folder / "other"), "safety_filter.action_timeout": "0.9"})


@pytest.mark.timeout(400)
def test_a_right_arm_passes_and_ctrl_c_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(shared=True, stand_in={"start": ["joint_state_broadcaster"]}, **SHIPPED) as client:
        button = client.create_publisher(Bool, "safety_filter/e_stop", qos.LATCHED)
        button.publish(Bool(data=False))  # it says how it stands before anything is armed
        for attempt in range(3):
            with operated(client, tmp_path / str(attempt)) as (process, lines), Witness() as witness:
                button.publish(Bool(data=False))
                client.until(lambda: told(lines, "PRESS")() or process.poll() is not None, "a request", seconds=100.0)
                button.publish(Bool(data=True))
                client.until(lambda: told(lines, "RELEASE")() or process.poll() is not None, "another", seconds=60.0)
                button.publish(Bool(data=False))
                client.until(lambda: process.poll() is not None, "the end", seconds=240.0)
            if process.returncode == 0:
                break
            assert witness.latest > STOOD_STILL, f"nobody was late by more than {witness.latest:.2f} s\n{lines}"
        else:
            pytest.fail("the machine stood still three times")
        tmp_path = tmp_path / str(attempt)
        [path] = tmp_path.glob("safe_transfer/commission/*/report.yaml")
        document = yaml.safe_load(path.read_text())
        assert document["passed"] and [step["name"] for step in document["steps"]] == list(STEPS)
        assert_accepted(path, tmp_path, monkeypatch, ros_domain=client.domain)
        client.until(lambda: client.state_of("effort_controller") == "inactive", "an inactive controller")
        assert client.arm.torque() == 0.0

        with operated(client, tmp_path, "--step", "directions") as (process, lines):
            client.until(lambda: client.arm.torque() > 0.0, "a push", seconds=100.0)
            process.send_signal(signal.SIGINT)
            client.until(lambda: process.poll() is not None, "the end")
            assert process.returncode == 130, "".join(lines)
            assert client.arm.torque() == 0.0
            client.until(lambda: client.state_of("effort_controller") == "inactive", "deactivation")
        newest = sorted(tmp_path.glob("safe_transfer/commission/*/report.yaml"))[-1]
        assert newest != path and "interrupted" in yaml.safe_load(newest.read_text())["broken_off"]
