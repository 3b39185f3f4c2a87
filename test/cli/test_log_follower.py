# SPDX-License-Identifier: Apache-2.0
"""What the supervisor says reaches the screen: whole lines, each once, and nothing that steers the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from safe_transfer_ros.cli.log_follower import MAX_BYTES, LogFollower
from safe_transfer_ros.cli.progress import RunProgress

LINE = "[INFO] [1.0] [controller_supervisor]: inactive: controller_manager is not there (ROS_DOMAIN_ID=0)\n"


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    follower = LogFollower(log, "controller_supervisor")
    assert follower.lines() == [], "not there yet"
    log.write_text(LINE + "a warning of a library\n" + LINE[:30])
    assert follower.lines() == ["inactive: controller_manager is not there (ROS_DOMAIN_ID=0)"]
    assert follower.lines() == []
    with open(log, "a") as file:
        file.write(LINE[30:])
    assert follower.lines() == ["inactive: controller_manager is not there (ROS_DOMAIN_ID=0)"]


def test_a_kind_of_warning_is_given_once(tmp_path: Path) -> None:
    log = tmp_path / "monitor.log"
    lines = [f"[WARN] [1.0] [unsafety_monitor]: iteration {n}: in 5 of 5 episodes stood still\n" for n in (3, 4)]
    lines.append("[ERROR] [1.5] [unsafety_monitor]: iteration 4: 7 joint states missing\n")
    log.write_text("".join(lines))
    told = ["iteration 3: in 5 of 5 episodes stood still", "iteration 4: 7 joint states missing"]
    follower = LogFollower(log, "unsafety_monitor", repeats=False)
    assert follower.lines() == told
    with open(log, "a") as file:
        file.write(lines[1])
    assert follower.lines() == []
    assert len(LogFollower(log, "unsafety_monitor").lines()) == 4


def test_a_line_that_never_ends_is_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    log.write_text("x" * (MAX_BYTES + 10) + "\n" + LINE)
    follower = LogFollower(log, "controller_supervisor")
    assert follower.lines() == []
    assert len(follower.lines()) == 1


def test_nothing_from_outside_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress(tmp_path / "iterations.csv", 1, 0.2) as progress:
        progress.say("stopping: /evil\x1b[2J\x07 [bold]publishes")
    out = capsys.readouterr().out
    assert r"/evil\x1b[2J\x07 [bold]publishes" in out
