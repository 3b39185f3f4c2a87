# SPDX-License-Identifier: Apache-2.0
"""Run of CSC on SAC: the off-policy loop; after each epoch the critic learns, threshold and multiplier take a step.

The actor's loss has lambda' Q_C, lambda' = lambda / (1 - gamma): less a baseline that no action changes, that is
lambda' A_C. lambda goes by V_C alone, eta (V_C - chi) an epoch: over the thousands of small steps of an epoch there is
no one new policy whose E[A_C] could be foretold.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from safe_transfer_ros.algorithms.lagrange import csc_violation, next_multiplier
from safe_transfer_ros.transfer.off_policy.method import OffPolicyMethod
from safe_transfer_ros.transfer.off_policy.run import OffPolicyRun
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.training import EpochRecord, TrainingPlan


class CscSacRun(OffPolicyRun):
    """A `SqrlAgent` with a conservative critic in a task's environment; a `transfer.training.TrainingRun`."""

    def __init__(self, method: OffPolicyMethod, plan: TrainingPlan) -> None:
        """Start; see `OffPolicyRun`.

        Raises:
          ValueError: where costs add up: a critic of failures that end an episode says nothing of their sum.
        """
        super().__init__(method, plan)
        if self._adds_up:
            self.__exit__(None, None, None)
            raise ValueError(f"{method.label} needs a task that a failure ends; costs add up in {plan.task}")
        assert isinstance(self._loop.agent, SqrlAgent)
        self._agent: SqrlAgent = self._loop.agent
        self._settings, self._multiplier = plan.settings, 0.0

    def epoch(self) -> EpochRecord:
        """See `TrainingRun.epoch`; the record's epsilon is the one that the epoch was collected with."""
        before, epsilon = self._loop.buffer.added, self._agent.epsilon
        found = super().epoch()
        began = time.monotonic()
        self._agent.learn_safety(self._loop.buffer.since(before))
        rate, settings = found.failures_per_episode, self._settings
        if not math.isnan(rate):  # no episode ended: what was known of them is still the newest
            violation = csc_violation(np.zeros(1), failure_rate=rate, chi=settings.chi, gamma=settings.cost_gamma)
            self._multiplier = next_multiplier(self._multiplier, violation, settings.multiplier_rate)
            self._agent.epsilon = settings.threshold(rate, settings.chi)
            self._agent.penalise(self._multiplier / (1.0 - settings.cost_gamma))
        self._wall_time_s += time.monotonic() - began
        gated = self._agent.counted()
        return dataclasses.replace(
            found, gated=gated, epsilon=epsilon, multiplier=self._multiplier, wall_time_s=self._wall_time_s
        )

    def state(self) -> dict[str, Any]:
        """See `TrainingRun.state`."""
        return super().state() | {"multiplier": self._multiplier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `TrainingRun.restore`."""
        super().restore(state)
        self._multiplier = float(state["multiplier"])
