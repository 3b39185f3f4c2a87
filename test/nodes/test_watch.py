# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer watch` in a terminal, before a real filter process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import graph_runs
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus
from terminal import Terminal

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.safety.reasons import Mode, Reason

CTRL_C, CTRL_S, CTRL_Z, CURSOR_UP = "\x03", "\x13", "\x1a", "\x1b[A"


class Witness(Node):
    """Hears the filter's status independently of the view."""

    def __init__(self, context: Context) -> None:
        super().__init__("witness", context=context)
        self.status: list[FilterStatus] = []
        self.create_subscription(FilterStatus, "safety_filter/status", self.status.append, qos.LATCHED)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)

    def mode(self) -> int | None:
        self._executor.spin_once(timeout_sec=0.0)
        return self.status[-1].mode if self.status else None


@pytest.fixture
def number() -> Iterator[int]:
    claimed = domain.claim()
    yield claimed.number
    claimed.release()


@pytest.fixture
def filter_process(number: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(number)),
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def witness(number: int) -> Iterator[Witness]:
    context = Context()
    rclpy.init(context=context, domain_id=number)
    node = Witness(context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def watch(number: int, **size: int) -> Terminal:
    return Terminal(graph_runs.command("watch", "--domain", str(number)), graph_runs.environment(), **size)


def once(number: int, timeout: float = 20.0) -> tuple[int, str]:
    """Exit status and first word of a snapshot."""
    command = graph_runs.command("watch", "--domain", str(number), "--once", "--timeout", str(timeout))
    finished = subprocess.run(command, env=graph_runs.environment(), capture_output=True, text=True, timeout=60)
    return finished.returncode, finished.stdout.split()[0]


def test_keys_trip_and_reset_and_a_killed_filter_is_lost(
    number: int, filter_process: subprocess.Popen[bytes], witness: Witness
) -> None:
    with watch(number) as terminal:
        terminal.until(lambda: terminal.shows("DISARMED", "T_lim 0.100 N·m", "decisions"), "the filter's state")
        terminal.press(CURSOR_UP + CTRL_Z + CTRL_S + "t")  # nothing before the key may hold it up
        terminal.until(lambda: witness.mode() == Mode.TRIPPED, "TRIPPED on the topic")
        assert witness.status[-1].cause == Reason.OPERATOR_STOP
        terminal.until(lambda: terminal.shows("TRIPPED", "TRIP confirmed", "an operator"), "TRIPPED on the screen")
        assert once(number) == (1, "TRIPPED")
        terminal.press("r")
        terminal.until(lambda: witness.mode() == Mode.DISARMED, "DISARMED on the topic")
        terminal.until(lambda: terminal.shows("DISARMED", "RESET confirmed"), "DISARMED on the screen")
        filter_process.kill()
        terminal.until(lambda: terminal.shows("LOST", "was DISARMED"), "LOST")
        assert terminal.shows("HARDWARE EMERGENCY STOP")
        terminal.press("q")
        assert terminal.ends() == 0
        assert "LOST" in terminal.raw().rsplit("\x1b[?1049l", 1)[1], "what was known last stays on the screen"


def test_a_trip_that_is_not_confirmed_is_an_alarm_and_is_asked_until_it_is(
    number: int, filter_process: subprocess.Popen[bytes], witness: Witness
) -> None:
    with watch(number, columns=60, rows=15) as terminal:
        terminal.until(lambda: terminal.shows("DISARMED"), "the filter's state")
        filter_process.send_signal(signal.SIGSTOP)
        terminal.press(" ")
        terminal.until(lambda: terminal.shows("TRIP NOT CONFIRMED", "USE THE HARDWARE EMERGENCY STOP"), "the alarm")
        terminal.press("r")  # must not take the trip's place
        terminal.until(lambda: terminal.shows("LOST", "TRIP NOT CONFIRMED"), "LOST")
        filter_process.send_signal(signal.SIGCONT)
        terminal.until(lambda: terminal.shows("TRIPPED", "TRIP confirmed"), "the confirmation")
        terminal.until(lambda: witness.mode() == Mode.TRIPPED, "TRIPPED on the topic")
        terminal.press(CTRL_C)
        assert terminal.ends() == 0


def test_a_trip_before_there_is_a_run_follows_to_the_first_that_starts(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = f"/watched_{os.getpid()}"  # nobody else's on domain 0
    own = graph_runs.environment(TMPDIR=str(tmp_path))  # no run but ours is seen
    with Terminal(graph_runs.command("watch", "--namespace", namespace), own) as terminal:
        terminal.until(lambda: terminal.shows("WAITING", f"ROS domain 0, namespace {namespace}"), "the view")
        terminal.press("t")
        terminal.until(lambda: terminal.shows("TRIP NOT CONFIRMED", "no filter there"), "the alarm")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        claimed = domain.claim()
        terminal.until(lambda: terminal.shows(f"ROS domain {number}", "TRIP NOT CONFIRMED"), "the run's domain")
        with subprocess.Popen(
            [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", "-r", f"__ns:={namespace}"],
            env=graph_runs.environment(ROS_DOMAIN_ID=str(number)),
            stderr=subprocess.DEVNULL,
        ) as late:
            try:
                terminal.until(lambda: terminal.shows("TRIPPED", "TRIP confirmed"), "TRIPPED on the screen")
                late.send_signal(signal.SIGTERM)
                terminal.until(lambda: terminal.shows("LOST", "told to end"), "a filter that has ended is LOST as well")
            finally:
                late.kill()
        claimed.release()


def test_a_normal_end_is_no_alarm_and_no_key_reaches_the_filter_that_comes_next(
    number: int, filter_process: subprocess.Popen[bytes], witness: Witness
) -> None:
    with watch(number) as terminal:
        terminal.until(lambda: terminal.shows("DISARMED", "decisions"), "the filter's state")
        filter_process.send_signal(signal.SIGTERM)
        terminal.until(lambda: terminal.shows("ENDED", "told to end while it was disarmed"), "its end")
        filter_process.wait(20)
        with subprocess.Popen(
            [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter"],
            env=graph_runs.environment(ROS_DOMAIN_ID=str(number)),
            stderr=subprocess.DEVNULL,
        ) as other:
            try:
                terminal.until(lambda: terminal.shows("ENDED", "Another safety filter is up here"), "the stranger")
                terminal.until(lambda: witness.mode() == Mode.DISARMED, "the other filter")
                terminal.press("t")
                terminal.until(lambda: terminal.shows("TRIP NOT CONFIRMED", "no filter there"), "no confirmation")
                assert witness.mode() == Mode.DISARMED, "the key reached another filter"
                terminal.press("f")
                terminal.until(lambda: terminal.shows("DISARMED") and not terminal.shows("ENDED"), "the other filter")
                terminal.press("t")
                terminal.until(lambda: witness.mode() == Mode.TRIPPED, "its trip")
                terminal.until(lambda: terminal.shows("TRIP confirmed"), "the confirmation")
            finally:
                other.kill()


def test_quitting_with_a_trip_unconfirmed_says_so(number: int) -> None:
    with watch(number) as terminal:
        terminal.until(lambda: terminal.shows("WAITING"), "the view")
        terminal.press("tq")
        assert terminal.ends() == 4
        assert "NOT confirmed" in terminal.raw()


@pytest.mark.parametrize("number_of_signal", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_on_a_signal(number: int, number_of_signal: int) -> None:
    with watch(number) as terminal:
        terminal.until(lambda: terminal.shows("WAITING"), "the view")
        terminal.process.send_signal(number_of_signal)
        assert terminal.ends() == 0


def test_the_screen_follows_the_size_of_the_terminal(number: int) -> None:
    with watch(number) as terminal:
        terminal.until(lambda: terminal.shows("WAITING") and len(terminal.picture().splitlines()) == 24, "24 lines")
        terminal.resize(40, 8)
        terminal.until(lambda: terminal.shows("WAITING") and len(terminal.picture().splitlines()) == 8, "8 lines")
        assert max(map(len, terminal.picture().splitlines())) <= 40


def test_without_a_terminal_every_change_is_a_line_and_a_snapshot_is_an_exit_status(
    number: int, filter_process: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen(
        graph_runs.command("watch", "--domain", str(number)),
        env=graph_runs.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert "DISARMED" in next(line for line in lines if "WAITING" not in line)
            assert once(number) == (0, "DISARMED")
            filter_process.kill()
            lost = next(lines)
            assert "LOST" in lost and "DISARMED" in lost and "\x1b" not in lost
            process.send_signal(signal.SIGTERM)
            assert (list(lines), process.wait(10)) == ([], 0)
        finally:
            process.kill()
    assert once(number, timeout=0.5) == (3, "WAITING"), "a latched status must not outlive its filter"


def test_the_run_that_is_up_is_found(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def once() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            graph_runs.command("watch", "--once", "--timeout", "0.2"),
            env=graph_runs.environment(TMPDIR=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=60,
        )

    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    first = domain.claim()
    first.serves(tmp_path / "first")
    assert f"ROS domain {number}," in once().stdout
    monkeypatch.setenv("ROS_DOMAIN_ID", "232")
    second = domain.claim()
    finished = once()
    assert finished.returncode == 2
    assert f"{number} ({tmp_path / 'first'}), 232 (process" in finished.stderr
    first.release()
    second.release()
    assert "ROS domain 0," in once().stdout


def test_output_is_ours_alone(number: int) -> None:
    program = (
        "import os, sys; from safe_transfer_ros.middleware import operator_link as link; "
        "link.OperatorLink.spin = lambda *_: os.write(1, b'a library speaks'); "
        "from safe_transfer_ros.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, "watch", "--once", "--timeout", "0.1", "--domain", str(number)],
        env=graph_runs.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 3
    assert "WAITING" in finished.stdout and "a library speaks" not in finished.stdout
    assert "a library speaks" in finished.stderr


@pytest.mark.parametrize(
    "arguments", [("--domain", "233"), ("--domain", "-1"), ("--namespace", "no name", "--domain", "9")]
)
def test_mistakes_are_named(arguments: tuple[str, ...]) -> None:
    finished = subprocess.run(
        graph_runs.command("watch", "--once", *arguments), env=graph_runs.environment(), capture_output=True, text=True
    )
    assert finished.returncode == 2
    assert arguments[1] in finished.stderr and "Traceback" not in finished.stderr
