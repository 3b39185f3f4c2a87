# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer doctor` as a person runs it: one line per finding, a fix for each that is not good."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from safe_transfer_ros.cli.doctor import GOOD, WEAK, _fair_server, _ros
from safe_transfer_ros.launching import domain


def doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.cli.main", "doctor", *options],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_every_line_has_a_verdict_and_every_fault_a_fix() -> None:
    done = doctor()
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert len(lines) > 12 and "Traceback" not in done.stderr
    for line in lines:
        verdict, rest = line[:5].strip(), line[5:]
        assert verdict in ("ok", "warn")
        assert verdict == "ok" or ": " in rest, f"no fix: {line}"
    assert any("found each other" in line for line in lines)


@pytest.mark.parametrize(("options", "status", "verdict"), [((), 0, "warn"), (("--hardware",), 1, "FAIL")])
def test_what_only_an_arm_needs_is_asked_for_only_with_one(options: tuple[str, ...], status: int, verdict: str) -> None:
    done = doctor(*options, RMW_FASTRTPS_PUBLICATION_MODE="ASYNCHRONOUS")
    assert done.returncode == status
    assert f"{verdict:5}RMW_FASTRTPS_PUBLICATION_MODE=ASYNCHRONOUS" in done.stdout


def test_it_names_the_ros_and_the_runs_that_are_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    claimed = domain.claim()
    claimed.serves(tmp_path / "mine")
    found = [str(finding) for finding in _ros()]
    claimed.release()
    assert any(f"runs that are up: {claimed.number} ({tmp_path / 'mine'})" in line for line in found)
    assert any("ROS 2 jazzy" in line for line in found)
    assert "ok   no run is up" in [str(finding) for finding in _ros()]


def test_a_sourced_ros_that_is_in_the_way_is_found_and_refused_before_anything_starts(another_rclpy: Path) -> None:
    if not (Path(sysconfig.get_path("purelib")) / "rclpy").is_dir():
        pytest.skip("ROS is not of this environment: nothing can stand before it")
    done = doctor(PYTHONPATH=str(another_rclpy))
    assert done.returncode == 1
    assert f"FAIL rclpy would be imported from {another_rclpy / 'rclpy'}" in done.stdout
    assert "FAIL rclpy cannot be imported (ImportError: of another Python)" in done.stdout
    for command in ("up", "run", "watch", "commission"):
        words = [command, *([] if command == "watch" else ["pr2_cup_swirl", "run_dir:=/nowhere"])]
        refused = subprocess.run(
            [sys.executable, "-m", "safe_transfer_ros.cli.main", *words],
            env=dict(os.environ) | {"PYTHONPATH": str(another_rclpy)},
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert refused.returncode == 2 and "scripts/in_venv.sh" in refused.stderr, refused.stderr
        assert str(another_rclpy / "rclpy") in refused.stderr and "Traceback" not in refused.stderr


@pytest.fixture
def another_rclpy(tmp_path: Path) -> Path:
    """What a sourced ROS of another Python puts on PYTHONPATH."""
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("raise ImportError('of another Python')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("release", "runtimes", "verdict"),
    [
        ("6.8.0-rt8", None, None),
        ("6.12.1", None, WEAK),
        ("6.18.44-fc-v669", ["50000000", "50000000"], WEAK),
        ("7.0.0", ["0", "50000000"], WEAK),
        ("6.12.0+deb13-rt-amd64", ["0\n", "0\n"], GOOD),
        ("6.12.1", ["?"], WEAK),
    ],
)
def test_a_kernel_that_lets_others_run_before_real_time_is_told(
    tmp_path: Path, release: str, runtimes: list[str] | None, verdict: str | None
) -> None:
    for number, text in enumerate(runtimes or []):
        (tmp_path / f"cpu{number}").mkdir()
        (tmp_path / f"cpu{number}" / "runtime").write_text(text)
    found = [finding.verdict for finding in _fair_server(release, tmp_path)]
    assert found == ([verdict] if verdict else [])
