# SPDX-License-Identifier: Apache-2.0
"""One run as a function of its settings, the store of finished runs, and the experiments' settings."""

from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest

from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled, with_torque_scaled
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.studies import run_store
from safe_transfer_ros.studies.experiments import EXPERIMENTS, experiment
from safe_transfer_ros.studies.study import PAPER, StudyRun, StudyStore, compute, differences, key
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune

SHORT = StudyRun(seed=3, iterations=3, episodes=2, stddev_factor=0.5, evaluate_every=2, evaluation_episodes=4)


@pytest.fixture(scope="module")
def columns() -> dict[str, list[float]]:
    return compute(SHORT)


def test_a_run_is_algorithm_1(columns) -> None:
    task = make(SHORT.task)
    policy = with_stddev_scaled(load_for(task, SHORT.policy)[0], 0.5)
    with VectorTorqueEnv(task, SHORT.perturbation) as environment:
        steps = fine_tune(environment, policy, settings=PsptSettings(), governor=GovernorSettings(), seed=3, episodes=2)
        for at, step in enumerate(islice(steps, 3)):
            for name, value in step.record.as_dict().items():
                assert name == "wall_time_s" or columns[name][at] == value, name


def test_evaluation_judges_the_policy_and_the_limit_of_its_iteration(columns) -> None:
    """The first iteration's, worked out without the study; and nothing of it reaches the learning."""
    task = make(SHORT.task)
    policy = GaussianPolicy(with_stddev_scaled(load_for(task, SHORT.policy)[0], 0.5))
    with VectorTorqueEnv(task, SHORT.perturbation) as environment:
        batch = environment.rollout(
            policy, torque_limits=np.full(4, 0.1), seed=3, first_episode=FirstEpisode.EVALUATION
        )
    assert columns["true_return"][0] == pytest.approx(batch.reward.sum(axis=1).mean())
    assert columns["true_unsafety_rate"][0] == np.mean(batch.unsafety[:, 1:] > task.unsafety_limit)
    assert columns["true_damage"][2] == columns["true_unsafety_rate"][2] * columns["torque_limit"][2]
    assert np.isnan(columns["true_damage"][1])
    without = compute(dataclasses.replace(SHORT, evaluate_every=0))
    assert without["mean_return"] == columns["mean_return"]


def test_what_is_stored_is_read_back_as_it_was(columns, tmp_path) -> None:
    store = StudyStore(tmp_path / "cache")
    assert store.load(SHORT) is None
    store.save(SHORT, columns)
    loaded = store.load(SHORT)
    assert loaded is not None and loaded.same_code and loaded.run == SHORT
    for name, values in columns.items():
        np.testing.assert_array_equal(loaded.columns[name], values, err_msg=name)
    assert store.load(dataclasses.replace(SHORT, seed=4)) is None


