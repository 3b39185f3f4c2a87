# SPDX-License-Identifier: Apache-2.0
"""Off-policy methods: which agent learns, at what rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.learning.off_policy import Agent, OffPolicySettings
from safe_transfer_ros.registry import load
from safe_transfer_ros.transfer.training import BaselineUse, TrainingPlan, TrainingRun


@dataclass(frozen=True, kw_only=True, eq=False)
class AgentTask:
    """Facts of a task that an agent is made for.

    Attributes:
      observation_size: Length of an observation.
      bound: Largest |action|, shape (n,).
      gamma: Discount of the return.
      horizon: Steps per episode.
      accepted_cost: Cost that is accepted at a step, on the average: chi spread over an episode.
      plan: Settings of the run.
    """

    observation_size: int
    bound: NDArray[np.float64]
    gamma: float
    horizon: int
    accepted_cost: float
    plan: TrainingPlan


MakeAgent: TypeAlias = Callable[[AgentTask], Agent]
"""Makes an agent that has learned nothing."""


@dataclass(frozen=True, kw_only=True)
class OffPolicyMethod:
    """A method that updates as it acts, from all transitions so far; a `transfer.training.TrainingMethod`.

    Attributes:
      label: In tables and legends.
      agent: Makes the one that learns.
      description: One line for --help.
      varied: Names of the `LearnerSettings` that the agent has a use for, among those that the command varies.
      baseline: Whether the agent corrects a baseline that a plan may name.
      continues: Whether it can begin with a policy that was learned before; see `TrainingPlan.start`.
      explores: True: it learns from actions with noise.
      loop: Of the off-policy loop; the plan decides the length of an epoch and of the warm-up.
      goals: Goals that were reached later, replayed beside each transition's own where a task has goals: HER's k.
    """

    label: str
    agent: MakeAgent
    description: str = ""
    varied: frozenset[str] = frozenset()
    baseline: BaselineUse = BaselineUse.NONE
    continues: bool = False
    explores: ClassVar[bool] = True
    goals: int = 4
    loop: OffPolicySettings = field(default_factory=lambda: OffPolicySettings(epoch_steps=1))

    def begin(self, plan: TrainingPlan) -> TrainingRun:
        """Start a run; see `TrainingMethod.begin`."""
        made: TrainingRun = load("safe_transfer_ros.transfer.off_policy.run:OffPolicyRun")(self, plan)
        return made
