# SPDX-License-Identifier: Apache-2.0
"""Rules: the point that looks where it goes, by the depth image alone, or drives straight on; Doggo that trots."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from safe_transfer_ros.tasks.hallway.body import DoggoBody, Motion
from safe_transfer_ros.tasks.hallway.camera import pixel_rays
from safe_transfer_ros.tasks.hallway.scene import PITCH
from safe_transfer_ros.tasks.hallway.task import DEPTH_RANGE_M, IMAGE_SIDE, Array, Hallway, parts

STRAIGHT = np.array([1.0, 0.0])
"""Action of who drives straight ahead as fast as it can."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookingDriver:
    """A driver, a function of the observation: towards where the way is free the farthest, along the hallway if it can.

    Attributes:
      clearance: Kept from what is seen, to either side of the way, m.
      bearings: Ways considered, evenly over what the camera sees.
      straight: Metres of free way given for a radian less off the hallway's direction.
      far: Free way beyond this counts no more, m.
      speed: Wanted where the way is free, m/s.
      steering: Action per radian off the way.
      against_drift: Action per m/s to its left.
    """

    clearance: float = 0.24
    bearings: int = 41
    straight: float = 0.9
    far: float = 2.2
    speed: float = 0.8
    steering: float = 1.5
    against_drift: float = 1.0

    def action(self, task: Hallway, observation: Array) -> Array:
        """Actions, shape (..., 2), in [-1, 1]."""
        seen = parts(observation)
        ahead, left = self._obstacles(task, seen.image)
        half = math.radians(0.5 * task.body.fovy_deg)
        ways = np.linspace(-half, half, self.bearings)
        cos, sin = np.cos(ways)[:, None], np.sin(ways)[:, None]
        along = ahead[..., None, :] * cos + left[..., None, :] * sin
        across = left[..., None, :] * cos - ahead[..., None, :] * sin
        blocks = (np.abs(across) < self.clearance) & (along > 0.0)
        free = np.where(blocks, along, self.far).min(axis=-1).clip(max=self.far)
        direction = seen.proprioception[..., 9:12]
        hallway = np.arctan2(direction[..., 1], direction[..., 0])[..., None]
        best = (free - self.straight * np.abs(ways - hallway)).argmax(axis=-1)
        way, room = ways[best], np.take_along_axis(free, best[..., None], axis=-1)[..., 0]
        # Nothing of the hallway is in sight: turn back to it.
        away = np.abs(hallway[..., 0]) > 1.2
        way = np.where(away, np.clip(hallway[..., 0], -0.8, 0.8), way)
        speed, drift = seen.proprioception[..., 3], seen.proprioception[..., 4]
        pace = self.speed * np.clip((room - 0.3) / 0.7, -0.5, 1.0) * np.clip(1.0 - 1.5 * np.abs(way), 0.1, 1.0) * ~away
        turn = self.steering * way - self.against_drift * drift
        return np.clip(np.stack([4.0 * (pace - speed) + 0.6 * pace, turn], axis=-1), -1.0, 1.0)

    def _obstacles(self, task: Hallway, image: Array) -> tuple[Array, Array]:
        """The nearest seen between 5 and 40 cm above the floor: how far ahead and to the left, shape (..., 50) each, m.

        One for each column of the image; far away where there is none.
        """
        right, up, back = pixel_rays(task.body.fovy_deg, IMAGE_SIDE).T
        long = math.hypot(1.0, PITCH)
        per_depth_ahead, per_depth_up = (-back + PITCH * up) / long, (up + PITCH * back) / long
        depth = DEPTH_RANGE_M * image.reshape(*image.shape[:-2], -1)
        height = 0.1 + task.body.camera[2] + depth * per_depth_up
        counts = (image.reshape(depth.shape) < 1.0) & (height > 0.05) & (height < 0.4)
        ahead, left = depth * per_depth_ahead + task.body.camera[0], -depth * right
        far = np.where(counts, ahead, 1e3), np.where(counts, left, 1e6)
        columns = [values.reshape(*image.shape[:-2], IMAGE_SIDE, IMAGE_SIDE) for values in far]
        nearest = columns[0].argmin(axis=-2)[..., None, :]
        ahead, left = (np.take_along_axis(values, nearest, axis=-2)[..., 0, :] for values in columns)
        return ahead, left


LOOKING = LookingDriver()

_FRONT_AND_REAR = np.array([0, 0, 1, 1])
_DIAGONAL = np.array([0.0, np.pi, np.pi, 0.0])  # legs front left, front right, rear left, rear right
_WAIST = DoggoBody.joints.index("waist")

Angles = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trot:
    """Doggo's trot, a function of the state and the time: joints are drawn after sinusoids.

    Found by a search over 18 rounds of 64 gaits of 10 s each, for the way along x.

    Attributes:
      frequency_hz: Strides per second.
      rear_lead: Phase of the rear legs ahead of the front ones, rad.
      middle: Of hip_z, hip_y and ankle, front and rear, rad.
      amplitude: Likewise.
      lead: Phases of the joints, likewise.
      stiffness: Action per rad off the sinusoid.
      damping: Action per rad/s.
    """

    frequency_hz: float = 2.81
    rear_lead: float = -2.19
    middle: Angles = ((-0.12, -0.69, -0.42), (-0.51, 0.51, -0.61))
    amplitude: Angles = ((0.6, 0.78, 0.4), (-0.11, 0.53, 0.08))
    lead: Angles = ((0.51, -0.43, 1.65), (-0.11, -0.77, 2.96))
    stiffness: float = 2.85
    damping: float = 0.04

    def action(self, motion: Motion, time_s: float) -> Array:
        """Actions, shape (..., 12), in [-1, 1].

        Args:
          motion: Of Doggo.
          time_s: Since the episode's start, s.
        """
        phase = 2.0 * np.pi * self.frequency_hz * time_s + _DIAGONAL + self.rear_lead * _FRONT_AND_REAR
        middle, amplitude, lead = (np.array(pair)[_FRONT_AND_REAR] for pair in (self.middle, self.amplitude, self.lead))
        wanted = (middle + amplitude * np.sin(phase[:, None] + lead)).reshape(12)
        angle, speed = (np.delete(values, _WAIST, axis=-1) for values in (motion.joint_position, motion.joint_velocity))
        return np.clip(self.stiffness * (wanted - angle) - self.damping * speed, -1.0, 1.0)
