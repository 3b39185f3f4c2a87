# SPDX-License-Identifier: Apache-2.0
"""The batch of environments gives the episodes the single environment gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation, UnstableSimulationError
from safe_transfer_ros.safety.filter.envelope import EnvelopeSettings
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks import vector
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

TASK = make("pr2_cup_swirl")
LIMITS = [0.1, 0.4, 1.0, 2.0, 3.0]


class _Elementwise:
    """A policy whose numbers do not depend on how many rows it is given at once."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = self.scale * (np.sin(5 * observation[..., :7]) - 0.3 * observation[..., 7:14])
        return mean, np.linspace(0.2, 0.5, 7)


def _rollout(perturbation: str = "nominal", threads: int = 2, seed: int = 3, **settings: Any) -> SimulatedRollouts:
    with VectorTorqueEnv(TASK, PERTURBATIONS[perturbation], threads=threads, **settings) as env:
        return env.rollout(_Elementwise(), torque_limits=LIMITS, seed=seed, first_episode=10)


@pytest.mark.parametrize(
    ("perturbation", "settings"),
    [
        ("nominal", {}),
        ("light_sticky", {}),
        ("light_sticky", {"soft_limits": True, "envelope": EnvelopeSettings(clamp="scale")}),
    ],
)
def test_every_episode_is_bit_for_bit_the_single_environments(perturbation: str, settings: dict[str, Any]) -> None:
    batch = _rollout(perturbation, **settings)
    env = TorqueEnv(TASK, PERTURBATIONS[perturbation], **settings)
    policy = _Elementwise()
    for row, limit in enumerate(LIMITS):
        rng = generator(Purpose.ACTION_NOISE, 3, 10 + row)
        observation, info = env.reset(seed=3, options={"episode": 10 + row, "torque_limit": limit})
        np.testing.assert_array_equal(batch.observation[row, 0], observation)
        assert batch.unsafety[row, 0] == info["unsafety"]
        for step in range(TASK.horizon):
            mean, stddev = policy.distribution(observation)
            torque = mean + stddev * rng.standard_normal(7)
            np.testing.assert_array_equal(batch.mean[row, step], mean)
            np.testing.assert_array_equal(batch.stddev[row, step], stddev)
            np.testing.assert_array_equal(batch.proposed[row, step], torque)
            observation, reward, _, truncated, info = env.step(torque)
            np.testing.assert_array_equal(batch.observation[row, step + 1], observation)
            np.testing.assert_array_equal(batch.position[row, step + 1], info["position"])
            np.testing.assert_array_equal(batch.velocity[row, step + 1], info["velocity"])
            np.testing.assert_array_equal(batch.applied[row, step], info["applied"])
            assert batch.reasons[row, step] == int(info["reasons"])
            assert batch.torque_limit[row, step] == limit
            assert batch.unsafety[row, step + 1] == info["unsafety"]
            # Rewards of a whole batch are summed in another order: the last digit may differ.
            assert batch.reward[row, step] == pytest.approx(reward, rel=1e-12, abs=1e-12)
            assert batch.task_reward[row, step] == pytest.approx(info["task_reward"], rel=1e-12, abs=1e-12)
        assert truncated


def test_number_of_threads_changes_nothing_and_the_seed_everything() -> None:
    one, four = _rollout("light_sticky", threads=1), _rollout("light_sticky", threads=4)
    np.testing.assert_array_equal(one.position, four.position)
    np.testing.assert_array_equal(one.proposed, four.proposed)
    other = _rollout("light_sticky", seed=4)
    assert not np.array_equal(one.position[:, 0], other.position[:, 0])
    assert not np.array_equal(one.proposed, other.proposed)


def test_episode_depends_on_its_number_not_on_its_batch() -> None:
    whole = _rollout()
    with VectorTorqueEnv(TASK, threads=1) as env:
        alone = env.rollout(_Elementwise(), torque_limits=[LIMITS[3]], seed=3, first_episode=13)
        again = env.rollout(_Elementwise(), torque_limits=[LIMITS[3]], seed=3, first_episode=13)
    np.testing.assert_array_equal(alone.position[0], whole.position[3])
    np.testing.assert_array_equal(alone.position, again.position)


def test_shapes_and_limits() -> None:
    batch = _rollout()
    assert batch.position.shape == batch.velocity.shape == (5, 201, 7)
    assert batch.observation.shape == (5, 201, 18)
    assert batch.proposed.shape == batch.applied.shape == batch.mean.shape == batch.stddev.shape == (5, 200, 7)
    assert batch.reasons.shape == batch.reward.shape == batch.torque_limit.shape == (5, 200)
    assert batch.reasons.dtype == np.uint32
    assert batch.unsafety.shape == (5, 201)
    assert (np.abs(batch.applied) <= np.array(LIMITS)[:, None, None]).all()


def test_envelope_remembers_the_torque_before() -> None:
    settings = EnvelopeSettings(torque_rate_limit=2.0)
    with VectorTorqueEnv(TASK, envelope=settings, threads=1) as env:
        batch = env.rollout(_Elementwise(scale=10.0), torque_limits=[3.0, 3.0], seed=0)
    before = np.concatenate([np.zeros((2, 1, 7)), batch.applied[:, :-1]], axis=1)
    change = np.abs(batch.applied - before)
    assert change.max() == pytest.approx(0.1)
    assert np.abs(batch.applied).max() > 0.15


