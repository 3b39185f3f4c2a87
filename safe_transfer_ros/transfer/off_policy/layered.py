# SPDX-License-Identifier: Apache-2.0
"""Safety layer on an agent: each action is corrected as little as keeps a linearised cost (Dalal et al. 2018).

Dalal et al. linearise a measured signal one step ahead. Costs here are 0 or 1 and foretold over many steps, so it is
their discounted critic that is linearised, about the action itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.cost_critic import CostCritic, CostCriticSettings
from safe_transfer_ros.algorithms.double_q import TransitionBatch
from safe_transfer_ros.algorithms.safety_layer import corrected
from safe_transfer_ros.algorithms.single_thread import one_thread
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.transfer.dual_agent.baseline import Baseline

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SafetyLayerSettings:
    """Settings of the layer.

    Attributes:
      limit: Largest discounted cost that is let pass, see `cost_critic.discounted_limit`.
      critic: Of the critic.
      exploration: Standard deviation of what is added to actions before the layer, as a fraction of their bound.
    """

    limit: float
    critic: CostCriticSettings = field(default_factory=CostCriticSettings)
    exploration: float = 0.1

    def __post_init__(self) -> None:
        if not (self.limit > 0.0 and self.exploration >= 0.0):
            raise ValueError(f"expected limit > 0 and exploration of at least 0, got {self}")


class LayeredAgent:
    """A baseline behind the layer; noise is added before it, so that what is explored is corrected too.

    Attributes:
      noise_size: Numbers of noise per action.
    """

    def __init__(
        self, observation_size: int, bound: Array, baseline: Baseline, settings: SafetyLayerSettings, *, seed: int
    ) -> None:
        """Draw the critic.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          baseline: Proposes the actions; one that learns does so from those that were taken.
          settings: See `SafetyLayerSettings`.
          seed: Equal seeds give equal critics.
        """
        self._settings, self._baseline, self._bound = settings, baseline, np.asarray(bound, dtype=np.float64)
        self._observations, self.noise_size = observation_size, len(bound)
        drawn = generator(Purpose.SAFE_CRITIC_INITIALISATION, seed)
        self._critic = CostCritic(observation_size, len(bound), settings.critic, drawn)

    def act(self, observation: Array, noise: Array) -> Array:
        """Corrected actions to explore with, shape (b, n), in their unit; see `learning.off_policy.Agent.act`."""
        fraction = self._baseline.act(observation) / self._bound + self._settings.exploration * noise
        return self._bound * self._corrected(observation, np.clip(fraction, -1.0, 1.0))

    def update(self, columns: Columns, rng: np.random.Generator) -> dict[str, float]:
        """Take a step of the baseline if it learns, and of the critic.

        Args:
          columns: Transitions with their cost, see `TransitionBatch.of`.
          rng: For the baseline.

        Returns:
          What the baseline gives, its names behind "baseline_", and cost_critic_loss.
        """
        watched = {f"baseline_{name}": value for name, value in self._baseline.update(columns, rng).items()}
        following = np.asarray(columns["next_observation"], dtype=np.float64)
        next_action = self._corrected(following, self._baseline.act(following) / self._bound)
        with one_thread():
            batch = TransitionBatch.of(columns, torch.from_numpy(self._bound.astype(np.float32)))
            cost = torch.from_numpy(np.asarray(columns["cost"], dtype=np.float32))
            next_actions = torch.from_numpy(next_action.astype(np.float32))
            watched["cost_critic_loss"] = self._critic.learn(batch, cost, next_actions)
        return watched

    def _corrected(self, observation: Array, fraction: Array) -> Array:
        """Actions as fractions of the bound, corrected, shape (b, n)."""
        with one_thread():
            seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))
            asked = torch.from_numpy(fraction.astype(np.float32)).requires_grad_()
            values = self._critic.values(seen, asked)
            (gradient,) = torch.autograd.grad(values.sum(), asked)
        costs = values.detach().numpy().astype(np.float64)
        found, _ = corrected(fraction, gradient.numpy(), costs, self._settings.limit, bound=np.ones(fraction.shape[1]))
        return found

    def policy(self) -> LayeredPolicy:
        """Make the policy without noise, for evaluation in this process."""
        return LayeredPolicy(self, self._observations)

    def baseline_policy(self) -> DeterministicPolicy | None:
        """Make the policy behind the layer as it has become; None: it does not learn."""
        return self._baseline.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> None:
        """None: no kind of policy file holds a critic that corrects."""
        return None

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"critic": self._critic.state(), "baseline": self._baseline.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self._critic.restore(state["critic"])
        self._baseline.restore(state["baseline"])


class LayeredPolicy:
    """The agent as it is when asked, without noise; a `policies.policy.Policy`.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: 0.
    """

    kind: ClassVar[str] = "layered"
    noise_size = 0

    def __init__(self, agent: LayeredAgent, observation_size: int) -> None:
        """Take an agent."""
        self._agent = agent
        self.observation_size, self.action_size = observation_size, agent.noise_size

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise."""
        rows = np.atleast_2d(np.asarray(observation, dtype=np.float64))
        action = self._agent.act(rows, np.zeros((len(rows), self.action_size)))
        action = action.reshape(*np.shape(observation)[:-1], self.action_size)
        return Act(action=action, distribution=DETERMINISTIC, mean=action)
