# SPDX-License-Identifier: Apache-2.0
"""Every learner against the linear programme of a small CMDP, and the loop that they share."""

from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest
from small_cmdp import STAGES, SmallCmdp, exact, optimum, optimum_of_sums

from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.transfer.constrained.learner import Learner
from safe_transfer_ros.transfer.constrained.method import CONSTRAINED, Method
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.graph_learners import LEARNERS
from safe_transfer_ros.transfer.methods import METHODS, method
from safe_transfer_ros.transfer.training import EpochRecord

CHI = 0.2
SETTINGS = LearnerSettings(
    chi=CHI,
    cost_gamma=0.9,
    multiplier_rate=1.0,
    region=TrustRegionSettings(max_kl=0.01, backtrack_steps=20, fisher_fraction=1.0),
    floor_ratio=0.05,
    max_samples=20,
    critic_hidden=(16,),
    critic_rate=3e-3,
    critic_updates=60,
    critic_batch=128,
    hidden=(16,),
)


def learned(
    name: str, epochs: int, *, episodes: int = 300, seed: int = 0, costs_add_up: bool = False, **changes
) -> tuple[Learner, list[EpochRecord]]:
    settings = dataclasses.replace(SETTINGS, **changes)
    where = SmallCmdp(costs_add_up=costs_add_up)
    learner = Learner(where, CONSTRAINED[name], settings, episodes=episodes, seed=seed)
    return learner, list(islice(learner.epochs(), epochs))


def test_the_linear_programme_is_the_best_of_all_policies_on_a_grid() -> None:
    grid = [exact(np.array(np.unravel_index(i, (6,) * STAGES)) / 5.0) for i in range(6**STAGES)]
    best = max(total for total, failed in grid if failed <= CHI)
    total, failed = optimum(CHI)
    assert total >= best > total - 0.06 and failed == pytest.approx(CHI)
    assert optimum(None)[0] == pytest.approx(max(total for total, _ in grid))
    assert optimum(0.0) == (pytest.approx(1.6), pytest.approx(0.0))


# Return and failures per episode, both within a tolerance of the linear programme's.
@pytest.mark.parametrize(
    ("name", "chi", "epochs", "return_within", "failures_within"),
    [
        ("trpo", None, 50, 0.02, 0.02),
        ("trpo-lagrangian", CHI, 70, 0.08, 0.04),
        ("ppo-lagrangian", CHI, 40, 0.05, 0.03),
        ("cpo", CHI, 50, 0.05, 0.03),
    ],
)
def test_the_learners_without_a_critic_find_the_optimum(name, chi, epochs, return_within, failures_within) -> None:
    learner, _ = learned(name, epochs)
    # Worked out exactly, not counted.
    total, failed = exact(bold_probabilities(learner))
    best, allowed = optimum(chi)
    assert total == pytest.approx(best, abs=return_within)
    assert failed == pytest.approx(allowed, abs=failures_within)


@pytest.mark.parametrize("name", ["trpo-lagrangian", "cpo"])
def test_where_costs_add_up_their_sum_is_kept_to_the_limit(name: str) -> None:
    limit = 0.35  # of .75: the first step and the third, and the last half of the time
    _, records = learned(name, 70, costs_add_up=True, chi=limit, multiplier_rate=4.0)
    late = records[20:]  # of fifty epochs: the multiplier swings about its value
    assert np.mean([record.failures_per_episode for record in late]) == pytest.approx(limit, abs=0.04)
    assert optimum_of_sums(limit) == pytest.approx(3.35)
    assert np.mean([record.mean_return for record in late]) == pytest.approx(3.35, abs=0.12)
    assert records[-1].steps == 70 * 300 * STAGES, "a cost ends no episode"


def test_where_costs_add_up_they_are_counted_and_held_against_the_limit_per_step() -> None:
    learner = Learner(SmallCmdp(costs_add_up=True), CONSTRAINED["trpo-lagrangian"], SETTINGS, episodes=200, seed=0)
    rollouts = SmallCmdp(costs_add_up=True).rollout(GaussianPolicy(learner.parameters), episodes=200, seed=0)
    (record,) = islice(learner.epochs(), 1)
    summed = rollouts.cost.sum(axis=1)
    assert summed.max() > 1.0, "an episode with two costs"
    assert record.failures_per_episode == summed.mean() and record.cumulative_failures == summed.sum()
    # lambda starts at 0 and eta is 1: how far a step's costs are over a step's share of the limit. What the new policy
    # is foretold to add is within its trust region.
    assert learner.multiplier == pytest.approx((summed.mean() - CHI) / STAGES, abs=0.02)
    assert (summed.mean() - CHI) / STAGES > 0.03


