# SPDX-License-Identifier: Apache-2.0
"""Observation, image, reward and cost of the hallway against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.algorithms.cost_critic import discounted_limit
from safe_transfer_ros.tasks.hallway.body import Motion, PointBody
from safe_transfer_ros.tasks.hallway.task import HallwayPointPoles, HallwayPointWalls, parts

TASK = HallwayPointWalls()


def motion(x: float = 0.0, heading: float = 0.0, velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Motion:
    return PointBody().motion(np.array([x, 0.3, heading]), np.array(velocity))


def test_image_is_depth_of_five_metres_in_steps_of_a_byte() -> None:
    depths = np.array([0.0, 1.0, 2.5, 4.999, 5.0, 70.0, -1.0, np.inf, np.nan])
    image = TASK.image(depths)
    np.testing.assert_allclose(image, [0.0, 51 / 255, 128 / 255, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], atol=1e-12)
    every = TASK.image(np.linspace(0.0, 5.0, 2000))
    assert np.abs(every - np.linspace(0.0, 1.0, 2000)).max() <= 0.5 / 255 + 1e-12
    kept = np.rint(every * 255).astype(np.uint8)
    np.testing.assert_array_equal(kept / 255.0, every)  # eight bits lose nothing


def test_observation_is_in_the_stated_order_and_comes_apart() -> None:
    """Turned left by 90 degrees and moving along the hallway: to its own right."""
    image = np.arange(2500) / 2500.0
    moving = motion(heading=math.pi / 2.0, velocity=(0.5, 0.0, 0.7))
    seen = TASK.observe(image, moving, np.array([9.81, 0.0, 0.0]), (np.array(0.25), np.array(1.0)))
    assert seen.shape == (TASK.observation_size,) == (2514,)
    np.testing.assert_array_equal(seen[:2500], image)
    expected = [0.0, -1.0, 1.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.7, 0.0, -1.0, 0.0, 0.25, 1.0]
    np.testing.assert_allclose(seen[2500:], expected, atol=1e-12)
    apart = parts(np.stack([seen, seen]))
    assert apart.image.shape == (2, 50, 50) and apart.proprioception.shape == (2, 12)
    assert apart.image[1, 1, 2] == image[52] and np.shares_memory(parts(seen).image, seen)
    assert apart.last_reward.tolist() == [0.25, 0.25] and apart.last_cost.tolist() == [1.0, 1.0]


def test_reward_is_the_speed_along_the_hallway() -> None:
    assert TASK.reward(motion(1.0), motion(1.02)) == pytest.approx(1.0)
    assert TASK.reward(motion(1.0), motion(0.99)) == pytest.approx(-0.5)


def test_the_limit_is_a_hundredth_of_a_cost_per_step() -> None:
    assert TASK.cost_limit == 0.01 * TASK.horizon
    assert discounted_limit(0.01, TASK.gamma, TASK.horizon) == pytest.approx(1.0, abs=1e-4)


def test_starts_are_near_the_middle_and_look_along_the_hallway() -> None:
    starts = [HallwayPointPoles().start(np.random.default_rng(seed)) for seed in range(200)]
    y, heading = np.array([(start.position[1], start.heading) for start in starts]).T
    assert all(start.position[0] == 0.0 for start in starts)
    assert 0.28 < np.abs(y).max() <= 0.3 and 0.18 < np.abs(heading).max() <= 0.2
    assert abs(np.corrcoef(y, heading)[0, 1]) < 0.2
