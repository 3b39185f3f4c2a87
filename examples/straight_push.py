# SPDX-License-Identifier: Apache-2.0
"""A hand-written controller that pushes the Panda's cube straight to its goal, whatever stands in the way.

safe_transfer correct --baseline examples/straight_push.py:push --task panda_push_obstacle
safe_transfer up panda_push task:=obstacle learner:=dual_agent limit_rule:=fixed policy:=examples/straight_push.py:push
safe_transfer correct --baseline examples/straight_push.py:push_from_above --task panda_push_obstacle_movable
safe_transfer up fr3_push learner:=none policy:=examples/straight_push.py:push_flat
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.tasks.push.scripted import from_above, past_obstacle
from safe_transfer_ros.tasks.push.tasks import Fr3PushBoundary, PushObstacle, PushObstacleMovable

Array = NDArray[np.float64]

TASK, MOVABLE, FLAT = PushObstacle(), PushObstacleMovable(), Fr3PushBoundary()


def push(observation: Array) -> Array:
    """Actions (b, 3), fractions of 5 cm, for observations (b, 21)."""
    scene = TASK.scene_of(observation)
    # The rule goes around an obstacle until it is passed: far behind, it is no longer heeded.
    return past_obstacle(TASK, dataclasses.replace(scene, obstacle=scene.obstacle - (10.0, 0.0, 0.0)))


def push_flat(observation: Array) -> Array:
    """Actions (b, 2), fractions of .15 m/s, for observations (b, 21) of a tall block, slow enough for it."""
    scene = FLAT.scene_of(observation)
    nowhere = np.full_like(scene.block, -10.0)
    return past_obstacle(FLAT, dataclasses.replace(scene, obstacle=nowhere), speed=0.1, height=0.03)[:, :2]


def push_from_above(observation: Array) -> Array:
    """The same where cube and goal are anywhere: over them to behind the cube, down, and straight to the goal."""
    return from_above(MOVABLE, MOVABLE.scene_of(observation), around=False)
