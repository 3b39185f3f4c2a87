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
from safe_transfer_ros.algorithms.single_thread import one_thread
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.layered import CRITIC, LayeredPolicy, corrected
from safe_transfer_ros.policies.loading import layered_to_bytes
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act
from safe_transfer_ros.policies.tensors import Tensors
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
        """Make the policy without noise, as its file has it."""
        baseline = self._baseline.policy() or _AsPolicy(self._baseline, self._observations, self.noise_size)
        return LayeredPolicy(baseline, self._layer(), self._about())

    def baseline_policy(self) -> DeterministicPolicy | None:
        """Make the policy behind the layer as it has become; None: it does not learn."""
        return self._baseline.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes | None:
        """Serialise that policy, with metadata of the run: baseline and layer in one file.

        None where no file holds the baseline.
        """
        part = self._baseline.part()
        return None if part is None else layered_to_bytes(part, self._layer(), {**metadata, **self._about()})

    def _layer(self) -> Tensors:
        critic = {f"{CRITIC}.{name}": array for name, array in self._critic.parameters().items()}
        return critic | {"bound": self._bound.astype(np.float32)}

    def _about(self) -> dict[str, str]:
        return {"limit": repr(self._settings.limit), "cost_gamma": repr(self._settings.critic.gamma)}

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"critic": self._critic.state(), "baseline": self._baseline.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self._critic.restore(state["critic"])
        self._baseline.restore(state["baseline"])


class _AsPolicy:
    """A baseline as a policy; a `policies.policy.Policy`."""

    kind: ClassVar[str] = "baseline"
    noise_size = 0

    def __init__(self, baseline: Baseline, observation_size: int, action_size: int) -> None:
        self._baseline, self.observation_size, self.action_size = baseline, observation_size, action_size

    def begin(self) -> None:
        pass

    def act(self, observation: Array, noise: Array) -> Act:
        action = self._baseline.act(observation)
        return Act(action=action, distribution=DETERMINISTIC, mean=action)
