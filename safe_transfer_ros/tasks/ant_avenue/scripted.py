# SPDX-License-Identifier: Apache-2.0
"""A trot by rule: what the ant can do, without learning.

Diagonal legs move together. Every joint is drawn to a sinusoid by a spring and a damper (PD). The numbers are from a
search over gaits of this kind, not from thought.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.tasks.ant_avenue.scene import LEGS
from safe_transfer_ros.tasks.ant_avenue.task import AntState, Array

# By leg, in the order of the motors: sign of the hip's motion that draws the foot back, the diagonal it belongs to, and
# the sign of ankle angles that bend it down.
_BACK = np.array([leg.side[1] for leg in LEGS])
_DIAGONAL = np.array([0.0 if leg.side[0] * leg.side[1] < 0.0 else np.pi for leg in LEGS])
_BEND = np.array([leg.bend for leg in LEGS])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trot:
    """A gait, a function of the state and the time.

    Attributes:
      frequency_hz: Strides per second.
      hip_deg: Amplitude of the hips.
      ankle_deg: Middle of the ankles' motion, downwards from a straight leg.
      lift_deg: Amplitude of the ankles.
      lead: Phase by which the ankles are ahead of the hips, rad.
      stiffness: Action per rad off the sinusoid.
      damping: Action per rad/s.
    """

    frequency_hz: float = 1.25
    hip_deg: float = 29.0
    ankle_deg: float = 54.0
    lift_deg: float = 15.0
    lead: float = 1.2
    stiffness: float = 1.7
    damping: float = 0.21

    def action(self, state: AntState, time_s: float | Array) -> Array:
        """Actions, shape (..., 8), in [-1, 1].

        Args:
          state: Where the ant is.
          time_s: Since the episode's start, one number or shape (...,), s.
        """
        phase = 2.0 * np.pi * self.frequency_hz * np.asarray(time_s)[..., None] + _DIAGONAL
        hips = _BACK * np.radians(self.hip_deg) * np.sin(phase)
        ankles = _BEND * np.radians(self.ankle_deg + self.lift_deg * np.sin(phase + self.lead))
        wanted = np.stack([hips, ankles], axis=-1).reshape(*phase.shape[:-1], 8)
        pull = self.stiffness * (wanted - state.joint_position) - self.damping * state.joint_velocity
        return np.clip(pull, -1.0, 1.0)


WITHIN_LIMIT = Trot()
"""Some .8 m/s, and nearly without cost."""

TOO_FAST = Trot(frequency_hz=1.75, hip_deg=45.0, ankle_deg=51.0, lift_deg=15.0, lead=0.8, stiffness=1.4, damping=0.18)
"""Some 1.4 m/s on the average, with bursts beyond the limit in most of its steps."""
