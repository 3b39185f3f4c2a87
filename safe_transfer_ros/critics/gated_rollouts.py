# SPDX-License-Identifier: Apache-2.0
"""Algorithm 1 with a critic's gate, and with dp_u1 predicted by a critic."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, RiskModel
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import Policy, VectorTorqueEnv

Array = NDArray[np.float64]


class GatedRollouts:
    """`VectorTorqueEnv` with a gate; an `Environment` of Algorithm 1.

    Attributes:
      last: Rollouts of the newest iteration.
    """

    last: SimulatedRollouts

    def __init__(self, environment: VectorTorqueEnv, gate: MaskedPolicyGate | None) -> None:
        """Put a gate before the envelope; None: none."""
        self._environment, self._gate = environment, gate

    @property
    def task(self) -> TorqueTask:
        """The task."""
        return self._environment.task

    def rollout(
        self, policy: Policy, *, torque_limits: ArrayLike, seed: int, first_episode: int = 0
    ) -> SimulatedRollouts:
        """See `VectorTorqueEnv.rollout`."""
        self.last = self._environment.rollout(
            policy, torque_limits=torque_limits, seed=seed, first_episode=first_episode, gate=self._gate
        )
        return self.last


class CriticLimit(TorqueLimitGovernor):
    """The adaptive limit with the effect of the next limit foretold by a critic instead of bounded.

    dp_u1 = max(0, E[Q(s, clip(a, T')) - Q(s, clip(a, T))]) + margin over the visited states, T' the highest limit
    allowed next, and s with that limit observed in it. The margin is how far the critic's mean risk of the torques
    applied fell short of what happened in these very episodes, plus twice the standard error of the effect.

    Attributes:
      effect: The newest dp_u1.
    """

    def __init__(self, settings: GovernorSettings, critic: RiskModel, rollouts: GatedRollouts) -> None:
        """Start at the initial limit; see `TorqueLimitGovernor`."""
        super().__init__(settings)
        self._critic, self._rollouts = critic, rollouts
        self.effect = float("nan")

    def _next(self, rate: float, limit_change: float, policy_change: float) -> float:
        self.effect = self._foretold()
        return super()._next(rate, self.effect, policy_change)

    def _foretold(self) -> float:
        batch, task = self._rollouts.last, self._rollouts.task
        now, then = self.torque_limit, min(self.settings.growth * self.torque_limit, self.settings.t_max)
        shape = (-1, task.action_size)
        chosen = batch.chosen.reshape(shape)
        position, velocity = (values[:, :-1].reshape(shape) for values in (batch.position, batch.velocity))
        risks = [
            self._critic.risk(task.observe(position, velocity, limit), np.clip(chosen, -limit, limit))
            for limit in (now, then)
        ]
        change = (risks[1] - risks[0]).reshape(len(batch.chosen), -1).mean(axis=1)
        error = float(change.std(ddof=1) / np.sqrt(len(change)))
        unsafe = float(np.mean(~(batch.unsafety[:, 1:] <= task.unsafety_limit)))
        shortfall = max(0.0, unsafe - float(risks[0].mean()))
        return float(min(1.0, max(0.0, float(change.mean())) + shortfall + 2.0 * error))
