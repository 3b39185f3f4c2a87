# SPDX-License-Identifier: Apache-2.0
"""The governor: applies the rules for the torque limit from iteration to iteration, as its settings say.

Everything here refuses what is not a number: a limit computed from a NaN would be no limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.damage_budget import DamageBudget
from safe_transfer_ros.safety.limit.limit_step import LimitStep
from safe_transfer_ros.safety.limit.rules import (
    RATES,
    Evidence,
    PolicyShift,
    limit_move_risk,
    policy_change_risk_per_state,
)
from safe_transfer_ros.safety.limit.torque_limit import (
    limit_change_risk,
    next_torque_limit,
    policy_change_risk,
    predicted_unsafety_rate,
    require,
)
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals

Array = npt.NDArray[np.float64]


def unfit_update(update: Any, iteration: int) -> str | None:
    """Reason why a policy update says nothing about an iteration, and moves no limit.

    Args:
      update: A PolicyWeights message, or anything with its version, iteration, steps, kl and kl_bound.
      iteration: The iteration that is to be closed.

    Returns:
      The reason; None where it is the update that follows the iteration.
    """
    if (update.iteration, update.version) != (iteration, iteration + 1):
        came = f"iteration {update.iteration} and version {update.version}"
        return f"expected iteration {iteration} and version {iteration + 1}, got {came}"
    if update.steps == 0:
        return "no step was learned from"
    for name in ("kl", "kl_bound"):
        value = float(getattr(update, name))
        if not (math.isfinite(value) and value >= -1e-9):
            return f"{name} must be finite and >= 0, got {value}"
    return None


@dataclass(frozen=True, kw_only=True)
class GovernorSettings:
    """Settings of the torque limit's governor. Checked as a whole.

    Attributes:
      d_safe: D_safe, bound on the expected damage p_u * d(T_lim); N·m with linear damage.
      initial_torque_limit: Limit of the first iteration, N·m (PSPT's T_min, which is not a floor); d of it at most
        d_safe, so that even p_u = 1 stays within the bound from the first step on.
      torque_limit_floor: Lowest limit, N·m, at most the initial one and the T with d(T) = d_safe; 0: the smaller of
        these two, see `floor`.
      t_max: Highest limit, N·m.
      growth: Largest factor per iteration, in [1, 1.05].
      joints: "mean" or "any", see `limit_change_risk`; or "moved", see `limit_move_risk`, for actions that are torques.
      rule: "adaptive" (PSPT), or "fixed": t_max always, the paper's baseline without a bound.
      use_limit_change: Count dp_u1; False is ablation v2.
      use_policy_change: Count dp_u2; False is ablation v3, both False v4.
      kl: Divergence that dp_u2 is computed from: "bound", the update's own limit (or the measured one where
        that is larger), "measured", after the line search, or "per_state", see
        `policy_change_risk_per_state`, for Gaussian policies.
      rate: p_u to count with: "empirical", as measured (PSPT); "conformal", a bound on the damage expected; or, in the
        in-process loop, a bound of 95 % confidence, "effective_sample" or "betting"; see `rules`.
      prediction: Where p'_u starts from: "measured", p_u + dp_u2 (PSPT Eq. 32), or "weighted", the rate of the updated
        policy by importance weights in episodes held out of its update, see `importance`; dp_u1 is added to either.
      standstill: What an episode is worth in which a joint was asked for torque and stood still
        (`safety.limit.standstill`): "measured", what was measured (PSPT); or "unsafe", nothing: all its periods count
        as unsafe, so that the limit passes the T with d(T) = d_safe only as far as episodes show the arm in motion.
        Assumes that a joint which moved by `MOVED_RAD` shows what it does when loose, and that one hardly asked for
        torque stays as it is. An arm whose friction is above that T stays there.
      benefit: Raise the limit only while returns do not fall, see `benefit.Benefit`; it can only lower the limit that
        the bound allows.
      damage: Name in `damage.DAMAGE_MODELS`.
      damage_budget: Whether the filter gives the limit up for a low one, at once and for the rest of the iteration,
        when the damage done leaves no room for more within D_safe, see `damage_budget`; False: the limit follows from
        the prediction alone, as in the paper.
      allow_unsafe_start: The operator's explicit override of d(initial_torque_limit) <= d_safe, as PSPT's real robot
        needs it (start 1.8 N·m, D_safe 1.3); to be logged and recorded. The first evidence of p' = 1 ends it.
    """

    d_safe: float = 0.5
    initial_torque_limit: float = 0.1
    torque_limit_floor: float = 0.0
    t_max: float = 3.0
    growth: float = 1.05
    joints: str = "mean"
    rule: str = "adaptive"
    use_limit_change: bool = True
    use_policy_change: bool = True
    kl: str = "bound"
    rate: str = "empirical"
    prediction: str = "measured"
    standstill: str = "measured"
    benefit: bool = False
    damage: str = "linear"
    damage_budget: bool = True
    allow_unsafe_start: bool = False

    def __post_init__(self) -> None:
        start = self.initial_torque_limit
        for name, value in (("d_safe", self.d_safe), ("initial_torque_limit", start), ("t_max", self.t_max)):
            require(0.0 < value < math.inf, f"{name} must be finite and > 0, got {value}")
        require(start <= self.t_max, f"initial_torque_limit ({start:g} N·m) is above t_max ({self.t_max:g} N·m)")
        require(1.0 <= self.growth <= 1.05, f"growth must be in [1, 1.05], got {self.growth}")
        for name, choice, known in (
            ("joints", self.joints, ("mean", "any", "moved")),
            ("rule", self.rule, ("adaptive", "fixed")),
            ("kl", self.kl, ("bound", "measured", "per_state")),
            ("rate", self.rate, tuple(RATES)),
            ("prediction", self.prediction, ("measured", "weighted")),
            ("standstill", self.standstill, ("measured", "unsafe")),
            ("damage", self.damage, tuple(DAMAGE_MODELS)),
        ):
            require(choice in known, f"{name} must be one of {', '.join(known)}; got {choice!r}")
        require(
            self.prediction == "measured" or (self.use_policy_change and self.rate != "effective_sample"),
            'prediction "weighted" counts the change of the policy, by episode: leave use_policy_change true, and '
            "choose another rate than effective_sample",
        )
        require(
            0.0 <= self.torque_limit_floor <= self._highest_floor,
            f"torque_limit_floor must be in (0, {self._highest_floor:g}] N·m, at most the initial limit and what "
            f"D_safe ({self.d_safe:g}) allows if every step is unsafe, or 0 for that; got {self.torque_limit_floor:g}",
        )
        require(
            not self.start_is_unsafe or self.allow_unsafe_start,
            f"initial_torque_limit ({start:g} N·m) must not be above D_safe ({self.d_safe:g}): if every step were "
            "unsafe, the first iteration would exceed the damage bound. Lower initial_torque_limit, raise D_safe, or "
            "set allow_unsafe_start to accept it on record",
        )

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> GovernorSettings:
        """The settings among a run's parameters, by the names they have there; other parameters are passed over."""
        names = {field.name: field.name for field in fields(cls)}
        names |= {"torque_limit_max": "t_max", "limit_rule": "rule"}
        return cls(**{names[key]: value for key, value in parameters.items() if key in names})

    @property
    def needs_evidence(self) -> bool:
        """Whether the rule asks for more of each episode than the ledger tells: its return, or its weights."""
        return self.benefit or self.prediction == "weighted"

    @property
    def needs_shift(self) -> bool:
        """Whether the rule asks for the updated policy's distribution in every visited state."""
        return self.kl == "per_state"

    @property
    def floor(self) -> float:
        """Lowest limit, N·m: the limit never falls below it, and falls to it when it is not renewed."""
        return self.torque_limit_floor or self._highest_floor

    def budget(self, periods: int) -> DamageBudget | None:
        """The budget of an iteration of so many decision periods; None where there is to be none, or no bound to keep.

        It falls back to the floor, or to the T with d(T) = D_safe / 2 where that is lower: under a floor that costs all
        of D_safe by itself no other limit could ever be afforded.

        Raises:
          ValueError: if there are no periods.
        """
        if not self.damage_budget or self.rule == "fixed":
            return None
        model = DAMAGE_MODELS[self.damage]
        fallback = min(self.floor, model.torque_limit(self.d_safe / 2.0))
        return DamageBudget(d_safe=self.d_safe, periods=periods, fallback=fallback, damage=model.damage)

    @property
    def start_is_unsafe(self) -> bool:
        """Whether the initial limit can exceed the bound: needs the override; rule fixed has no bound."""
        return self.rule == "adaptive" and self.initial_torque_limit > self._certainly_safe

    @property
    def _certainly_safe(self) -> float:
        return DAMAGE_MODELS[self.damage].torque_limit(self.d_safe)

    @property
    def _highest_floor(self) -> float:
        return min(self.initial_torque_limit, self._certainly_safe)


