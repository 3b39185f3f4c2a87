# SPDX-License-Identifier: Apache-2.0
"""Settings of the learners under a constraint: CSC's numbers, and why some differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from safe_transfer_ros.algorithms.ppo import PpoSettings
from safe_transfer_ros.algorithms.safety_critic import CriticSettings
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.safety.critic.masked_policy import csc_threshold


@dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """Settings of every learner. CSC's numbers, but for those a few hundred episodes cannot feel.

    - gamma .95 for .99, so that risk is that of the next second, not of the episode. At .99 a policy that is still
      learning risks failing whenever it touches the block: the gate then keeps it from the block for good.
    - epsilon at least 2 chi, SQRL's .1 at CSC's chi. CSC's (1 - gamma)(chi - V_C) < 5e-4 is less than a critic can tell
      from nothing; a floor that does not depend on chi would leave nothing for chi to decide.
    - alpha .05 for .5 (`CSC_ALPHA`), and Bellman targets from a twin without the conservative term. With the
      critic's own, each alpha tried (.5, .05, .005) ran away in one run or another: every action was risky, also one
      that had been taken without harm. At .5 even so two actions in three were rejected (one run), and the task was
      not learned.
    - eta .2 for .04: lambda' = lambda / (1 - gamma) then moves by 4 (V_C - chi) an epoch, as CSC's with gamma .99.
      With 2 lambda rises to 2.5 within the first six epochs, which fail, and falls by .1 per epoch after: it keeps the
      policy from the block for the rest of the run.

    Attributes:
      chi: Failures per episode that are accepted; where costs add up, the accepted sum of an episode's.
      cost_gamma: Discount of costs, and of the critics; CPO's constraint has none.
      lam: Lambda of GAE, for rewards and costs.
      cost_lam: For CPO's costs, which are not discounted; None: the same.
      multiplier_rate: eta.
      region: Trust region of the policy's update.
      ppo: Of the policy's update where that is PPO's.
      floor_ratio: Lowest threshold of rejection, in units of chi.
      threshold_scale: Factor of chi - V_C in the threshold; None: 1 - gamma, with which the floor always binds.
      max_samples: Actions drawn for a rejected one.
      alpha: Weight of the conservative term; None: the method's.
      own_target: Take Bellman targets from the conservative critic itself, as published.
      critic_hidden: Hidden layers of a critic.
      critic_rate: Its learning rate (CSC 2e-4).
      critic_target_rate: How far its target moves at each update.
      critic_updates: After each epoch.
      critic_batch: Transitions an update.
      critic_capacity: Newest transitions that a critic learns from.
      critic_members: Critics that reject and give the cost, in place of the method's number.
      calibrated: Scale a critic's risks by what followed them in the newest epochs, see `critics.recalibration`.
      cost_samples: Actions that E_pi[Q_C] is the mean of.
      seed_tuples: Labelled transitions the critic has learned from before the first epoch (CSC: 1,000); 0: none.
      hidden: Hidden layers of the policy.
      log_std: Its first log standard deviation.
      epsilon: SQRL's threshold of rejection.
      safety_gamma: gamma_safe, discount of SQRL's critic; None: the task's.
      online_critic: Whether SQRL's critic goes on learning in fine-tuning.
      max_entropy: Whether SQRL and its rivals keep the entropy near a target; False: they have no temperature.
    """

    chi: float = 0.05
    cost_gamma: float = 0.95
    lam: float = 0.97
    cost_lam: float | None = None
    multiplier_rate: float = 0.2
    region: TrustRegionSettings = field(
        default_factory=lambda: TrustRegionSettings(max_kl=0.01, backtrack_ratio=0.7, backtrack_steps=20)
    )
    ppo: PpoSettings = field(default_factory=PpoSettings)
    floor_ratio: float = 2.0
    threshold_scale: float | None = None
    max_samples: int = 100
    alpha: float | None = None
    own_target: bool = False
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_rate: float = 1e-3
    critic_target_rate: float = 0.05
    critic_updates: int = 300
    critic_batch: int = 256
    critic_capacity: int = 1_000_000
    critic_members: int | None = None
    calibrated: bool = False
    cost_samples: int = 8
    seed_tuples: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float = -0.5
    epsilon: float = 0.1
    safety_gamma: float | None = None
    online_critic: bool = False
    max_entropy: bool = True

    def __post_init__(self) -> None:
        checks = {
            "chi > 0": self.chi > 0.0,
            "0 <= cost_gamma < 1": 0.0 <= self.cost_gamma < 1.0,
            "0 <= cost_lam <= 1": self.cost_lam is None or 0.0 <= self.cost_lam <= 1.0,
            "multiplier_rate > 0": self.multiplier_rate > 0.0,
            "floor_ratio > 0": self.floor_ratio > 0.0,
            "threshold_scale > 0": self.threshold_scale is None or self.threshold_scale > 0.0,
            "critic_capacity >= 1": self.critic_capacity >= 1,
            "critic_members >= 1": self.critic_members is None or self.critic_members >= 1,
            "seed_tuples >= 0": self.seed_tuples >= 0,
            "0 < epsilon < 1": 0.0 < self.epsilon < 1.0,
            "0 <= safety_gamma < 1": self.safety_gamma is None or 0.0 <= self.safety_gamma < 1.0,
            "alpha >= 0": self.alpha is None or self.alpha >= 0.0,
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise ValueError(f"expected {' and '.join(broken)}")

    def floor(self, chi: float) -> float:
        """Lowest threshold of rejection, in (0, 1), where chi is accepted."""
        return min(self.floor_ratio * chi, 0.999)

    def threshold(self, failure_rate: float, chi: float) -> float:
        """Largest risk that is let pass, by `csc_threshold`.

        Args:
          failure_rate: V_C, of the last epoch.
          chi: Accepted, in the unit of V_C.
        """
        return csc_threshold(
            failure_rate, gamma=self.cost_gamma, chi=chi, floor=self.floor(chi), scale=self.threshold_scale
        )

    def critic(self, members: int, alpha: float) -> CriticSettings:
        """Settings of a method's critic.

        Args:
          members: Of the method; the settings' own goes before.
          alpha: Of the method; the settings' own goes before.
        """
        return CriticSettings(
            gamma=self.cost_gamma,
            alpha=alpha if self.alpha is None else self.alpha,
            members=members if self.critic_members is None else self.critic_members,
            hidden=self.critic_hidden,
            learning_rate=self.critic_rate,
            target_rate=self.critic_target_rate,
            own_target=self.own_target,
        )
