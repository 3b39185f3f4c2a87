# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce` as a person runs it: real processes, killed and started again."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safe_transfer_ros.cli.main import main

SMALL = ("fig7", "--seeds", "2", "--iterations", "2", "--jobs", "1")


def command(out: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "safe_transfer_ros.cli.main", "reproduce", *arguments, "--out", str(out)]


def reproduce(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(out, *arguments), capture_output=True, text=True, timeout=110)


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.csv"))}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduce")
    finished = reproduce(out, *SMALL)
    assert finished.returncode == 0, finished.stderr
    assert "run 4 of 4 finished" in finished.stdout
    told = [[cell.strip() for cell in line.split("|")[1:4]] for line in finished.stdout.splitlines()]
    assert ["adaptive (PSPT)", "0 of 4", "0"] in told and ["fixed at 3 N·m", "4 of 4", "2"] in told
    return out


def test_a_figure_is_a_table_a_picture_and_its_violations(done: Path) -> None:
    assert (done / "fig7.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((done / "fig7.csv").open()))
    assert [(row["method"], row["seed"], float(row["iteration"])) for row in rows[:3]] == [
        ("adaptive (PSPT)", "0", 0.0),
        ("adaptive (PSPT)", "0", 1.0),
        ("adaptive (PSPT)", "1", 0.0),
    ]
    assert len(rows) == 8 and "wall_time_s" not in rows[0] and "true_damage" not in rows[0]
    lines = {row["method"]: row for row in csv.DictReader((done / "fig7_violations.csv").open())}
    damage = [float(row["expected_damage"]) for row in rows if row["method"] == "fixed at 3 N·m"]
    assert float(lines["fixed at 3 N·m"]["worst_excess"]) == pytest.approx(max(damage) - 0.5, abs=1e-4)


def test_what_is_there_is_not_computed_again_and_is_shared_between_figures(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (done / "cache").iterdir()}
    assert main(["reproduce", "fig6", *SMALL[1:], "--out", str(done)]) == 0
    assert "finished" not in capsys.readouterr().out and (done / "fig6.png").exists()
    assert {path: path.stat().st_mtime_ns for path in (done / "cache").iterdir()} == before


def test_a_killed_study_goes_on_where_it_was_with_the_same_numbers(done: Path, tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path, *SMALL), stdout=subprocess.PIPE, text=True, bufsize=1) as study:
        assert study.stdout is not None and "run 1 of 4" in study.stdout.readline()
        time.sleep(0.3)
        os.kill(study.pid, signal.SIGKILL)
    kept = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.csv")}
    assert 1 <= len(kept) < 4
    finished = reproduce(tmp_path, *SMALL)
    assert finished.returncode == 0, finished.stderr
    assert f"run {4 - len(kept)} of {4 - len(kept)} finished" in finished.stdout
    assert all(path.read_bytes() == data for path, data in kept.items())
    assert tables(tmp_path) == {name: data for name, data in tables(done).items() if name.startswith("fig7")}
    assert not list((tmp_path / "cache").glob("*.progress"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fig77",), "unknown figure 'fig77': did you mean 'fig7'?"),
        (("fig7", "--seeds", "0"), "--seeds must be at least 1"),
        (("fig7", "--quick", "--ray", "auto"), "ray"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *arguments, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert says.lower() in told.lower() and len(told.strip().splitlines()) == 1
