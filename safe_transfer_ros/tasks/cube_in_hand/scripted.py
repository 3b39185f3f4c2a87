# SPDX-License-Identifier: Apache-2.0
"""Actions by rule, the same at every step: hold the cube, tip it over, or drop it."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.cube_in_hand.hand import JOINTS
from safe_transfer_ros.tasks.cube_in_hand.task import Array


def _action(**joints: float) -> Array:
    """The pose of the start but for some joints."""
    return np.array([joints.get(joint.name, 0.0) for joint in JOINTS])


_STRETCHED = {f"{finger}J{joint}": -1.0 for finger in ("FF", "MF", "RF", "LF") for joint in range(3)}
_APART = {"FFJ3": 1.0, "MFJ3": 1.0, "RFJ3": -1.0, "LFJ3": -1.0}

HOLD = _action()
"""Stays in the pose of the start: the cube rests on palm and fingers."""

TIP = _action(WRJ0=-0.85)
"""Bends the wrist back by some 38 degrees: the cube tips onto the curled fingers, nearly a quarter of a turn down."""

TILT = _action(WRJ0=-1.0, **_STRETCHED)
"""Bends the wrist back by 45 degrees and stretches the fingers: the cube slides off over them."""

SPREAD = _action(WRJ0=-0.7, **_STRETCHED, **_APART)
"""Spreads the fingers, two to either side, and bends the wrist back by 31 degrees: the cube falls off them."""
