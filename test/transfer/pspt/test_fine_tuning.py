# SPDX-License-Identifier: Apache-2.0
"""PSPT's policy update, and Algorithm 1 in one process."""

from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest

from safe_transfer_ros.algorithms.gaussian_network import kl_divergence
from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.learning.rollouts import to_episodes
from safe_transfer_ros.policies import gaussian
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Architecture, Parameters
from safe_transfer_ros.randomness import Purpose, integer_seed
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.importance import log_likelihood_ratio, weighted_rates
from safe_transfer_ros.safety.limit.rules import PolicyShift
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk, policy_change_risk
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import FineTuneStep, PsptSettings, fine_tune, improve

PERIOD_NS = 50_000_000


@pytest.fixture(scope="module")
def task() -> TorqueTask:
    return make("pr2_cup_swirl")


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    sizes = Architecture(observation_size=18, hidden=(16, 16), action_size=7)
    return gaussian.initial_parameters(sizes, seed=0, mean_gain=1.0)


@pytest.fixture
def environment(task: TorqueTask):
    with VectorTorqueEnv(task, PERTURBATIONS["light_sticky"], threads=1) as made:
        yield made


@pytest.fixture
def episodes(environment, parameters):
    batch = environment.rollout(GaussianPolicy(parameters), torque_limits=np.full(5, 0.5), seed=1)
    return to_episodes(batch, iteration=0, policy_version=0, period_ns=PERIOD_NS)


def run(environment, parameters, iterations: int, **governor) -> list[FineTuneStep]:
    steps = fine_tune(
        environment, parameters, settings=PsptSettings(), governor=GovernorSettings(**governor), seed=3, episodes=3
    )
    return list(islice(steps, iterations))


def same(first: Parameters, second: Parameters) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


BOUND = {"d_safe": 0.2, "initial_torque_limit": 1.0, "torque_limit_floor": 0.05, "allow_unsafe_start": True}


def test_a_damage_budget_is_never_overdrawn_and_what_was_before_it_was_spent_is_unchanged(
    environment, parameters
) -> None:
    free, within = (run(environment, parameters, 1, damage_budget=spent, **BOUND)[0] for spent in (False, True))
    assert free.record.expected_damage > 0.2 >= within.record.expected_damage, "else it shows nothing"
    limits = within.batch.torque_limit
    given_up = np.flatnonzero(limits.ravel() < 1.0)[0]
    np.testing.assert_array_equal(limits.ravel(), np.where(np.arange(limits.size) < given_up, 1.0, 0.05))
    episode, step = divmod(int(given_up), limits.shape[1])
    for name in ("position", "applied", "reasons", "unsafety"):
        before, after = getattr(free.batch, name), getattr(within.batch, name)
        np.testing.assert_array_equal(before[:episode], after[:episode])
        np.testing.assert_array_equal(before[episode, :step], after[episode, :step])
    assert np.abs(within.batch.applied[episode, step:]).max() <= 0.05
    spent = within.batch.reasons & Reason.DAMAGE_BUDGET_SPENT != 0
    np.testing.assert_array_equal(spent, limits < 1.0)
    unsafe = within.batch.unsafety[:, 1:] > environment.task.unsafety_limit
    assert within.record.expected_damage == pytest.approx(float((unsafe * limits).mean()))
    assert within.record.unsafety_rate == max(unsafe.mean(), unsafe.ravel()[:given_up].mean())


def test_a_budget_that_is_not_spent_changes_nothing(environment, parameters) -> None:
    free, within = (run(environment, parameters, 2, damage_budget=spent) for spent in (False, True))
    assert [step.record.expected_damage for step in free] == [step.record.expected_damage for step in within]
    assert same(free[-1].update.parameters, within[-1].update.parameters)


def test_an_update_stays_in_the_trust_region_of_the_visited_states(parameters, episodes, task) -> None:
    update = improve(parameters, episodes, task, PsptSettings(max_kl=0.05), seed=0)
    visited = np.concatenate([episode.observation[:-1] for episode in episodes]).astype(np.float32)
    assert update.accepted and update.steps == 1000 and update.surrogate_gain > 0.0
    assert 0.01 < update.kl <= 0.05 == update.kl_bound
    assert kl_divergence(parameters, update.parameters, visited) == pytest.approx(update.kl, rel=1e-3)


def test_equal_arguments_give_equal_bits_and_nothing_is_changed(parameters, episodes, task) -> None:
    before = {name: array.copy() for name, array in parameters.items()}
    settings = PsptSettings(fisher_fraction=0.5)
    first, again = (improve(parameters, order, task, settings, seed=4) for order in (episodes, episodes[::-1]))
    other = improve(parameters, episodes, task, settings, seed=5)
    assert same(first.parameters, again.parameters) and not same(first.parameters, other.parameters)
    assert same(parameters, before)


