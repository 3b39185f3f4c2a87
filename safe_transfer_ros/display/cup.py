# SPDX-License-Identifier: Apache-2.0
"""The cone within which the tool's axis is safe: tasks whose u is the tilt from straight down (PSPT, cup swirl)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from safe_transfer_ros.display import shape
from safe_transfer_ros.display.shape import Kind, Point, Shape
from safe_transfer_ros.display.situation import AMBER, GREEN, RED, Situation, faint
from safe_transfer_ros.tasks.torque_task import TorqueTask

GROUP = "safety cone"
UNSAFETY = "tilt_from_vertical"
LENGTH = 0.15  # of the cone and of the axis in it, m
SIDES = 24


def cone(task: TorqueTask, situation: Situation) -> Iterator[Shape]:
    """The cone, red where the tool's axis has left it, the axis, and the tilt in words."""
    position = situation.position
    if position is None or task.unsafety_function != UNSAFETY:
        return
    tool, rotation = task.chain.tool_pose(position)
    tilt, limit = float(task.unsafety(position)), task.unsafety_limit
    colour = GREEN if tilt <= limit else RED  # not a number is unsafe
    apex = shape.point(tool)
    yield Shape(group=GROUP, kind=Kind.TRIANGLES, points=_surface(apex, limit), colour=faint(colour, 0.3))
    tip = shape.point(tool + LENGTH * rotation[:, 0])
    yield shape.lines(GROUP, [apex, tip], width=0.008, colour=colour if colour is RED else AMBER)
    words = f"{tilt:.1f} of {limit:g} {task.unsafety_unit}"
    yield shape.text(GROUP, words, (apex[0], apex[1], apex[2] - LENGTH - 0.04), height=0.03, colour=colour)


def _surface(apex: Point, half_angle_deg: float) -> tuple[Point, ...]:
    """Triangles from the apex to a level circle below it."""
    x, y, z = apex
    radius, below = LENGTH * math.sin(math.radians(half_angle_deg)), LENGTH * math.cos(math.radians(half_angle_deg))
    turns = np.linspace(0.0, 2.0 * math.pi, SIDES, endpoint=False)
    rim: list[Point] = [(x + radius * math.cos(turn), y + radius * math.sin(turn), z - below) for turn in turns]
    return tuple(corner for number in range(SIDES) for corner in (apex, rim[number], rim[(number + 1) % SIDES]))