def test_where_costs_add_up_the_threshold_and_the_bias_are_those_of_the_next_cost() -> None:
    learner, records = learned("csc", 3, episodes=50, costs_add_up=True, floor_ratio=1e-3 * STAGES / 0.9, chi=0.9)
    for before, after in zip(records, records[1:], strict=False):
        expected = max(1e-3, (1.0 - 0.9) * (0.9 - before.failures_per_episode) / STAGES)
        assert after.epsilon == pytest.approx(expected)
    assert len({record.epsilon for record in records[1:]}) == 2
    rollouts = SmallCmdp(costs_add_up=True).rollout(GaussianPolicy(learner.parameters), episodes=100, seed=5)
    followed = []
    for costs in rollouts.cost:
        (unsafe,) = np.nonzero(costs)
        followed.append(0.9 ** unsafe[0] if len(unsafe) else 0.0)
    assert (rollouts.cost.sum(axis=1) > 1.0).any()
    foretold = learner.critic.risk(rollouts.observation[:, 0], rollouts.applied[:, 0]).mean()
    assert learner._bias(rollouts) == pytest.approx(foretold - np.mean(followed))


@pytest.mark.timeout(600)  # four runs, each 1.5 s of an idle core
@pytest.mark.parametrize(("name", "critic_rate"), [("csc", 3e-3), ("q-ensemble", 6e-3)])
def test_the_learners_with_a_critic_keep_the_constraint_and_earn_more_than_caution(name, critic_rate) -> None:
    """Rejection makes them more careful than the constraint asks; less than the unconstrained policy in any case."""
    judgements = []
    for seed in range(4):  # one tells little: of eight, CSC's returns lay between 1.6 and 2.4
        few = {"critic_updates": 30, "critic_rate": critic_rate}  # updates are what takes time
        learner, records = learned(name, 25, episodes=150, seed=seed, **few)
        assert records[0].gated == 0.0, "a critic that has learned nothing rejects nothing"
        assert np.mean([record.gated for record in records[1:]]) > 0.3
        judgements.append(learner.evaluate(1500))
        assert judgements[-1].failures_per_episode <= CHI + 0.06
        assert optimum(0.0)[0] < judgements[-1].mean_return <= optimum(CHI + 0.06)[0]
    assert np.mean([judged.failures_per_episode for judged in judgements]) <= CHI
    assert np.mean([judged.mean_return for judged in judgements]) > optimum(0.0)[0] + 0.3


def bold_probabilities(learner: Learner) -> np.ndarray:
    from scipy.stats import norm

    mean, stddev = GaussianPolicy(learner.parameters).distribution(np.eye(STAGES + 1)[:STAGES])
    return norm.cdf(mean[:, 0] / stddev[0])


# The loop ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONSTRAINED)
def test_equal_seeds_give_equal_runs_and_other_seeds_others(name) -> None:
    def numbers(seed: int) -> list[tuple]:
        settings = dataclasses.replace(SETTINGS, critic_updates=5)
        learner = Learner(SmallCmdp(), CONSTRAINED[name], settings, episodes=20, seed=seed)
        return [repr(dataclasses.replace(r, wall_time_s=0.0)) for r in islice(learner.epochs(), 3)]

    assert numbers(4) == numbers(4) != numbers(5)


def test_everything_is_counted() -> None:
    _, records = learned("trpo", 4, episodes=50)
    assert [record.episodes for record in records] == [50, 100, 150, 200]
    failures = np.array([record.failures_per_episode for record in records]) * 50
    np.testing.assert_allclose(np.cumsum(failures), [record.cumulative_failures for record in records])
    steps = np.diff([0, *(record.steps for record in records)])
    assert (steps <= 50 * STAGES).all() and (steps < 50 * STAGES).any(), "a failure ends its episode"


def test_the_multiplier_grows_while_too_much_fails_and_is_zero_where_nothing_does() -> None:
    _, strict = learned("trpo-lagrangian", 6, chi=0.01)
    multipliers = [record.multiplier for record in strict]
    assert multipliers[0] > 0.0 and multipliers == sorted(multipliers)
    _, lax = learned("trpo-lagrangian", 6, chi=1.0)
    assert [record.multiplier for record in lax] == [0.0] * 6


def test_the_threshold_follows_the_failures_of_the_epoch_before() -> None:
    _, records = learned("csc", 6, episodes=50, floor_ratio=1e-3 / 0.4, chi=0.4)
    assert np.isnan(records[0].epsilon)
    for before, after in zip(records, records[1:], strict=False):
        expected = max(1e-3, (1.0 - 0.9) * (0.4 - before.failures_per_episode))
        assert after.epsilon == pytest.approx(expected)
    assert len({record.epsilon for record in records[1:]}) > 2


