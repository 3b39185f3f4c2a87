# SPDX-License-Identifier: Apache-2.0
"""The quadruped as Gymnasium has it: one and many, the same to the bit; it stands, trots and falls."""

from __future__ import annotations

import dataclasses
import math
import warnings

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.tasks.quadruped.environment import QuadrupedEnv, QuadrupedVectorEnv
from safe_transfer_ros.tasks.quadruped.scripted import STAND, Trot
from safe_transfer_ros.tasks.quadruped.simulation import QuadrupedSimulation
from safe_transfer_ros.tasks.quadruped.task import HOME, Build, QuadrupedFriction, QuadrupedSpeed, QuadrupedStand


@pytest.mark.parametrize("name", ["Stand", "Walk", "Speed", "Friction"])
def test_gymnasium_accepts_it(name: str) -> None:
    env = gymnasium.make(f"safe_transfer_ros/Quadruped{name}-v0", disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (57,) and env.action_space.shape == (12,)
    env.close()
    many = gymnasium.make_vec(f"safe_transfer_ros/Quadruped{name}-v0", num_envs=2, threads=1, randomised=True)
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    many.close()


@pytest.mark.parametrize("randomised", [False, True])
def test_rows_are_bit_for_bit_the_single_environments_episodes(randomised: bool) -> None:
    """Whatever the other rows do, across falls and with a build of each episode's own."""
    task, steps = QuadrupedFriction(randomised=randomised), 80
    rng = np.random.default_rng(0)
    actions = np.stack([Trot().action(0.02 * np.arange(steps)), rng.normal(size=(steps, 12))], axis=1)
    many = QuadrupedVectorEnv(task, 2, threads=2)
    observation, info = many.reset(seed=4)
    seen, ends = [(observation, info["episode_number"])], []
    for action in actions:
        observation, reward, terminated, truncated, info = many.step(action)
        final = np.where((terminated | truncated)[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        ends.append((final, reward, terminated, info["cost"], info["x"], info["up"]))
    many.close()
    assert sum(end[2].sum() for end in ends) > 0
    one = QuadrupedEnv(task)
    for row in range(2):
        observation, _ = one.reset(seed=4, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step in range(steps):
            observation, reward, terminated, _, info = one.step(actions[step, row])
            final, *numbers = (part[row] for part in ends[step])
            np.testing.assert_array_equal(observation, final)
            assert [reward, terminated, info["cost"], info["x"], info["up"]] == numbers
            if terminated and step + 1 < steps:
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


def test_a_row_that_goes_on_alone_keeps_its_build() -> None:
    """The physics is given the models of the rows that move, not of the first ones."""
    task = QuadrupedSpeed(randomised=True)
    both, alone = QuadrupedSimulation(task, 2), QuadrupedSimulation(task, 1)
    light, heavy = Build(trunk_mass=0.8), Build(trunk_mass=1.2)
    both.place(0, HOME, light), both.place(1, HOME, heavy), alone.place(0, HOME, heavy)
    for _ in range(10):
        both.step(np.zeros((2, 12)), np.array([False, True]))
        alone.step(np.zeros((1, 12)))
    np.testing.assert_array_equal(both.state[1], alone.state[0])
    both.close(), alone.close()


def test_a_latency_holds_actions_back_by_physics_steps() -> None:
    simulation = QuadrupedSimulation(QuadrupedSpeed(randomised=True), 3)
    for row, latency in enumerate((0.0, 0.008, 0.04)):
        simulation.place(row, HOME, Build(latency_s=latency))
    for value, expected in ((0.2, ([2] * 5, [0, 0, 2, 2, 2], [0] * 5)), (0.4, ([4] * 5, [2, 2, 4, 4, 4], [0] * 5))):
        simulation.step(np.full((3, 12), value))
        found = (simulation.control[:, :, 1] - HOME[1]) / 0.05
        np.testing.assert_allclose(found, expected, atol=1e-9)
    simulation.step(np.zeros((3, 12)))
    np.testing.assert_allclose((simulation.control[2, :, 1] - HOME[1]) / 0.05, 2.0)
    simulation.close()


def test_it_stands_at_the_height_and_for_the_reward_of_the_reference() -> None:
    env = QuadrupedVectorEnv(QuadrupedStand(), 4, threads=1, autoreset=False)
    env.reset(seed=0)
    for _ in range(100):
        _, reward, terminated, truncated, info = env.step(np.broadcast_to(STAND, (4, 12)))
    assert not terminated.any() and not truncated.any() and not info["success"].any()
    assert (reward > 0.9).all() and (np.abs(info["height"] - 0.27) < 0.02).all() and (info["up"] > 0.99).all()
    env.close()


def test_a_trot_moves_it_at_the_speed_it_is_made_for() -> None:
    env = QuadrupedVectorEnv(QuadrupedSpeed(target_speed=0.3), 2, threads=1, autoreset=False)
    env.reset(seed=0)
    rewards = []
    for step in range(150):
        _, reward, terminated, _, info = env.step(Trot().action(np.full(2, 0.02 * step)))
        rewards.append(reward)
    assert not terminated.any()
    np.testing.assert_allclose(info["x"] / 3.0, 0.3, atol=0.06)
    assert np.mean(rewards[50:]) > 0.15
    env.close()


def test_wild_actions_throw_it_over_and_end_the_episode() -> None:
    env = QuadrupedVectorEnv(QuadrupedSpeed(), 8, threads=1, autoreset=False)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(100):
        *_, terminated, _, info = env.step(np.sign(rng.normal(size=(8, 12))))
        np.testing.assert_array_equal(terminated, info["cost"] > 0.0)
        np.testing.assert_array_equal(terminated, (info["up"] < math.cos(0.3)) | (info["height"] < 0.15))
    assert terminated.mean() > 0.5
    kept = env.simulation.state[terminated].copy()
    _, reward, *_ = env.step(np.zeros((8, 12)))
    np.testing.assert_array_equal(env.simulation.state[terminated], kept)
    assert not reward[terminated].any()
    env.close()


def test_state_is_mujocos_own() -> None:
    env = QuadrupedVectorEnv(QuadrupedSpeed(), 1, threads=1, autoreset=False)
    env.reset(seed=2)
    model = env.simulation.model
    data = mujoco.MjData(model)
    data.qpos[:] = env.simulation.state[0, 1 : 1 + model.nq]
    for action in 0.5 * np.random.default_rng(0).normal(size=(8, 1, 12)):
        data.ctrl[:] = HOME + 0.5 * np.clip(action[0], -1.0, 1.0)
        data.qacc_warmstart[:] = 0.0
        mujoco.mj_step(model, data, 5)
        observation, *_ = env.step(action)
    turned = np.empty(9)
    mujoco.mju_quat2Mat(turned, data.qpos[3:7])
    seen, rotation = observation[0], turned.reshape(3, 3)
    np.testing.assert_allclose(seen[:3], rotation[2], atol=1e-9)
    np.testing.assert_allclose(seen[3:6], 0.25 * data.qvel[3:6], atol=1e-9)
    np.testing.assert_allclose(seen[6:9], rotation.T @ data.qvel[:3], atol=1e-9)
    np.testing.assert_allclose(seen[9:21], (data.qpos[7:] - HOME) / 0.5, atol=1e-9)
    np.testing.assert_allclose(seen[21:33], 0.05 * data.qvel[6:], atol=1e-9)
    np.testing.assert_array_equal(seen[33:45], np.clip(action[0], -1.0, 1.0))
    env.close()


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = QuadrupedVectorEnv(QuadrupedSpeed(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    observation, *_, info = env.step(np.ones((1, 12)))
    state = env.simulation.states()
    held = {**info, "observation": observation}
    held |= {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    kept = {name: np.copy(values) for name, values in held.items()}
    env.step(-np.ones((1, 12)))
    env.reset(seed=1)
    for name, values in held.items():
        np.testing.assert_array_equal(values, kept[name])
    with pytest.raises(ValueError, match="render_mode must be one of"):
        QuadrupedEnv(QuadrupedSpeed(), render_mode="human")
    env.close()
