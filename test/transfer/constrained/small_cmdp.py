# SPDX-License-Identifier: Apache-2.0
"""A constrained decision process so small that its best policy is a linear programme.

A walk of four stages; at each a > 0 is the bold step, which pays more and may fail, a <= 0 the careful one. Any mixture
of the two is a Gaussian's mean, so a Gaussian policy can be every stationary policy. A failure ends the walk, or costs
add up over it.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from safe_transfer_ros.tasks.rollouts import Rollouts

CAREFUL = np.array([0.2, 0.6, 0.3, 0.5])
BOLD = np.array([1.0, 1.0, 1.0, 1.0])
FAILS = np.array([0.05, 0.25, 0.15, 0.30])  # of the bold step
STAGES = len(FAILS)


def optimum(chi: float | None) -> tuple[float, float]:
    """Return and failures of the best policy with at most chi failures per episode, over occupancy measures x[t, a]."""
    rewards = np.stack([CAREFUL, BOLD], axis=1).ravel()
    failures = np.stack([np.zeros(STAGES), FAILS], axis=1).ravel()
    flow, start = np.zeros((STAGES, 2 * STAGES)), np.zeros(STAGES)
    start[0] = 1.0
    for stage in range(STAGES):
        flow[stage, 2 * stage : 2 * stage + 2] = 1.0
        if stage:
            flow[stage, 2 * stage - 2] -= 1.0
            flow[stage, 2 * stage - 1] -= 1.0 - FAILS[stage - 1]
    limit = {} if chi is None else {"A_ub": failures[None], "b_ub": [chi]}
    found = linprog(-rewards, A_eq=flow, b_eq=start, bounds=(0.0, None), **limit)
    return -found.fun, float(failures @ found.x)


def exact(bold: np.ndarray) -> tuple[float, float]:
    """Return and failures per episode of the policy that takes the bold step with these probabilities."""
    alive, total, failed = 1.0, 0.0, 0.0
    for stage in range(STAGES):
        total += alive * (bold[stage] * BOLD[stage] + (1.0 - bold[stage]) * CAREFUL[stage])
        failed += alive * bold[stage] * FAILS[stage]
        alive *= 1.0 - bold[stage] * FAILS[stage]
    return total, failed


def optimum_of_sums(chi: float) -> float:
    """Return of the best policy whose costs add up to at most chi, over the probabilities of the bold step."""
    found = linprog(CAREFUL - BOLD, A_ub=FAILS[None], b_ub=[chi], bounds=(0.0, 1.0))
    return float(CAREFUL.sum() - found.fun)


class SmallCmdp:
    observation_size = STAGES + 1
    gamma = 0.99

    def __init__(self, *, costs_add_up: bool = False) -> None:
        self.cost_steps = STAGES if costs_add_up else 1
        self.action_bound = np.array([2.0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def labelled(self, rollouts: Rollouts) -> Rollouts:
        return rollouts

    def rollout(self, policy, *, episodes, seed, first_episode=0, gate=None) -> Rollouts:
        rng = np.random.default_rng([seed, 0, first_episode])
        observations = np.broadcast_to(np.eye(STAGES + 1), (episodes, STAGES + 1, STAGES + 1)).copy()
        actions, rewards, costs = (np.zeros((episodes, STAGES, *end)) for end in ((1,), (), ()))
        gated, ended = np.zeros((2, episodes, STAGES), dtype=bool)
        lengths, alive = np.full(episodes, STAGES), np.ones(episodes, dtype=bool)
        for stage in range(STAGES):
            mean, stddev = policy.distribution(observations[:, stage])
            stddev = np.broadcast_to(stddev, mean.shape)
            taken = mean + stddev * rng.standard_normal(mean.shape)
            if gate is not None:
                unbounded = np.full(episodes, np.inf)
                taken, reasons = gate.judge_batch(observations[:, stage], mean, stddev, taken, unbounded)
                gated[:, stage] = alive & (reasons != 0)
            bold = taken[:, 0] > 0.0
            failed = alive & bold & (rng.random(episodes) < FAILS[stage])
            actions[:, stage] = taken
            rewards[:, stage] = alive * np.where(bold, BOLD[stage], CAREFUL[stage])
            costs[:, stage] = failed
            if self.cost_steps == 1:
                lengths[failed] = stage + 1
                alive &= ~failed
        ended[np.arange(episodes), lengths - 1] = True
        return Rollouts(
            observation=observations,
            chosen=actions,
            reward=rewards,
            terminated=ended,
            lengths=lengths,
            applied=np.clip(actions, -self.action_bound, self.action_bound),
            cost=costs,
            succeeded=np.full(episodes, np.nan),
            gated=gated,
        )
