# SPDX-License-Identifier: Apache-2.0
"""The learners' methods: the source of an action's cost, and the policy update for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from safe_transfer_ros.algorithms.safety_critic import CriticSettings
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.registry import Registry

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
        """Take TRPO's step along advantages; gives its KL divergence."""
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
    """A learner.

    Attributes:
      label: In tables and legends.
      update: How the policy is changed: "reward" (TRPO), "lagrangian", "cpo", or a `PolicyUpdate`.
      description: One line for --help.
      members: Critics that reject actions in rollouts and give their cost; 0: no critic, costs are GAE's.
      alpha: Weight of the conservative term, unless the settings give another.
      pessimism: Standard deviations of the critics added to their mean.
    """

    label: str
    update: str | PolicyUpdate
    description: str = ""
    members: int = 0
    alpha: float = 0.0
    pessimism: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.update) and self.update not in UPDATES:
            raise ValueError(
                f"a method's update must be one of {', '.join(UPDATES)}, or a function of (learner, rollouts, epoch); "
                f"got {self.update!r}"
            )


def _is_method(name: str, thing: object) -> None:
    if not isinstance(thing, Method):
        raise ValueError(f"a method must be a Method, got {thing!r}")


METHODS: Registry[Method] = Registry("method", group="safe_transfer_ros.methods", check=_is_method)
"""Every learner by name; another package adds its own by an entry point in the group."""

for _name, _method in {
    "csc": Method(
        label="CSC",
        update="lagrangian",
        description="a conservative safety critic rejects actions; policy step along A_R - lambda' A_C",
        members=1,
        alpha=0.05,
    ),
    "trpo": Method(label="TRPO", update="reward", description="no constraint: what learning costs without one"),
    "trpo-lagrangian": Method(
        label="TRPO-Lagrangian",
        update="lagrangian",
        description="no critic: lambda' times the cost's advantage, estimated from the rollouts",
    ),
    "cpo": Method(
        label="CPO",
        update="cpo",
        description="no critic: the step that keeps the constraint to first order",
    ),
    "q-ensemble": Method(
        label="Q-ensemble (20)",
        update="lagrangian",
        description="CSC's loop with 20 critics, their mean plus one standard deviation, and no conservative term",
        members=20,
        pessimism=1.0,
    ),
}.items():
    METHODS.add(_name, _method)


def method(name: str) -> Method:
    """A learner by name.

    Raises:
      ValueError: if there is none; names the nearest known one.
    """
    return METHODS[name]


@dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """Settings of every learner. CSC's numbers, but for those a few hundred episodes cannot feel.

    - gamma .95 for .99, so that risk is that of the next second, not of the episode. At .99 a policy that is still
      learning risks failing whenever it touches the block: the gate then keeps it from the block for good.
    - epsilon at least .1 (SQRL's). CSC's (1 - gamma)(chi - V_C) < 5e-4 is below what a critic can tell from nothing.
    - alpha .05 for .5 (see `METHODS`), and Bellman targets from a twin without the conservative term. With the critic's
      own, each alpha tried (.5, .05, .005) ran away in one run or another: every action was risky, also one that had
      been taken without harm. At .5 even so two actions in three were rejected (one run), and the task was not learned.
    - eta .2 for .04: lambda' = lambda / (1 - gamma) then moves by 4 (V_C - chi) an epoch, as CSC's with gamma .99.
      With 2 lambda rises to 2.5 within the first six epochs, which fail, and falls by .1 per epoch after: it keeps the
      policy from the block for the rest of the run.

    Attributes:
      chi: Failures per episode that are accepted; where costs add up, the accepted sum of an episode's.
      cost_gamma: Discount of costs, and of the critics.
      lam: Lambda of GAE, for rewards and costs.
      multiplier_rate: eta.
      region: Trust region of the policy's update.
      epsilon_floor: Lowest threshold of rejection.
      max_samples: Actions drawn for a rejected one.
      alpha: Weight of the conservative term; None: the method's.
      own_target: Take Bellman targets from the conservative critic itself, as published.
      critic_hidden: Hidden layers of a critic.
      critic_rate: Its learning rate (CSC 2e-4).
      critic_target_rate: How far its target moves at each update.
      critic_updates: After each epoch.
      critic_batch: Transitions an update.
      cost_samples: Actions that E_pi[Q_C] is the mean of.
      seed_tuples: Labelled transitions the critic has learned from before the first epoch (CSC: 1,000); 0: none.
      hidden: Hidden layers of the policy.
      log_std: Its first log standard deviation.
    """

    chi: float = 0.05
    cost_gamma: float = 0.95
    lam: float = 0.97
    multiplier_rate: float = 0.2
    region: TrustRegionSettings = field(
        default_factory=lambda: TrustRegionSettings(max_kl=0.01, backtrack_ratio=0.7, backtrack_steps=20)
    )
    epsilon_floor: float = 0.1
    max_samples: int = 100
    alpha: float | None = None
    own_target: bool = False
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_rate: float = 1e-3
    critic_target_rate: float = 0.05
    critic_updates: int = 300
    critic_batch: int = 256
    cost_samples: int = 8
    seed_tuples: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float = -0.5

    def __post_init__(self) -> None:
        checks = {
            "chi > 0": self.chi > 0.0,
            "0 <= cost_gamma < 1": 0.0 <= self.cost_gamma < 1.0,
            "multiplier_rate > 0": self.multiplier_rate > 0.0,
            "0 < epsilon_floor < 1": 0.0 < self.epsilon_floor < 1.0,
            "seed_tuples >= 0": self.seed_tuples >= 0,
            "alpha >= 0": self.alpha is None or self.alpha >= 0.0,
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise ValueError(f"expected {' and '.join(broken)}")

    def critic(self, of: Method) -> CriticSettings:
        """Settings of a method's critic."""
        return CriticSettings(
            gamma=self.cost_gamma,
            alpha=of.alpha if self.alpha is None else self.alpha,
            members=of.members,
            hidden=self.critic_hidden,
            learning_rate=self.critic_rate,
            target_rate=self.critic_target_rate,
            own_target=self.own_target,
        )
