# SPDX-License-Identifier: Apache-2.0
"""SQRL's safety critic, and D_safe: the newest on-policy transitions, from which alone it learns (Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.safety_critic import CriticLearner, CriticSettings, initial_critic
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import Columns, schema
from safe_transfer_ros.policies.masked import within_limit
from safe_transfer_ros.policies.tensors import Tensors, WeightsError
from safe_transfer_ros.randomness import Purpose, generator, integer_seed
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

Array = NDArray[np.float64]
COLUMNS = ("chain", "observation", "chosen", "cost", "terminated", "next_observation")

Draw = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Actions of the policy WITHOUT the mask, as fractions of their bound (b, n), of observations (b, k) and noise."""


class OnPolicyCritic:
    """Q_safe(o, a), a as a fraction of its bound, and the transitions that it learns from.

    Observations are taken as they are: tasks give them of order one. What is judged is an action as it would act: a
    torque beyond the limit that the observation tells is cut to it first, as the safety filter does.

    Attributes:
      failures: Failures ever seen in D_safe.
      transitions: D_safe.
    """

    def __init__(
        self,
        observation_size: int,
        bound: Array,
        settings: SqrlSettings,
        *,
        seed: int,
        limit_input: tuple[int, float] | None = None,
    ) -> None:
        """Draw it.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          settings: See `SqrlSettings`.
          seed: Of what is drawn here and in its updates.
          limit_input: See `Task.limit_input`.
        """
        self._limit_input = limit_input
        self._settings, self._bound, self._seed, self.failures = settings, bound, seed, 0
        about = CriticSettings(
            gamma=settings.gamma,
            alpha=settings.alpha,
            hidden=settings.hidden,
            learning_rate=settings.learning_rate,
            target_rate=settings.target_rate,
        )
        # Half of epsilon: before it has learned it stands in nobody's way.
        first = initial_critic(
            observation_size + len(bound),
            about,
            integer_seed(Purpose.SAFE_CRITIC_INITIALISATION, seed),
            first_risk=0.5 * settings.epsilon,
        )
        self._about = about
        self._learner = CriticLearner(first, about)
        self.transitions = ReplayBuffer(settings.capacity, schema(len(bound), observation_size, columns=COLUMNS))

    def start_from(self, parameters: Tensors) -> None:
        """Take over a critic that was pre-trained.

        Raises:
          WeightsError: if it is one of other sizes.
        """
        mine = self._learner.parameters()
        if {name: array.shape for name, array in mine.items()} != {n: array.shape for n, array in parameters.items()}:
            raise WeightsError(
                f"expected a safety critic of hidden layers {self._settings.hidden} for this task, got another"
            )
        self._learner = CriticLearner(parameters, self._about)

    def probability(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Q_safe, shape (b,), with a graph through the action (b, n)."""
        if self._limit_input is not None:
            index, unit = self._limit_input
            largest = (unit * observation[:, index, None]).clamp(min=0.0) / torch.from_numpy(self._bound).float()
            action = torch.minimum(torch.maximum(action, -largest), largest)
        return self._learner.probability(torch.cat((observation, action), dim=-1))

    def learn(self, columns: Columns, draw: Draw) -> float:
        """Add on-policy transitions to D_safe and take the updates that are due.

        Args:
          columns: `COLUMNS`, of the newest masked policy.
          draw: a' of the target: of the unmasked policy (SQRL App. D).

        Returns:
          Half the mean squared Bellman error, mean over the updates.
        """
        self.transitions.add(columns)
        self.failures += int((np.asarray(columns["cost"]) > 0.0).sum())
        errors = []
        for _ in range(self._settings.updates):
            rng = generator(Purpose.CRITIC_ONLINE_UPDATE, self._seed, self._learner.updates)
            batch = self.transitions.sample(self._settings.batch, rng)
            following = np.asarray(batch["next_observation"], dtype=np.float32)
            noise = rng.standard_normal((len(following), len(self._bound)), dtype=np.float32)
            found = self._learner.update(
                inputs=self._inputs(batch["observation"], np.clip(batch["chosen"] / self._bound, -1.0, 1.0)),
                cost=(batch["cost"] > 0.0).astype(np.float32),
                terminated=batch["terminated"].astype(np.float32),
                next_inputs=self._inputs(following, draw(following, noise)),
                policy_inputs=self._tried(batch["observation"], draw, rng) if self._settings.alpha else None,
            )
            errors.append(found["bellman"])
        return float(np.mean(errors))

    def _tried(self, observation: NDArray[Any], draw: Draw, rng: np.random.Generator) -> NDArray[np.float32]:
        """Actions of the policy in the states of a batch, as the conservative term asks."""
        seen = np.asarray(observation, dtype=np.float32)
        return self._inputs(seen, draw(seen, rng.standard_normal((len(seen), len(self._bound)), dtype=np.float32)))

    def _inputs(self, observation: NDArray[Any], action: NDArray[Any]) -> NDArray[np.float32]:
        acted = within_limit(observation, action, self._bound, self._limit_input)
        return np.concatenate([observation, acted], axis=1, dtype=np.float32)

    def parameters(self) -> Tensors:
        """Copies of the critic's parameters."""
        return self._learner.parameters()

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`; D_safe is part of it."""
        return {
            "learner": self._learner.state(),
            "transitions": self.transitions.state(),
            "failures": self.failures,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume exactly from `state`."""
        self._learner.restore(state["learner"])
        self.transitions.restore(state["transitions"])
        self.failures = int(state["failures"])