def test_what_was_proposed_is_learned_from_not_what_was_applied(parameters, episodes, task) -> None:
    """The policy's likelihood is that of its proposals; the bounded torque belongs to the arm."""
    unbounded = [dataclasses.replace(episode, applied=episode.proposed) for episode in episodes]
    settings = PsptSettings()
    assert same(
        improve(parameters, episodes, task, settings, 0).parameters,
        improve(parameters, unbounded, task, settings, 0).parameters,
    )


def test_learning_raises_the_return_it_is_given(parameters, environment, task) -> None:
    """On a robot where torque itself is all that counts, a few updates must find out."""

    class Frugal(type(task)):  # type: ignore[misc]
        def task_reward(self, position, velocity, torque):
            return -np.mean(np.square(torque - 0.4), axis=-1)

        unsafety_penalty = 0.0

    frugal, learned = Frugal(), parameters
    totals = []
    for iteration in range(12):
        batch = environment.rollout(GaussianPolicy(learned), torque_limits=np.full(5, 0.5), seed=1)
        recorded = to_episodes(batch, iteration=iteration, policy_version=iteration, period_ns=PERIOD_NS)
        totals.append(np.mean([frugal.reward(e.position[1:], e.velocity[1:], e.proposed).mean() for e in recorded]))
        learned = improve(
            learned, recorded, frugal, PsptSettings(), integer_seed(Purpose.POLICY_UPDATE, 0, iteration)
        ).parameters
    assert totals[-1] > totals[0] + 0.1


