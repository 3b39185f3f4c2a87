# SPDX-License-Identifier: Apache-2.0
"""Obstacles of a hallway: where they stand in an episode, and of which shapes they are.

A body with a clear way of `Hall.passage` gets past every layout that is drawn: walls leave it free at one side, two
poles are never nearer to each other than it, and what a figure sweeps leaves it free at one side.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hall:
    """A straight hallway along the x axis, between two sides.

    Attributes:
      half_width: Half of the distance between its sides, m.
      length: From where bodies start, at x = 0, to the wall at its end, m.
      passage: Width that every layout leaves free, m.
      clear: Nothing stands before this x, m.
      height: Of sides, walls and poles, m.
      thickness: Of sides and walls, m.
    """

    half_width: float
    length: float
    passage: float
    clear: float = 2.0
    height: float = 1.0
    thickness: float = 0.16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Obstacles:
    """Those of an episode, in the order of their x.

    Attributes:
      place: Of each, shape (n, 2), m; what is there depends on the kind.
      turn: About the z axis, shape (n,), rad.
      clip: Number of the clip that it moves by, shape (n,), int64; 0 where nothing moves.
      phase: How far into the clip it is at the start, shape (n,), s.
    """

    place: Array
    turn: Array
    clip: npt.NDArray[np.int64]
    phase: Array

    @classmethod
    def still(cls, place: Array) -> Obstacles:
        """Obstacles that do not move, at these places, shape (n, 2)."""
        n = len(place)
        return cls(place=place, turn=np.zeros(n), clip=np.zeros(n, dtype=np.int64), phase=np.zeros(n))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Shape that an obstacle is made of.

    Attributes:
      shape: "box", "cylinder" or "capsule".
      size: As MuJoCo has it, m.
    """

    shape: str
    size: tuple[float, float, float]


class Course(abc.ABC):
    """Kind of obstacle that a hallway is full of.

    Attributes:
      hall: The hallway.
      least_step: Obstacles follow each other along x at no less than this, m.
      clearance: How far an obstacle reaches from its place along x, m.
      once: Whether an obstacle costs at its first touch only; else at every step in touch, and the sides do, too.
    """

    least_step: ClassVar[float]
    clearance: float
    once: ClassVar[bool] = False

    def __init__(self, hall: Hall) -> None:
        """Choose the hallway."""
        self.hall = hall

    @property
    def count(self) -> int:
        """Obstacles of an episode: as many as fill the hallway at least."""
        return math.ceil((self.hall.length - self.hall.clear) / self.least_step) + 1

    @property
    @abc.abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """Shapes of one obstacle."""

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator) -> Obstacles:
        """Draw the obstacles of an episode, `count` of them."""

    @abc.abstractmethod
    def poses(self, obstacles: Obstacles, time: Array) -> Array:
        """Positions and unit quaternions w, x, y, z of parts, shape (..., n, parts, 7).

        Args:
          obstacles: Fields of shape (..., n).
          time: Since the episode's start, shape (..., 1) or (..., n), s.
        """

    def cost(self, touched: Flags, before: Flags, touched_side: Flags) -> Array:
        """Cost of a step, shape (...).

        Args:
          touched: Which obstacles were touched in it, shape (..., n).
          before: Which were touched before in the episode, shape (..., n).
          touched_side: Whether a side was touched in it, shape (...).
        """
        if self.once:
            return np.asarray((touched & ~before).sum(axis=-1), dtype=np.float64)
        return np.asarray(touched.any(axis=-1) | touched_side, dtype=np.float64)


class Walls(Course):
    """Walls across the hallway, each from one of its sides, with a way free at the other."""

    least_step = 1.4
    clearance = 0.08
    most_step: ClassVar[float] = 2.6
    least_reach: ClassVar[float] = 0.3
    """Share of the hallway's width that a wall closes at least."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """A box as long as the hallway is wide: what it does not close of it is beyond its side, out of sight."""
        hall = self.hall
        return (Part(shape="box", size=(0.5 * hall.thickness, hall.half_width, 0.5 * hall.height)),)

    def draw(self, rng: np.random.Generator) -> Obstacles:
        """See `Course.draw`. A wall's place is the middle of its box."""
        hall, n = self.hall, self.count
        x = hall.clear + np.cumsum(rng.uniform(self.least_step, self.most_step, n)) - self.least_step
        width = 2.0 * hall.half_width
        reach = rng.uniform(self.least_reach * width, width - hall.passage, n)
        side = np.where(rng.random(n) < 0.5, -1.0, 1.0)
        return Obstacles.still(np.stack([x, side * (width - reach)], axis=-1))

    def poses(self, obstacles: Obstacles, time: Array) -> Array:
        """See `Course.poses`."""
        return _upright(obstacles.place, 0.5 * self.hall.height)


class Poles(Course):
    """Poles anywhere in the hallway."""

    least_step = 0.5
    clearance = 0.15
    most_step: ClassVar[float] = 1.1
    radius: ClassVar[float] = 0.15

    @property
    def parts(self) -> tuple[Part, ...]:
        """A cylinder."""
        return (Part(shape="cylinder", size=(self.radius, 0.5 * self.hall.height, 0.0)),)

    def draw(self, rng: np.random.Generator) -> Obstacles:
        """See `Course.draw`. A pole's place is its axis."""
        hall, apart = self.hall, 2.0 * self.radius + self.hall.passage
        places: list[tuple[float, float]] = []
        before = hall.clear - self.least_step
        near = math.ceil(apart / self.least_step)  # more of them back nothing is near enough to be in the way
        while len(places) < self.count:
            x = before + float(rng.uniform(self.least_step, max(self.most_step, 1.25 * apart)))
            y = float(rng.uniform(self.radius - hall.half_width, hall.half_width - self.radius))
            if all(math.hypot(x - px, y - py) >= apart for px, py in places[-near:]):
                places.append((x, y))
                before = x
        return Obstacles.still(np.array(places))

    def poses(self, obstacles: Obstacles, time: Array) -> Array:
        """See `Course.poses`."""
        return _upright(obstacles.place, 0.5 * self.hall.height)


def _upright(place: Array, height: float) -> Array:
    """Poses of one part per obstacle, not turned, shape (..., n, 1, 7)."""
    poses = np.zeros((*place.shape[:-1], 1, 7))
    poses[..., 0, :2] = place
    poses[..., 0, 2], poses[..., 0, 3] = height, 1.0
    return poses
