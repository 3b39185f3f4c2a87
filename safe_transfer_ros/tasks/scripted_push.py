# SPDX-License-Identifier: Apache-2.0
"""Pushing by rule: behind the block, then through it; past an obstacle by way of a place beside it.

It knows the task as no policy does, and so tells what can succeed and what must fail.
"""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.push_task import Array, PushScene, PushTask

_BEHIND = 0.05  # m from the block's centre to where a push begins
_BESIDE = 0.105  # m from the obstacle's centre to the way past it
_RATE = 8.0  # 1/s at which errors of the ball's place are made good


class ScriptedPush:
    """Pushes of E scenes, each remembering whether its ball has got behind the block and the block past the obstacle.

    Attributes:
      height: Height of the ball above the table, m.
      speed: Speed of the push, m/s.
    """

    def __init__(self, task: PushTask, count: int, *, height: float, speed: float, aim: Array | None = None) -> None:
        """Begin E pushes.

        Args:
          task: The task.
          count: E.
          height: Height of the ball above the table while it pushes, m.
          speed: m/s.
          aim: Where to push, shape (2,), m, table frame; None for straight to the goal.
        """
        self._task, self._aim = task, aim
        self.height, self.speed = height, speed
        self._behind, self._past = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)

    def action(self, scene: PushScene, *, around: bool = False) -> Array:
        """Action of every scene, shape (E, action_size).

        Args:
          scene: E scenes.
          around: Whether to go past the obstacle, not straight.
        """
        aim = scene.goal if self._aim is None else np.broadcast_to(self._aim, scene.goal.shape)
        if around:
            aim = self._way_past(scene, aim)
        way = aim - scene.block[:, :2]
        way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
        begin = np.c_[scene.block[:, :2] - _BEHIND * way, np.full(len(way), self.height)]
        self._behind |= np.linalg.norm(begin - scene.tool, axis=1) < 0.008
        ball = scene.tool[:, :2] - scene.block[:, :2]
        aside = ball - (ball * way).sum(axis=1, keepdims=True) * way
        # A block pushed at a point turns away from it: go to the side it leaves.
        through = np.c_[self.speed * way - 1.25 * _RATE * aside, _RATE * (self.height - scene.tool[:, 2])]
        velocity = np.where(self._behind[:, None], through, _RATE * (begin - scene.tool))
        return np.asarray(velocity[:, : self._task.action_size] / self._task.greatest_speed)

    def _way_past(self, scene: PushScene, goal: Array) -> Array:
        """The goal, or the place beside the obstacle as long as that has not been reached."""
        side = np.where(scene.block[:, 1] >= scene.obstacle[:, 1], 1.0, -1.0)
        beside = scene.obstacle + np.c_[np.zeros(len(side)), _BESIDE * side]
        passed = self._past | (np.linalg.norm(scene.block[:, :2] - beside, axis=1) < 0.03)
        # From here on the push goes another way, and begins anew.
        self._behind &= passed == self._past
        self._past = passed
        return np.where(passed[:, None], goal, beside)
