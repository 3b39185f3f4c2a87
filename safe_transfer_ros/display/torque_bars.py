# SPDX-License-Identifier: Apache-2.0
"""Bars beside the robot: each joint's applied torque against the torque limit in force."""

from __future__ import annotations

from collections.abc import Iterator

from safe_transfer_ros.display import shape
from safe_transfer_ros.display.shape import Kind, Point, Shape
from safe_transfer_ros.display.situation import AMBER, BLUE, GREY, RED, Situation, faint

GROUP = "torque"
PLACE: Point = (0.0, -0.35, 0.3)  # of the first bar's foot, m, in the base frame: beside the arm, at its height
HEIGHT = 0.15  # of a bar at the limit, m
SPACING, WIDTH = 0.06, 0.04  # m
NEAR = 0.999  # share of the limit from which on a torque counts as at it


def bars(situation: Situation) -> Iterator[Shape]:
    """The panel: a foot line, the limit above and below it, a bar for each joint."""
    torque, limit = situation.torque, situation.torque_limit
    if torque is None or limit is None or not limit > 0.0:
        return
    x, y, z = PLACE
    left, right = y + SPACING / 2, y - SPACING * (len(torque) - 0.5)

    def level(height: float) -> list[Point]:
        return [(x, left, z + height), (x, right, z + height)]

    yield shape.lines(GROUP, level(0.0), width=0.003, colour=GREY)
    yield shape.lines(GROUP, level(HEIGHT) + level(-HEIGHT), width=0.005, colour=RED)
    words = f"torque, T_lim {limit:.3g} N·m"
    middle = (left + right) / 2
    yield shape.text(GROUP, words, (x, middle, z + HEIGHT + 0.05), height=0.035, colour=GREY)
    for number, value in enumerate(torque.tolist()):
        share = min(max(value / limit, -1.0), 1.0)  # gravity apart, no torque is beyond it
        at = y - SPACING * number
        colour = GREY if situation.silent else AMBER if abs(value) >= NEAR * limit else BLUE
        yield Shape(
            group=GROUP,
            kind=Kind.BOX,
            position=(x, at, z + 0.5 * HEIGHT * share),
            size=(0.01, WIDTH, max(HEIGHT * abs(share), 0.002)),
            colour=faint(colour, 0.9),
        )
        yield shape.text(GROUP, str(number + 1), (x, at, z - HEIGHT - 0.03), height=0.03, colour=GREY)
