# SPDX-License-Identifier: Apache-2.0
"""A run of any method as a function of its settings: cut and gone on with, evaluated on the way, its policy kept."""

from __future__ import annotations

import dataclasses
import json
import math
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
from safe_transfer_ros.transfer.training import EpochRecord

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


def always_kept(path: Path, identity: str, **given: Any) -> Checkpoint:
    """A checkpoint after every iteration, not once a minute."""
    return Checkpoint(path, identity, every_s=0.0, **given)


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

    def ends(columns: dict[str, list[float]], run: LearnerRun, training: Any) -> None:
        if len(columns["epoch"]) == 2:
            raise Cut
        add_iteration(columns, run, training)

    add_iteration = learner_run._add_iteration
    monkeypatch.setattr(learner_run, "Checkpoint", always_kept)
    monkeypatch.setattr(learner_run, "_add_iteration", ends)
    with pytest.raises(Cut):
        compute(run, progress)
    assert progress.read_text() == "2"
    monkeypatch.setattr(
        learner_run,
        "_add_iteration",
        lambda columns, *rest: (begun.append(len(columns["epoch"])), add_iteration(columns, *rest)),
    )
    found = compute(run, progress)
    assert begun == [2], "two epochs were done already"
    same(found, whole)
    assert found["wall_time_s"] == sorted(found["wall_time_s"])


def test_other_settings_and_other_code_do_not_go_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_run, "Checkpoint", always_kept)
    progress = tmp_path / "run.progress"
    compute(planned("trpo"), progress)
    same(compute(planned("trpo", seed=1), progress), compute(planned("trpo", seed=1)))
    monkeypatch.setattr(learner_run.run_store, "code_digest", lambda *modules: "of other code")
    begun: list[int] = []
    add_iteration = learner_run._add_iteration
    monkeypatch.setattr(
        learner_run,
        "_add_iteration",
        lambda columns, *rest: (begun.append(len(columns["epoch"])), add_iteration(columns, *rest)),
    )
    compute(planned("trpo", seed=1), progress)
    assert begun == [0, 1, 2]


def cut_after(monkeypatch: pytest.MonkeyPatch, run: LearnerRun, progress: Path, iterations: int) -> None:
    """Begin a run and end it so far on its way."""
    add_iteration = learner_run._add_iteration

    def ends(columns: dict[str, list[float]], *rest: Any) -> None:
        if len(columns["epoch"]) == iterations:
            raise Cut
        add_iteration(columns, *rest)

    monkeypatch.setattr(learner_run, "_add_iteration", ends)
    with pytest.raises(Cut):
        compute(run, progress)
    monkeypatch.setattr(learner_run, "_add_iteration", add_iteration)


def test_a_run_of_several_states_of_the_code_is_gone_on_with_where_asked_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_run, "Checkpoint", always_kept)
    run, store = planned("trpo"), LearnerStore(tmp_path)
    cut_after(monkeypatch, run, store.progress_file(run), 2)
    begun = store.unfinished(run)
    assert begun is not None and begun.same_code and begun.columns["epoch"].tolist() == [0.0, 1.0]
    assert store.unfinished(planned("trpo", seed=1)) is None
    now = learner_run.run_store.code_digest()
    monkeypatch.setattr(learner_run.run_store, "code_digest", lambda *modules: "of other code")
    begun = store.unfinished(run)
    assert begun is not None and not begun.same_code
    columns = compute(run, store.progress_file(run), any_code=True)
    same(columns, compute(run))
    assert columns["wall_time_s"][:2] == begun.columns["wall_time_s"].tolist(), "it began again"
    assert not store.save(run, columns).same_code
    loaded = store.load(run)
    assert loaded is not None and not loaded.same_code, "it must not pass for a run of one code"
    (about,) = tmp_path.glob("*.json")
    assert json.loads(about.read_text())["earlier_code"] == [now]
    assert store.unfinished(run) is None


