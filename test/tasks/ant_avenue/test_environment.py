# SPDX-License-Identifier: Apache-2.0
"""The ant as Gymnasium has it: one and many, the same to the bit; scripted episodes whose numbers are known."""

from __future__ import annotations

import dataclasses
import math
import warnings

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import UnstableSimulationError
from safe_transfer_ros.tasks.ant_avenue.environment import AntEnv, AntVectorEnv
from safe_transfer_ros.tasks.ant_avenue.simulation import AntSimulation
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue

NAME = "safe_transfer_ros/AntAvenue-v0"
TASK = AntAvenue()
X, Y, Z = 1, 2, 3  # of the torso, in a row of `AntSimulation.state`
V_X = 16


def wild(steps: int, rows: int, seed: int = 0) -> np.ndarray:
    """Actions that throw ants over, each held for ten steps; some beyond their bounds."""
    actions = np.random.default_rng(seed).normal(size=(steps // 10 + 1, rows, 8)) * 2.0
    return np.repeat(actions, 10, axis=0)[:steps]


def test_gymnasium_accepts_it() -> None:
    env = gymnasium.make(NAME, disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Nothing bounds how far an ant runs.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (33,) and env.action_space.shape == (8,)
    env.close()
    many = gymnasium.make_vec(NAME, num_envs=3, threads=1)
    assert many.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    observation, reward, terminated, truncated, info = many.step(many.action_space.sample())
    assert observation.shape == (3, 33) and reward.shape == terminated.shape == truncated.shape == (3,)
    assert info["cost"].shape == info["success"].shape == info["speed"].shape == (3,) and not info["success"].any()
    many.close()


def test_rows_are_bit_for_bit_the_single_environments_episodes() -> None:
    """Whatever the other rows do, however many threads there are, and across the reset in between."""
    steps, rows = 520, 3
    actions = wild(steps, rows)
    actions[:, 1] = 0.0  # this one stands until the horizon
    many = AntVectorEnv(TASK, rows, threads=2)
    observation, info = many.reset(seed=4)
    seen, ends = [(observation, info["episode_number"])], []
    for action in actions:
        observation, reward, terminated, truncated, info = many.step(action)
        final = np.where((terminated | truncated)[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        ends.append((final, reward, terminated, truncated, info["cost"], info["speed"], info["x"]))
    many.close()
    assert sum(end[2].sum() for end in ends) > 1 and sum(end[3].sum() for end in ends) == 1
    assert {cost for end in ends for cost in end[4]} == {0.0, 1.0}

    one = AntEnv(TASK)
    for row in range(rows):
        observation, info = one.reset(seed=4, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step in range(steps):
            observation, reward, terminated, truncated, info = one.step(actions[step, row])
            final, *numbers = (part[row] for part in ends[step])
            np.testing.assert_array_equal(observation, final)
            assert [reward, terminated, truncated, info["cost"], info["speed"], info["x"]] == numbers
            if (terminated or truncated) and step + 1 < steps:
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


def test_it_is_mujocos_own_steps_seen_through_the_task() -> None:
    """States and contacts of `mj_step`, the solver started cold at each action; rewards from those states."""
    env = AntVectorEnv(TASK, 1, threads=1, autoreset=False)
    observation, _ = env.reset(seed=2)
    model = env.simulation.model
    data = mujoco.MjData(model)
    data.qpos[:] = env.simulation.state[0, 1 : 1 + model.nq]
    touched = set()
    for action in np.concatenate([np.zeros((40, 1, 8)), 0.3 * wild(160, 1, seed=3)]):
        before = data.qpos.copy()
        data.ctrl[:] = np.clip(action[0], -1.0, 1.0)
        data.qacc_warmstart[:] = 0.0
        mujoco.mj_step(model, data, 4)
        observation, reward, terminated, _, info = env.step(action)
        seen = observation[0]
        np.testing.assert_array_equal(seen[:3], 0.1 * data.qpos[:3])
        np.testing.assert_array_equal(seen[3:6], 0.3 * data.qvel[:3])
        spin = np.empty(3)
        mujoco.mju_rotVecQuat(spin, data.qvel[3:6], data.qpos[3:7])
        np.testing.assert_allclose(seen[10:13], 0.15 * spin, atol=1e-9)
        np.testing.assert_array_equal(seen[14:29:2], 0.05 * data.qvel[6:])
        np.testing.assert_array_equal(seen[29:], data.sensordata > 0.0)
        touched |= {tuple(seen[29:])}
        degrees = np.degrees(data.qpos[7:])
        share = (degrees - [0, 65, 0, 65, 0, -65, 0, -65]) / [40, 35, 40, 35, 40, 35, 40, 35]
        np.testing.assert_allclose(seen[13:29:2], 0.5 * share, atol=1e-12)
        expected = (
            60.0 * (math.hypot(1000.0 - before[0], before[1]) - math.hypot(1000.0 - data.qpos[0], data.qpos[1]))
            + (1.0 if data.qpos[2] > 0.26 else -1.0)
            - 2.0 * np.abs(data.ctrl * 0.1 * data.qvel[6:]).mean()
            - 0.1 * (data.ctrl**2).mean()
            - 0.1 * (np.abs(share) > 0.99).sum()
        )
        assert reward[0] == pytest.approx(expected, abs=1e-8)
        too_fast, outside = math.hypot(*data.qvel[:2]) > 1.5, abs(data.qpos[1]) > 2.0
        assert info["cost"][0] == float(too_fast or outside) and terminated[0] == (data.qpos[2] <= 0.26)
        if terminated[0]:
            break
    assert len(touched) > 4
    env.close()


def test_left_alone_it_stands_until_the_horizon() -> None:
    env = AntEnv(TASK)
    observation, info = env.reset(seed=0)
    assert not observation[29:].any() and info["cost"] == 0.0  # above the floor yet
    start, total = info["x"], 0.0
    for step in range(500):
        observation, reward, terminated, truncated, info = env.step(np.zeros(8))
        total += reward
        assert not terminated and truncated == (step == 499) and info["cost"] == 0.0 and not info["fallen"]
    assert observation[29:].all() and info["speed"] < 0.05 and 0.6 < 10.0 * observation[2] < 0.65
    # 1 for every step, and the way that it has crept: nothing is paid for motors, no joint is at a limit.
    assert total == pytest.approx(500.0 + 60.0 * (info["x"] - start), abs=0.01)
    env.close()


def test_pushed_sideways_it_costs_from_the_line_on() -> None:
    for side in (1.0, -1.0):
        env = AntVectorEnv(TASK, 2, threads=1, autoreset=False)
        env.reset(seed=0)
        crossed = 0
        for _ in range(200):
            # Held above the floor, at 1 m/s: below the speed limit.
            env.simulation.state[0, Z], env.simulation.state[0, V_X : V_X + 3] = 0.75, (0.0, side, 0.0)
            *_, info = env.step(np.zeros((2, 8)))
            outside = side * env.simulation.state[0, Y] > 2.0
            assert info["cost"].tolist() == [float(outside), 0.0]
            assert info["y"][0] == env.simulation.state[0, Y]
            crossed += outside
        assert 70 < crossed < 90  # 2 m take 2 s, 120 steps
        env.close()


def test_too_fast_costs_and_ends_nothing() -> None:
    env = AntVectorEnv(TASK, 3, threads=1, autoreset=False)
    env.reset(seed=0)
    env.simulation.state[:, V_X] = (1.4, 1.6, -1.6)  # still in the air: nothing slows it down
    _, reward, terminated, _, info = env.step(np.zeros((3, 8)))
    assert info["cost"].tolist() == [0.0, 1.0, 1.0] and not terminated.any()
    np.testing.assert_allclose(info["speed"], [1.4, 1.6, 1.6], atol=0.05)
    np.testing.assert_allclose(reward, [2.4, 2.6, -0.6], atol=0.05)
    assert not env.step(np.zeros((3, 8)))[2].any()
    env.close()


def test_a_fall_ends_the_episode_and_is_worth_minus_one() -> None:
    env = AntVectorEnv(TASK, 2, threads=1, autoreset=False)
    env.reset(seed=0)
    env.simulation.state[0, 4:8] = (0.0, 1.0, 0.0, 0.0)  # on its back
    env.simulation.state[0, Z] = 0.262
    for _ in range(60):
        _, reward, terminated, truncated, info = env.step(np.zeros((2, 8)))
        if terminated[0]:
            break
    assert terminated.tolist() == [True, False] and not truncated.any()
    assert info["fallen"].tolist() == [True, False] and env.simulation.state[0, Z] <= 0.26
    assert reward[0] == pytest.approx(-1.0, abs=0.3) and reward[1] == pytest.approx(1.0, abs=0.3)
    env.close()


def test_episode_is_a_function_of_seed_and_number() -> None:
    env = AntEnv(TASK)
    first, info = env.reset(seed=7)
    assert info["episode_number"] == 0
    second, info = env.reset()
    assert info["episode_number"] == 1
    start = TASK.start(generator(Purpose.INITIAL_STATE, 7, 1))
    np.testing.assert_array_equal(second[:3], 0.1 * start.position)
    np.testing.assert_allclose(second[13:29:4], 0.5 * start.joint_position[::2] / np.radians(40.0))
    np.testing.assert_array_equal(env.reset(options={"episode": 0})[0], first)
    np.testing.assert_array_equal(env.reset(seed=7)[0], first)
    assert not np.array_equal(second, first) and not np.array_equal(env.reset(seed=8)[0], first)
    env.close()


def test_an_action_beyond_its_bounds_is_taken_as_the_bound() -> None:
    beyond, at = AntEnv(TASK), AntEnv(TASK)
    for env in (beyond, at):
        env.reset(seed=0)
    found = beyond.step(np.array([3.0, -3.0] * 4))
    expected = at.step(np.array([1.0, -1.0] * 4))
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    np.testing.assert_array_equal(found[4]["applied"], [1.0, -1.0] * 4)
    beyond.close(), at.close()


def test_without_autoreset_an_ended_episode_stands_still_and_the_others_do_not_notice() -> None:
    actions = 0.3 * wild(100, 2, seed=1)
    still, going = (AntVectorEnv(TASK, 2, threads=1, autoreset=autoreset) for autoreset in (False, True))
    for env in (still, going):
        env.reset(seed=1)
        env.simulation.state[0, Z], env.simulation.state[0, 4:8] = 0.27, (0.0, 1.0, 0.0, 0.0)  # on its back
    ended = None
    for action in actions:
        observation, reward, terminated, *_ = still.step(action)
        seen, given, *_ = going.step(action)
        np.testing.assert_array_equal(seen[1], observation[1])
        assert given[1] == reward[1]
        if ended is not None:
            np.testing.assert_array_equal(observation[0], ended)
            assert reward[0] == 0.0 and terminated[0]
        elif terminated[0]:
            ended = observation[0]
    assert ended is not None
    still.close(), going.close()


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = AntVectorEnv(TASK, 1, threads=1, autoreset=False)
    env.reset(seed=0)
    observation, *_, info = env.step(np.ones((1, 8)))
    kept = {name: np.copy(values) for name, values in {**info, "observation": observation}.items()}
    env.step(-np.ones((1, 8)))
    env.reset(seed=1)
    for name, values in {**info, "observation": observation}.items():
        np.testing.assert_array_equal(values, kept[name])
    env.close()


def test_a_state_that_was_seen_does_not_change_with_the_next_step() -> None:
    simulation = AntSimulation(TASK, 1)
    simulation.place(0, TASK.start(generator(Purpose.INITIAL_STATE, 0, 0)))
    for _ in range(60):
        simulation.step(np.zeros((1, 8)))
    state = simulation.states()
    assert state.contact.any(), "it stands"
    kept = {field.name: getattr(state, field.name).copy() for field in dataclasses.fields(state)}
    simulation.place(0, TASK.start(generator(Purpose.INITIAL_STATE, 0, 1)))
    simulation.step(np.ones((1, 8)))
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(state, name), values)
    simulation.close()


@pytest.mark.parametrize(
    ("at", "value"), [(X, math.nan), (X, 1e12), (V_X, 1e4), (V_X, 1e12), (V_X, math.nan), (Z, -1e3)]
)
def test_a_diverged_simulation_is_refused(at: int, value: float) -> None:
    simulation = AntSimulation(TASK, 2)
    for row in range(2):
        simulation.place(row, TASK.start(generator(Purpose.INITIAL_STATE, 0, row)))
    simulation.state[1, at] = value
    with pytest.raises(UnstableSimulationError, match="diverged"):
        simulation.step(np.zeros((2, 8)))
    simulation.close()


def test_motors_at_their_strongest_keep_the_simulation_stable() -> None:
    env = AntVectorEnv(TASK, 8, threads=1)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    fastest = 0.0
    for step in range(400):
        if step % 6 == 0:
            actions = np.sign(rng.normal(size=(8, 8)))
        env.step(actions)
        fastest = max(fastest, float(np.abs(env.simulation.state[:, V_X:]).max()))
    assert 5.0 < fastest < 100.0
    env.close()


@pytest.mark.parametrize("action", [np.full(8, np.nan), np.array([np.inf, *[0.0] * 7]), np.zeros(7), np.zeros((1, 8))])
def test_senseless_action_is_refused_and_changes_nothing(action: np.ndarray) -> None:
    env, untouched = AntEnv(TASK), AntEnv(TASK)
    env.reset(seed=0), untouched.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    np.testing.assert_array_equal(env.step(np.ones(8))[0], untouched.step(np.ones(8))[0])
    env.close(), untouched.close()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        AntVectorEnv(TASK, 0)
    with pytest.raises(ValueError, match="at least 1, got 1 and 0"):
        AntVectorEnv(TASK, 1, threads=0)
    with pytest.raises(ValueError, match="render_mode must be one of .'rgb_array'., got 'human'"):
        AntEnv(TASK, render_mode="human")
    env = AntVectorEnv(TASK, 2, threads=1)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((2, 8)))
    env.close()
