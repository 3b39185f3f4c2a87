# SPDX-License-Identifier: Apache-2.0
"""Damage budget of an iteration: a bound that is kept while the iteration runs, not only foreseen before it.

PSPT chooses a limit by a prediction, p'_u, which an arm can break: one that was held by its friction and breaks loose
is unsafe in every state at once. Damage can be counted as it is done. An iteration of N decision periods may do
N * D_safe; a limit is given up for a low one when the worst that could follow, one more unsafe period under it and
all others unsafe under the low one, would no longer fit. So the mean damage of the iteration stays within D_safe,
whatever the arm does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_ROUNDING = 1e-9  # of the budget: what sums of thousands of floats may be off by


@dataclass(slots=True)
class _Period:
    """A decision period: stamps of its decision and its end, what an unsafe state in it costs, whether one came."""

    began_ns: int
    damage: float
    ended_ns: int | None = None
    done: bool = False


class DamageBudget:
    """Counts what unsafe periods of an iteration cost; the limit is given up when the rest has to be kept.

    A period begins with a decision and ends with the next one, or with the episode. It costs d(T) of the limit T it was
    decided under if one of its states is unsafe, and nothing otherwise. A lowered limit stays low until `renew`.

    A state belongs to the period that begins before it and ends no earlier than it: the state decided on is the end of
    the period before. States may be told late, many at once: `hangs_on_untold` says when they must be told.
    One that comes after `told`, and is older than what is kept then, counts in the oldest period kept.

    Attributes:
      exhausted: Whether the limit was given up in this iteration.
      fallback: The limit from then on, N·m.
      spent: Damage of the states told so far, in the unit of D_safe times periods.
      periods: Periods begun so far.
    """

    def __init__(self, *, d_safe: float, periods: int, fallback: float, damage: Callable[[float], float]) -> None:
        """Start with the whole budget.

        Args:
          d_safe: Mean damage of a period that is allowed, > 0.
          periods: Of an iteration, N > 0. Where it has more, the budget grows with them; where it ends early the
            damage done is within N * D_safe all the same.
          fallback: Limit that is in force when the budget is spent, N·m; its damage at most D_safe, and what it is
            below D_safe is what the budget leaves for other limits.
          damage: d, torque limit (N·m) to damage.

        Raises:
          ValueError: if a number is out of its range.
        """
        if not (math.isfinite(d_safe) and d_safe > 0.0 and periods > 0):
            raise ValueError(f"expected a finite d_safe > 0 and periods > 0, got {d_safe} and {periods}")
        if not 0.0 <= damage(fallback) <= d_safe * (1.0 + _ROUNDING):
            raise ValueError(
                f"a damage budget falls back to a limit whose damage is at most D_safe ({d_safe:g}), got "
                f"{fallback:g} N·m with {damage(fallback):g}"
            )
        self._d_safe, self._planned = d_safe, periods
        self.fallback = fallback
        self._damage, self._least = damage, damage(fallback)
        self.renew()

    def __str__(self) -> str:
        whole = 0.01 * self._d_safe * max(self._planned, self.periods)
        least, most = self.spent / whole, (self.spent + self._unknown) / whole
        spent = f"{least:.1f}" if least == most else f"{least:.1f} to {most:.1f}"
        return f"{spent} % spent in {self.periods} of {self._planned} periods" + (
            ", the limit given up" if self.exhausted else ""
        )

    def renew(self) -> None:
        """Begin an iteration."""
        self.exhausted = False
        self.spent = 0.0
        self.periods = 0
        self._unknown = 0.0  # what the periods kept would cost if a state not told yet were unsafe
        self._kept: list[_Period] = []  # oldest first
        self._forgot = False  # whether there were earlier ones in this iteration

    def affords(self, torque_limit: float) -> bool:
        """Whether the next period may be under a limit, N·m; where not, the budget is exhausted until `renew`."""
        if not self._fits(self.spent, torque_limit):
            self.exhausted = True
        return not self.exhausted

    def hangs_on_untold(self, torque_limit: float) -> bool:
        """Whether `affords` of a limit, N·m, could be another were states that have not been told yet unsafe."""
        return not self.exhausted and not self._fits(self.spent + self._unknown, torque_limit)

    def _fits(self, spent: float, torque_limit: float) -> bool:
        left = max(self._planned - self.periods, 1)
        worst = spent + self._damage(torque_limit) + (left - 1) * self._least
        return worst <= self._d_safe * (self.periods + left) * (1.0 + _ROUNDING)

    def decide(self, stamp_ns: int, torque_limit: float) -> None:
        """Begin a period: a decision on the state of that stamp, under that limit, N·m."""
        damage = self._damage(torque_limit)
        last = self._kept[-1] if self._kept else None
        if last is not None and last.ended_ns is None and last.began_ns == stamp_ns:  # once more on the same state
            if damage > last.damage:
                self._unknown += damage - last.damage
                last.damage = damage
            return
        self.end(stamp_ns)
        self._kept.append(_Period(stamp_ns, damage))
        self._unknown += damage
        self.periods += 1

    def end(self, stamp_ns: int) -> None:
        """End the episode with the state of that stamp: later ones belong to no period, until the next decision."""
        if self._kept and self._kept[-1].ended_ns is None:
            self._kept[-1].ended_ns = stamp_ns

    def see(self, stamp_ns: int, unsafe: bool) -> None:
        """Count a state."""
        if not unsafe:
            return
        for number in range(len(self._kept) - 1, -1, -1):
            period = self._kept[number]
            if stamp_ns > period.began_ns or (number == 0 and self._forgot):
                if period.ended_ns is None or stamp_ns <= period.ended_ns:
                    self._count(period)
                return

    def told(self) -> None:
        """Forget periods whose states have all been told: all but the last two, which later states may be meant for."""
        self._forgot |= len(self._kept) > 2
        del self._kept[:-2]
        self._unknown = sum(period.damage for period in self._kept if not period.done)

    def _count(self, period: _Period) -> None:
        if not period.done:
            period.done = True
            self.spent += period.damage
            self._unknown -= period.damage
