# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer correct` as a person runs it, with the example's controller."""

from __future__ import annotations

import csv
from pathlib import Path

import in_this_process
import numpy as np
import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.policies.loading import policy_from_bytes

EXAMPLE = f"{Path(__file__).parents[2] / 'examples' / 'straight_push.py'}:push"
SMALL = ("--quick", "--epochs", "2", "--episodes", "2", "--jobs", "1")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("correct")
    with in_this_process.instead():
        assert main(["correct", "--baseline", EXAMPLE, "--task", "panda_push_obstacle", *SMALL, "--out", str(out)]) == 0
    return out


def test_the_safe_agent_is_evaluated_after_each_epoch_and_its_policy_kept(done: Path) -> None:
    rows = list(csv.DictReader((done / "panda_push_obstacle.csv").open()))
    assert [(row["method"], row["steps"]) for row in rows] == [("dual-agent", "100.0"), ("dual-agent", "200.0")]
    assert np.isfinite([float(row["evaluation_return"]) for row in rows]).all()
    policy, about = policy_from_bytes((done / "panda_push_obstacle_dual-agent_seed0.safetensors").read_bytes())
    assert (policy.kind, about["method"]) == ("deterministic", "dual-agent")
    assert (done / "panda_push_obstacle.png").read_bytes().startswith(b"\x89PNG")


def test_the_baseline_is_judged_as_it_is(done: Path) -> None:
    (row,) = csv.DictReader((done / "panda_push_obstacle_baseline.csv").open())
    assert (row["baseline"], row["seed"], row["episodes"]) == (EXAMPLE, "0", "8")
    # Straight through what stands in the way.
    assert float(row["failures_per_episode"]) > 0.5


def test_another_baseline_is_another_run(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--task", "panda_push_obstacle", *SMALL, "--out", str(done), "--table-only")
    assert main(["correct", "--baseline", EXAMPLE, *asked]) == 0
    assert "baseline as it is, 8 episodes per seed: return" in capsys.readouterr().out
    other = tmp_path / "other.py"
    other.write_text(Path(EXAMPLE.rpartition(":")[0]).read_text() + "\n# changed\n")
    assert main(["correct", "--baseline", f"{other}:push", *asked]) == 2
    assert "of 1 run none is finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--baseline", "no_such", "--task", "panda_push_obstacle"), "no policy file 'no_such'"),
        (("--baseline", "pr2_cup_swirl", "--task", "ant_avenue"), "the task has 33 observations and 8 actions"),
        (("--baseline", EXAMPLE, "--task", "panda_push_obstacl"), "did you mean 'panda_push_obstacle'?"),
        (("--baseline", EXAMPLE, "--task", "panda_push_obstacle", "--chi", "0"), "expected chi > 0"),
        (("--baseline", EXAMPLE, "--task", "panda_push_obstacle", "--episodes", "1"), "--episodes must be at least 2"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["correct", *arguments, "--out", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert says in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()
