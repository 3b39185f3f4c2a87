# SPDX-License-Identifier: Apache-2.0
"""CSC's epsilon, followed from the unsafety that was measured: the more failures, the less risk is accepted."""

from __future__ import annotations

import math

from safe_transfer_ros.safety.critic.masked_policy import csc_threshold


class CscSchedule:
    """Largest acceptable risk of each iteration: epsilon = (1 - gamma)(chi - V_C), V_C that of the iteration before.

    V_C, the mean failures per episode, comes from the measured unsafety rate p_u: p_u times the steps of an episode.
    Every unsafe state counts as a failure and every episode as one of full length, so V_C is never below the share of
    episodes that failed.

    Without the estimate of the very iteration before, or with one that is not a rate, epsilon is the floor: the
    strictest value the schedule ever gives. Nothing stricter is safer: at 0 every torque is refused, and the gate is
    left with the least risky candidate, which is what it takes at the floor wherever nothing is below that.

    Attributes:
      failures: V_C that epsilon was last computed from; None where there was none.
    """

    def __init__(self, *, chi: float, floor: float, episode_steps: int) -> None:
        """Start without an estimate.

        Args:
          chi: Failures per episode that are accepted, > 0.
          floor: Lowest epsilon, in (0, 1).
          episode_steps: Steps of an episode at most.

        Raises:
          ValueError: if an argument is out of range.
        """
        if not (chi > 0.0 and 0.0 < floor < 1.0 and episode_steps >= 1):
            raise ValueError(f"expected chi > 0, floor in (0, 1), a step at least; got {chi}, {floor}, {episode_steps}")
        self._chi, self._floor, self._steps = chi, floor, episode_steps
        self._iteration, self._rate = -1, math.nan
        self.failures: float | None = None

    def hear(self, iteration: int, unsafety_rate: float) -> None:
        """Process an iteration's measurement; one of an earlier iteration is ignored."""
        if iteration >= self._iteration:
            self._iteration, self._rate = iteration, unsafety_rate

    def epsilon(self, highest: float, gamma: float, iteration: int | None) -> float:
        """Largest acceptable risk in the episodes of an iteration.

        Args:
          highest: What the critic was certified for; never exceeded, in (0, 1).
          gamma: The critic's gamma_safe, in (0, 1).
          iteration: Whose episodes begin; None if it cannot be told.
        """
        known = iteration is not None and self._iteration == iteration - 1 and 0.0 <= self._rate <= 1.0
        self.failures = self._rate * self._steps if known else None
        if self.failures is None:
            return min(self._floor, highest)
        return min(csc_threshold(self.failures, gamma=gamma, chi=self._chi, floor=self._floor), highest)
