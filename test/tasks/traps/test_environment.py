# SPDX-License-Identifier: Apache-2.0
"""Point and car as Gymnasium has them: one and many, the same to the bit; goals reached and lives lost by rule."""

from __future__ import annotations

import dataclasses
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.tasks.traps.environment import TrapsEnv, TrapsVectorEnv
from safe_transfer_ros.tasks.traps.scripted import INTO_TRAP, ROUND_TRAPS, STRAIGHT, Driver
from safe_transfer_ros.tasks.traps.task import CarTraps, PointTraps, Traps

BOTH = pytest.mark.parametrize("kind", [PointTraps, CarTraps])


def steered(env: TrapsVectorEnv, driver: Driver) -> np.ndarray:
    return driver.action(env.task, env.simulation.states(), env.surroundings)


@pytest.mark.parametrize(("name", "size"), [("PointTraps", 45), ("CarTraps", 57)])
def test_gymnasium_accepts_it(name: str, size: int) -> None:
    env = gymnasium.make(f"safe_transfer_ros/{name}-v0", disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (size,) and env.action_space.shape == (2,)
    env.close()
    many = gymnasium.make_vec(f"safe_transfer_ros/{name}-v0", num_envs=3, threads=1)
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    observation, *_, info = many.step(many.action_space.sample())
    assert observation.shape == (3, size)
    assert info["cost"].shape == info["success"].shape == info["health"].shape == (3,)
    many.close()


@BOTH
def test_rows_are_bit_for_bit_the_single_environments_episodes(kind: type[Traps]) -> None:
    """Whatever the other rows do, across deaths, resets and goals drawn anew."""
    task, steps = kind(), 220
    task.greatest_health = 4  # type: ignore[misc]  # lives that are short
    many = TrapsVectorEnv(task, 2, threads=2)
    observation, info = many.reset(seed=3)
    seen, taken = [(observation, info["episode_number"])], []
    for _ in range(steps):
        action = np.where([[True], [False]], steered(many, INTO_TRAP), steered(many, STRAIGHT))
        taken.append(action)
        observation, reward, terminated, truncated, info = many.step(action)
        final = np.where((terminated | truncated)[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        taken[-1] = (action, final, reward, terminated, info["cost"], info["health"], info["goals"])
    many.close()
    assert sum(step[3].sum() for step in taken) > 0 and max(step[6].max() for step in taken) > 0
    one = TrapsEnv(task)
    for row in range(2):
        observation, _ = one.reset(seed=3, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step, (action, *parts) in enumerate(taken):
            observation, reward, terminated, truncated, info = one.step(action[row])
            final, *numbers = (part[row] for part in parts)
            np.testing.assert_array_equal(observation, final)
            assert [reward, terminated, info["cost"], info["health"], info["goals"]] == numbers
            if terminated and step + 1 < steps:
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


@BOTH
def test_a_trap_takes_a_point_a_step_and_the_last_is_the_failure(kind: type[Traps]) -> None:
    env = TrapsEnv(kind())
    observation, info = env.reset(seed=0)
    assert info["health"] == 25.0 and observation[-1] == 1.0 and info["cost"] == 0.0
    rows, before, terminated = env._bodies, 25.0, False
    for _ in range(500):
        observation, reward, terminated, truncated, info = env.step(steered(rows, INTO_TRAP)[0])
        assert info["health"] == before - info["in_trap"] and observation[-1] == info["health"] / 25.0
        assert terminated == (info["cost"] > 0.0) == (info["health"] == 0.0) and not truncated
        before = info["health"]
        if terminated:
            break
    assert terminated
    with pytest.raises(RuntimeError, match="no episode is running"):
        env.step(np.zeros(2))
    env.close()


@BOTH
def test_a_goal_is_worth_one_is_the_success_and_another_follows(kind: type[Traps]) -> None:
    env = TrapsVectorEnv(kind(), 4, threads=1, autoreset=False)
    env.reset(seed=0)
    reached, info = np.zeros(4), {"health": np.full(4, 25.0)}
    for _ in range(250):
        goal = env.surroundings.goal.copy()
        way = env.task.distance_to_goal(env.simulation.states(), env.surroundings)
        alive = info["health"] > 0.0
        _, reward, _, _, info = env.step(steered(env, ROUND_TRAPS))
        new = alive & (info["distance"] <= 0.3)
        reached += new
        np.testing.assert_allclose(reward[alive], (way - info["distance"] + new)[alive], atol=1e-12)
        np.testing.assert_array_equal(info["goals"], reached)
        np.testing.assert_array_equal(info["success"], reached > 0)
        np.testing.assert_array_equal((env.surroundings.goal != goal).any(axis=1), new)
    assert reached.sum() >= 2
    env.close()


def test_the_horizon_truncates_and_an_ended_row_stands_still() -> None:
    task = PointTraps()
    task.horizon = 5  # type: ignore[misc]
    task.greatest_health = 2  # type: ignore[misc]
    env = TrapsVectorEnv(task, 2, threads=1, autoreset=False)
    env.reset(seed=0)
    env.surroundings.traps[0, 0] = env.simulation.states().position[0]
    for step in range(8):
        observation, reward, terminated, truncated, info = env.step(np.full((2, 2), 0.01))
        assert terminated.tolist() == [step >= 1, False] and truncated.tolist() == [False, step >= 4]
        if step == 1:
            ended, health = observation[0], info["health"][0]
        elif step > 1:
            np.testing.assert_array_equal(observation[0], ended)
            assert info["health"][0] == health == 0.0 and reward[0] == 0.0
    env.close()


@BOTH
def test_episode_is_a_function_of_seed_and_number(kind: type[Traps]) -> None:
    env = TrapsEnv(kind())
    first, info = env.reset(seed=7)
    second, info = env.reset()
    assert info["episode_number"] == 1
    layout = env.task.start(generator(Purpose.INITIAL_STATE, 7, 1))
    np.testing.assert_array_equal(env._bodies.surroundings.traps[0], layout.traps)
    np.testing.assert_array_equal(env._bodies.simulation.states().position[0], layout.position)
    heading = np.arctan2(*env._bodies.simulation.states().rotation[0, 1::-1, 0])
    assert heading == pytest.approx(layout.heading)
    np.testing.assert_array_equal(env.reset(options={"episode": 0})[0], first)
    assert not np.array_equal(second, first) and not np.array_equal(env.reset(seed=8)[0], first)
    env.close()


@BOTH
def test_what_is_felt_is_in_the_bodys_frame(kind: type[Traps]) -> None:
    """Speed ahead, turning, and an acceleration that adds up to the speed, whatever the heading."""
    env = TrapsVectorEnv(kind(), 1, threads=1, autoreset=False)
    observation, _ = env.reset(seed=1)
    np.testing.assert_allclose(observation[0, :9], [0, 0, 1, 0, 0, 0, 0, 0, 0], atol=1e-9)
    ahead = np.array([[0.3, 0.0 if kind is PointTraps else 0.3]])
    speed, before = 0.0, env.simulation.states()
    for _ in range(25):
        seen = env.step(ahead)[0][0]
        speed += 9.81 * seen[0] * env.task.control_period_s
    state = env.simulation.states()
    way = (state.position - before.position)[0] @ before.rotation[0, :2, :2]
    assert way[0] > 0.05 and abs(way[1]) < 0.02
    assert seen[3] == pytest.approx(speed, abs=0.02) and speed > 0.1
    np.testing.assert_allclose(seen[9:12], state.rotation[0, 1], atol=1e-12)
    turn = np.array([[0.0, 0.3]]) if kind is PointTraps else np.array([[-0.3, 0.3]])
    for _ in range(10):
        seen = env.step(turn)[0][0]
    assert seen[8] > 0.3
    env.close()


def test_an_action_beyond_its_bounds_is_taken_as_the_bound() -> None:
    beyond, at = TrapsEnv(CarTraps()), TrapsEnv(CarTraps())
    beyond.reset(seed=0), at.reset(seed=0)
    found, expected = beyond.step(np.array([3.0, -3.0])), at.step(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[4]["applied"], [1.0, -1.0])
    beyond.close(), at.close()


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = TrapsVectorEnv(CarTraps(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    observation, *_, info = env.step(np.ones((1, 2)))
    state = env.simulation.states()
    held = {**info, "observation": observation}
    held |= {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    kept = {name: np.copy(values) for name, values in held.items()}
    env.surroundings.traps[0, 0] = state.position[0]
    env.step(-np.ones((1, 2)))
    env.reset(seed=1)
    for name, values in held.items():
        np.testing.assert_array_equal(values, kept[name])
    env.close()


@BOTH
def test_the_shortest_way_costs_lives_that_the_way_round_saves(kind: type[Traps]) -> None:
    health, goals = {}, {}
    for driver in (ROUND_TRAPS, STRAIGHT):
        env = TrapsVectorEnv(kind(), 8, threads=1, autoreset=False)
        env.reset(seed=0)
        for _ in range(250):
            *_, info = env.step(steered(env, driver))
        health[driver], goals[driver] = info["health"].mean(), info["goals"].mean()
        env.close()
    assert health[ROUND_TRAPS] > max(20.0, health[STRAIGHT] + 3.0) and min(goals.values()) > 0.5


def test_every_name_makes_its_own_body() -> None:
    assert TASKS["point_traps"] is PointTraps and TASKS["car_traps"] is CarTraps
    with pytest.raises(ValueError, match="render_mode must be one of"):
        TrapsEnv(PointTraps(), render_mode="human")
