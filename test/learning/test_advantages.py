# SPDX-License-Identifier: Apache-2.0
"""Advantages of an episode's costs against small processes whose failures are worked out exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from small_cmdp import FAILS, STAGES, SmallCmdp, exact

from safe_transfer_ros.algorithms.cpo import Case, cpo_update
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.learning.advantages import (
    AdvantageSettings,
    cost_advantages_of_episodes,
    estimate,
    standardised,
    step_batch,
)
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.weights import Architecture
from safe_transfer_ros.tasks.rollouts import Rollouts


class Shifted:
    """Bold with a probability of its own at each stage; the mean is shifted by some of a standard deviation."""

    def __init__(self, shift: float = 0.0) -> None:
        self.mean = norm.ppf([0.7, 0.4, 0.6, 0.5]) + shift

    def distribution(self, observation):
        return (observation[:, :STAGES] @ self.mean)[:, None], np.ones(1)


def test_the_sum_of_the_advantages_foretells_the_change_of_the_failures_per_episode() -> None:
    """To first order J_C(pi') - J_C(pi) = E_pi[sum_t (pi' / pi - 1) A_C]; a discounted A_C foretells another."""
    rolled = SmallCmdp().rollout(Shifted(), episodes=30_000, seed=1)
    stage = rolled.observation[:, :-1][rolled.valid][:, :STAGES]
    noise = rolled.chosen[rolled.valid][:, 0] - stage @ Shifted().mean
    slope = noise  # d log pi / d shift
    step = 1e-4
    true = (exact(norm.cdf(Shifted(step).mean))[1] - exact(norm.cdf(Shifted(-step).mean))[1]) / (2.0 * step)
    per_episode = float(rolled.lengths.mean())
    foretold = float(np.mean(slope * cost_advantages_of_episodes(rolled, 1.0))) * per_episode
    assert foretold == pytest.approx(true, rel=0.05)
    discounted = estimate(rolled, rolled.cost, AdvantageSettings(gamma=0.0, lam=1.0)).values
    assert float(np.mean(slope * (discounted - discounted.mean()))) * per_episode > 1.1 * foretold, (
        "what comes later is forgotten: a failure now spares one later"
    )
    # Each bold step's advantage over the careful one: it fails now, and spares what would have failed later.
    bold = rolled.chosen[rolled.valid][:, 0] > 0.0
    advantages = cost_advantages_of_episodes(rolled, 1.0)
    ahead = 0.0
    for at in reversed(range(STAGES)):
        here = stage[:, at] > 0.5
        found = advantages[here & bold].mean() - advantages[here & ~bold].mean()
        assert found == pytest.approx(FAILS[at] * (1.0 - ahead), abs=0.03)
        risk = norm.cdf(Shifted().mean[at]) * FAILS[at]
        ahead = risk + (1.0 - risk) * ahead


LATE = 60


def late_failures(parameters, episodes: int) -> Rollouts:
    """The first action decides: bold, it fails half of the time at the 60th step; the rest is waiting."""
    rng = np.random.default_rng(5)
    observation = np.zeros((episodes, LATE + 1, 2))
    observation[:, 0, 0] = 1.0
    mean, stddev = GaussianPolicy(parameters).distribution(observation[:, :-1].reshape(-1, 2))
    chosen = (mean + stddev * rng.standard_normal(mean.shape)).reshape(episodes, LATE, 1)
    bold = chosen[:, 0, 0] > 0.0
    observation[:, 1:, 1] = bold[:, None]
    cost, reward = np.zeros((2, episodes, LATE))
    cost[:, -1], reward[:, 0] = bold & (rng.random(episodes) < 0.5), bold
    terminated = np.zeros((episodes, LATE), dtype=bool)
    terminated[:, -1] = cost[:, -1] > 0.0
    return Rollouts(
        observation=observation,
        chosen=chosen,
        applied=chosen,
        reward=reward,
        cost=cost,
        terminated=terminated,
        lengths=np.full(episodes, LATE),
        succeeded=np.full(episodes, np.nan),
        gated=np.zeros((episodes, LATE), dtype=bool),
    )


def test_a_limit_on_failures_far_ahead_is_within_reach_of_a_step_that_sees_them() -> None:
    """With J_C undiscounted and A_C discounted CPO took the limit for out of reach, and cared for nothing else."""
    architecture = Architecture(observation_size=2, hidden=(8,), action_size=1)
    parameters = initial_parameters(architecture, 0, log_std=-0.5)
    rolled = late_failures(parameters, 2000)
    excess = 0.03 / LATE  # three failures in a hundred episodes
    rewards = standardised(estimate(rolled, rolled.reward, AdvantageSettings(gamma=0.99, lam=0.97)).values)
    discounted = estimate(rolled, rolled.cost, AdvantageSettings(gamma=0.95, lam=0.97)).values
    settings = TrustRegionSettings(max_kl=1e-3, fisher_fraction=1.0)
    cases, updates = {}, {}
    for name, costs in (("one", cost_advantages_of_episodes(rolled, 0.97)), ("two", discounted - discounted.mean())):
        updates[name] = cpo_update(
            parameters, step_batch(rolled, rewards), costs.astype(np.float32), excess, settings, seed=0
        )
        cases[name] = updates[name].case
    assert cases == {"one": Case.RETURN, "two": Case.INFEASIBLE}
    # It took off what was too much: failures are half of the bold first steps.
    first = np.array([[1.0, 0.0]])

    def failures(of) -> float:
        mean, stddev = GaussianPolicy(of).distribution(first)
        return 0.5 * float(norm.cdf(mean[0, 0] / stddev.ravel()[0]))

    fewer = failures(parameters) - failures(updates["one"].parameters)
    assert 0.015 < fewer < 0.045
    assert failures(parameters) - failures(updates["two"].parameters) > 1.3 * fewer, "a recovery goes as far as it can"


def test_the_time_limit_ends_what_is_bounded_per_episode() -> None:
    """Waiting for the end costs nothing: no value is assumed beyond it."""
    architecture = Architecture(observation_size=2, hidden=(8,), action_size=1)
    rolled = late_failures(initial_parameters(architecture, 0), 200)
    advantages = cost_advantages_of_episodes(rolled, 1.0)
    assert advantages.mean() == pytest.approx(0.0, abs=1e-12) and np.isfinite(advantages).all()
    first = advantages.reshape(200, LATE)[:, 0]
    bold = rolled.chosen[:, 0, 0] > 0.0
    assert first[bold].mean() - first[~bold].mean() == pytest.approx(0.5, abs=0.12)