class TorqueLimitGovernor:
    """Walks the limit from iteration to iteration (PSPT Algorithm 1).

    Attributes:
      settings: As given.
      iteration: Iteration whose limit is in force.
      torque_limit: That limit, N·m.
      held: Why that limit is below what the bound allows, in words; empty where it is not.
    """

    def __init__(
        self,
        settings: GovernorSettings,
        *,
        iteration: int = 0,
        torque_limit: float | None = None,
        memory: str = "",
    ) -> None:
        """Start at the initial limit (rule fixed: t_max), or where a run to be resumed left off.

        Args:
          settings: Of the rule.
          iteration: Iteration whose limit is in force.
          torque_limit: That limit, N·m; None: the settings'.
          memory: What the rule remembers of the iterations before, see `memory`; empty: nothing.

        Raises:
          ValueError: if the starting limit is not within [floor, t_max], the iteration is negative, or the memory is
            not a rule's.
        """
        self.settings = settings
        start = settings.t_max if settings.rule == "fixed" else settings.initial_torque_limit
        if torque_limit is not None and settings.rule == "adaptive":
            start = torque_limit
        require(iteration >= 0, f"iteration must be >= 0, got {iteration}")
        require(
            settings.floor <= start <= settings.t_max,
            f"starting limit {start} is not in [{settings.floor}, {settings.t_max}] N·m",
        )
        self.iteration = iteration
        self.torque_limit = start
        self._rate = RATES[settings.rate]()
        self._benefit = Benefit(memory) if settings.benefit else None
        self.held = "" if self._benefit is None else self._benefit.why

    @property
    def memory(self) -> str:
        """Memory of the benefit rule, as text that another governor goes on from to the last bit; may be empty."""
        return "" if self._benefit is None else self._benefit.memory

    def take(
        self,
        totals: LedgerTotals,
        *,
        kl: float,
        kl_bound: float,
        evidence: Evidence | None = None,
        returns: Array | None = None,
        shift: PolicyShift | None = None,
        limit_change: float | None = None,
    ) -> LimitStep:
        """Call `update` with the ledger's totals of an iteration.

        Args:
          totals: Of the iteration.
          kl: See `update`.
          kl_bound: See `update`.
          evidence: See `update`; by default made of the totals and `returns`.
          returns: Return of each episode, shape (episodes,); needed where the settings' `benefit`. Empty: not known.
          shift: See `update`.
          limit_change: See `update`.
        """
        told = self.settings.prediction == "measured" and (returns is not None or not self.settings.benefit)
        if evidence is None and told:
            known = np.empty(0) if returns is None else returns
            evidence = Evidence(unsafe=totals.shown(self.settings.standstill), returns=known)
        return self.update(
            iteration=totals.iteration,
            unsafety_rate=totals.unsafety_rate,
            mean=totals.mean,
            stddev=totals.stddev,
            visited_torque_limit=totals.torque_limit,
            kl=kl,
            kl_bound=kl_bound,
            evidence=evidence,
            shift=shift,
            limit_change=limit_change,
            standstill_rate=totals.standstill_rate,
            damage=totals.damage(DAMAGE_MODELS[self.settings.damage].damage),
        )

    def update(
        self,
        *,
        iteration: int,
        unsafety_rate: float,
        mean: Array,
        stddev: Array,
        visited_torque_limit: float | Array,
        kl: float,
        kl_bound: float,
        evidence: Evidence | None = None,
        shift: PolicyShift | None = None,
        limit_change: float | None = None,
        standstill_rate: float | None = None,
        damage: float | None = None,
    ) -> LimitStep:
        """Process one iteration's evidence and move to the next limit.

        Args:
          iteration: The iteration it is from; must be the current one.
          unsafety_rate: p_u over its rollouts.
          mean: Policy mean torque per visited state, shape (n_steps, n_joints), N·m.
          stddev: Standard deviation, same shape, N·m, > 0.
          visited_torque_limit: Limit the states were visited under, N·m: a scalar, or shape (n_steps,).
          kl: Divergence of the policy update made from these rollouts, measured, summed over dimensions.
          kl_bound: The update's own limit on it.
          evidence: What else is known; needed where the settings' `needs_evidence`, or for any rate but "empirical".
          shift: The update in every visited state; needed where the settings' `needs_shift`.
          limit_change: dp_u1 where the policy's actions are not torques and the limit's effect was measured instead:
            the share of steps at which it was felt. `mean` and `stddev` are not used then.
          standstill_rate: p_u with all periods of episodes in which an asked joint stood still counted as unsafe;
            needed where the settings' `standstill` is "unsafe". `evidence` is to be marked alike
            (`standstill.marked`).
          damage: Mean damage of the iteration, where parts of it were under a lower limit; p_u * d(T_lim) by default.

        Returns:
          What was concluded; `torque_limit` and `iteration` now are the next iteration's.

        Raises:
          ValueError: if anything is not finite or out of range, or the iteration is not the current one. The
            limit stays as it was then.
        """
        s = self.settings
        require(iteration == self.iteration, f"expected evidence of iteration {self.iteration}, got {iteration}")
        asks = s.needs_evidence or s.rate != "empirical"
        require(evidence is not None or not asks, "this rule needs `evidence` of the iteration")
        require(shift is not None or not s.needs_shift, 'kl "per_state" needs the `shift` of the policy')
        measured = self._counted(unsafety_rate, standstill_rate)
        policy_change = self._policy_change(kl, kl_bound, shift)
        counted, drift = (policy_change if s.use_policy_change else 0.0), policy_change
        if s.prediction == "weighted":  # the rate is the updated policy's, what earlier iterations told is not yet
            measured, counted, drift = _weighted(evidence), 0.0, 0.0
            self._rate.drifted(policy_change)
        rate = self._rate.upper(measured, evidence)
        if limit_change is not None:
            following = self._next(rate, limit_change if s.use_limit_change else 0.0, counted)
        elif s.joints == "moved":
            following, limit_change = self._largest_step(rate, mean, stddev, counted)
        else:
            limit_change = limit_change_risk(mean, stddev, visited_torque_limit, s.joints)
            following = self._next(rate, limit_change if s.use_limit_change else 0.0, counted)
        if s.rule == "fixed":
            following = self.torque_limit
        elif self._benefit is not None and evidence is not None:
            cap = self._benefit.cap(self.torque_limit, evidence.returns)
            self.held = self._benefit.why if cap < following else ""
            following = max(s.floor, min(following, cap))
        predicted = predicted_unsafety_rate(rate, limit_change if s.use_limit_change else 0.0, counted)
        self._rate.drifted(min(1.0, limit_change + drift))
        step = LimitStep(
            iteration=iteration,
            unsafety_rate=unsafety_rate,
            limit_change_risk=limit_change,
            policy_change_risk=policy_change,
            predicted_unsafety_rate=predicted,
            torque_limit=self.torque_limit,
            next_torque_limit=following,
            expected_damage=unsafety_rate * self._damage_of(self.torque_limit) if damage is None else damage,
        )
        self.iteration = iteration + 1
        self.torque_limit = following
        return step

    def may_break_loose(self, standstill_rate: float) -> bool:
        """Whether D_safe is at stake now should joints break loose that have stood still, which no rate predicted.

        Args:
          standstill_rate: See `update`, of the newest iteration.
        """
        s = self.settings
        damage = standstill_rate * DAMAGE_MODELS[s.damage].damage(self.torque_limit)
        return s.rule == "adaptive" and damage > s.d_safe * (1.0 + 1e-9)  # rounding of d's inverse is harmless

    def _damage_of(self, torque_limit: float) -> float:
        return DAMAGE_MODELS[self.settings.damage].damage(torque_limit)

    def _counted(self, unsafety_rate: float, standstill_rate: float | None) -> float:
        if self.settings.standstill == "measured":
            return unsafety_rate
        if standstill_rate is None or not unsafety_rate <= standstill_rate <= 1.0:
            raise ValueError(f"expected a standstill_rate in [unsafety_rate, 1], got {standstill_rate}")
        return standstill_rate

    def _policy_change(self, kl: float, kl_bound: float, shift: PolicyShift | None) -> float:
        # Both are checked whichever is used. A measured divergence above its bound would make the bound a
        # lie.
        measured, bound = policy_change_risk(kl), policy_change_risk(kl_bound)
        if self.settings.kl == "per_state" and shift is not None:
            return policy_change_risk_per_state(shift)
        return max(measured, bound) if self.settings.kl == "bound" else measured

    def _next(self, rate: float, limit_change: float, policy_change: float) -> float:
        s = self.settings
        return next_torque_limit(
            self.torque_limit,
            predicted_unsafety_rate(rate, limit_change, policy_change),
            d_safe=s.d_safe,
            floor=s.floor,
            t_max=s.t_max,
            growth=s.growth,
            damage=DAMAGE_MODELS[s.damage],
        )

    def _largest_step(self, rate: float, mean: Array, stddev: Array, policy_change: float) -> tuple[float, float]:
        """The highest limit whose own step keeps the bound, and dp_u1 of that step (joints "moved")."""
        s, now = self.settings, self.torque_limit
        damage = DAMAGE_MODELS[s.damage]
        highest = min(s.growth * now, s.t_max)
        for limit in (highest, *(highest + (s.floor - highest) * np.arange(1, 64) / 64.0)):
            limit_change = limit_move_risk(mean, stddev, now, float(limit))
            counted = limit_change if s.use_limit_change else 0.0
            if predicted_unsafety_rate(rate, counted, policy_change) * damage.damage(float(limit)) <= s.d_safe:
                return float(limit), limit_change
        return s.floor, limit_move_risk(mean, stddev, now, s.floor)


def _weighted(evidence: Evidence | None) -> float:
    if evidence is None or evidence.weighted_rates is None:
        raise ValueError('prediction "weighted" needs the `weighted_rates` of episodes held out of the update')
    rates = evidence.weighted_rates
    return float(np.mean(rates)) if len(rates) else 1.0  # nothing was shown to be safe
