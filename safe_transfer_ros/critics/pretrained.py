# SPDX-License-Identifier: Apache-2.0
"""A critic pre-trained in simulation that learns on from what happens on the target arm.

Pre-trained on the nominal arm alone it knows nothing of a light one: the torques that fail there never failed at home.
Pre-trained on arms of many weights, without the target's friction, it does. Both can be had, to see the difference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA, CriticLearner, CriticSettings
from safe_transfer_ros.critics.data import data_set
from safe_transfer_ros.critics.safety_critic import CriticParameters, SafetyCritic, Support
from safe_transfer_ros.critics.training import CriticTraining, TrainingSettings
from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import schema, transitions
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import FirstEpisode, Purpose, generator
from safe_transfer_ros.robots.simulation import Perturbation
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

SOURCES: dict[str, tuple[float, ...]] = {"nominal": (1.0,), "randomised": (1.0, 0.5, 0.25, 0.1)}
"""Factors on mass, damping, inertia and armature of the arms that a critic is pre-trained on."""

_SOURCE_EPISODES, _SOURCE_STDDEV, _SOURCE_UPDATES = 160, 2.0, 4000
_CAPACITY = 1_000_000
_LEARNED = ("observation", "applied", "mean", "stddev", "torque_limit", "cost", "next_observation")
_LEARNED += ("next_mean", "next_stddev", "next_torque_limit")  # type: ignore[assignment]
_OUTSIDE = Support(rule="off", limit=1.0)


def critic_settings(kind: str) -> CriticSettings:
    """Settings of the study's critics: small, as it trains a hundred of them. CSC sees further, as in its paper."""
    if kind == "csc":
        return CriticSettings(gamma=0.95, alpha=CSC_ALPHA, hidden=(64, 64), learning_rate=1e-3, target_rate=0.01)
    return CriticSettings(gamma=0.7, hidden=(64, 64), learning_rate=1e-3, target_rate=0.01)


@lru_cache(maxsize=2)
def source_columns(source: str, seed: int, task_name: str = "pr2_cup_swirl") -> Columns:
    """Episodes on the source's arms, exploring more than the policy does, at limits over the training range."""
    task = make(task_name, TorqueTask)
    parameters, _ = load_for(task, task_name)
    policy = GaussianPolicy(with_stddev_scaled(parameters, _SOURCE_STDDEV))
    arms = SOURCES[source]
    each = _SOURCE_EPISODES // len(arms)
    low, high = np.log(task.torque_limit_range)
    parts = []
    for number, factor in enumerate(arms):
        arm = Perturbation(mass=factor, damping=factor, inertia=factor, armature=factor)
        limits = np.exp(generator(Purpose.SOURCE_TORQUE_LIMITS, seed, number).uniform(low, high, each))
        with VectorTorqueEnv(task, arm, threads=1) as environment:
            batch = environment.rollout(
                policy, torque_limits=limits, seed=seed, first_episode=FirstEpisode.CRITIC_SOURCE + number * each
            )
        parts.append(transitions(batch))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@lru_cache(maxsize=4)
def pretrained(kind: str, source: str, seed: int) -> CriticParameters:
    """A critic of the source's arms."""
    settings = critic_settings(kind)
    training = CriticTraining(
        data_set(source_columns(source, seed), settings.gamma),
        TrainingSettings(critic=settings, updates=_SOURCE_UPDATES, check_every=500, patience=3, batch=128, seed=seed),
    )
    for _ in training.checks():
        pass
    return training.parameters()


class LearningCritic:
    """A critic pre-trained on a source, that learns on from the target; see `safety.critic.masked_policy.RiskModel`."""

    def __init__(self, kind: str, source: str, seed: int, per_iteration: int = 200) -> None:
        """Pre-train.

        Args:
          kind: "sqrl" or "csc".
          source: One of `SOURCES`.
          seed: Of everything random.
          per_iteration: Updates at each `learn`.
        """
        self._seed, self._per_iteration = seed, per_iteration
        self._source = source_columns(source, seed)
        self._fixed = pretrained(kind, source, seed)
        self._learner = CriticLearner(
            {name: array for name, array in self._fixed.items() if name.startswith("layer.")}, critic_settings(kind)
        )
        sizes = self._source["applied"].shape[1], self._source["observation"].shape[1]
        self._buffers = [
            ReplayBuffer(count, schema(*sizes, columns=_LEARNED)) for count in (_CAPACITY, len(self._source["cost"]))
        ]
        self._buffers[1].add(_usable(self._source))
        self._refresh()

    def risk(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Q of the critic as it is now."""
        return self._critic.risk(observation, torque)

    def learn(self, columns: Columns) -> None:
        """Learn from an iteration: half of each batch from the target arm, half from the source."""
        self._buffers[0].add(_usable(columns))
        for _ in range(self._per_iteration):
            rng = generator(Purpose.CRITIC_ONLINE_UPDATE, self._seed, self._learner.updates)
            halves = [self._sample(buffer, rng) for buffer in self._buffers]
            self._learner.update(**{name: np.concatenate([half[name] for half in halves]) for name in halves[0]})
        self._refresh()

    def _refresh(self) -> None:
        parameters: CriticParameters = {**self._fixed, **self._learner.parameters()}
        self._critic = SafetyCritic(parameters, self._source["observation"].shape[1], _OUTSIDE)

    def _sample(self, buffer: ReplayBuffer, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        drawn = buffer.sample(64, rng)

        def torque(prefix: str) -> Array:
            mean, stddev, limit = (drawn[f"{prefix}{name}"] for name in ("mean", "stddev", "torque_limit"))
            bound = limit[:, None]
            return np.clip(mean + stddev * rng.standard_normal(mean.shape), -bound, bound)

        return {
            "inputs": self._inputs(drawn["observation"], drawn["applied"]),
            "cost": drawn["cost"],
            "terminated": np.zeros(len(drawn["cost"]), dtype=np.float32),
            # From the policy without the gate (SQRL App. D).
            "next_inputs": self._inputs(drawn["next_observation"], torque("next_")),
            "policy_inputs": self._inputs(drawn["observation"], torque("")),
        }

    def _inputs(self, observation: NDArray[Any], torque: NDArray[Any]) -> NDArray[np.float32]:
        inputs = np.concatenate([observation, torque], axis=1)
        return ((inputs - self._fixed["input.mean"]) / self._fixed["input.scale"]).astype(np.float32)


def _usable(columns: Columns) -> Columns:
    # Cut at its horizon, nobody knows the torque that would have come next; see `critics.data.data_set`.
    known = np.isfinite(columns["next_mean"][:, 0])
    return {name: columns[name][known] for name in _LEARNED}
