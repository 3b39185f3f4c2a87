# SPDX-License-Identifier: Apache-2.0
"""SQRL's fine-tuning in a graph (Algorithm 2), and SAC in its place, for comparison.

policy_server draws from the policy without its mask, a masked policy of one candidate; the safety filter is the mask,
with the critic of the same file, which the trainer sends it once. Between the iterations the actor learns from all of
the filter's decisions so far, with nu (Q_safe - epsilon) in its loss; the critic stays as it is.

An off-policy update may change the policy at will, and the torque limit would have to fall to what D_safe allows if
every step were unsafe. So each update is held: of the way that the actor has come in an iteration it goes only as far
as what is done, behind the mask, changes no more often than an update of KL `max_kl` changes it (PSPT Eq. 24), and
learns on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.critics.safety_critic import critic_from_bytes
from safe_transfer_ros.learning.off_policy import ReplaySettings
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.masked import POLICY, part
from safe_transfer_ros.policies.mlp import hidden_widths
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, read
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.critic.changed_choice import choice_change_risk, proposals_examined
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.safety.limit.rules import PolicyShift
from safe_transfer_ros.safety.limit.torque_limit import divergence_of
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.off_policy.graph import SETTINGS, OffPolicyUpdates, columns_of
from safe_transfer_ros.transfer.off_policy.start import CRITICS_FIRST, Start, start_from_bytes
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.critic_file import gate_critic
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

Array = NDArray[np.float64]

_DRAWS = 32  # proposals a state, of which the share is taken that the critic accepts
_BACKTRACK, _STEPS = 0.7, 20  # of the line search, as CSC's


class MaskedElsewhere:
    """SQRL's agent whose mask is the safety filter; a `transfer.off_policy.graph.GraphAgent`.

    Attributes:
      noise_size: Of the policy without its mask.
      learned_share: 1: it proposes everything.
    """

    learned_share = 1.0

    def __init__(self, agent: SqrlAgent, *, masked: bool) -> None:
        """Take an agent; one that is masked counts by its critic too."""
        self._agent, self._masked = agent, masked
        self.noise_size = len(self.actor()["bound"])

    def act(self, observation: Array, noise: Array) -> Array:
        """See `Agent.act`."""
        return SquashedPolicy(self.actor()).act(observation, noise).action

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """See `Agent.update`."""
        return self._agent.update(columns, rng)

    def policy(self) -> Policy:
        """See `Agent.policy`: behind its mask, where it has one."""
        return self._agent.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """See `Agent.policy_file`: with the critic in the same file, where it has one."""
        return self._agent.policy_file(metadata)

    def proposing_file(self, metadata: Mapping[str, str]) -> bytes:
        """See `GraphAgent.proposing_file`: one candidate leaves a mask nothing to choose."""
        if not self._masked:
            return self._agent.policy_file(metadata)
        tensors, card = read(self._agent.policy_file(metadata))
        return policy_to_bytes(tensors, {**card, "candidates": "1"})

    def law(self, observation: Array) -> tuple[Array, Array]:
        """See `GraphAgent.law`: before the tanh."""
        return _law(self.actor(), observation)

    def state(self) -> dict[str, Any]:
        """See `Agent.state`; the critic, which stays as it is, counts by its content."""
        found = self._agent.state()
        del found["safety"]
        return found | {"critic": self._critic_digest()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Agent.restore`.

        Raises:
          ValueError: if the state is of a run with another critic.
        """
        if state["critic"] != self._critic_digest():
            raise ValueError("the safety critic of the policy's file is another than the run began with")
        self._agent.restore({**state, "safety": self._agent.safety.state()})

    def hold(self, before: Tensors, risk: _Risk, most: float) -> float:
        """Go as far from the actor that was served as what is done may change.

        Args:
          before: The actor that was served.
          risk: Says how often what is done changes with an actor in its place.
          most: Largest divergence that is accepted.

        Returns:
          The divergence whose dp_u2 (`policy_change_risk`) is that of what is done, at most `most`.

        Raises:
          WeightsError: if the actor is not finite any more.
        """
        learned = self.actor()
        for power in range(_STEPS + 1):
            share = np.float32(_BACKTRACK**power)
            trial = {name: array + share * (learned[name] - array) for name, array in before.items()}
            found = divergence_of(risk(trial))
            if found <= most:
                self._agent.act_as(trial)
                return found
        self._agent.act_as(before)
        return 0.0

    def actor(self) -> Tensors:
        """Tensors of the policy without its mask."""
        tensors, _ = read(self._agent.policy_file({}))
        return part(tensors, POLICY) if self._masked else tensors

    def _critic_digest(self) -> str:
        digest = hashlib.sha256()
        for name, array in sorted(self._agent.safety.parameters().items()) if self._masked else ():
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()


class _Risk:
    """Chance that what is done changes with another actor in the place of one, in the states of an iteration."""

    def __init__(self, before: Tensors, observation: Array, examined: Array | float) -> None:
        self._observation, self._examined = observation, examined
        self._mean, self._stddev = _law(before, observation)

    def __call__(self, actor: Tensors) -> float:
        mean, stddev = _law(actor, self._observation)
        shift = PolicyShift(mean=self._mean, stddev=self._stddev, mean_after=mean, stddev_after=stddev)
        return choice_change_risk(shift, self._examined)


