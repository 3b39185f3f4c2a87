# SPDX-License-Identifier: Apache-2.0
"""SQRL's agent: SAC, a safety critic, the mask that the critic makes, and the constraint of fine-tuning.

Pre-training (Algorithm 1): the policy explores without a mask and learns by SAC; the critic learns from on-policy
episodes of the masked policy. Fine-tuning (Algorithm 2): the masked policy collects, the actor has nu (Q_safe -
epsilon) in its loss, the critic stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.single_thread import single_thread
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.masked import CRITIC, POLICY, MaskedPolicy, first_safe, just_below
from safe_transfer_ros.policies.networks.layers import arrays
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act, Policy
from safe_transfer_ros.policies.tensors import Tensors
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.transfer.sqrl.penalty import DualAscent, Ramp, RiskPenalty, Weighted
from safe_transfer_ros.transfer.sqrl.safety_critic import OnPolicyCritic
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings, horizon_seen

Array = NDArray[np.float64]


class SqrlAgent:
    """The agent of both phases; a `learning.off_policy.Agent`.

    Attributes:
      noise_size: Numbers of noise per action: those of every candidate.
      safety: The critic and D_safe.
      epsilon: Largest risk that the mask lets pass; may be changed between epochs.
      asked: Actions that the mask was asked for, since `counted`.
      masked: Those of them that were not the policy's first sample.
    """

    def __init__(
        self,
        observation_size: int,
        bound: Array,
        sac: SacSettings,
        settings: SqrlSettings,
        *,
        seed: int,
        mask: bool = True,
        masked_exploration: bool = False,
        penalty: str = "",
        limit_input: tuple[int, float] | None = None,
    ) -> None:
        """Draw networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          sac: Of policy, reward critics and temperature.
          settings: Of the safety critic, the mask and nu.
          seed: Equal seeds give equal networks.
          mask: Whether the policy, as it is evaluated and seen by its critic, is the masked one.
          masked_exploration: Whether it explores behind the mask: in fine-tuning.
          penalty: In the actor's loss: "dual" (Eq. 4), "ramp" (the risk-sensitive rival), "weighted" (`penalise`), or
            none.
          limit_input: Where an observation tells the torque limit, see `Task.limit_input`.
        """
        self._settings, self._bound = settings, np.asarray(bound, dtype=np.float64)
        self._mask, self._masked_exploration = mask, mask and masked_exploration
        self.noise_size = settings.candidates * len(bound)
        self.safety = OnPolicyCritic(observation_size, self._bound, settings, seed=seed, limit_input=limit_input)
        self._limit_input = limit_input
        self._penalty: RiskPenalty | None = None
        if penalty == "dual":
            self._penalty = DualAscent(self.safety.probability, epsilon=settings.epsilon, rate=settings.multiplier_rate)
        elif penalty == "ramp":
            self._penalty = Ramp(self.safety.probability)
        elif penalty == "weighted":
            self._penalty = Weighted(self.safety.probability)
        self.epsilon = settings.epsilon
        self._sac = Sac(observation_size, bound, sac, seed=seed, penalty=self._penalty)
        self.asked, self.masked = 0, 0

    def start_from(self, policy: Tensors, critic: Tensors, temperature: float | None) -> None:
        """Begin with a policy and a critic that were pre-trained together.

        Raises:
          ValueError: if they are of other sizes, or the policy's actions have another bound.
        """
        if not np.allclose(policy["bound"], self._bound):
            raise ValueError(
                f"expected a policy whose actions are bounded by {self._bound}, got {policy['bound']}: train it under "
                "the same bound (of torques: --environment torque_limit=X in both phases)"
            )
        self._sac.start_from(policy, temperature)
        self.safety.start_from(critic)

    def act_as(self, policy: Tensors, temperature: float | None = None) -> None:
        """Learn on from a policy of these sizes, and from a temperature where one is given."""
        self._sac.start_from(policy, temperature)

    def act(self, observation: Array, noise: Array) -> Array:
        """Actions to explore with, shape (b, n); see `learning.off_policy.Agent.act`."""
        if self._masked_exploration:
            return self._behind_mask(observation, noise, risky=False)
        return self._sac.act(observation, noise[:, : len(self._bound)])

    def on_policy(self, observation: Array, noise: Array) -> Array:
        """Actions of the episodes that the critic learns from, shape (b, n); the arguments are those of `act`."""
        if self._mask:
            return self._behind_mask(observation, noise, risky=self._settings.just_below)
        return self._sac.act(observation, noise[:, : len(self._bound)])

    def learn_safety(self, columns: Columns) -> float:
        """Let the critic learn from on-policy transitions; see `OnPolicyCritic.learn`."""

        def unmasked(observation: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
            with single_thread():
                action, _ = self._sac.actor.sample(torch.from_numpy(observation), torch.from_numpy(noise))
                return action.numpy()

        return self.safety.learn(columns, unmasked)

    def penalise(self, weight: float) -> None:
        """Set the weight of a penalty that others weigh."""
        assert isinstance(self._penalty, Weighted)
        self._penalty.multiplier = weight

    def counted(self) -> float:
        """Share of the mask's actions, since the last call, that were not the first sample; NaN without any."""
        share = self.masked / self.asked if self.asked else float("nan")
        self.asked = self.masked = 0
        return share

    def update(self, columns: Columns, rng: np.random.Generator) -> dict[str, float]:
        """Take a step of SAC; with "multiplier", nu, where the loss has a penalty."""
        found = self._sac.update(columns, rng)
        return found if self._penalty is None else found | {"multiplier": self._penalty.multiplier}

    def _behind_mask(self, observation: Array, noise: Array, *, risky: bool) -> Array:
        """Candidates (b, m, n) of the policy, and of each row the one that the mask takes."""
        count, size = self._settings.candidates, len(self._bound)
        with single_thread():
            seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))
            drawn = torch.from_numpy(np.asarray(noise, dtype=np.float32)).reshape(len(seen), count, size)
            mean, log_std = self._sac.actor(seen)
            action = torch.tanh(mean[:, None] + log_std.exp()[:, None] * drawn)
            rows = seen[:, None].expand(-1, count, -1).reshape(-1, seen.shape[1])
            risks = self.safety.probability(rows, action.reshape(-1, size)).reshape(-1, count).numpy()
            chosen = (just_below if risky else first_safe)(risks, self.epsilon)
            self.asked, self.masked = self.asked + len(seen), self.masked + int((chosen > 0).sum())
            taken = action.numpy()[np.arange(len(seen)), chosen].astype(np.float64)
            return np.asarray(self._bound * taken)

    def policy(self) -> Policy:
        """Make the policy that is evaluated: behind its mask, or SAC's own where there is none."""
        return JudgedMask(MaskedPolicy(self._tensors(), self._about())) if self._mask else self._sac.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Policy and critic as one file with their card, or the policy alone where there is no mask.

        The card, in the metadata: epsilon, gamma_safe, the horizon that these see, candidates, temperature, failures
        and transitions that the critic has seen.
        """
        if not self._mask:
            return self._sac.policy_file(metadata)
        return policy_to_bytes(self._tensors(), {**metadata, **self._about()})

    def _tensors(self) -> Tensors:
        policy = {f"{POLICY}{name}": array for name, array in arrays(self._sac.actor).items()}
        return policy | {f"{CRITIC}{name}": array for name, array in self.safety.parameters().items()}

    def _about(self) -> dict[str, str]:
        settings = self._settings
        return {
            "kind": MaskedPolicy.kind,
            "epsilon": repr(self.epsilon),
            "gamma_safe": repr(settings.gamma),
            "horizon": str(horizon_seen(self.epsilon, settings.gamma)),
            "candidates": str(settings.candidates),
            "temperature": repr(self._sac.temperature),
            "failures_seen": str(self.safety.failures),
            "on_policy_transitions": str(self.safety.transitions.added),
        } | limit_card(self._limit_input)

    def state(self) -> dict[str, Any]:
        """Complete state between two epochs, for `restore`."""
        return {
            "sac": self._sac.state(),
            "safety": self.safety.state(),
            "epsilon": self.epsilon,
            "penalty": {} if self._penalty is None else self._penalty.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self._sac.restore(state["sac"])
        self.safety.restore(state["safety"])
        self.epsilon = float(state["epsilon"])
        if self._penalty is not None:
            self._penalty.restore(state["penalty"])


def limit_card(limit_input: tuple[int, float] | None) -> dict[str, str]:
    """Metadata of a masked policy that say where an observation tells the torque limit; see `Task.limit_input`."""
    return {} if limit_input is None else {"limit_index": str(limit_input[0]), "limit_unit": repr(limit_input[1])}


class JudgedMask:
    """A masked policy as it is evaluated: its mean where the critic accepts that, else the first of fixed samples.

    The samples are the same in every state, so that nothing is drawn while a policy is judged.

    Attributes:
      noise_size: 0.
    """

    kind: ClassVar[str] = "judged_mask"
    noise_size = 0

    def __init__(self, policy: MaskedPolicy) -> None:
        """Take a policy."""
        self._policy = policy
        self.observation_size, self.action_size = policy.observation_size, policy.action_size
        self._noise = generator(Purpose.MASK_OF_EVALUATION, 0).standard_normal(policy.noise_size)
        self._noise[: policy.action_size] = 0.0

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise."""
        seen = np.asarray(observation, dtype=np.float64)
        action = self._policy.act(seen, np.broadcast_to(self._noise, (*seen.shape[:-1], len(self._noise)))).action
        return Act(action=action, distribution=DETERMINISTIC, mean=action)
