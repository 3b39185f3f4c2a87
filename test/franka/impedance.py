# SPDX-License-Identifier: Apache-2.0
"""A joint impedance towards a path that begins where the arm is: what a test proposes as torques."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import JointState

STIFFNESS = np.array([20.0, 20.0, 20.0, 20.0, 5.0, 5.0, 5.0])  # N·m/rad
DAMPING = np.array([6.0, 6.0, 6.0, 5.0, 0.5, 0.5, 0.5])  # N·m·s/rad, beside the 1 of the arm
SECONDS = 2.0  # of each motion
SWIRL = 0.15  # rad

Path = Callable[[float], np.ndarray]


class Impedance:
    """Torques towards a path."""

    def __init__(self) -> None:
        self.start: np.ndarray | None = None
        self.position = np.zeros(7)
        self.path: Path = hold
        self._since = 0.0
        self._answered = math.inf
        self.latest = 0.0  # longest time between two answers, s

    def follow(self, path: Path) -> None:
        """From the next state on, path(s) rad beyond the start."""
        self.path, self._since, self._answered = path, time.monotonic(), math.inf

    def __call__(self, state: JointState) -> list[float]:
        now = time.monotonic()
        self.latest, self._answered = max(self.latest, now - self._answered), now
        self.position = np.array(state.position)
        if self.start is None:
            self.start = self.position
        wanted = self.start + self.path(min(now - self._since, SECONDS))
        torque = STIFFNESS * (wanted - self.position) - DAMPING * np.array(state.velocity)
        return [float(value) for value in torque]


def hold(seconds: float) -> np.ndarray:
    """Where it is."""
    return np.zeros(7)


def swirl(seconds: float) -> np.ndarray:
    """One circle of the wrist, as a cup is swirled, that ends where it began, without a jump of velocity."""
    angle = math.pi * (1.0 - math.cos(math.pi * seconds / SECONDS))
    return SWIRL * np.array([0.0, 0.0, 0.0, 0.0, math.sin(angle), 1.0 - math.cos(angle), 0.0])
