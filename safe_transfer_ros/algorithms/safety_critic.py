# SPDX-License-Identifier: Apache-2.0
"""One update of a safety critic: SQRL's Bellman error, and CSC's conservative term on top of it.

Failures end the episode, so with c' = I(s') the target is y = c' + (1 - c')(1 - terminated) gamma Q'(s', a'), with a'
from the UNMASKED policy (SQRL App. D). CSC is CQL with the sign turned: it adds
alpha (E_D[Q] - E_{s~D, a~pi}[Q]), which pushes Q up on torques that the policy would try and the data does not have.
alpha = 0 is SQRL's critic.

As published the target is the conservative critic's own (`own_target`), so what the term adds is learned from again,
one step back, and can grow for as long as the critic learns. Targets of a twin without the term cut that loop.

The Bellman error is measured by cross-entropy, not by its square as in the papers: both are least at the mean of y,
but behind a sigmoid the square's gradient carries a factor Q (1 - Q), and a critic that had seen few failures, Q near
0, did not learn any more when they came.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.single_thread import one_thread
from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.networks.stacked import StackedLinear, StackedMlp
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float32]
Tensors = dict[str, torch.Tensor]

CSC_ALPHA = 0.05
"""Weight of the conservative term of every critic of CSC here (paper: .5; docs/results/csc.md says why not)."""


@dataclass(frozen=True, kw_only=True)
class CriticSettings:
    """Settings of a critic's training.

    Attributes:
      gamma: gamma_safe (SQRL .7, CSC .99): decides how far ahead a failure is seen.
      alpha: Weight of the conservative term (CSC: `CSC_ALPHA`); 0: none.
      members: Critics of the ensemble, each with its own start, target and noise.
      hidden: Width of the hidden layers (2 x 256).
      learning_rate: Of Adam (SQRL 3e-4).
      target_rate: How far the target moves toward the critic at each update.
      own_target: Take the Bellman target from the critic itself, as published; False: with alpha > 0 from a twin that
        learns without the conservative term.
    """

    gamma: float = 0.7
    alpha: float = 0.0
    members: int = 1
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    target_rate: float = 0.005
    own_target: bool = False

    def __post_init__(self) -> None:
        if not (0.0 <= self.gamma < 1.0 and self.alpha >= 0.0 and self.members >= 1 and self.hidden):
            raise ValueError(
                f"expected gamma in [0, 1), alpha >= 0, at least one member and one hidden layer, got {self}"
            )


def initial_critic(n_inputs: int, settings: CriticSettings, seed: int, *, first_risk: float = 0.05) -> dict[str, Array]:
    """Parameters to start from: layer.L.weight (members, out, in), layer.L.bias (members, out).

    Args:
      n_inputs: Length of (s, a).
      settings: Sizes.
      seed: Equal seeds give equal parameters.
      first_risk: What the critic says of everything before it has learned.
    """
    rng = generator(Purpose.CRITIC_INITIALISATION, seed)
    parameters: dict[str, Array] = {}
    sizes = (n_inputs, *settings.hidden, 1)
    for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        last = layer == len(sizes) - 2
        gain = np.sqrt(0.01 if last else 2.0)
        weight = rng.standard_normal((settings.members, outputs, inputs)) * (gain / np.sqrt(inputs))
        parameters[f"layer.{layer}.weight"] = weight.astype(np.float32)
        bias = np.log(first_risk / (1.0 - first_risk)) if last else 0.0
        parameters[f"layer.{layer}.bias"] = np.full((settings.members, outputs), bias, dtype=np.float32)
    return parameters


def failure_probability(parameters: Mapping[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Q of every member, shape (members, b), for inputs (b, d), of parameters as `initial_critic` has them."""
    with torch.no_grad():
        return torch.sigmoid(_network(parameters).values(inputs))


