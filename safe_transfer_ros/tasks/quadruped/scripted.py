# SPDX-License-Identifier: Apache-2.0
"""A trot by rule, and standing: what the body can do without learning."""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.tasks.quadruped.scene import LEGS, LINK
from safe_transfer_ros.tasks.quadruped.task import HOME, Array, Quadruped

_HEIGHT = 2.0 * LINK * np.cos(0.9)  # of the hips above the feet when it stands
# Legs across from each other move together.
_DIAGONAL = np.array([0.0 if leg.front * leg.left < 0.0 else np.pi for leg in LEGS])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trot:
    """A gait, a function of the time alone: feet go to and fro on the ground, and are lifted on the way ahead.

    Attributes:
      frequency_hz: Strides per second.
      stride: Way of a foot, m; 0: it treads where it stands.
      lift: Height of a foot at the middle of its way ahead, m.
    """

    frequency_hz: float = 2.5
    stride: float = 0.1
    lift: float = 0.05

    def action(self, time_s: float | Array) -> Array:
        """Actions, shape (..., 12), in [-1, 1].

        Args:
          time_s: Since the episode's start, one number or shape (...,), s.
        """
        phase = 2.0 * np.pi * self.frequency_hz * np.asarray(time_s)[..., None] + _DIAGONAL
        x = -0.5 * self.stride * np.cos(phase)  # ahead while the sine is positive
        z = self.lift * np.clip(np.sin(phase), 0.0, None) - _HEIGHT
        knee = -2.0 * np.arccos(np.clip(np.hypot(x, z) / (2.0 * LINK), -1.0, 1.0))
        hip = np.arctan2(-x, -z) - 0.5 * knee
        wanted = np.stack([np.zeros_like(hip), hip, knee], axis=-1).reshape(*phase.shape[:-1], 12)
        return np.clip((wanted - HOME) / Quadruped.reach, -1.0, 1.0)


STAND = np.zeros(12)
"""The action that stands."""
