# SPDX-License-Identifier: Apache-2.0
"""The filter's own judgement of torque limits it is offered (promise 4).

The monitor computes the limit (torque_limit.py); the filter does not take its word for it. It accepts a limit
only with a newer iteration number, at most 5 % above the last accepted one, within [floor, ceiling], and for
a limited time only. If the limit is not renewed, the floor is in force at once and stays so until a
NEWER iteration is accepted: whoever comes back must have new evidence, not the old message again.

Evidence is made by deciding on proposals. So a limit above the one in force is accepted only when the filter has
decided on some since the last one was accepted, and never while the arm may move: an iteration is over then. Without
that, a chain of messages, each 5 % above the one before, would be worth nothing less than one without any bound.
A lower limit needs neither.

With a damage budget (damage_budget.py) a low limit is in force for the rest of an iteration whose budget is spent. The
next limit is judged as if it had not been: it follows from the evidence under the one that was given up.
"""

from __future__ import annotations

import math

from safe_transfer_ros.safety.limit.damage_budget import DamageBudget


class TorqueLimitGuard:
    """Holds the torque limit in force, with its lease.

    A run with a fixed limit (the paper's baseline) is one whose guard has floor = ceiling: the weakening then
    stands in the filter's own configuration, not in a message.

    After a lost lease the growth rule still counts from the last ACCEPTED limit: that one had evidence behind it, and
    the one that follows it was derived from it.

    Attributes:
      iteration: Iteration of the last accepted limit.
      accepted: The last accepted limit, N·m.
      lost: Whether the lease was lost and no newer iteration has been accepted since.
      decided: Whether the filter has decided on a proposal since the last limit of a newer iteration was accepted.
      budget: Of the iteration's damage; None: there is none.
    """

    def __init__(
        self,
        floor: float,
        ceiling: float,
        growth: float = 1.05,
        *,
        iteration: int = 0,
        torque_limit: float | None = None,
        max_lease_s: float = 60.0,
        budget: DamageBudget | None = None,
    ) -> None:
        """Start at the floor, which needs no lease, or at a higher limit, which stands for one lease.

        Args:
          floor: Lowest limit, in force whenever no other is, N·m, > 0.
          ceiling: No limit above it is ever accepted, N·m, >= floor.
          growth: Largest factor from one accepted limit to the next, in [1, 1.05].
          iteration: Iteration to start at; above 0 when a run is resumed.
          torque_limit: Limit to start at, N·m: the initial one, or where a resumed run left off; floor by default.
          max_lease_s: Longest lease accepted, s: one of a year would be none at all.
          budget: What an iteration may do in damage.

        Raises:
          ValueError: if these do not fit together.
        """
        if not (0.0 < floor <= ceiling and math.isfinite(ceiling)):
            raise ValueError(f"expected 0 < floor <= ceiling, got floor {floor} and ceiling {ceiling} N·m")
        if not 1.0 <= growth <= 1.05:
            raise ValueError(f"growth must be in [1, 1.05] (at most 5 % an iteration), got {growth}")
        if not (max_lease_s > 0.0 and math.isfinite(max_lease_s)):
            raise ValueError(f"max_lease_s must be finite and > 0, got {max_lease_s}")
        start = floor if torque_limit is None else torque_limit
        if not floor <= start <= ceiling or iteration < 0:
            raise ValueError(
                f"cannot start at iteration {iteration} with {start} N·m: expected iteration >= 0 and "
                f"a limit in [{floor}, {ceiling}]"
            )
        self.floor = floor
        self.ceiling = ceiling
        self.growth = growth
        self.iteration = iteration
        self.accepted = start
        self.lost = False
        self.decided = False
        self.budget = budget
        self._max_lease_s = max_lease_s
        self._until_ns: int | None = None
        self._latest_ns = 0

    def prepare(self) -> None:
        """Give the limit up where the budget does not allow the coming decision under it."""
        if self.budget is not None:
            self.budget.affords(self.in_force)

    def decide(self, stamp_ns: int) -> None:
        """A proposal was accepted on the state of that stamp: there is evidence under the limit in force."""
        self.decided = True
        if self.budget is not None:
            self.budget.decide(stamp_ns, self.in_force)

    def offer(self, iteration: int, torque_limit: float, lease_s: float, now_ns: int, *, moving: bool) -> str | None:
        """Judge a torque-limit message.

        The same iteration with the same value renews the lease while it is alive, at any time.

        Args:
          iteration: Iteration the limit is for.
          torque_limit: The limit, N·m.
          lease_s: How long it may stand without being renewed, s.
          now_ns: Steady time.
          moving: Whether the arm may move: the filter is ARMED or HOLDING.

        Returns:
          None when accepted, else why not; then nothing has changed and no lease was renewed.
        """
        self.current(now_ns)
        if not (0.0 < lease_s <= self._max_lease_s):
            return f"lease {lease_s} s is not in (0, {self._max_lease_s:g}]"
        if not math.isfinite(torque_limit):
            return f"torque limit {torque_limit} is not finite"
        if iteration < self.iteration:
            return f"iteration {iteration} is older than {self.iteration}, the last accepted"
        if iteration == self.iteration:
            if torque_limit != self.accepted:
                return f"iteration {iteration} has the limit {self.accepted:g} N·m already, not {torque_limit:g}"
            if self.lost:
                return f"the lease of iteration {iteration} was lost; only a newer iteration is accepted"
        elif torque_limit > self.ceiling:
            return f"torque limit {torque_limit:g} N·m is above the ceiling {self.ceiling:g}"
        elif torque_limit < self.floor:
            # Refused, the lease runs out and the floor is in force: never worse than a misconfigured monitor.
            return f"torque limit {torque_limit:g} N·m is below the floor {self.floor:g}"
        elif torque_limit > self.growth * self.accepted:
            return (
                f"torque limit {torque_limit:g} N·m is more than {100.0 * (self.growth - 1.0):.3g} % above "
                f"{self.accepted:g}, the last accepted"
            )
        elif torque_limit > self.in_force:
            if moving:
                return f"iteration {iteration} may not raise the limit while the filter is armed"
            if not self.decided:
                return f"iteration {iteration} raises the limit, but no proposal was decided on in {self.iteration}"
        if iteration > self.iteration:
            self.decided = False
            if self.budget is not None:
                self.budget.renew()
        self.iteration = iteration
        self.accepted = torque_limit
        self.lost = False
        self._until_ns = now_ns + round(lease_s * 1e9)
        return None

    def current(self, now_ns: int) -> float:
        """The limit in force at steady time `now_ns`, N·m; a lease that ran out is lost from here on."""
        if self._until_ns is None:
            if self.accepted > self.floor and not self.lost:
                # Nobody has granted it, or a run that is over: one lease, then it must be renewed.
                self._until_ns = now_ns + round(self._max_lease_s * 1e9)
        elif now_ns > self._until_ns or now_ns < self._latest_ns:
            # A clock that went back would stretch the lease: no age can be told, so none is granted.
            self.lost = True
            self._until_ns = None
        self._latest_ns = now_ns
        return self.in_force

    @property
    def in_force(self) -> float:
        """The limit as of the last look at the lease, N·m."""
        limit = self.floor if self.lost else self.accepted
        return limit if self.budget is None or not self.budget.exhausted else min(limit, self.budget.fallback)

    @property
    def exhausted(self) -> bool:
        """Whether the iteration's damage budget is spent."""
        return self.budget is not None and self.budget.exhausted