def _network(parameters: Mapping[str, torch.Tensor]) -> StackedMlp:
    given = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in _turned(parameters).items()}
    layers = range(len(given) // 2)
    return StackedMlp(StackedLinear(given[f"layer.{at}.weight"], given[f"layer.{at}.bias"]) for at in layers)


def _turned(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Weights (members, out, in) of (members, in, out), or the other way about; whatever else there is as it is."""
    return {name: tensor.transpose(1, 2) if tensor.dim() == 3 else tensor for name, tensor in tensors.items()}


def bellman_target(
    cost: torch.Tensor, terminated: torch.Tensor, next_probability: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Target y = c' + (1 - c')(1 - terminated) gamma Q'(s', a') (SQRL, failure seen in s'), shape (..., b)."""
    return cost + (1.0 - cost) * (1.0 - terminated) * gamma * next_probability


class CriticLearner:
    """A critic while it learns. Not for several threads; one thread of torch, so that its last bits are repeatable.

    Attributes:
      settings: As given.
      updates: Updates done.
    """

    def __init__(self, parameters: Mapping[str, Array], settings: CriticSettings) -> None:
        """Start from parameters, see `initial_critic`."""
        self.settings, self.updates = settings, 0
        self._twin: CriticLearner | None = None
        if settings.alpha > 0.0 and not settings.own_target:
            self._twin = CriticLearner(parameters, dataclasses.replace(settings, alpha=0.0))
        network = _network({name: torch.from_numpy(array) for name, array in parameters.items()})
        self._critic = TrainedNetwork(network, learning_rate=settings.learning_rate, target_rate=settings.target_rate)

    def update(
        self, *, inputs: Array, cost: Array, terminated: Array, next_inputs: Array, policy_inputs: Array | None = None
    ) -> dict[str, float]:
        """One step of gradient descent and of the target, on b transitions, float32.

        Args:
          inputs: Normalised (s, applied torque), shape (b, d).
          cost: c' = 1 where s' is unsafe, shape (b,).
          terminated: 1 where the episode ended in s', shape (b,).
          next_inputs: Normalised (s', a') with a' ~ pi(s'), bounded as it would be applied, shape (b, d).
          policy_inputs: Normalised (s, a) with a ~ pi(s), bounded likewise, shape (b, d); needed where alpha > 0.

        Returns:
          bellman: half the mean squared Bellman error; conservative: E_pi[Q] - E_D[Q], 0 without the term.

        Raises:
          ValueError: if alpha > 0 and there are no policy_inputs.
        """
        if self.settings.alpha > 0.0 and policy_inputs is None:
            raise ValueError("the conservative term needs policy_inputs: torques that the policy would try")
        if self._twin is not None:
            self._twin.update(inputs=inputs, cost=cost, terminated=terminated, next_inputs=next_inputs)
        with one_thread():
            return self._step(inputs, cost, terminated, next_inputs, policy_inputs)

    def _step(
        self, inputs: Array, cost: Array, terminated: Array, next_inputs: Array, policy_inputs: Array | None
    ) -> dict[str, float]:
        settings, network = self.settings, self._critic.network
        with torch.no_grad():
            following = torch.sigmoid((self._twin or self)._critic.target.values(torch.from_numpy(next_inputs)))
            target = bellman_target(torch.from_numpy(cost), torch.from_numpy(terminated), following, settings.gamma)
        logit = network.values(torch.from_numpy(inputs))
        # Summed over members: each learns as if it were alone.
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="sum") / len(inputs)
        gap = torch.zeros(())
        if settings.alpha > 0.0 and policy_inputs is not None:
            tried = torch.sigmoid(network.values(torch.from_numpy(policy_inputs)))
            gap = (tried.mean(dim=1) - torch.sigmoid(logit).mean(dim=1)).sum()
            loss = loss - settings.alpha * gap
        with torch.no_grad():
            bellman = 0.5 * (torch.sigmoid(logit) - target).square().mean(dim=1).sum()
        self._critic.descend(loss)
        self._critic.follow()
        self.updates += 1
        return {"bellman": bellman.item() / settings.members, "conservative": gap.item() / settings.members}

    def probability(self, inputs: torch.Tensor) -> torch.Tensor:
        """Q of the members on the average, shape (b,), for inputs (b, d); with a graph through the inputs."""
        return torch.sigmoid(self._critic.network.values(inputs)).mean(dim=0)

    def parameters(self) -> dict[str, Array]:
        """Copies of the critic's parameters."""
        turned = _turned(self._critic.network.state_dict())
        return {name: np.array(tensor.numpy(), order="C") for name, tensor in turned.items()}

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {
            "updates": self.updates,
            "critic": self._critic.state(),
            "twin": None if self._twin is None else self._twin.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from `state`, also from one of before, whose weights were (members, out, in)."""
        self.updates = int(state["updates"])
        self._critic.restore(state["critic"] if "critic" in state else _kept_before(state))
        if self._twin is not None:
            self._twin.restore(state["twin"])


def _kept_before(state: Mapping[str, Any]) -> dict[str, Any]:
    """State of the network in one of a learner that had its parameters by name, weights (members, out, in)."""
    moments = {number: _turned(entry) for number, entry in state["optimiser"]["state"].items()}
    return {
        "network": _turned(state["online"]),
        "target": _turned(state["target"]),
        "optimiser": {"state": moments},
    }
