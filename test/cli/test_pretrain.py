# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer pretrain` as a user runs it: repeatable, and exact when resumed after kill -9."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.policies import weights

TIMES = {"rollout_s", "update_s"}  # the only columns that a clock decides


def words(out: Path, *arguments: str) -> list[str]:
    base = ["pretrain", "pr2_cup_swirl", "--out", str(out), "--episodes", "4", "--seed", "3"]
    return [*base, "--threads", "1", "--checkpoint-every", "2", *arguments]


def command(out: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "safe_transfer_ros.cli.main", *words(out, *arguments)]


def curve(out: Path) -> list[dict[str, str]]:
    with (out / "learning_curve.csv").open() as file:
        return [{name: text for name, text in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def test_a_killed_and_resumed_run_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(whole, "--batches", "9"), check=True, capture_output=True)

    process = subprocess.Popen(command(broken, "--batches", "1000"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (broken / "learning_curve.csv").exists() or len(curve(broken)) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "policy.safetensors").exists()
    done = len(curve(broken))
    finished = subprocess.run(
        command(broken, "--batches", str(max(9, done)), "--resume"), capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert curve(broken)[:9] == curve(whole)
    if len(curve(broken)) == 9:  # else this machine was quicker than the kill
        one, _ = weights.load(whole / "policy.safetensors")
        other, _ = weights.load(broken / "policy.safetensors")
        assert all((one[name] == other[name]).all() for name in one)


def test_a_task_of_another_kind_is_sent_to_the_command_that_trains_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "panda_push_topple"]) == 2
    told = capsys.readouterr().err
    assert "use `safe_transfer train trpo panda_push_topple`" in told and "weights/panda_push_topple.yaml" in told
    assert main(["pretrain", "pr2_cup_swril"]) == 2
    assert "did you mean 'pr2_cup_swirl'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--batches", "0"), "--batches must be at least 1"),
        (("--max-kl", "much"), "max_kl must be a number|invalid"),
        (("--resume", "--lam", "0.5", "--batches", "2"), "lam|differ"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    if "--resume" in arguments:
        assert main(words(out, "--batches", "1")) == 0
    capsys.readouterr()
    assert main(words(out, *arguments)) == 2
    told = capsys.readouterr().err
    assert re.search(expected, told) and "Traceback" not in told
