# SPDX-License-Identifier: Apache-2.0
"""A safety critic that learns while the policy does, from every transition so far (CSC Algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.algorithms.critic_advantage import critic_advantages
from safe_transfer_ros.algorithms.safety_critic import CriticLearner, CriticSettings, initial_critic
from safe_transfer_ros.critics.calibration import futures, sight
from safe_transfer_ros.critics.recalibration import PlattScaling, platt_scaling
from safe_transfer_ros.critics.safety_critic import CriticParameters, SafetyCritic, Support
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import Columns, schema, transitions
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.tasks.vector import Policy

Array = NDArray[np.float64]
_EPOCHS = 5  # that a calibration goes by
_COLUMNS = ("observation", "applied", "cost", "terminated", "next_observation")
_BLOCK = 4096
_OFF = Support(rule="off", limit=1.0)


class OnlineCritic:
    """A critic and the transitions it learns from; a `safety.critic.masked_policy.RiskModel`.

    Its inputs are taken as they are: the environments' observations and actions are of order one.

    Attributes:
      learned: Whether it has learned from anything yet.
      buffer: The transitions it learns from.
    """

    def __init__(
        self,
        observation_size: int,
        action_bound: Array,
        settings: CriticSettings,
        *,
        batch: int,
        pessimism: float,
        first_risk: float,
        seed: int,
        capacity: int = 1_000_000,
    ) -> None:
        """Start with nothing seen.

        Args:
          observation_size: Length of an observation.
          action_bound: Bound of the actions applied, shape (n,).
          settings: Of the critic.
          batch: Transitions an update.
          pessimism: Standard deviations of the ensemble added to its mean.
          first_risk: What it says of everything before it has learned, in (0, 1).
          seed: Of everything random.
          capacity: Transitions it keeps at most; then the oldest go.
        """
        self._bound, self._batch, self._pessimism, self._seed = action_bound, batch, pessimism, seed
        self._gamma, self._scaling = settings.gamma, PlattScaling()
        self._judged: list[Array] = []  # of the newest epochs: episode, risk and outcome of each step, shape (3, n)
        self._observations = observation_size
        size = observation_size + len(action_bound)
        self._inputs = {
            "input.mean": np.zeros(size, np.float32),
            "input.scale": np.ones(size, np.float32),
            "support.factor": np.eye(size, dtype=np.float32),
        }
        self._learner = CriticLearner(initial_critic(size, settings, seed, first_risk=first_risk), settings)
        self.buffer = ReplayBuffer(capacity, schema(len(action_bound), observation_size, columns=_COLUMNS))
        self._refresh()

    @property
    def learned(self) -> bool:
        """Whether it has learned from anything yet."""
        return self._learner.updates > 0

    def parameters(self) -> CriticParameters:
        """Its arrays, as a file of a critic holds them."""
        return {**self._inputs, **self._scaling.folded(self._learner.parameters())}

    def risk(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Q_C in [0, 1], shape (m,), of observations (m, k) and bounded actions (m, n)."""
        members = self._critic.probabilities(observation, torque)
        return np.minimum(members.mean(axis=0) + self._pessimism * members.std(axis=0), 1.0)

    def add(self, rollouts: Rollouts, *, at_most: int | None = None) -> int:
        """Process transitions: all, or so many of which up to half failed (CSC's labelled tuples).

        Returns:
          How many of them failed.
        """
        fresh = transitions(rollouts)
        cost = fresh["cost"]
        if at_most is not None and at_most < len(cost):
            failed = np.flatnonzero(cost > 0.5)[: at_most // 2]
            others = np.flatnonzero(cost < 0.5)
            rng = generator(Purpose.CRITIC_LABELLED_TUPLES, self._seed)
            rows = np.concatenate([failed, rng.choice(others, at_most - len(failed), replace=False)])
            fresh = {name: column[rows] for name, column in fresh.items()}
        self.buffer.add(fresh)
        return int(fresh["cost"].sum())

    @property
    def scaling(self) -> PlattScaling:
        """Scaling of its risks; the identity unless `calibrate` was called."""
        return self._scaling

    def calibrate(self, rollouts: Rollouts) -> None:
        """Scale its risks by what followed them in the newest epochs, of which these rollouts are one.

        Call it before it learns from them: a critic is calibrated by what it could not know.
        """
        fresh = transitions(rollouts)
        raw = SafetyCritic({**self._inputs, **self._learner.parameters()}, self._observations, _OFF)
        risk = raw.probabilities(fresh["observation"].astype(np.float64), fresh["applied"].astype(np.float64))
        after = futures(fresh["chain"], fresh["cost"], fresh["terminated"])
        known = after.known(sight(self._gamma))
        rows = np.stack([fresh["chain"].astype(np.float64), risk.mean(axis=0), after.discounted(self._gamma)])
        self._judged = [*self._judged, rows[:, known]][-_EPOCHS:]
        _, risks, outcomes = np.concatenate(self._judged, axis=1)
        episodes = sum(len(np.unique(part[0])) for part in self._judged)
        self._scaling = platt_scaling(risks, outcomes, episodes=episodes)
        self._refresh()

    def state(self) -> dict[str, Any]:
        """State for `restore`, without the transitions."""
        scaling = {"slope": self._scaling.slope, "offset": self._scaling.offset}
        return {**self._learner.state(), "scaling": scaling, "judged": [torch.tensor(rows) for rows in self._judged]}

    def restore(self, state: Mapping[str, Any], seen: Iterable[Columns]) -> None:
        """Resume exactly, from `state` and all transitions added, in their order."""
        self._learner.restore(state)
        self._scaling = PlattScaling(**state.get("scaling", {}))  # runs of before had none
        self._judged = [torch.as_tensor(rows).numpy().copy() for rows in state.get("judged", [])]
        self.buffer.clear()
        for part in seen:
            self.buffer.add(part)
        self._refresh()

    def learn(self, policy: Policy, updates: int) -> None:
        """Update on random transitions of all seen, with next actions of this policy, unmasked."""
        for _ in range(updates):
            rng = generator(Purpose.CRITIC_ONLINE_UPDATE, self._seed, self._learner.updates)
            drawn = self.buffer.sample(self._batch, rng)
            observation, following = drawn["observation"], drawn["next_observation"]
            self._learner.update(
                inputs=_inputs(observation, drawn["applied"]),
                cost=drawn["cost"],
                terminated=drawn["terminated"].astype(np.float32),
                next_inputs=_inputs(following, self._drawn(policy, following, rng)),
                policy_inputs=_inputs(observation, self._drawn(policy, observation, rng)),
            )
        self._refresh()

    def advantages(self, rollouts: Rollouts, policy: Policy, *, samples: int, epoch: int) -> Array:
        """A_C of the steps taken in an epoch, shape (steps,); see `critic_advantages`."""
        valid, rng = rollouts.valid, generator(Purpose.COST_ADVANTAGES, self._seed, epoch)
        observations, applied = rollouts.observation[:, :-1][valid], rollouts.applied[valid]
        drawn = np.stack([self._drawn(policy, observations, rng) for _ in range(samples)])
        starts = range(0, len(observations), _BLOCK)
        return np.concatenate(
            [
                critic_advantages(
                    self.risk,
                    observations[at : at + _BLOCK],
                    applied[at : at + _BLOCK],
                    drawn[:, at : at + _BLOCK],
                )
                for at in starts
            ]
        )

    def _drawn(self, policy: Policy, observation: Array | NDArray[np.float32], rng: np.random.Generator) -> Array:
        mean, stddev = policy.distribution(np.asarray(observation, dtype=np.float64))
        return np.clip(mean + stddev * rng.standard_normal(mean.shape), -self._bound, self._bound)

    def _refresh(self) -> None:
        self._critic = SafetyCritic(self.parameters(), self._observations, _OFF)


def _inputs(observation: Array | NDArray[np.float32], action: Array | NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([observation, action], axis=1, dtype=np.float32)
