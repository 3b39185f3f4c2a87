# SPDX-License-Identifier: Apache-2.0
"""A run that goes wrong: it ends, says why in one line, keeps what it had, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import graph_runs
import pytest

from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.record.continuity import gaps
from safe_transfer_ros.record.iteration import read

# Starting six processes takes seconds on a quiet machine and a minute on a busy one.
pytestmark = pytest.mark.timeout(300)

LONG = ("iterations:=500", "trainer.episodes_per_iteration:=1")
AS_IT_IS = "learner:=none"  # where learning has no part in what is tested: torch takes longer to load than all else


def rolling(run_dir: Path) -> bool:
    return (run_dir / "iterations.csv").exists()


def test_ctrl_c_ends_the_run_cleanly_and_keeps_the_record(tmp_path: Path) -> None:
    """All of it, though the recorder stalled before."""
    run_dir = tmp_path / "run"
    with graph_runs.started(run_dir, *LONG, "visualize:=true", report=True) as process:
        graph_runs.wait_for(lambda: rolling(run_dir), 120, "a first iteration")
        # Who only looks on may die: the run does not.
        os.kill(graph_runs.nodes_of(run_dir)["visualizer"], signal.SIGKILL)
        recorder, done = graph_runs.nodes_of(run_dir)["bag_recorder"], len(read(run_dir / "iterations.csv"))
        os.kill(recorder, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(recorder, signal.SIGCONT)
        graph_runs.wait_for(
            lambda: len(read(run_dir / "iterations.csv")) >= done + 2, 120, "iterations after the stall"
        )
        graph_runs.interrupt(process)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "visualizer ended (killed by SIGKILL)" in out and "the run goes on without it" in out
    assert "interrupted after" in err and "Traceback" not in err
    assert (run_dir / "report.html").exists()
    assert graph_runs.nodes_of(run_dir) == {}
    # The last command recorded is the stop torque.
    commands = [message for _, message, _ in messages(run_dir / "bag", ["/effort_controller/commands"])]
    assert not commands[-1].data.any()
    assert all("the last episode breaks off" in gap for gap in gaps(Bag(run_dir / "bag")))


@pytest.mark.parametrize("node", ["policy_server", "safety_filter", "bag_recorder"])
def test_a_killed_node_ends_the_run_with_its_name(tmp_path: Path, node: str) -> None:
    run_dir = tmp_path / "run"
    with graph_runs.started(run_dir, *LONG, AS_IT_IS) as process:
        graph_runs.wait_for(lambda: rolling(run_dir), 120, "a first iteration")
        os.kill(graph_runs.nodes_of(run_dir)[node], signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode not in (0, 130)
    assert re.search(rf"safe_transfer: {node} ended \(killed by SIGKILL\)", err), err
    assert graph_runs.nodes_of(run_dir) == {}
    assert len(read(run_dir / "iterations.csv")) >= 1


def test_a_domain_in_use_is_refused_and_no_process_outlives_a_killed_launcher(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with graph_runs.started(run_dir, *LONG, ROS_DOMAIN_ID="88") as process:
        graph_runs.wait_for((run_dir / "config.yaml").exists, 30, "the first run holding the domain")
        refused = graph_runs.up(tmp_path / "other", ROS_DOMAIN_ID="88")
        graph_runs.wait_for(lambda: rolling(run_dir), 120, "a first iteration")
        assert len(graph_runs.nodes_of(run_dir)) == 6
        process.kill()
        process.wait()
        graph_runs.wait_for(lambda: not graph_runs.nodes_of(run_dir), 20, "all nodes gone")
    assert refused.returncode == 2
    assert re.fullmatch(r"safe_transfer: ROS domain 88 is in use by another run .*\n", refused.stderr)
    assert not (tmp_path / "other").exists()


def test_a_full_disk_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    # A limit on file size stands in for the full disk: the write fails in the same place, with another errno.
    run_dir = tmp_path / "run"
    limited = [
        "prlimit",
        f"--fsize={400_000}",
        *graph_runs.command("up", "pr2_cup_swirl", f"run_dir:={run_dir}", *LONG, AS_IT_IS),
    ]
    finished = subprocess.run(limited, env=graph_runs.environment(), capture_output=True, text=True, timeout=240)
    assert finished.returncode == 2
    assert re.search(r"safe_transfer: bag_recorder: cannot write the bag .*: File too large", finished.stderr)
    assert graph_runs.nodes_of(run_dir) == {}
    # What was written before stands whole.
    decisions = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    assert len(decisions) > 50


def test_two_runs_at_once_do_not_hear_each_other(tmp_path: Path) -> None:
    short = ("iterations:=1", "trainer.episodes_per_iteration:=1", AS_IT_IS)
    with (
        graph_runs.started(tmp_path / "a", *short, "seed:=1") as first,
        graph_runs.started(tmp_path / "b", *short, "seed:=2") as second,
    ):
        outputs = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    domains = [re.search(r"ROS_DOMAIN_ID=(\d+)", out).group(1) for out, _ in outputs]  # type: ignore[union-attr]
    assert domains[0] != domains[1]
    for name in ("a", "b"):
        decisions = [m for _, m, _ in messages(tmp_path / name / "bag", ["/safety_filter/decision"])]
        assert len(decisions) == 201, "one episode of its own, nobody else's"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("initial_torque_limit:=0.6",), "D_safe"),
        (("iterations:=none",), "whole number"),
        (("policy:=missing.safetensors",), "no policy file"),
        (("nonsense",), "key:=value"),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "pr2_cup_swirl", f"run_dir:={tmp_path / 'run'}", *arguments]) == 2
    told = capsys.readouterr().err
    assert expected in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()
