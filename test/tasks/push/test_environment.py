# SPDX-License-Identifier: Apache-2.0
"""The pushing environments: Gymnasium's interface, episodes that do not know of each other, determinism."""

from __future__ import annotations

import dataclasses
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import safe_transfer_ros.environments  # noqa: F401  # registers the ids
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.tasks.push.environment import PushEnv, PushVectorEnv
from safe_transfer_ros.tasks.push.simulation import PushSimulation
from safe_transfer_ros.tasks.push.tasks import PushBoundary, PushObstacle, PushObstacleMovable, PushTopple


def _actions(steps: int, rows: int, size: int, seed: int = 0) -> np.ndarray:
    """Forward on the whole, so that blocks are met."""
    rng = np.random.default_rng(seed)
    actions = rng.normal(size=(steps, rows, size))
    actions[..., 0] += 1.0
    return np.repeat(actions[::5], 5, axis=0)[:steps]


@pytest.mark.parametrize("name", ["Topple", "Boundary", "Obstacle", "ObstacleMovable"])
def test_gymnasium_accepts_it(name: str) -> None:
    name = f"safe_transfer_ros/PandaPush{name}-v0"
    env = gymnasium.make(name, disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A pushed block has no position worth calling a bound.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    env.close()
    many = gymnasium.make_vec(name, num_envs=3, threads=1)
    assert many.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    observation, reward, terminated, truncated, _ = many.step(many.action_space.sample())
    assert observation.shape == (3, 21) and reward.shape == terminated.shape == truncated.shape == (3,)
    many.close()


@pytest.mark.parametrize(
    "task", [PushTopple(), PushObstacle(), PushObstacleMovable()], ids=["topple", "obstacle", "movable"]
)
def test_rows_are_bit_for_bit_the_single_environments_episodes(task: PushTopple) -> None:
    """Whatever the other rows do, however many threads there are, and across the reset in between."""
    steps, rows = 90, 3
    actions = _actions(steps, rows, task.action_size)
    many = PushVectorEnv(task, rows, threads=2)
    observation, info = many.reset(seed=4)
    seen, ends = [(observation, info["episode_number"])], []
    for action in actions:
        observation, reward, terminated, truncated, info = many.step(action)
        final = np.where((terminated | truncated)[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        ends.append((final, reward, terminated, truncated, info["failure"], info["distance"]))
    many.close()
    assert any(end[2].any() or end[3].any() for end in ends), "no episode ended: nothing was tested"

    one = PushEnv(task)
    for row in range(rows):
        observation, info = one.reset(seed=4, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step in range(steps):
            observation, reward, terminated, truncated, info = one.step(actions[step, row])
            final, rewards, terminations, truncations, failures, distances = (part[row] for part in ends[step])
            np.testing.assert_array_equal(observation, final)
            assert (reward, terminated, truncated) == (rewards, terminations, truncations)
            assert (info["failure"], info["distance"]) == (failures, distances)
            if terminated or truncated:
                following = int(seen[step + 1][1][row]) if step + 1 < steps else None
                # The info of the step names the episode that ended; the next one's comes with its first step.
                assert following == info["episode_number"]
                if step + 1 == steps:
                    break
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


def test_without_autoreset_an_ended_episode_stands_still_and_the_others_do_not_notice() -> None:
    task, steps = PushTopple(), 70
    actions = _actions(steps, 3, 3)
    actions[:, 1] = 0.0
    env = PushVectorEnv(task, 3, threads=1, autoreset=False)
    env.reset(seed=1)  # the first block is toppled
    rows = [env.step(action) for action in actions]
    ended = np.array([terminated for _, _, terminated, _, _ in rows])
    first = ended[:, 0].argmax()
    assert 0 < first < steps - 1 and ended[first:, 0].all() and not ended[:, 1].any()
    for observation, reward, *_ in rows[first + 1 :]:
        np.testing.assert_array_equal(observation[0], rows[first][0][0])
        assert reward[0] == 0.0
    alone = PushVectorEnv(task, 3, threads=1, autoreset=True)
    alone.reset(seed=1)
    for action, (observation, reward, *_) in zip(actions, rows, strict=True):
        seen, given, *_ = alone.step(action)
        np.testing.assert_array_equal(seen[1], observation[1])
        assert given[1] == reward[1]
    env.close(), alone.close()


def test_what_was_seen_of_a_scene_does_not_change_with_the_next_episode() -> None:
    task = PushObstacle()
    simulation = PushSimulation(task, 1)
    simulation.place(
        0, dataclasses.replace(task.start(generator(Purpose.INITIAL_STATE, 0, 0)), obstacle=np.array([-0.17, 0.0]))
    )
    simulation.step(np.zeros((1, 3)))
    scene = simulation.scenes()
    assert scene.touched.all(), "the ball stands in the obstacle"
    kept = {field.name: getattr(scene, field.name).copy() for field in dataclasses.fields(scene)}
    simulation.place(0, task.start(generator(Purpose.INITIAL_STATE, 0, 1)))
    simulation.step(np.ones((1, 3)))
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(scene, name), values)
    simulation.close()


def test_episode_is_a_function_of_seed_and_number() -> None:
    task = PushBoundary()
    env = PushEnv(task)
    _, info = env.reset(seed=7)
    first = env.reset(seed=7)[0]
    assert info["episode_number"] == 0
    second, info = env.reset()
    assert info["episode_number"] == 1
    start = task.start(generator(Purpose.INITIAL_STATE, 7, 1))
    np.testing.assert_allclose(second[[6, 7, 19, 20]], [*(10 * start.block), *(10 * start.goal)], atol=1e-12)
    np.testing.assert_array_equal(env.reset(options={"episode": 0})[0], first)
    assert not np.array_equal(env.reset(seed=8)[0], first)
    env.close()


def test_horizon_truncates_and_nothing_goes_on_after_it() -> None:
    env = PushEnv(PushObstacle())
    env.reset(seed=0)
    ends = [env.step(np.zeros(3))[2:4] for _ in range(50)]
    assert ends == [(False, False)] * 49 + [(False, True)]
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(3))
    env.close()


def test_gymnasiums_own_wrapper_counts_the_return_of_an_episode() -> None:
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(PushVectorEnv(PushObstacle(), 2, threads=1))
    env.reset(seed=0)
    for _ in range(50):
        *_, info = env.step(np.zeros((2, 3)))
    np.testing.assert_array_equal(info["episode"]["r"], -50.0)
    np.testing.assert_array_equal(info["episode"]["l"], 50)
    env.close()


@pytest.mark.parametrize("action", [np.full(3, np.nan), np.array([np.inf, 0, 0]), np.zeros(2), np.zeros((1, 3))])
def test_senseless_action_is_refused_and_changes_nothing(action: np.ndarray) -> None:
    env, untouched = PushEnv(PushTopple()), PushEnv(PushTopple())
    env.reset(seed=0), untouched.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    np.testing.assert_array_equal(env.step(np.ones(3))[0], untouched.step(np.ones(3))[0])
    env.close(), untouched.close()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="torque_limit"):
        PushVectorEnv(PushTopple(), torque_limit=-1.0)
    with pytest.raises(ValueError, match="at least 1"):
        PushVectorEnv(PushTopple(), 0)
    env = PushVectorEnv(PushTopple(), 2, threads=1)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"episodes": 1})
    with pytest.raises(ValueError, match="one seed"):
        env.reset(seed=[1, 2])
    env.close()
    with pytest.raises(ValueError, match="render_mode"):
        PushEnv(PushTopple(), render_mode="human")


def test_torque_limit_and_robot_are_felt() -> None:
    """A limit that the arm cannot move under holds the ball back; a light arm is not the nominal one."""
    task = PushTopple()

    def ball_after(**settings: object) -> float:
        simulation = PushSimulation(task, 1, **settings)  # type: ignore[arg-type]
        simulation.place(0, task.start(generator(Purpose.INITIAL_STATE, 0, 0)))
        for _ in range(10):
            simulation.step(np.array([[-1.0, 0.0, 0.0]]))
        simulation.close()
        return float(simulation.scenes().tool[0, 0])

    free = ball_after()
    assert ball_after(torque_limit=0.2) > free + 0.01
    assert ball_after(perturbed=PERTURBATIONS["light_sticky"]) != free
