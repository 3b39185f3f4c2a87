# SPDX-License-Identifier: Apache-2.0
"""A run of `safe_transfer train` that is killed (SIGKILL) gives the same numbers when it is gone on with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from point_task import Point

from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.studies import learner_run
from safe_transfer_ros.studies.checkpoint import SUFFIX, Checkpoint
from safe_transfer_ros.studies.learner_run import LearnerRun, compute
from safe_transfer_ros.tasks import task
from safe_transfer_ros.transfer.methods import METHODS
from safe_transfer_ros.transfer.off_policy.method import AgentTask, OffPolicyMethod

RUN = LearnerRun(
    method="small", task="point", episodes=2, iterations=10, evaluate_every=5, evaluation_episodes=2, seed=4
)
CHILD = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1] / "learning")!r}]
import test_killed_run as it
it.always_kept()
it.make_known()
it.compute(it.RUN, it.Path(sys.argv[1]))
"""


def small(task: AgentTask) -> Td3:
    return Td3(task.observation_size, task.bound, Td3Settings(hidden=(8,)), seed=task.plan.seed)


def make_known() -> None:
    task.register("point")(Point)
    METHODS.add("small", OffPolicyMethod(label="Small", agent=small))


def always_kept() -> None:
    """A checkpoint after every epoch, not once a minute."""
    learner_run.Checkpoint = partial(Checkpoint, every_s=0.0)  # type: ignore[misc, assignment]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(learner_run, "Checkpoint", Checkpoint)
    make_known()
    yield
    del task.TASKS._things["point"], METHODS._things["small"]


def test_a_run_that_was_killed_gives_the_same_numbers(tmp_path: Path) -> None:
    progress = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(progress)], start_new_session=True) as child:
        while not progress.with_suffix(SUFFIX).exists() and child.poll() is None:
            time.sleep(0.005)
        delay = random.uniform(0.0, 0.5)  # within an epoch, or in the writing between two
        time.sleep(delay)
        killed = child.poll() is None
        os.killpg(child.pid, signal.SIGKILL)
    assert killed, f"the run ended by itself within {delay:.2f} s of its first checkpoint"
    always_kept()
    resumed, whole = compute(RUN, progress), compute(RUN)
    for name in whole.keys() - {"wall_time_s"}:
        assert list(map(repr, resumed[name])) == list(map(repr, whole[name])), f"{name}, killed after {delay:.3f} s"
    assert resumed["wall_time_s"][0] != whole["wall_time_s"][0], "it began again"