def test_a_run_that_began_again_is_of_one_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_run, "Checkpoint", always_kept)
    run, store = planned("trpo"), LearnerStore(tmp_path)
    cut_after(monkeypatch, run, store.progress_file(run), 2)
    # So fast that no checkpoint of its own replaces that of the run before.
    monkeypatch.setattr(learner_run, "Checkpoint", Checkpoint)
    monkeypatch.setattr(learner_run.run_store, "code_digest", lambda *modules: "of other code")
    assert store.save(run, compute(run, store.progress_file(run))).same_code


def test_an_iteration_is_as_many_epochs_as_bring_it_to_its_steps() -> None:
    by_epoch = compute(planned("trpo", iterations=12))
    found = compute(planned("trpo", iterations=2, iteration_steps=50, evaluate_every=1))
    # The second is due at 100 steps, not 50 after the first.
    ends = [next(at for at, steps in enumerate(by_epoch["steps"]) if steps >= due) for due in (50, 100)]
    assert ends[0] > 1 and ends[1] > ends[0] + 1
    for name in ("steps", "episodes", "epoch", "cumulative_failures"):
        assert found[name] == [by_epoch[name][end] for end in ends]
    for name in ("mean_return", "failures_per_episode"):
        parts = [by_epoch[name][: ends[0] + 1], by_epoch[name][ends[0] + 1 : ends[1] + 1]]
        assert found[name] == pytest.approx([float(np.mean(part)) for part in parts])
    assert np.isfinite(found["evaluation_return"]).all()


def test_means_over_episodes_stay_so_and_ignore_epochs_that_have_none() -> None:
    usual = dict.fromkeys(field.name for field in dataclasses.fields(EpochRecord)) | {"gated": 0.0}
    usual["success_rate"] = math.nan
    records = [
        EpochRecord(**usual | {"episodes": episodes, "mean_return": mean, "failures_per_episode": mean})
        for episodes, mean in ((12, 1.0), (13, 5.0), (13, math.nan))
    ]
    found = learner_run._together(records, 10)
    assert found.mean_return == pytest.approx((2 * 1.0 + 1 * 5.0) / 3) == found.failures_per_episode
    assert math.isnan(found.success_rate) and found.episodes == 13


@pytest.mark.parametrize(
    ("method", "part"), [("dual-agent", "baseline"), ("safety-layer", "baseline"), ("cpo", "noiseless")]
)
def test_what_else_a_run_has_to_show_is_evaluated_where_asked(method: str, part: str) -> None:
    run = planned(method, evaluate_every=1, evaluate_parts=True)
    found, plain = compute(run), compute(dataclasses.replace(run, evaluate_parts=False))
    assert np.isfinite(found[f"{part}_return"]).all() and np.isfinite(found[f"{part}_failures"]).all()
    assert found[f"{part}_return"] != found["evaluation_return"]
    other = {"baseline": "noiseless", "noiseless": "baseline"}[part]
    assert np.isnan(found[f"{other}_return"]).all()
    same({name: found[name] for name in plain}, plain)


@pytest.mark.parametrize("method", ["csc", "td3"])
def test_evaluations_on_the_way_change_nothing_of_the_run(method: str) -> None:
    rarely = compute(planned(method))
    often = compute(planned(method, evaluate_every=2, evaluation_episodes=5, iterations=3))
    assert np.isfinite(rarely["evaluation_return"]).tolist() == [False, False, True]
    assert np.isfinite(often["evaluation_return"]).tolist() == [False, True, True]
    for name in ("mean_return", "cumulative_failures", "steps", "multiplier"):
        np.testing.assert_array_equal(rarely[name], often[name])


@pytest.mark.parametrize("method", ["trpo", "td3", "sac", "dual-agent", "safety-layer"])
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
    monkeypatch.setattr(learner_run, "Checkpoint", always_kept)
    run, store = planned("trpo", iterations=1), LearnerStore(tmp_path)
    columns = compute(run, store.progress_file(run))
    assert list(tmp_path.glob("*.checkpoint"))
    store.save(run, columns)
    assert not list(tmp_path.glob("*.checkpoint")) and store.load(run) is not None
