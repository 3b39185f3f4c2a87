# SPDX-License-Identifier: Apache-2.0
"""On-policy methods: the source of an action's cost, and the policy update for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
from safe_transfer_ros.registry import load
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.constrained.steps import PolicyStep, ppo_step, trpo_step
from safe_transfer_ros.transfer.training import BaselineUse, TrainingPlan, TrainingRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from safe_transfer_ros.policies.weights import Parameters
    from safe_transfer_ros.tasks.rollouts import Rollouts

UPDATES = ("reward", "lagrangian", "cpo")


class UpdatedLearner(Protocol):
    """Part of `learner.Learner` that a policy update may use.

    Attributes:
      parameters: The policy's; an update replaces them.
      multiplier: Weight of the cost, written to the run's table.
    """

    parameters: Parameters
    multiplier: float

    @property
    def settings(self) -> LearnerSettings:
        """Settings of the learner."""
        ...

    @property
    def gamma(self) -> float:
        """Discount of the return."""
        ...

    def advantages(self, rollouts: Rollouts, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardised advantages of rewards by GAE."""
        ...

    def cost_advantages(self, rollouts: Rollouts, epoch: int) -> NDArray[np.float64]:
        """Advantages of the costs, by the critic after it has learned from these rollouts, or by GAE."""
        ...

    def step(self, rollouts: Rollouts, advantages: NDArray[np.float64], epoch: int) -> float:
        """Take the method's step along advantages; gives its KL divergence."""
        ...


class PolicyUpdate(Protocol):
    """Policy update of another package's method."""

    def __call__(self, learner: UpdatedLearner, rollouts: Rollouts, epoch: int) -> float:
        """Learn from an epoch's rollouts: replace `learner.parameters`, by `learner.step` or in a way of its own.

        Returns:
          KL divergence of the policy's step.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method whose epochs are rollouts and an update; a `transfer.training.TrainingMethod`.

    Attributes:
      label: In tables and legends.
      update: How the policy is changed: "reward" (TRPO), "lagrangian", "cpo", or a `PolicyUpdate`.
      description: One line for --help.
      step: Along advantages: TRPO's or PPO's; CPO has its own.
      members: Critics that reject actions in rollouts and give their cost; 0: no critic, costs are GAE's.
      alpha: Weight of the conservative term, unless the settings give another.
      pessimism: Standard deviations of the critics added to their mean.
      baseline: Whether it starts from the clone of a baseline, which the plan then names.
      explores: False: its policy learns from its own actions.
    """

    label: str
    update: str | PolicyUpdate
    description: str = ""
    step: PolicyStep = trpo_step
    members: int = 0
    alpha: float = 0.0
    pessimism: float = 0.0
    baseline: BaselineUse = BaselineUse.NONE
    explores: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not callable(self.update) and self.update not in UPDATES:
            raise ValueError(
                f"a method's update must be one of {', '.join(UPDATES)}, or a function of (learner, rollouts, epoch); "
                f"got {self.update!r}"
            )

    @property
    def varied(self) -> frozenset[str]:
        """Names of the settings that it has a use for, among those that the command varies."""
        names = {"chi"} if self.update != "reward" else set()
        if self.update not in ("reward", "cpo"):  # one of another package may use any
            names |= {"multiplier_rate"}
        return frozenset(names | ({"alpha"} if self.alpha else set()))

    def begin(self, plan: TrainingPlan) -> TrainingRun:
        """Start a run; see `TrainingMethod.begin`."""
        made: TrainingRun = load("safe_transfer_ros.transfer.constrained.run:OnPolicyRun")(self, plan)
        return made


CONSTRAINED: dict[str, Method] = {
    "csc": Method(
        label="CSC",
        update="lagrangian",
        description="a conservative safety critic rejects actions; policy step along A_R - lambda' A_C",
        members=1,
        alpha=CSC_ALPHA,
    ),
    "trpo": Method(label="TRPO", update="reward", description="no constraint: what learning costs without one"),
    "trpo-lagrangian": Method(
        label="TRPO-Lagrangian",
        update="lagrangian",
        description="no critic: lambda' times the cost's advantage, estimated from the rollouts",
    ),
    "ppo-lagrangian": Method(
        label="PPO-Lagrangian",
        update="lagrangian",
        description="the same with PPO's step: Adam on the clipped surrogate, no trust region",
        step=ppo_step,
    ),
    "cpo": Method(
        label="CPO",
        update="cpo",
        description="no critic: the step that keeps the constraint to first order",
    ),
    "cloned-cpo": Method(
        label="Cloned + CPO",
        update="cpo",
        description="CPO that starts from the clone of a baseline (--baseline)",
        baseline=BaselineUse.REQUIRED,
    ),
    "q-ensemble": Method(
        label="Q-ensemble (20)",
        update="lagrangian",
        description="CSC's loop with 20 critics, their mean plus one standard deviation, and no conservative term",
        members=20,
        pessimism=1.0,
    ),
}
"""Ours by name; `transfer.methods` has the others too."""
