# SPDX-License-Identifier: Apache-2.0
"""Scripted pushing: behind the block, then through it; past an obstacle by way of a place beside it.

It knows the task as no policy does, and so tells what can succeed and what must fail, and what a policy may imitate.
"""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.push.task import Array, PushScene, PushTask

_BEHIND = 0.05  # m from the block's centre to where a push begins
_BESIDE = 0.09  # m from the obstacle's centre to the way past it
_RATE = 8.0  # 1/s at which errors of the ball's place are made good
_FAST = 16.0  # likewise, where the way over the cubes leaves less time


class ScriptedPush:
    """Pushes of E scenes, each remembering whether its ball has got behind the block.

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
        self._behind = np.zeros(count, dtype=bool)

    def action(self, scene: PushScene) -> Array:
        """Action of every one of E scenes, shape (E, action_size)."""
        aim = scene.goal if self._aim is None else np.broadcast_to(self._aim, scene.goal.shape)
        way = _direction(aim - scene.block[:, :2])
        begin = np.c_[scene.block[:, :2] - _BEHIND * way, np.full(len(way), self.height)]
        self._behind |= np.linalg.norm(begin - scene.tool, axis=1) < 0.008
        ball = scene.tool[:, :2] - scene.block[:, :2]
        aside = ball - (ball * way).sum(axis=1, keepdims=True) * way
        # A block pushed at a point turns away from it: go to the side it leaves.
        through = np.c_[self.speed * way - 1.25 * _RATE * aside, _RATE * (self.height - scene.tool[:, 2])]
        velocity = np.where(self._behind[:, None], through, _RATE * (begin - scene.tool))
        return np.asarray(velocity[:, : self._task.action_size] / self._task.greatest_speed)


def past_obstacle(task: PushTask, scene: PushScene, *, speed: float = 0.28, height: float = 0.02) -> Array:
    """Action that pushes the block past the obstacle to its goal, shape (E, action_size).

    Of the scene alone and without a jump, so that a policy can imitate it: the aim turns from the place beside the
    obstacle to the goal as the block passes, and the ball goes from getting behind the block over to pushing it as it
    gets there.

    Args:
      task: The task.
      scene: E scenes.
      speed: Of the push, m/s; slower near the goal, where the block is to stay.
      height: Height of the ball above the table, m.
    """
    block, obstacle = scene.block[:, :2], scene.obstacle[:, :2]
    side = np.where(block[:, 1:] >= obstacle[:, 1:], 1.0, -1.0)
    beside = obstacle + side * (0.0, _BESIDE)
    passed = _rise((block[:, :1] - obstacle[:, :1] + 0.06) / 0.06)
    way = _direction((1.0 - passed) * beside + passed * scene.goal - block)
    ball = scene.tool[:, :2] - block
    along = (ball * way).sum(axis=1, keepdims=True)
    aside = ball - along * way
    off = np.linalg.norm(aside, axis=1, keepdims=True)
    left = np.linalg.norm(scene.goal - block, axis=1, keepdims=True)
    through = speed * np.minimum(left / 0.04, 1.0) * way - 1.5 * _RATE * aside
    back = _RATE * (-0.9 * _BEHIND * way - ball)
    behind = _rise((-along - 0.015) / 0.012) * _rise((0.022 - off) / 0.012)
    velocity = np.where(left < 0.015, 0.0, behind * through + (1.0 - behind) * back)
    return np.asarray(np.c_[velocity, _RATE * (height - scene.tool[:, 2])] / task.greatest_speed)


def from_above(
    task: PushTask, scene: PushScene, *, around: bool, speed: float = 0.5, height: float = 0.02, above: float = 0.06
) -> Array:
    """Action that pushes the block to its goal, straight or around what stands between, shape (E, action_size).

    The ball goes over the cubes to behind the block, down, and through it. Of the scene alone and without a jump.

    Args:
      task: The task.
      scene: E scenes.
      around: Whether the obstacle is heeded, which otherwise is pushed away.
      speed: Of the push, m/s; slower near the goal, where the block is to stay.
      height: Height of the ball above the table while it pushes, m.
      above: Height at which it passes over the cubes, m.
    """
    block = scene.block[:, :2]
    way = _direction((_way_point(scene) if around else scene.goal) - block)
    ball = scene.tool[:, :2] - block
    along = (ball * way).sum(axis=1, keepdims=True)
    aside = ball - along * way
    left = np.linalg.norm(scene.goal - block, axis=1, keepdims=True)
    through = speed * np.minimum(left / 0.04, 1.0) * way - 1.5 * _FAST * aside
    back = _FAST * (-0.9 * _BEHIND * way - ball)
    off = np.linalg.norm(aside, axis=1, keepdims=True)
    behind = _rise((-along - 0.015) / 0.012) * _rise((0.022 - off) / 0.012)
    low = _rise((0.6 * above - scene.tool[:, 2:]) / 0.02)
    wanted = height + (above - height) * (1.0 - behind)
    # Not yet behind it, the ball is to be above the cubes before it goes anywhere.
    velocity = behind * low * through + (1.0 - behind) * (1.0 - low) * back
    velocity = np.where(left < 0.015, 0.0, velocity)
    return np.asarray(np.c_[velocity, _FAST * (wanted - scene.tool[:, 2:])] / task.greatest_speed)


def _way_point(scene: PushScene) -> Array:
    """Next place to push the block to, shape (E, 2), m: beside the obstacle until it is passed, then the goal."""
    block, obstacle = scene.block[:, :2], scene.obstacle[:, :2]
    forward = _direction(scene.goal - obstacle)
    across = np.c_[-forward[:, 1], forward[:, 0]]
    side = np.where(((block - obstacle) * across).sum(axis=1, keepdims=True) >= 0.0, 1.0, -1.0)
    passed = _rise((((block - obstacle) * forward).sum(axis=1, keepdims=True) + 0.06) / 0.06)
    return np.asarray((1.0 - passed) * (obstacle + side * _BESIDE * across) + passed * scene.goal)


def _direction(difference: Array) -> Array:
    return np.asarray(difference / np.maximum(np.linalg.norm(difference, axis=1, keepdims=True), 1e-9))


def _rise(value: Array) -> Array:
    """From 0 at 0 to 1 at 1, smoothly."""
    value = np.clip(value, 0.0, 1.0)
    return np.asarray(value * value * (3.0 - 2.0 * value))