def test_records_that_are_not_finite_are_refused(parameters, episodes, task) -> None:
    episodes[0].proposed[3, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        improve(parameters, episodes, task, PsptSettings(), 0)


def test_each_row_is_what_its_rollouts_say(environment, parameters, task) -> None:
    """The second iteration, worked out from its own batch with nothing of the loop."""
    first, second = run(environment, parameters, 2)
    limit = second.record.torque_limit
    batch = environment.rollout(
        GaussianPolicy(first.update.parameters), torque_limits=np.full(3, limit), seed=3, first_episode=3
    )
    record = second.record
    assert record.unsafety_rate == np.mean(batch.unsafety[:, 1:] > task.unsafety_limit)
    assert record.mean_return == pytest.approx(batch.reward.sum(axis=1).mean())
    assert record.mean_task_return == pytest.approx(batch.task_reward.sum(axis=1).mean())
    assert record.unsafety_mean == pytest.approx(batch.unsafety[:, 1:].mean())
    assert record.unsafety_max == pytest.approx(batch.unsafety[:, 1:].max())
    risk = limit_change_risk(batch.mean.reshape(-1, 7), batch.stddev.reshape(-1, 7), limit)
    assert record.limit_change_risk == pytest.approx(risk)
    assert record.policy_change_risk == pytest.approx(policy_change_risk(0.05))
    total = record.unsafety_rate + record.limit_change_risk + record.policy_change_risk
    assert record.predicted_unsafety_rate == pytest.approx(min(1.0, total))
    assert record.expected_damage == pytest.approx(record.unsafety_rate * limit)
    assert record.interventions == np.count_nonzero((np.abs(batch.proposed) > limit).any(axis=2))
    assert (record.iteration, record.policy_version, record.steps) == (1, 1, 600)
    recorded = to_episodes(batch, iteration=1, policy_version=1, period_ns=PERIOD_NS)
    alone = improve(first.update.parameters, recorded, task, PsptSettings(), integer_seed(Purpose.POLICY_UPDATE, 3, 1))
    assert same(alone.parameters, second.update.parameters) and alone.kl == record.kl


def test_the_limit_starts_at_its_minimum_and_rises_by_five_per_cent_at_most(environment, parameters) -> None:
    limits = [step.record.torque_limit for step in run(environment, parameters, 4)]
    np.testing.assert_allclose(limits, 0.1 * 1.05 ** np.arange(4))


def test_a_fixed_limit_stays_at_the_top(environment, parameters) -> None:
    assert [step.record.torque_limit for step in run(environment, parameters, 2, rule="fixed")] == [3.0, 3.0]


def test_the_same_run_twice_is_the_same_numbers(environment, parameters) -> None:
    runs = [run(environment, parameters, 3) for _ in range(2)]
    for first, second in zip(*runs, strict=True):
        assert dataclasses.replace(first.record, wall_time_s=0.0) == dataclasses.replace(second.record, wall_time_s=0.0)
        assert same(first.update.parameters, second.update.parameters)


def test_an_arm_held_by_its_friction_is_not_driven_past_d_safe_where_standing_still_is_no_evidence(task) -> None:
    """The paper's rule sees an arm that is safe and goes on."""
    parameters, _ = load_for(task, "pr2_cup_swirl")
    arm = dataclasses.replace(PERTURBATIONS["tenth"], frictionloss=0.8)
    after = {}
    with VectorTorqueEnv(task, arm, threads=1) as environment:
        for rate, standstill in (("empirical", "measured"), ("empirical", "unsafe"), ("effective_sample", "unsafe")):
            governor = GovernorSettings(rate=rate, standstill=standstill, use_limit_change=False)
            limits = TorqueLimitGovernor(governor, torque_limit=0.48)
            steps = fine_tune(
                environment, parameters, settings=PsptSettings(), governor=governor, seed=0, episodes=2, limits=limits
            )
            after[rate, standstill] = next(steps).record.predicted_unsafety_rate, limits.torque_limit
    assert after["empirical", "measured"] == (pytest.approx(policy_change_risk(0.05)), pytest.approx(0.48 * 1.05))
    assert after["empirical", "unsafe"] == after["effective_sample", "unsafe"] == (1.0, 0.5)


# Episodes held out of the update --------------------------------------------------------------------------------------


def held_out_run(environment, parameters, held_out: int, **governor) -> FineTuneStep:
    settings, rule = PsptSettings(held_out=held_out), GovernorSettings(**governor)
    return next(fine_tune(environment, parameters, settings=settings, governor=rule, seed=3, episodes=3))


def test_held_out_episodes_are_counted_and_not_learned_from(environment, parameters, task) -> None:
    free, held = (held_out_run(environment, parameters, number) for number in (0, 1))
    np.testing.assert_array_equal(free.batch.position, held.batch.position)
    recorded = to_episodes(held.batch, iteration=0, policy_version=0, period_ns=PERIOD_NS)
    alone = improve(parameters, recorded[:2], task, PsptSettings(), integer_seed(Purpose.POLICY_UPDATE, 3, 0))
    assert same(held.update.parameters, alone.parameters) and not same(held.update.parameters, free.update.parameters)
    assert held.record.unsafety_rate == free.record.unsafety_rate and held.record.steps == free.record.steps == 600


def test_weighted_rates_are_those_of_the_held_out_episodes_under_the_updated_policy(
    environment, parameters, task
) -> None:
    """Worked out from the batch with nothing of the loop."""
    weighted = {"prediction": "weighted", "initial_torque_limit": 0.5, "torque_limit_floor": 0.5}
    done = held_out_run(environment, parameters, 2, **weighted)
    batch, updated = done.batch, GaussianPolicy(done.update.parameters)
    rates = []
    for row in (1, 2):
        after = updated.mean(batch.observation[row, :-1])
        ratios = log_likelihood_ratio(
            batch.proposed[row],
            0.5,
            PolicyShift(
                mean=batch.mean[row],
                stddev=batch.stddev[row],
                mean_after=after,
                stddev_after=np.broadcast_to(updated.stddev, after.shape),
            ),
        )
        rates.append(weighted_rates([batch.unsafety[row, 1:] > task.unsafety_limit], [ratios])[0])
    assert rates[0] != rates[1]
    measured = np.mean(batch.unsafety[:, 1:] > task.unsafety_limit)
    assert abs(np.mean(rates) - measured) > 1e-4
    record = done.record
    assert record.predicted_unsafety_rate == pytest.approx(min(1.0, np.mean(rates) + record.limit_change_risk))
    assert record.unsafety_rate == measured


@pytest.mark.parametrize(("d_safe", "steps_under_it"), [(0.5, 110), (0.2, 0)])
def test_what_a_spent_budget_lowered_has_no_weight(environment, parameters, task, d_safe, steps_under_it) -> None:
    """The first steps of the second episode judge; where there are none nothing is shown to be safe."""
    bound = BOUND | {"d_safe": d_safe, "use_limit_change": False}
    governor = GovernorSettings(prediction="weighted", **bound)
    settings = PsptSettings(held_out=2)
    done = next(fine_tune(environment, parameters, settings=settings, governor=governor, seed=3, episodes=3))
    under = (done.batch.torque_limit >= 1.0).sum(axis=1)
    assert under[1:].tolist() == [steps_under_it, 0]
    if not steps_under_it:
        assert done.record.predicted_unsafety_rate == 1.0
        return
    after, part = GaussianPolicy(done.update.parameters), slice(steps_under_it)
    mean_after = after.mean(done.batch.observation[1, part])
    shift = PolicyShift(
        mean=done.batch.mean[1, part],
        stddev=done.batch.stddev[1, part],
        mean_after=mean_after,
        stddev_after=np.broadcast_to(after.stddev, mean_after.shape),
    )
    ratios = log_likelihood_ratio(done.batch.proposed[1, part], 1.0, shift)
    rate = weighted_rates([done.batch.unsafety[1, 1:][part] > task.unsafety_limit], [ratios])[0]
    assert done.record.predicted_unsafety_rate == pytest.approx(rate) and rate < 0.95


def test_a_batch_with_nothing_to_learn_from_or_to_judge_by_is_refused(environment, parameters) -> None:
    for held_out, governor in ((3, {}), (-1, {}), (0, {"prediction": "weighted"})):
        with pytest.raises(ValueError, match=rf"held_out in \[0, 3\).* got {held_out}"):
            held_out_run(environment, parameters, held_out, **governor)