def test_what_is_accepted_moves_the_threshold() -> None:
    """A floor that does not depend on chi would make all of these one run."""
    usual = LearnerSettings()
    assert [usual.threshold(0.5, chi) for chi in (0.02, 0.05, 0.2)] == [
        pytest.approx(2.0 * c) for c in (0.02, 0.05, 0.2)
    ]
    assert usual.threshold(0.0, 5.0) == 0.999, "who accepts everything refuses nothing"
    # With a factor of its own it follows the failures of the epoch before, from the floor to its most.
    moving = LearnerSettings(threshold_scale=2.0, floor_ratio=0.2)
    found = [moving.threshold(failed, 0.05) for failed in (0.3, 0.05, 0.03, 0.0)]
    assert found == [pytest.approx(wanted) for wanted in (0.01, 0.01, 0.04, 0.1)]
    epsilons = {}
    for chi in (0.05, 0.2):
        _, records = learned("csc", 3, episodes=20, chi=chi, floor_ratio=0.5, critic_updates=2)
        epsilons[chi] = {round(record.epsilon, 6) for record in records[1:]}
    assert epsilons == {0.05: {0.025}, 0.2: {0.1}}


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"critic_capacity": 90}, lambda critic: len(critic.buffer) == 90),
        ({"critic_members": 3}, lambda critic: critic.parameters()["layer.0.bias"].shape[0] == 3),
        ({"calibrated": True}, lambda critic: critic.scaling.offset != 0.0),
    ],
)
def test_a_critic_of_recent_data_of_several_twins_or_calibrated(changes, differs) -> None:
    usual, _ = learned("csc", 3, episodes=20, critic_updates=5)
    learner, records = learned("csc", 3, episodes=20, critic_updates=5, **changes)
    assert differs(learner.critic) and not differs(usual.critic)
    assert np.isfinite([record.cost_bias for record in records[1:]]).all()


def test_labelled_tuples_let_the_critic_speak_from_the_first_epoch() -> None:
    _, records = learned("csc", 1, seed_tuples=400, episodes=200, floor_ratio=0.05 / CHI)
    assert records[0].gated > 0.0 and records[0].epsilon == pytest.approx(0.05)
    assert records[0].episodes == 200, "those of the tuples are not the run's"


def test_names_and_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="unknown method 'csk'.*csc"):
        method("csk")
    for wrong in (
        {"chi": 0.0},
        {"cost_gamma": 1.0},
        {"multiplier_rate": 0.0},
        {"floor_ratio": 0.0},
        {"threshold_scale": 0.0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LearnerSettings(**wrong)


def test_a_function_is_a_method_s_update_and_its_steps_are_those_of_ours() -> None:
    def reward(learner: Learner, rollouts: Rollouts, epoch: int) -> float:
        return learner.step(rollouts, learner.advantages(rollouts, rollouts.reward), epoch)

    ours = Learner(SmallCmdp(), CONSTRAINED["trpo"], SETTINGS, episodes=40, seed=3)
    theirs = Learner(SmallCmdp(), Method(label="Theirs", update=reward), SETTINGS, episodes=40, seed=3)
    for one, other in islice(zip(ours.epochs(), theirs.epochs(), strict=True), 3):
        assert (one.mean_return, one.steps, one.kl) == (other.mean_return, other.steps, other.kl)
        assert one.kl > 0.0
    for name, values in ours.parameters.items():
        np.testing.assert_array_equal(values, theirs.parameters[name])


def test_an_update_that_leaves_the_critic_of_its_method_untaught_is_refused() -> None:
    def neglects(learner: Learner, rollouts: Rollouts, epoch: int) -> float:
        return 0.0

    def teaches(learner: Learner, rollouts: Rollouts, epoch: int) -> float:
        learner.cost_advantages(rollouts, epoch)
        return 0.0

    learner = Learner(SmallCmdp(), Method(label="Neglects", update=neglects, members=1), SETTINGS, episodes=20, seed=0)
    with pytest.raises(ValueError, match="'Neglects' has members=1 .* must call learner.cost_advantages"):
        next(learner.epochs())
    learner = Learner(SmallCmdp(), Method(label="Teaches", update=teaches, members=1), SETTINGS, episodes=20, seed=0)
    first, second = islice(learner.epochs(), 2)
    assert np.isnan(first.epsilon) and second.epsilon > 0.0


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(ValueError, match="update must be one of reward, lagrangian, cpo, or .* got 'laplace'"):
        Method(label="Typo", update="laplace")
    with pytest.raises(ValueError, match="a method must be a Method, or have begin.plan. .* got 'reward'"):
        METHODS.add("word", "reward")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a learner must be a GraphLearner, got 'module:name'"):
        LEARNERS.add("word", "module:name")  # type: ignore[arg-type]
