# SPDX-License-Identifier: Apache-2.0
"""A shape to look at, in the frame of the robot's base link; no more than RViz and Foxglove both draw."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float, float]
"""Red, green, blue, opacity; each in [0, 1]."""
Point = tuple[float, float, float]


class Kind(enum.Enum):
    """Form of a shape."""

    BOX = "box"
    CYLINDER = "cylinder"  # its axis is z
    SPHERE = "sphere"
    LINES = "lines"  # from the first point to the second, from the third to the fourth, and so on
    TRIANGLES = "triangles"  # three points each
    TEXT = "text"  # turned to who looks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape.

    Attributes:
      group: What it shows; viewers switch groups on and off.
      kind: What is drawn.
      position: Its centre, m.
      orientation: Quaternion x, y, z, w.
      size: Lengths along its axes, m; of lines their width first, of a text its height last.
      colour: Of all of it.
      points: Of lines and triangles, m.
      text: Of a text.
    """

    group: str
    kind: Kind
    position: Point = (0.0, 0.0, 0.0)
    orientation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    size: Point = (1.0, 1.0, 1.0)
    colour: Colour
    points: tuple[Point, ...] = ()
    text: str = ""


def text(group: str, words: str, position: Point, *, height: float, colour: Colour) -> Shape:
    """Words, `height` m high."""
    return Shape(group=group, kind=Kind.TEXT, text=words, position=position, size=(0.0, 0.0, height), colour=colour)


def lines(group: str, points: Sequence[Point], *, width: float, colour: Colour) -> Shape:
    """Lines between every two points, `width` m wide."""
    return Shape(group=group, kind=Kind.LINES, points=tuple(points), size=(width, 0.0, 0.0), colour=colour)


def outline(group: str, centre: Point, half_x: float, half_y: float, *, width: float, colour: Colour) -> Shape:
    """A level rectangle's four sides."""
    x, y, z = centre
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    corners: list[Point] = [(x + a * half_x, y + b * half_y, z) for a, b in signs]
    ends = [corner for number in range(4) for corner in (corners[number], corners[(number + 1) % 4])]
    return lines(group, ends, width=width, colour=colour)


def point(values: Array) -> Point:
    """Three numbers as a point."""
    x, y, z = (float(value) for value in values)
    return x, y, z