def test_what_is_damaged_is_not_believed(columns, tmp_path, monkeypatch) -> None:
    store = StudyStore(tmp_path)
    store.save(SHORT, columns)
    table = next(tmp_path.glob("*.csv"))
    whole = table.read_text()
    for damage in (whole[: len(whole) // 2], whole.replace("0.1,", "zero,"), "", "\n".join(whole.splitlines()[:-1])):
        table.write_text(damage)
        assert store.load(SHORT) is None
    table.write_text(whole)
    assert store.load(SHORT) is not None
    monkeypatch.setattr(run_store, "code_digest", lambda: "later")
    loaded = store.load(SHORT)
    assert loaded is not None and not loaded.same_code, "numbers of other code are told apart"


def test_keys_tell_runs_apart_and_a_default_says_nothing() -> None:
    other = [
        dataclasses.replace(SHORT, seed=4),
        dataclasses.replace(SHORT, governor=dataclasses.replace(PAPER, d_safe=0.4)),
        dataclasses.replace(SHORT, perturbation=PERTURBATIONS["tenth"]),
        dataclasses.replace(SHORT, learning=PsptSettings(max_kl=0.02)),
    ]
    assert len({key(run) for run in [SHORT, *other]}) == 5
    assert differences(StudyRun(seed=0, governor=GovernorSettings(d_safe=0.5, damage_budget=False))) == {}
    assert differences(other[1])["governor"] == {"d_safe": 0.4}


def test_all_torques_are_scaled_the_noise_too() -> None:
    parameters, _ = load_for(make("pr2_cup_swirl"), "pr2_cup_swirl")
    observation = np.linspace(-1.0, 1.0, 18)
    plain, scaled = GaussianPolicy(parameters), GaussianPolicy(with_torque_scaled(parameters, 1.3))
    np.testing.assert_allclose(scaled.mean(observation), 1.3 * plain.mean(observation), rtol=1e-6)
    np.testing.assert_allclose(scaled.stddev, 1.3 * plain.stddev, rtol=1e-6)


# Experiments ----------------------------------------------------------------------------------------------------------


def test_the_experiments_are_the_papers() -> None:
    full, *ablations = [method.run.governor for method in EXPERIMENTS["fig8"].methods]
    assert (full.d_safe, full.initial_torque_limit, full.t_max, full.growth) == (0.5, 0.1, 3.0, 1.05)
    counted = [(one.use_limit_change, one.use_policy_change) for one in ablations]
    assert counted == [(False, True), (True, False), (False, False)]
    assert [one.governor.rule for one in (m.run for m in EXPERIMENTS["fig7"].methods)] == ["adaptive", "fixed"]
    assert len({method.run.governor.d_safe for method in EXPERIMENTS["fig9"].methods}) == 4
    real = EXPERIMENTS["fig10"].methods[0].run
    assert (real.governor.initial_torque_limit, real.governor.d_safe, real.torque_factor) == (1.8, 1.3, 1.3)
    assert real.governor.floor == 1.3
    assert real.stddev_factor**2 == pytest.approx(0.5) and real.governor.allow_unsafe_start
    assert EXPERIMENTS["fig10"].seeds >= 3 and EXPERIMENTS["fig6"].seeds >= 5
    for name in ("fig6", "fig7", "fig8", "fig9"):  # the arm the paper describes: nothing but what it names is changed
        assert {method.run.perturbation for method in EXPERIMENTS[name].methods} == {
            Perturbation(mass=0.1, damping=0.1, inertia=0.1)
        }
        assert len({run.policy for _, run in EXPERIMENTS[name].runs(3)}) == 3, "three pre-trainings"
    for one in (one for one in EXPERIMENTS.values() if one.of_the_paper):
        assert all(method.run.learning.max_kl == 0.05 and method.run.episodes == 5 for method in one.methods)


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_every_run_begins_with_a_shipped_policy_of_its_own_task(name: str) -> None:
    begun = {(run.task, run.policy) for _, run in experiment(name).runs(3)}
    for task, policy in begun:
        load_for(make(task, TorqueTask), policy)  # raises where it does not fit
    by_method = {
        label: {run.policy for other, run in experiment(name).runs(3) if other == label}
        for label, _ in experiment(name).runs(1)
    }
    assert len({len(policies) for policies in by_method.values()}) == 1, "as many pre-trainings in each method"


def test_figures_share_runs() -> None:
    fig7, fig8 = ({run for _, run in EXPERIMENTS[name].runs(5)} for name in ("fig7", "fig8"))
    assert len(fig7) == 10 and len(fig7 & fig8) == 5


def test_the_bounds_are_some_of_the_rules_and_weights_judge_what_was_not_learned_from() -> None:
    bounds, rules = (dict(EXPERIMENTS[name].runs(1)) for name in ("bounds", "rules"))
    assert bounds.items() < rules.items() and {"paper", "conformal", "paper, half D_safe"} < set(bounds)
    weighted = [run for run in rules.values() if run.governor.prediction == "weighted"]
    assert len(weighted) == 2 and all(run.episodes - run.learning.held_out == 5 for run in weighted)


def test_an_unknown_figure_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="unknown figure 'fig88'.*fig8"):
        experiment("fig88")
