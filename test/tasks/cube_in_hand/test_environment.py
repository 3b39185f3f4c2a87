# SPDX-License-Identifier: Apache-2.0
"""The cube in the hand as Gymnasium has it: one and many, the same to the bit; held, dropped, and always physical."""

from __future__ import annotations

import dataclasses
import warnings

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.tasks.cube_in_hand.environment import CubeInHandEnv, CubeInHandVectorEnv
from safe_transfer_ros.tasks.cube_in_hand.hand import START
from safe_transfer_ros.tasks.cube_in_hand.scene import CUBE, CUBE_START
from safe_transfer_ros.tasks.cube_in_hand.scripted import HOLD, SPREAD, TILT, TIP
from safe_transfer_ros.tasks.cube_in_hand.task import CubeInHand, CubeInHandQuarter, euler_angles


def stepped(action: np.ndarray, rows: int = 1) -> CubeInHandVectorEnv:
    """Episodes that stand still where they end, one step taken."""
    env = CubeInHandVectorEnv(CubeInHand(), rows, threads=1, autoreset=False)
    env.reset(seed=0)
    env.step(np.broadcast_to(action, (rows, 24)))
    return env


@pytest.mark.parametrize("name", ["CubeInHand", "CubeInHandQuarter"])
def test_gymnasium_accepts_it(name: str) -> None:
    env = gymnasium.make(f"safe_transfer_ros/{name}-v0", disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (207,) and env.action_space.shape == (24,)
    env.close()
    many = gymnasium.make_vec(f"safe_transfer_ros/{name}-v0", num_envs=2, threads=1, turn=1.0)
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    np.testing.assert_allclose(np.abs(observation[:, 36:39]).max(axis=1), 1.0)
    many.close()


def test_the_pose_of_the_start_holds_the_cube_for_a_whole_episode() -> None:
    """Its goal is another every 35 steps, and the reward is that of the goal a step was made for."""
    env = CubeInHandVectorEnv(CubeInHand(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    goals = [env.goal[0]]
    for step in range(1, 101):
        observation, reward, terminated, truncated, info = env.step(HOLD[None])
        state = env.simulation.states()
        assert not terminated[0] and truncated[0] == (step == 100) and info["cost"][0] == 0.0
        off = (euler_angles(state.orientation)[0] - goals[-1] + np.pi) % (2.0 * np.pi) - np.pi
        assert info["error"][0] == pytest.approx(np.linalg.norm(off))
        assert reward[0] == pytest.approx(-7.0 * info["error"][0])
        goals.append(env.goal[0])
        np.testing.assert_array_equal(observation[0, 36:39], goals[-1])
    changed = [step for step in range(1, 100) if (goals[step] != goals[step - 1]).any()]
    assert changed == [35, 70]
    assert -0.02 < info["height"][0] < 0.0 and np.abs(state.velocity).max() < 1e-3
    assert np.abs(euler_angles(state.orientation)).max() < 0.1
    env.close()


def test_a_wrist_bent_back_tips_it_onto_the_fingers_nearly_a_quarter_down() -> None:
    task = CubeInHandQuarter()
    env = CubeInHandVectorEnv(task, 1, threads=1, autoreset=False)
    env.reset(seed=0)
    down = np.array([-task.turn, 0.0, 0.0])
    before = task.error(env.simulation.states(), down)[0]
    for _ in range(10):
        *_, terminated, _, info = env.step(TIP[None])
    assert before == pytest.approx(0.5 * np.pi)
    assert task.error(env.simulation.states(), down)[0] < 0.45 and not terminated[0] and info["cost"][0] == 0.0
    env.close()


@pytest.mark.parametrize("action", [TILT, SPREAD], ids=["tilt", "spread"])
def test_a_tilted_hand_and_spread_fingers_drop_it(action: np.ndarray) -> None:
    env = stepped(action)
    for _ in range(20):
        observation, reward, terminated, truncated, info = env.step(action[None])
        assert terminated[0] == (info["height"][0] < -0.1) == (info["cost"][0] > 0.0) and not truncated[0]
        if terminated[0]:
            break
        assert reward[0] > -7.0 * np.sqrt(3.0) * np.pi
    assert terminated[0] and info["episode_number"][0] == 0
    assert reward[0] == pytest.approx(-500.0 - 7.0 * info["error"][0])
    kept = env.simulation.state.copy()
    seen, reward, *_, info = env.step(HOLD[None])
    np.testing.assert_array_equal(env.simulation.state, kept)
    np.testing.assert_array_equal(seen, observation)
    assert reward[0] == 0.0 and info["cost"][0] == 1.0
    env.close()


def test_rows_are_bit_for_bit_the_single_environments_episodes() -> None:
    """Whatever the other rows do, across drops and new goals."""
    task, steps = CubeInHand(), 40
    rng = np.random.default_rng(0)
    actions = np.stack([0.1 * rng.normal(size=(steps, 24)), rng.normal(size=(steps, 24))], axis=1)
    many = CubeInHandVectorEnv(task, 2, threads=2)
    observation, info = many.reset(seed=4)
    seen, ends = [(observation, info["episode_number"])], []
    for action in actions:
        observation, reward, terminated, truncated, info = many.step(action)
        final = np.where((terminated | truncated)[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        ends.append((final, reward, terminated, info["cost"], info["error"], info["height"]))
    many.close()
    assert sum(end[2][1] for end in ends) > 1
    one = CubeInHandEnv(task)
    for row in range(2):
        observation, _ = one.reset(seed=4, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step in range(steps):
            observation, reward, terminated, _, info = one.step(actions[step, row])
            final, *numbers = (part[row] for part in ends[step])
            np.testing.assert_array_equal(observation, final)
            assert [reward, terminated, info["cost"], info["error"], info["height"]] == numbers
            if terminated and step + 1 < steps:
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


def test_state_is_mujocos_own() -> None:
    env = stepped(TILT)
    model = env.simulation.model
    data = mujoco.MjData(model)
    data.qpos[:7], data.qpos[7:] = (*CUBE_START, 1.0, 0.0, 0.0, 0.0), START
    actions = [TILT, SPREAD, HOLD + 2.0, TILT, HOLD]
    for action in actions:
        data.ctrl[:] = CubeInHand().targets(np.clip(action, -1.0, 1.0))
        data.qacc_warmstart[:] = 0.0
        mujoco.mj_step(model, data, 40)
    for action in actions[1:]:
        observation, *_ = env.step(action[None])
    seen, motion = observation[0], np.empty(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, model.body(CUBE).id, motion, 0)
    np.testing.assert_array_equal(seen[:24], data.qpos[7:])
    np.testing.assert_allclose(seen[24:27], 10.0 * (data.qpos[:3] - CUBE_START))
    np.testing.assert_allclose(seen[27:30], euler_angles(data.qpos[3:7]))
    np.testing.assert_allclose(seen[30:33], data.qvel[:3])
    assert np.linalg.norm(data.qvel[3:6]) > 0.5
    np.testing.assert_allclose(seen[33:36], 0.1 * _turning(data), atol=1e-9)
    newest_first = [np.clip(action, -1.0, 1.0) for action in actions[::-1]] + [HOLD, HOLD]
    np.testing.assert_array_equal(seen[39:], np.concatenate(newest_first))
    env.close()


def _turning(data: mujoco.MjData) -> np.ndarray:
    """Angular velocity of the cube in the world's frame, from the rotation's own matrix."""
    turned = np.empty(9)
    mujoco.mju_quat2Mat(turned, data.qpos[3:7])
    return turned.reshape(3, 3) @ data.qvel[3:6]


def test_random_actions_drop_it_and_the_physics_stays_physical() -> None:
    """Nothing is deep inside anything, and the cube is no faster than fingers throw it."""
    env = CubeInHandVectorEnv(CubeInHand(), 8, threads=1, autoreset=False)
    env.reset(seed=0)
    model, rng = env.simulation.model, np.random.default_rng(0)
    data, deepest, fastest = mujoco.MjData(model), 0.0, 0.0
    terminated = np.zeros(8, dtype=np.bool_)
    for _ in range(30):
        *_, terminated, _, info = env.step(rng.uniform(-1.0, 1.0, (8, 24)))
        np.testing.assert_array_equal(terminated, info["height"] < -0.1)
        for row in range(8):
            env.simulation.show(row, model, data)
            deepest = min(deepest, data.contact.dist.min(initial=0.0))
            fastest = max(fastest, np.abs(data.qvel[:3]).max())
    assert terminated.mean() > 0.3
    assert deepest > -0.006 and fastest < 3.5
    env.close()


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = CubeInHandVectorEnv(CubeInHand(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    observation, *_, info = env.step(np.ones((1, 24)))
    state = env.simulation.states()
    held = {**info, "observation": observation, "goal": env.goal}
    held |= {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    kept = {name: np.copy(values) for name, values in held.items()}
    env.step(-np.ones((1, 24)))
    env.reset(seed=1)
    for name, values in held.items():
        np.testing.assert_array_equal(values, kept[name])
    with pytest.raises(ValueError, match="render_mode must be one of"):
        CubeInHandEnv(CubeInHand(), render_mode="human")
    env.close()
