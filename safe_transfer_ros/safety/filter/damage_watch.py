# SPDX-License-Identifier: Apache-2.0
"""Damage of the states that the filter sees, counted into its guard's budget as it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.limit.damage_budget import DamageBudget

Array = npt.NDArray[np.float64]

_KEPT = 64  # joint states: a fraction of a millisecond of kinematics


class Unsafety(Protocol):
    """Reader of u(s); each call returns stamp and u of the states that can be told since."""

    def states(self, stamps_ns: Sequence[int], position: Array) -> list[tuple[int, float]]:
        """Process joint states, positions of shape (m, n_joints), rad."""
        ...

    def pose(self, stamp_ns: int, pose: Array) -> list[tuple[int, float]]:
        """Process a pose of the task's object, shape (7,)."""
        ...

    def decision(self, stamp_ns: int, episode: int) -> list[tuple[int, float]]:
        """Process a decision of an episode made on the state of that stamp."""
        ...


class DamageWatch:
    """Counts unsafe states into a budget. A u that is NaN is unsafe.

    Forward kinematics of many joint states at once costs hardly more than of one, and the budget seldom hangs on the
    newest: they are kept until there are many, or until a decision could be another one were they unsafe.
    """

    def __init__(self, budget: DamageBudget, unsafety: Unsafety, limit: float, joints: int) -> None:
        """Watch from now on.

        Args:
          budget: What is counted into.
          unsafety: The filter's own reader of u(s).
          limit: u_lim, in the unit of u.
          joints: Number of joints.
        """
        self._budget, self._unsafety, self._limit = budget, unsafety, limit
        self._stamps: list[int] = []
        self._positions: Array = np.empty((_KEPT, joints))

    def state(self, stamp_ns: int, position: Array) -> None:
        """Keep a joint state to be counted, positions of shape (joints,), rad; copied."""
        if len(self._stamps) == _KEPT:
            self._settle()
        self._positions[len(self._stamps)] = position
        self._stamps.append(stamp_ns)

    def settle(self, torque_limit: float) -> None:
        """Count what was kept as far as it matters to whether the budget affords a limit, N·m."""
        if self._budget.hangs_on_untold(torque_limit):
            self._settle()

    def pose(self, stamp_ns: int, pose: Array) -> None:
        """Count what a pose of the object tells, shape (7,)."""
        self._settle()
        self._count(self._unsafety.pose(stamp_ns, pose))

    def decided(self, stamp_ns: int, episode: int) -> None:
        """Follow a decision of an episode made on the state of that stamp; the budget has begun its period."""
        self._count(self._unsafety.decision(stamp_ns, episode))

    def ended(self, stamp_ns: int, episode: int) -> None:
        """End the episode with the state of that stamp."""
        self._budget.end(stamp_ns)
        self._count(self._unsafety.decision(stamp_ns, episode))

    def _settle(self) -> None:
        if self._stamps:
            self._count(self._unsafety.states(self._stamps, self._positions[: len(self._stamps)]))
            self._stamps = []
            self._budget.told()

    def _count(self, told: list[tuple[int, float]]) -> None:
        for stamp_ns, unsafety in told:
            self._budget.see(stamp_ns, not unsafety <= self._limit)
