# SPDX-License-Identifier: Apache-2.0
"""Joints of the hand: their names, ranges and the pose in which the cube is put into it (NOTICE)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Joint(NamedTuple):
    """One joint: its range and its angle at the start of an episode, rad."""

    name: str
    low: float
    high: float
    start: float


def _finger(name: str, spread: float, *bent: float) -> tuple[Joint, ...]:
    """Joints of a finger, from the knuckle on: one that spreads it, three that bend it."""
    bends = (Joint(f"{name}J{2 - index}", 0.0, 1.571, start) for index, start in enumerate(bent))
    return (Joint(f"{name}J3", -0.436, 0.436, spread), *bends)


JOINTS: tuple[Joint, ...] = (
    Joint("WRJ1", -0.524, 0.175, 0.0),  # swings the hand aside
    Joint("WRJ0", -0.785, 0.611, 0.0),  # bends it up
    *_finger("FF", 0.31828, 0.212085, 1.06828, 0.45559),
    *_finger("MF", 0.16132, 0.1571, 0.699095, 0.61269),
    *_finger("RF", -0.03052, 0.10997, 0.91118, 0.56556),
    Joint("LFJ4", 0.0, 0.698, 0.09074),
    *_finger("LF", -0.22236, 0.10997, 0.746225, 0.589125),
    Joint("THJ4", -1.047, 1.047, -0.71196),
    Joint("THJ3", 0.0, 1.309, 0.477785),
    Joint("THJ2", -0.262, 0.262, -0.262),
    Joint("THJ1", -0.524, 0.524, -0.524),
    Joint("THJ0", -1.571, 0.0, -0.80121),
)
"""Wrist, first, middle, ring and little finger, thumb, in the order of the motors; names are the Shadow hand's."""

LOW: npt.NDArray[np.float64] = np.array([joint.low for joint in JOINTS])
"""Least angle of every joint, rad."""
HIGH: npt.NDArray[np.float64] = np.array([joint.high for joint in JOINTS])
"""Greatest angle of every joint, rad."""
START: npt.NDArray[np.float64] = np.array([joint.start for joint in JOINTS])
"""Angle of every joint at the start of an episode, rad."""
