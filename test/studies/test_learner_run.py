# SPDX-License-Identifier: Apache-2.0
"""A run of any method as a function of its settings: cut and gone on with, evaluated on the way, its policy kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from point_task import Point

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.learning.off_policy import Greedy
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.studies import learner_run
from safe_transfer_ros.studies.checkpoint import Checkpoint
from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore, compute
from safe_transfer_ros.tasks import task
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings

SMALL = LearnerSettings(critic_updates=5, critic_hidden=(8,), hidden=(8,))


class Short(Point):
    """Episodes of ten steps: an update of the off-policy methods takes networks of the papers' sizes."""

    horizon = 10


@pytest.fixture(autouse=True)
def point() -> Iterator[None]:
    task.register("point")(Short)
    yield
    del task.TASKS._things["point"]


def planned(method: str, **changes: Any) -> LearnerRun:
    given = {"iterations": 3, "episodes": 2, "evaluation_episodes": 3, "settings": SMALL}
    return LearnerRun(method=method, task="point", **(given | changes))


def same(one: dict[str, list[float]], other: dict[str, list[float]]) -> None:
    assert one.keys() == other.keys()
    for name in one.keys() - {"wall_time_s"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class Cut(Exception):
    """The process ended here."""


@pytest.mark.parametrize("method", ["csc", "ppo-lagrangian", "td3", "sac-lagrangian", "safety-layer", "dual-agent"])
def test_a_run_that_was_cut_goes_on_with_the_same_numbers(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, progress = planned(method), tmp_path / "run.progress"
    whole = compute(run)
    begun: list[int] = []

    def keeps(path: Path, identity: str) -> Checkpoint:
        return Checkpoint(path, identity, every_s=0.0)

    def ends(columns: dict[str, list[float]], run: LearnerRun, training: Any) -> None:
        if len(columns["epoch"]) == 2:
            raise Cut
        add_epoch(columns, run, training)

    add_epoch = learner_run._add_epoch
    monkeypatch.setattr(learner_run, "Checkpoint", keeps)
    monkeypatch.setattr(learner_run, "_add_epoch", ends)
    with pytest.raises(Cut):
        compute(run, progress)
    assert progress.read_text() == "2"
    monkeypatch.setattr(
        learner_run,
        "_add_epoch",
        lambda columns, *rest: (begun.append(len(columns["epoch"])), add_epoch(columns, *rest)),
    )
    found = compute(run, progress)
    assert begun == [2], "two epochs were done already"
    same(found, whole)
    assert found["wall_time_s"] == sorted(found["wall_time_s"])


def test_other_settings_and_other_code_do_not_go_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_run, "Checkpoint", lambda path, identity: Checkpoint(path, identity, every_s=0.0))
    progress = tmp_path / "run.progress"
    compute(planned("trpo"), progress)
    same(compute(planned("trpo", seed=1), progress), compute(planned("trpo", seed=1)))
    monkeypatch.setattr(learner_run.run_store, "code_digest", lambda *modules: "of other code")
    begun: list[int] = []
    add_epoch = learner_run._add_epoch
    monkeypatch.setattr(
        learner_run,
        "_add_epoch",
        lambda columns, *rest: (begun.append(len(columns["epoch"])), add_epoch(columns, *rest)),
    )
    compute(planned("trpo", seed=1), progress)
    assert begun == [0, 1, 2]


@pytest.mark.parametrize("method", ["csc", "td3"])
def test_evaluations_on_the_way_change_nothing_of_the_run(method: str) -> None:
    rarely = compute(planned(method))
    often = compute(planned(method, evaluate_every=2, evaluation_episodes=5, iterations=3))
    assert np.isfinite(rarely["evaluation_return"]).tolist() == [False, False, True]
    assert np.isfinite(often["evaluation_return"]).tolist() == [False, True, True]
    for name in ("mean_return", "cumulative_failures", "steps", "multiplier"):
        np.testing.assert_array_equal(rarely[name], often[name])


@pytest.mark.parametrize("method", ["trpo", "td3", "sac", "dual-agent"])
def test_the_policy_that_is_kept_is_the_one_that_was_evaluated(method: str, tmp_path: Path) -> None:
    run, store = planned(method), LearnerStore(tmp_path)
    found = compute(run, store.progress_file(run))
    policy, about = policy_from_bytes(store.policy(run).read_bytes())
    assert (about["task"], about["method"], about["seed"]) == ("point", method, "0")
    acting = policy if method == "trpo" else Greedy(policy)
    with TaskEnvironment("point") as where:
        judged = evaluate(acting, where, episodes=3, seed=0)
    assert judged.mean_return == pytest.approx(found["evaluation_return"][-1], abs=1e-5)


def test_a_finished_run_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_run, "Checkpoint", lambda path, identity: Checkpoint(path, identity, every_s=0.0))
    run, store = planned("trpo", iterations=1), LearnerStore(tmp_path)
    columns = compute(run, store.progress_file(run))
    assert list(tmp_path.glob("*.checkpoint"))
    store.save(run, columns)
    assert not list(tmp_path.glob("*.checkpoint")) and store.load(run) is not None
