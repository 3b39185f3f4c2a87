# SPDX-License-Identifier: Apache-2.0
"""Figures that walk, wave, turn and fall in a hallway, each about a place of its own."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.hallway.course import Array, Course, Hall, Obstacles, Part
from safe_transfer_ros.tasks.hallway.figure import FRAME_S, LIMBS, clips


class Humanoids(Course):
    """Figures that move; each costs once, at its first touch, and the sides cost nothing."""

    least_step = 2.0
    once = True

    def __init__(self, hall: Hall) -> None:
        """Choose the hallway."""
        super().__init__(hall)
        self._clips = clips()
        self.clearance = float(np.abs(self._clips.ends).max() * np.sqrt(2.0)) + max(limb.radius for limb in LIMBS)

    @property
    def parts(self) -> tuple[Part, ...]:
        """A capsule per limb."""
        halves = self._clips.half_length.tolist()
        return tuple(
            Part(shape="capsule", size=(limb.radius, half, 0.0)) for limb, half in zip(LIMBS, halves, strict=True)
        )

    def draw(self, rng: np.random.Generator) -> Obstacles:
        """See `Course.draw`. A figure's place is the one its clip goes about; all of the clip leaves a side free."""
        hall, n = self.hall, self.count
        place, turn, phase = np.zeros((n, 2)), np.zeros(n), np.zeros(n)
        clip = rng.integers(0, len(self._clips.frames), n)
        reached = hall.clear - hall.passage
        for number in range(n):
            room = 2.0 * hall.half_width - hall.passage
            while True:
                turn[number] = rng.uniform(-np.pi, np.pi)
                low, high = self.sweep(int(clip[number]), float(turn[number]))
                if high[1] - low[1] <= room:
                    break
            # The free way is to the left of all it sweeps, or to the right.
            lowest = -hall.half_width - low[1] + (hall.passage if rng.random() < 0.5 else 0.0)
            y = lowest + rng.uniform(0.0, room - (high[1] - low[1]))
            x = reached + hall.passage + rng.uniform(0.0, 1.0) - low[0]
            if number:
                x = max(x, place[number - 1, 0] + self.least_step)
            place[number], reached = (x, y), x + high[0]
            phase[number] = rng.uniform(0.0, FRAME_S * float(self._clips.frames[clip[number]]))
        return Obstacles(place=place, turn=turn, clip=clip, phase=phase)

    def sweep(self, clip: int, turn: float) -> tuple[Array, Array]:
        """Least and greatest x and y of everything that a clip sweeps, about its place, shape (2,) each, m."""
        cos, sin = np.cos(turn), np.sin(turn)
        ends = self._clips.ends[clip] @ np.array([[cos, sin], [-sin, cos]])
        radius = np.array([limb.radius for limb in LIMBS])[:, None, None]
        return (ends - radius).min(axis=(0, 1, 2)), (ends + radius).max(axis=(0, 1, 2))

    def poses(self, obstacles: Obstacles, time: Array) -> Array:
        """See `Course.poses`."""
        frame = np.rint((time + obstacles.phase) / FRAME_S).astype(np.int64)
        clip = np.broadcast_to(obstacles.clip, frame.shape)
        own = self._clips.poses[clip, frame % self._clips.frames[clip]]
        turn = np.broadcast_to(obstacles.turn, frame.shape)[..., None]
        cos, sin = np.cos(turn), np.sin(turn)
        half_cos, half_sin = np.cos(0.5 * turn), np.sin(0.5 * turn)
        found = np.empty_like(own)
        place = obstacles.place[..., None, :]
        found[..., 0] = cos * own[..., 0] - sin * own[..., 1] + place[..., 0]
        found[..., 1] = sin * own[..., 0] + cos * own[..., 1] + place[..., 1]
        found[..., 2] = own[..., 2]
        w, x, y, z = np.moveaxis(own[..., 3:], -1, 0)
        found[..., 3], found[..., 4] = half_cos * w - half_sin * z, half_cos * x - half_sin * y
        found[..., 5], found[..., 6] = half_cos * y + half_sin * x, half_cos * z + half_sin * w
        return found
