# SPDX-License-Identifier: Apache-2.0
"""The drunk spider: its map, its rewards by hand, scripted ways that arrive and fall, one row and many."""

from __future__ import annotations

import math
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.tasks.drunk_spider.environment import SpiderVectorEnv, single
from safe_transfer_ros.tasks.drunk_spider.map import START, in_lava, outside
from safe_transfer_ros.tasks.drunk_spider.scripted import around, into_lava, over_the_bridge
from safe_transfer_ros.tasks.drunk_spider.task import DrunkSpider

TASK = DrunkSpider()
DIAGONAL = math.sqrt(113.0)


def walk(rule, **settings) -> dict[str, np.ndarray]:
    """Whole episodes of a rule: what they came to, and the sum of rewards."""
    env = SpiderVectorEnv(TASK, 200, autoreset=False, **settings)
    env.reset(seed=1)
    total, length, over = np.zeros(200), np.zeros(200), np.zeros(200, dtype=bool)
    for _ in range(TASK.horizon):
        _, reward, terminated, truncated, info = env.step(rule(env.position))
        total += reward
        length += ~over
        over |= terminated | truncated
    assert over.all()
    return {**info, "total": total, "length": length}


def test_gymnasium_accepts_it() -> None:
    env = gymnasium.make("safe_transfer_ros/DrunkSpider-v0", disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    many = gymnasium.make_vec("safe_transfer_ros/DrunkSpider-v0", num_envs=3)
    observation, info = many.reset(seed=0)
    np.testing.assert_allclose(observation, np.tile(2.0 * START / [8.0, 7.0] - 1.0, (3, 1)))
    assert info["cost"].shape == (3,) and not info["success"].any()


def test_the_map_has_two_pits_beside_a_bridge_one_wide_and_four_long() -> None:
    cells = np.stack(np.meshgrid(np.arange(8) + 0.5, np.arange(7) + 0.5, indexing="ij"), axis=-1)
    expected = np.zeros((8, 7), dtype=bool)
    expected[2:6, 2] = expected[2:6, 4] = True
    np.testing.assert_array_equal(in_lava(cells), expected)
    assert in_lava(np.array([2.0, 2.0])) and not in_lava(np.array([6.0, 2.5])) and not in_lava(np.array([3.0, 3.0]))
    assert not outside(np.array([[0.0, 0.0], [8.0, 7.0]])).any()
    assert outside(np.array([[-1e-9, 1.0], [1.0, 7.0 + 1e-9]])).all()


def test_over_the_bridge_takes_six_steps_without_noise_and_its_reward_is_known() -> None:
    found = walk(over_the_bridge, noise=0.0)
    assert found["success"].all() and not found["cost"].any() and (found["length"] == 6).all()
    distances = sum(range(1, 7)) / DIAGONAL  # 6, 5, ... 1 cells from the goal
    np.testing.assert_allclose(found["total"], 30.0 + (30 - 6) - distances)


def test_around_arrives_later_and_never_falls_whatever_the_noise() -> None:
    bridge, long_way = walk(over_the_bridge), walk(around, noise=0.4)
    assert bridge["success"].all() and long_way["success"].all()
    assert long_way["length"].min() > bridge["length"].max()


def test_lava_ends_the_episode_as_a_failure_where_it_begins() -> None:
    found = walk(into_lava, noise=0.0)
    assert found["cost"].all() and not found["success"].any() and not found["off_map"].any()
    assert in_lava(found["position"]).all()
    n = found["length"][0]
    # Distances on the way, the fall's own term and no other.
    env = single(TASK, noise=0.0)
    env.reset(seed=0)
    total, steps, terminated, place = 0.0, 0, False, START
    while not terminated:
        _, reward, terminated, _, info = env.step(into_lava(place[None])[0])
        place = info["position"]
        total -= np.linalg.norm(place - [7.5, 3.5]) / DIAGONAL
        steps += 1
    assert steps == n and info["cost"] == 1.0
    assert found["total"][0] == pytest.approx(total - (30 - n + 1))


def test_off_the_map_costs_one_more() -> None:
    env = single(TASK, noise=0.0)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(np.array([-1.0, 0.0]))
    assert terminated and not truncated and info["cost"] == 1.0 and info["off_map"]
    assert info["position"][0] == pytest.approx(-0.1)  # the sub-step that left
    assert reward == pytest.approx(-7.6 / DIAGONAL - 30.0 - 1.0)


def test_sub_steps_go_along_the_rows_first() -> None:
    """From beside a corner of a pit the row's half sub-step enters it though the whole one would not."""
    env = SpiderVectorEnv(TASK, 1, noise=0.0, autoreset=False)
    env.reset(seed=0)
    env.position = np.array([[1.95, 2.95]])
    *_, info = env.step(np.array([[1.0, 1.0]]))
    assert info["cost"][0] == 1.0 and info["position"][0] == pytest.approx([2.05, 2.95])
    env.reset(seed=0)
    env.position = np.array([[1.85, 2.95]])  # across the corner of column 3 before row 2 is entered
    *_, info = env.step(np.array([[1.0, 0.6]]))
    assert info["cost"][0] == 0.0


def test_standing_still_ends_at_the_time_limit_with_its_own_term() -> None:
    found = walk(lambda position: np.zeros_like(position), noise=0.0)
    assert (found["length"] == 30).all() and not found["cost"].any() and not found["success"].any()
    np.testing.assert_allclose(found["total"], -30.0 * 7.0 / DIAGONAL - 30.0)


@pytest.mark.parametrize(("form", "spread"), [("uniform", 0.2 / math.sqrt(12.0)), ("gaussian", 0.2)])
def test_noise_has_the_width_it_says(form: str, spread: float) -> None:
    env = SpiderVectorEnv(TASK, 4000, noise=0.2, noise_form=form, autoreset=False)
    env.reset(seed=3)
    *_, info = env.step(np.zeros((4000, 2)))
    moved = info["position"] - START
    assert moved.std() == pytest.approx(spread, rel=0.05) and abs(moved.mean()) < 0.01
    assert (np.abs(moved).max() <= 0.1) == (form == "uniform")


def test_with_the_noise_none_is_longer_than_the_scale() -> None:
    env = SpiderVectorEnv(TASK, 100, noise=1.0, action_scale=0.5, autoreset=False)
    env.reset(seed=0)
    *_, info = env.step(np.tile([1.0, 0.0], (100, 1)))
    assert (info["position"] - START)[:, 0].max() == pytest.approx(0.5)


def test_rows_are_the_single_environments_episodes() -> None:
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 3, 2))
    many = SpiderVectorEnv(TASK, 3, noise=0.2, noise_form="gaussian")
    one = single(TASK, noise=0.2, noise_form="gaussian")
    seen = [many.reset(seed=4)[1]["episode_number"]]
    steps = []
    for action in actions:
        observation, reward, terminated, truncated, info = many.step(action)
        over = terminated | truncated
        final = np.where(over[:, None], info.get("final_obs", observation), observation)
        steps.append((info["episode_number"], final, reward, terminated, truncated, info["cost"]))
    for row in range(3):
        number = int(seen[0][row])
        one.reset(seed=4, options={"episode": number})
        for step, action in enumerate(actions[:, row]):
            if int(steps[step][0][row]) != number:
                number = int(steps[step][0][row])
                one.reset(options={"episode": number})
            observation, reward, terminated, truncated, info = one.step(action)
            np.testing.assert_array_equal(observation, steps[step][1][row])
            found = [reward, terminated, truncated, info["cost"]]
            assert found == [part[row] for part in steps[step][2:]]


def test_observation_and_position_are_inverse() -> None:
    places = np.random.default_rng(1).uniform(0.0, 7.0, (5, 2))
    np.testing.assert_allclose(TASK.position(TASK.observe(places)), places)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_form": "normal"}, "noise_form must be one of uniform, gaussian, got 'normal'"),
        ({"noise": -0.1}, "noise >= 0 and action_scale > 0, got -0.1"),
        ({"noise": float("nan")}, "expected a finite noise"),
        ({"action_scale": 0.0}, "action_scale > 0, got 0.1 and 0.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpiderVectorEnv(TASK, 1, **settings)