class SqrlUpdates(OffPolicyUpdates):
    """SQRL as the learner of a graph; see `PolicyUpdates`.

    Attributes:
      kl_bound: What each update is held to: see the module.
    """

    agent: MaskedElsewhere

    def __init__(
        self,
        beginning: Beginning,
        replay: ReplaySettings = SETTINGS,
        *,
        masked: bool = True,
        critics_first: int = CRITICS_FIRST,
    ) -> None:
        """Start from the file of a pre-training, or go on with a run.

        Args:
          beginning: Its policy is one of SAC or SQRL.
          replay: Of its learning.
          masked: Whether the filter asks the critic of the file, and nu is in the loss; False: SAC.
          critics_first: See `SacSettings`.

        Raises:
          WeightsError: if the policy is none of SAC or SQRL, or has no critic beside it where one is needed.
        """
        graph, start = beginning.graph, start_from_bytes(beginning.policy, "of the run")
        if masked and not start.critic:
            raise WeightsError(
                "expected a policy with a safety critic beside it, as `train sqrl` writes; SAC: learner:=sac"
            )
        sac = SacSettings(
            gamma=graph.task.gamma, hidden=tuple(hidden_widths(start.policy)[1]), critics_first=critics_first
        )
        settings = _settings(start) if masked else SqrlSettings()
        agent = SqrlAgent(
            graph.task.observation_size,
            start.policy["bound"].astype(np.float64),
            sac,
            settings,
            seed=beginning.seed,
            mask=masked,
            penalty="dual" if masked else "",
            limit_input=graph.task.limit_input,
        )
        if masked:
            agent.start_from(start.policy, start.critic, start.temperature)
        else:
            agent.act_as(start.policy, start.temperature)
        self._seed, self._critic, self._epsilon = beginning.seed, b"", settings.epsilon
        if masked:
            self._critic = gate_critic(
                start.critic, start.policy["bound"].astype(np.float64), _card(graph, settings, start)
            )
        super().__init__(beginning, MaskedElsewhere(agent, masked=masked), replay)
        self.kl_bound = beginning.max_kl

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`: the divergence is that of what is done."""
        before = self.agent.actor()
        observation = np.concatenate([episode.observation[:-1] for episode in episodes])
        limit = np.concatenate([episode.torque_limit for episode in episodes])
        risk = _Risk(before, observation, self._examined(before, observation, limit, iteration))
        self._learner.buffer.add(failing(episodes, self._graph, iteration))
        self._learner.learn()
        kl = self.agent.hold(before, risk, self.kl_bound)
        self._keep(iteration + 1)
        return kl

    def critic(self) -> bytes | None:
        """See `PolicyUpdates.critic`: that of the file, all the time."""
        return self._critic or None

    def _examined(self, actor: Tensors, observation: Array, limit: Array, iteration: int) -> Array | float:
        """`proposals_examined` by the filter in each state, of this actor."""
        if not self._critic:
            return 1.0
        rng = generator(Purpose.MASK_OF_UPDATE, self._seed, iteration)
        most = 1 + MaskSettings.max_samples
        loaded = critic_from_bytes(self._critic, name="the policy's critic")
        gate = MaskedPolicyGate(
            loaded.critic, self._graph.action_bound, MaskSettings(epsilon=self._epsilon), rng.standard_normal
        )
        policy, limits = SquashedPolicy(actor), np.array([self._graph.gate_limit(float(each)) for each in limit])
        accepted = np.zeros(len(observation))
        for _ in range(_DRAWS):
            noise = rng.standard_normal((len(observation), policy.noise_size))
            accepted += gate.risks(observation, policy.act(observation, noise).action, limits) <= self._epsilon
        return proposals_examined(accepted / _DRAWS, most)


class SacUpdates(SqrlUpdates):
    """SAC as the learner of a graph, from the same files: no critic, no mask, no nu; its updates are held as SQRL's."""

    def __init__(
        self, beginning: Beginning, replay: ReplaySettings = SETTINGS, *, critics_first: int = CRITICS_FIRST
    ) -> None:
        """Start from a policy; see `SqrlUpdates`."""
        super().__init__(beginning, replay, masked=False, critics_first=critics_first)


def failing(episodes: Sequence[Episode], graph: TaskInGraph, iteration: int) -> dict[str, NDArray[Any]]:
    """Transitions of an iteration's episodes, each up to its first failure, which ends it; see `columns_of`.

    A failure is charged what it is charged in simulation (`Task.failure_cost`).
    """
    columns = columns_of(episodes, graph, iteration, ends_on_failure=True)
    cost = graph.task.failure_cost * (columns["cost"] > 0.0)
    return columns | {"reward": (columns["reward"] - cost).astype(columns["reward"].dtype)}


def _law(actor: Tensors, observation: Array) -> tuple[Array, Array]:
    """Mean and standard deviation before the tanh, which changes no divergence."""
    policy = SquashedPolicy(actor)
    act = policy.act(observation, np.zeros((len(observation), policy.noise_size)))
    assert act.stddev is not None
    return act.mean, act.stddev


def _settings(start: Start) -> SqrlSettings:
    """SQRL's settings as the card has them, and the sizes of the critic."""
    layers = len(start.critic) // 2
    hidden = tuple(start.critic[f"layer.{layer}.bias"].shape[1] for layer in range(layers - 1))
    try:
        return SqrlSettings(epsilon=float(start.card["epsilon"]), gamma=float(start.card["gamma_safe"]), hidden=hidden)
    except (KeyError, ValueError) as error:
        raise WeightsError(f"expected epsilon and gamma_safe on the policy's card ({error})") from error


def _card(graph: TaskInGraph, settings: SqrlSettings, start: Start) -> dict[str, Any]:
    """Model card for the filter."""
    return {
        "kind": "SQRL",
        "task": graph.task.name,
        "epsilon": settings.epsilon,
        "gamma_safe": settings.gamma,
        "certified": False,
        "against": ["it was pre-trained with its policy (SQRL), and judged by no held-out episodes"],
        "failures_seen": start.card.get("failures_seen", ""),
    }
