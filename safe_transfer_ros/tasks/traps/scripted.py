# SPDX-License-Identifier: Apache-2.0
"""Drivers by rule: one that goes to the goal round the traps, one straight to it, one into the nearest trap."""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.tasks.traps.task import Array, BodyState, CarTraps, Surroundings, Traps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Driver:
    """A driver, a function of the state alone.

    Attributes:
      clearance: Traps nearer than this push away, m; 0: none does.
      swirl: How far a trap's push is turned to lead round it, rad.
      push: Strength of a trap's push beside the goal's pull, which is 1.
      speed: Wanted on a straight way, m/s.
      to_trap: Whether to make for the nearest trap, and stay there.
    """

    clearance: float = 0.46
    swirl: float = 0.35
    push: float = 4.6
    speed: float = 0.5
    to_trap: bool = False

    def action(self, task: Traps, body: BodyState, around: Surroundings) -> Array:
        """Actions, shape (..., 2), in [-1, 1]."""
        ways = around.traps - body.position[..., None, :]
        far = np.hypot(ways[..., 0], ways[..., 1])
        nearest = np.take_along_axis(ways, far.argmin(axis=-1)[..., None, None], axis=-2)[..., 0, :]
        to_goal = nearest if self.to_trap else around.goal - body.position
        left_over = np.hypot(to_goal[..., 0], to_goal[..., 1])
        wanted = to_goal / np.maximum(left_over, 1e-9)[..., None]
        if self.clearance > 0.0:
            wanted = wanted + self._away(ways, far, to_goal)
        ahead, left = ((wanted * body.rotation[..., :2, axis]).sum(axis=-1) for axis in (0, 1))
        off = np.arctan2(left, ahead)
        pace = self.speed * np.clip(np.cos(off), 0.0, 1.0) ** 2
        if self.to_trap:
            pace = pace * np.clip(left_over / 0.2, 0.0, 1.0)
        faster = pace - body.velocity[..., 0]
        if isinstance(task, CarTraps):
            turn = np.clip(0.5 * np.clip(3.0 * off, -2.0, 2.0) - 0.5 * body.angular_velocity[..., 2], -0.6, 0.6)
            drive = np.clip(2.0 * faster + 0.6 * pace, -0.6, 0.6)
            return np.clip(np.stack([drive - turn, drive + turn], axis=-1), -1.0, 1.0)
        return np.clip(np.stack([4.0 * faster + 0.6 * pace, 1.5 * off], axis=-1), -1.0, 1.0)

    def _away(self, ways: Array, far: Array, to_goal: Array) -> Array:
        """Sum of the traps' pushes, each turned to the side on which the goal lies, shape (..., 2)."""
        strength = self.push * np.clip((self.clearance - far) / self.clearance, 0.0, None)
        from_trap = -ways / np.maximum(far, 1e-9)[..., None]
        side = np.sign(ways[..., 1] * to_goal[..., None, 0] - ways[..., 0] * to_goal[..., None, 1])
        # A trap to the left of the way to the goal (side > 0) is passed on its right.
        turn = np.where(side > 0.0, self.swirl, -self.swirl)
        cos, sin = np.cos(turn), np.sin(turn)
        x, y = from_trap[..., 0], from_trap[..., 1]
        pushes = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
        return np.asarray((strength[..., None] * pushes).sum(axis=-2))


ROUND_TRAPS = Driver()
"""To one goal after another, round the traps."""

STRAIGHT = Driver(clearance=0.0)
"""To one goal after another, whatever lies between."""

INTO_TRAP = Driver(clearance=0.0, to_trap=True)
"""Into the nearest trap, and to death."""