def test_soft_limits_hold_only_where_asked_for() -> None:
    soft = int(Reason.CLAMPED_SOFT_POSITION | Reason.CLAMPED_SOFT_VELOCITY)
    free, bounded = (_rollout("light_sticky", soft_limits=on) for on in (False, True))
    assert not (free.reasons & soft).any()
    assert (bounded.reasons & soft).any()
    assert np.abs(bounded.velocity).max() < np.abs(free.velocity).max()


def test_policy_that_is_not_finite_is_refused() -> None:
    with VectorTorqueEnv(TASK, threads=1) as env, pytest.raises(ValueError, match="not finite at step 0"):
        env.rollout(_Elementwise(scale=np.nan), torque_limits=[1.0], seed=0)


@pytest.mark.parametrize("limits", [[], [0.0], [1.0, np.nan], [-1.0], [[1.0]]])
def test_senseless_limits_are_refused(limits: list[float]) -> None:
    with VectorTorqueEnv(TASK, threads=1) as env, pytest.raises(ValueError, match="torque_limits must be"):
        env.rollout(_Elementwise(), torque_limits=limits, seed=0)


def test_rollout_that_stopped_half_way_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a file where it stands.
    monkeypatch.setattr(vector, "check_stable", lambda velocity, timestep: None)
    feather = Perturbation(mass=1e-3, damping=1e-3, inertia=1e-3, armature=1e-3)
    with VectorTorqueEnv(TASK, feather, threads=1) as env, pytest.raises(UnstableSimulationError):
        env.rollout(_Elementwise(scale=30.0), torque_limits=[30.0], seed=0)


def test_joint_faster_than_a_step_resolves_is_an_error() -> None:
    class Push:
        def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.full((len(observation), 7), 10.0), np.zeros(7)

    slippery = Perturbation(damping=1e-4)
    with (
        VectorTorqueEnv(TASK, slippery, threads=1) as env,
        pytest.raises(UnstableSimulationError, match="rad/s"),
    ):
        env.rollout(Push(), torque_limits=[1.0, 10.0], seed=0)


def test_threads_must_be_positive() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1"):
        VectorTorqueEnv(TASK, threads=0)


@pytest.mark.parametrize("settings", [{}, {"soft_limits": True, "envelope": EnvelopeSettings(clamp="scale")}])
def test_rows_of_the_gymnasium_environment_are_bit_for_bit_the_rollouts_episodes(settings: dict[str, Any]) -> None:
    light = PERTURBATIONS["light_sticky"]
    with VectorTorqueEnv(TASK, light, num_envs=3, torque_limit=1.0, threads=2, **settings) as env:
        batch = env.rollout(_Elementwise(), torque_limits=np.full(3, 1.0), seed=3, first_episode=10)
        observation, info = env.reset(seed=3, options={"first_episode": 10})
        for step in range(TASK.horizon):
            np.testing.assert_array_equal(observation, batch.observation[:, step])
            observation, reward, terminated, truncated, info = env.step(batch.proposed[:, step])
            for name, values in {
                "applied": batch.applied,
                "reasons": batch.reasons,
                "task_reward": batch.task_reward,
            }.items():
                np.testing.assert_allclose(info[name], values[:, step], rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(info["applied"], batch.applied[:, step])
            np.testing.assert_array_equal(info["cost"], batch.unsafety[:, step + 1] > TASK.unsafety_limit)
            np.testing.assert_allclose(reward, batch.reward[:, step], rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(info["episode_number"], [10, 11, 12])
            assert not terminated.any() and truncated.all() == (step + 1 == TASK.horizon)
        np.testing.assert_array_equal(info["final_obs"], batch.observation[:, -1])
        # The next episodes, in the same step.
        after = env.rollout(_Elementwise(), torque_limits=np.full(3, 1.0), seed=3, first_episode=13)
        np.testing.assert_array_equal(observation, after.observation[:, 0])


def test_an_unsafe_state_ends_an_episode_where_asked_for_and_it_stands_still() -> None:
    with VectorTorqueEnv(TASK, num_envs=3, torque_limit=2.0, threads=1, autoreset=False, ends_on_failure=True) as env:
        env.reset(seed=0)
        actions = np.zeros((3, 7))
        actions[0] = 2.0
        terminated = np.zeros(3, dtype=bool)
        while not terminated[0]:
            before = env.step(actions)
            terminated = before[2]
        assert terminated.tolist() == [True, False, False] and before[4]["cost"].tolist() == [1.0, 0.0, 0.0]
        after = env.step(actions)
        np.testing.assert_array_equal(after[0][0], before[0][0])
        np.testing.assert_array_equal(after[4]["applied"][0], before[4]["applied"][0])
        assert after[1][0] == 0.0 and after[2][0] and (after[0][1] != before[0][1]).any()
        np.testing.assert_array_equal(after[4]["position"][0], before[4]["position"][0])


def test_limits_of_numbered_episodes_are_drawn_from_their_range_and_the_same_every_time() -> None:
    drawn = []
    for rows in (4, 2):
        with VectorTorqueEnv(TASK, num_envs=rows, threads=1) as env:
            drawn.append(env.reset(seed=1, options={"first_episode": 5})[1]["torque_limit"])
    np.testing.assert_array_equal(drawn[0][:2], drawn[1])
    low, high = TASK.torque_limit_range
    assert len(set(drawn[0])) == 4 and ((drawn[0] > low) & (drawn[0] < high)).all()
    with pytest.raises(ValueError, match="positive"):
        VectorTorqueEnv(TASK, torque_limit=-1.0)
