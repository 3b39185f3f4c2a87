# SPDX-License-Identifier: Apache-2.0
"""What the ant can do: a trot that keeps within the speed limit, and one that does not and is worth more."""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.tasks.ant_avenue.environment import AntVectorEnv
from safe_transfer_ros.tasks.ant_avenue.scripted import TOO_FAST, WITHIN_LIMIT, Trot
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue

STEPS, ROWS = 240, 4


def run(trot: Trot) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns, costs, ways along x and whether each ant is up, of the first 4 s."""
    env = AntVectorEnv(AntAvenue(), ROWS, threads=1, autoreset=False)
    env.reset(seed=0)
    total, cost = np.zeros((2, ROWS))
    for step in range(STEPS):
        action = trot.action(env.simulation.states(), np.full(ROWS, step / 60.0))
        assert action.shape == (ROWS, 8) and np.abs(action).max() <= 1.0
        _, reward, terminated, _, info = env.step(action)
        total, cost = total + reward, cost + info["cost"]
    env.close()
    return total, cost, info["x"], ~terminated


def test_too_fast_is_worth_more_and_costs() -> None:
    total, cost, way, up = run(WITHIN_LIMIT)
    assert up.all() and (way > 0.6 * STEPS / 60.0).all() and cost.mean() < 0.05 * STEPS
    fast_total, fast_cost, fast_way, _ = run(TOO_FAST)
    assert fast_way.mean() > 1.3 * way.mean() and fast_total.mean() > 1.1 * total.mean()
    assert fast_cost.mean() > 0.5 * STEPS


def test_a_trot_is_a_function_of_state_and_time() -> None:
    env = AntVectorEnv(AntAvenue(), ROWS, threads=1, autoreset=False)
    env.reset(seed=0)
    state = env.simulation.states()
    together = WITHIN_LIMIT.action(state, np.full(ROWS, 0.3))
    alone = WITHIN_LIMIT.action(
        dataclasses.replace(state, joint_position=state.joint_position[1], joint_velocity=state.joint_velocity[1]), 0.3
    )
    np.testing.assert_array_equal(together[1], alone)
    stride = 1.0 / WITHIN_LIMIT.frequency_hz
    np.testing.assert_allclose(WITHIN_LIMIT.action(state, 0.3 + stride), together, atol=1e-9)
    assert np.abs(WITHIN_LIMIT.action(state, 0.3 + 0.5 * stride) - together).max() > 0.1
    env.close()
