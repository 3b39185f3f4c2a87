# SPDX-License-Identifier: Apache-2.0
"""The Gymnasium environment: its interface, its envelope and its determinism."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401  # registers the ids
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import PERTURBATIONS, ArmSimulation, build_model
from safe_transfer_ros.safety.filter.envelope import EnvelopeSettings
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.task import make

TASK = make("pr2_cup_swirl")


def _env(**settings: Any) -> TorqueEnv:
    return TorqueEnv(TASK, **{"torque_limit": 1.0, **settings})


def test_gymnasium_accepts_it() -> None:
    env = gymnasium.make("safe_transfer_ros/Pr2CupSwirl-v0", disable_env_checker=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # An observation has no bounds worth stating: a light arm spins as fast as it likes.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        # Actions stay in N·m: scaled by anything that changes, raising the limit would change every torque.
        warnings.filterwarnings("ignore", message=".*recommend using a symmetric and normalized space.*")
        check_env(env.unwrapped, skip_render_check=True)


def test_numbered_episode_starts_where_every_process_starts_it() -> None:
    env = _env()
    _, info = env.reset(seed=5, options={"episode": 17})
    position, velocity = TASK.initial_state(generator(Purpose.INITIAL_STATE, 5, 17))
    np.testing.assert_array_equal(info["position"], position)
    np.testing.assert_array_equal(info["velocity"], velocity)
    assert info["episode"] == 17
    # The seed stays until another comes.
    _, later = env.reset(options={"episode": 18})
    np.testing.assert_array_equal(later["position"], TASK.initial_state(generator(Purpose.INITIAL_STATE, 5, 18))[0])


def test_numbered_episode_without_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a seed"):
        _env().reset(options={"episode": 1})


def test_same_seed_gives_the_same_numbers() -> None:
    def episode(seed: int) -> np.ndarray:
        env = _env()
        rows = [env.reset(seed=seed)[0]]
        rng = np.random.default_rng(0)
        for _ in range(50):
            observation, reward, *_ = env.step(rng.normal(size=7))
            rows.append(np.r_[observation[:-1], reward])
        return np.stack(rows)

    np.testing.assert_array_equal(episode(3), episode(3))
    assert not np.array_equal(episode(3), episode(4))


def test_step_is_observation_reward_and_unsafety_of_the_state_reached() -> None:
    env = _env(perturbation=PERTURBATIONS["light_sticky"])
    _, start = env.reset(seed=0, options={"torque_limit": 0.7})
    action = np.array([0.2, -0.9, 0.5, 1.5, -3.0, 0.0, 0.6])
    arm = ArmSimulation(build_model(TASK.robot, PERTURBATIONS["light_sticky"], TASK.timestep_s), TASK.robot.joint_names)
    arm.reset(start["position"])
    arm.step(np.clip(action, -0.7, 0.7), 10)
    observation, reward, terminated, truncated, info = env.step(action)
    np.testing.assert_array_equal(info["position"], arm.position)
    np.testing.assert_array_equal(info["velocity"], arm.velocity)
    np.testing.assert_array_equal(info["applied"], np.clip(action, -0.7, 0.7))
    assert info["reasons"] == Reason.CLAMPED_TORQUE_LIMIT
    np.testing.assert_array_equal(observation, TASK.observe(arm.position, arm.velocity, 0.7))
    # The reward is for what was proposed, not for what the envelope made of it.
    assert reward == TASK.reward(arm.position, arm.velocity, action)
    assert info["task_reward"] == TASK.task_reward(arm.position, arm.velocity, action)
    assert info["unsafety"] == TASK.unsafety(arm.position)
    assert (terminated, truncated) == (False, False)


def test_torque_limit_is_seen_and_applied() -> None:
    env = _env()
    observation, info = env.reset(seed=0, options={"torque_limit": 0.3})
    assert observation[17] == pytest.approx(0.1)
    assert info["torque_limit"] == 0.3
    observation, *_, info = env.step(np.full(7, 2.0))
    assert observation[17] == pytest.approx(0.1)
    assert np.abs(info["applied"]).max() == 0.3
    # Without the option the environment's own limit is back.
    assert env.reset()[1]["torque_limit"] == 1.0


def test_limit_is_drawn_where_none_is_given() -> None:
    env = _env(torque_limit=None)
    limits = [env.reset(seed=seed)[1]["torque_limit"] for seed in range(200)]
    assert min(limits) >= 0.1 and max(limits) <= 3.0
    assert np.median(limits) == pytest.approx(np.sqrt(0.3), rel=0.3)


def test_effort_limit_holds_above_the_torque_limit() -> None:
    env = _env(torque_limit=100.0)
    env.reset(seed=0)
    *_, info = env.step(np.full(7, 25.0))
    np.testing.assert_array_equal(info["applied"], [25.0] * 5 + [10.0] * 2)
    assert info["reasons"] & Reason.CLAMPED_EFFORT_LIMIT


def test_torque_rate_limit_of_the_envelope_applies_and_starts_from_zero() -> None:
    env = _env(envelope=EnvelopeSettings(torque_rate_limit=2.0))
    for _ in range(2):
        env.reset(seed=0)
        applied = [env.step(np.ones(7))[4]["applied"][0] for _ in range(3)]
        np.testing.assert_allclose(applied, [0.1, 0.2, 0.3])


def test_info_of_a_step_is_not_changed_by_the_next() -> None:
    env = _env()
    env.reset(seed=0)
    infos = [env.step(np.full(7, torque))[4] for torque in (0.1, 0.2)]
    np.testing.assert_array_equal(infos[0]["applied"], 0.1)
    assert not np.array_equal(infos[0]["position"], infos[1]["position"])


def test_unsafe_is_beyond_the_limit() -> None:
    env = _env(torque_limit=3.0, perturbation=PERTURBATIONS["tenth"])
    env.reset(seed=0)
    seen = [env.step(np.full(7, 0.1))[4] for _ in range(60)]
    assert all(info["unsafe"] == (info["unsafety"] > 15.0) for info in seen)
    assert {info["unsafe"] for info in seen} == {False, True}


def test_episode_ends_at_the_horizon_and_a_step_after_it_is_refused() -> None:
    env = _env()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros(7))
    env.reset(seed=0)
    ends = [env.step(np.zeros(7))[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros(7))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(7, np.nan), "finite torques"),
        (np.r_[np.zeros(6), np.inf], "finite torques"),
        (np.zeros(6), r"7 torques, one per joint; got shape \(6,\)"),
    ],
)
def test_bad_action_is_refused_and_nothing_is_stepped(action: np.ndarray, message: str) -> None:
    env, untouched = _env(), _env()
    for each in (env, untouched):
        each.reset(seed=0)
        each.step(np.full(7, 0.5))
    with pytest.raises(ValueError, match=message):
        env.step(action)
    np.testing.assert_array_equal(env.step(np.ones(7))[0], untouched.step(np.ones(7))[0])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_senseless_torque_limit_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="torque_limit must be a positive number"):
        _env(torque_limit=limit)
    with pytest.raises(ValueError, match="torque_limit must be a positive number"):
        _env().reset(options={"torque_limit": limit})


def test_unknown_reset_option_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown reset options.*'limit'.*torque_limit"):
        _env().reset(options={"limit": 1.0})
