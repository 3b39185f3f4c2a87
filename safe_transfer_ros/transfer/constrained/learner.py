# SPDX-License-Identifier: Apache-2.0
"""The training loop of every learner: roll out, with a critic's gate if it has one; learn; count.

CSC is the loop with a conservative critic that rejects actions and a policy step along A_R - lambda' A_C (Bharadhwaj
et al. 2021, Algorithm 1). Without critic and multiplier it is TRPO; the others lie between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.cpo import cpo_update
from safe_transfer_ros.algorithms.gaussian_network import probability_ratios
from safe_transfer_ros.algorithms.lagrange import csc_violation, next_multiplier, penalised_advantages
from safe_transfer_ros.critics.online import OnlineCritic
from safe_transfer_ros.learning.advantages import (
    AdvantageSettings,
    cost_advantages_of_episodes,
    estimate,
    standardised,
    step_batch,
)
from safe_transfer_ros.learning.environment import ConstrainedEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation, evaluate
from safe_transfer_ros.learning.off_policy import Greedy
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.weights import Architecture, Parameters
from safe_transfer_ros.randomness import FirstEpisode, Purpose, generator, integer_seed
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.transfer.constrained.method import Method
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.training import EpochRecord

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LearnerProgress:
    """Counts of a run so far.

    Attributes:
      epochs: Done.
      episodes: Rolled out.
      steps: Of these.
      failures: Unsafe states of these.
      wall_time_s: Spent, s.
    """

    epochs: int = 0
    episodes: int = 0
    steps: int = 0
    failures: int = 0
    wall_time_s: float = 0.0


class Learner:
    """One run of a method in an environment; iterate `epochs`.

    Attributes:
      parameters: The policy as it is now.
      multiplier: lambda.
      progress: Counts of the epochs done.
    """

    def __init__(
        self,
        environment: ConstrainedEnvironment,
        method: Method,
        settings: LearnerSettings,
        *,
        episodes: int,
        seed: int,
        parameters: Parameters | None = None,
    ) -> None:
        """Start from the seed.

        Args:
          environment: Where to learn.
          method: How.
          settings: See `LearnerSettings`.
          episodes: An epoch.
          seed: Of everything random.
          parameters: The policy to start from; a new one by default.
        """
        self._environment, self._method, self._settings = environment, method, settings
        self._episodes, self._seed = episodes, seed
        architecture = Architecture(
            observation_size=environment.observation_size,
            hidden=settings.hidden,
            action_size=len(environment.action_bound),
        )
        if parameters is None:
            parameters = initial_parameters(architecture, seed, log_std=settings.log_std)
        self.parameters = parameters
        self.multiplier, self.progress = 0.0, LearnerProgress()
        # Accepted, and what there was in the last epoch: failures per episode, or costs per step where they add up.
        self._chi = settings.chi / environment.cost_steps
        self._failure_rate = self._chi  # nothing is known yet: the threshold is its floor (CSC: eps = 0)
        self._critic: OnlineCritic | None = None
        if method.members:
            self._critic = OnlineCritic(
                environment.observation_size,
                environment.action_bound,
                settings.critic(method.members, method.alpha),
                batch=settings.critic_batch,
                capacity=settings.critic_capacity,
                pessimism=method.pessimism,
                # With gamma near 1 a first guess is long in going: one that just passes the gate.
                first_risk=settings.floor(self._chi),
                seed=seed,
            )
            if settings.seed_tuples:
                self._seed_critic(self._critic)

    def epochs(self) -> Iterator[EpochRecord]:
        """Learn without end.

        Yields:
          Each epoch, after its update.
        """
        while True:
            yield self.epoch()

    def epoch(self) -> EpochRecord:
        """Learn for an epoch: roll out, update, count."""
        began, done = time.monotonic(), self.progress
        gate = self._gate(generator(Purpose.GATE_OF_EPOCH, self._seed, done.epochs))
        rollouts = self._environment.rollout(
            GaussianPolicy(self.parameters),
            episodes=self._episodes,
            seed=self._seed,
            first_episode=done.episodes,
            gate=gate,
        )
        bias = self._bias(rollouts)
        kl = self.learn(rollouts, done.epochs)
        found = Evaluation.of(rollouts)
        self.progress = LearnerProgress(
            epochs=done.epochs + 1,
            episodes=done.episodes + self._episodes,
            steps=done.steps + rollouts.steps,
            failures=done.failures + int((rollouts.cost * rollouts.valid).sum()),
            wall_time_s=done.wall_time_s + time.monotonic() - began,
        )
        return EpochRecord(
            epoch=done.epochs,
            episodes=self.progress.episodes,
            steps=self.progress.steps,
            mean_return=found.mean_return,
            failures_per_episode=found.mean_cost,
            cumulative_failures=self.progress.failures,
            success_rate=found.success_rate,
            gated=float(rollouts.gated.sum()) / rollouts.steps,
            epsilon=float("nan") if gate is None else gate.settings.epsilon,
            multiplier=self.multiplier,
            kl=kl,
            cost_bias=bias,
            wall_time_s=self.progress.wall_time_s,
        )

    def learn(self, rollouts: Rollouts, epoch: int) -> float:
        """Learn from an epoch's rollouts: critic, multiplier, policy.

        Returns:
          KL divergence of the policy's step.
        """
        self._failure_rate = Evaluation.of(rollouts).mean_cost / self._environment.cost_steps
        return self._learn(rollouts, epoch)

    def advantages(self, rollouts: Rollouts, rewards: Array) -> Array:
        """Standardised advantages of rewards by GAE.

        Args:
          rollouts: Where the rewards are from.
          rewards: Shape (episodes, horizon), `rollouts.reward` or what is made of them.

        Returns:
          One number per valid step of the rollouts, in their order.
        """
        found = estimate(rollouts, rewards, AdvantageSettings(gamma=self.gamma, lam=self._settings.lam))
        return standardised(found.values)

    def cost_advantages(self, rollouts: Rollouts, epoch: int) -> Array:
        """Advantages of the costs, of the critic once it has learned from these rollouts; without a critic GAE's.

        Returns:
          One number per valid step of the rollouts, in their order.
        """
        settings = self._settings
        if self._critic is None:
            found = estimate(rollouts, rollouts.cost, AdvantageSettings(gamma=settings.cost_gamma, lam=settings.lam))
            return np.asarray(found.values - found.values.mean())
        policy = GaussianPolicy(self.parameters)
        if settings.calibrated and self._critic.learned:
            self._critic.calibrate(rollouts)
        self._critic.add(rollouts)
        self._critic.learn(policy, settings.critic_updates)
        return self._critic.advantages(rollouts, policy, samples=settings.cost_samples, epoch=epoch)

    def step(self, rollouts: Rollouts, advantages: Array, epoch: int) -> float:
        """Take the method's step along advantages: TRPO's within the trust region, or PPO's.

        Args:
          rollouts: From the policy as it is now.
          advantages: One number per valid step, see `advantages`.
          epoch: Number of the epoch.

        Returns:
          KL divergence of the step.
        """
        seed = integer_seed(Purpose.POLICY_UPDATE, self._seed, epoch)
        batch = step_batch(rollouts, advantages)
        self.parameters, kl = self._method.step(self.parameters, batch, self._settings, seed)
        return kl

    def state(self) -> dict[str, Any]:
        """State for `restore`, without the policy and the critic's transitions."""
        critic = {} if self._critic is None else self._critic.state()
        return {"multiplier": self.multiplier, "failure_rate": self._failure_rate, "critic": critic}

    def restore(self, state: Mapping[str, Any], seen: Iterable[Columns]) -> None:
        """Resume exactly: `learn` then gives the same numbers."""
        self.multiplier, self._failure_rate = float(state["multiplier"]), float(state["failure_rate"])
        if self._critic is not None:
            self._critic.restore(state["critic"], seen)

    @property
    def settings(self) -> LearnerSettings:
        """Settings of the learner."""
        return self._settings

    @property
    def gamma(self) -> float:
        """Discount of the return."""
        return self._environment.gamma

    @property
    def critic(self) -> OnlineCritic | None:
        """The critic, if the method has one."""
        return self._critic

    @property
    def cost_gamma(self) -> float:
        """Discount of costs: how far ahead the critic sees."""
        return self._settings.cost_gamma

    @property
    def epsilon(self) -> float:
        """Largest risk that is let pass now; next to 1 while the critic has learned nothing."""
        if self._critic is None or not self._critic.learned:
            return 0.999
        return self._settings.threshold(self._failure_rate, self._chi)

    def evaluate(self, episodes: int, *, noise: bool = True) -> Evaluation:
        """Evaluate the current policy, with its gate, in episodes that it does not learn from.

        Args:
          episodes: How many.
          noise: Whether it draws its actions, as it does while it learns; if not, it takes their mean.
        """
        policy = GaussianPolicy(self.parameters)
        return evaluate(
            policy if noise else Greedy(policy),
            self._environment,
            episodes=episodes,
            seed=self._seed,
            gate=self._gate(generator(Purpose.GATE_OF_EVALUATION, self._seed)),
        )

    def _seed_critic(self, critic: OnlineCritic) -> None:
        """Labelled tuples of the first policy, not counted as episodes of the run."""
        policy = GaussianPolicy(self.parameters)
        rollouts = self._environment.rollout(
            policy, episodes=2 * self._episodes, seed=self._seed, first_episode=FirstEpisode.CRITIC_LABELLED
        )
        critic.add(self._environment.labelled(rollouts), at_most=self._settings.seed_tuples)
        critic.learn(policy, self._settings.critic_updates)

    def _gate(self, noise: np.random.Generator) -> MaskedPolicyGate | None:
        """Rejection by the critic; none before it has learned anything: its choice would be a chance one."""
        if self._critic is None or not self._critic.learned:
            return None
        mask = MaskSettings(epsilon=self.epsilon, max_samples=self._settings.max_samples)
        return MaskedPolicyGate(self._critic, self._environment.action_bound, mask, noise.standard_normal)

    def _learn(self, rollouts: Rollouts, epoch: int) -> float:
        """Critic, multiplier, policy; gives the KL of the policy's step."""
        settings, update = self._settings, self._method.update
        if callable(update):
            kl = update(self, rollouts, epoch)
            if self._critic is not None and not self._critic.learned:
                raise ValueError(
                    f"the method '{self._method.label}' has members={self._method.members} and its critic has learned "
                    "nothing: its update must call learner.cost_advantages(rollouts, epoch), or leave out members"
                )
            return kl
        rewards = self.advantages(rollouts, rollouts.reward)
        before = self.parameters
        if update == "reward":
            return self.step(rollouts, rewards, epoch)
        if update == "cpo":
            return self._cpo(rollouts, rewards, epoch)
        costs = self.cost_advantages(rollouts, epoch)
        penalised = standardised(penalised_advantages(rewards, costs, self.multiplier, settings.cost_gamma))
        kl = self.step(rollouts, penalised, epoch)
        # The actions were the gate's, not the policy's: what counts is how much more the new policy would take the
        # risky ones. E[A_C] itself would say how much the gate lowers the risk, and lambda would stay 0.
        batch = step_batch(rollouts, penalised)
        change = (probability_ratios(before, self.parameters, batch.observations, batch.actions) - 1.0) * costs
        # A failure that ends an episode is foretold for the whole of it, costs that add up for a step.
        ahead = settings.cost_gamma if self._environment.cost_steps == 1 else 0.0
        violation = csc_violation(change, failure_rate=self._failure_rate, chi=self._chi, gamma=ahead)
        self.multiplier = next_multiplier(self.multiplier, violation, settings.multiplier_rate)
        return kl

    def _cpo(self, rollouts: Rollouts, rewards: Array, epoch: int) -> float:
        """CPO's step; value and advantages of its constraint have one discount, none."""
        settings, seed = self._settings, integer_seed(Purpose.POLICY_UPDATE, self._seed, epoch)
        if self._critic is None:
            costs = cost_advantages_of_episodes(
                rollouts, settings.lam if settings.cost_lam is None else settings.cost_lam
            )
        else:
            costs = self.cost_advantages(rollouts, epoch)
        excess = (self._failure_rate - self._chi) * self._environment.cost_steps / float(rollouts.lengths.mean())
        found = cpo_update(
            self.parameters, step_batch(rollouts, rewards), costs.astype(np.float32), excess, settings.region, seed
        )
        self.parameters = found.parameters
        return found.kl

    def _bias(self, rollouts: Rollouts) -> float:
        """Over-estimate of failures by the critic, from the episodes' first actions."""
        if self._critic is None or not self._critic.learned:
            return float("nan")
        foretold = self._critic.risk(rollouts.observation[:, 0], rollouts.applied[:, 0])
        discount = self._settings.cost_gamma ** np.arange(rollouts.cost.shape[1])
        return float(foretold.mean() - (rollouts.ended_by_failures().cost @ discount).mean())
