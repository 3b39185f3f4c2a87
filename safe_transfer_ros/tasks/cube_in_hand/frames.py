# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of a hand with its cube, and of the orientation it is to have."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from safe_transfer_ros.tasks.cube_in_hand.scene import FACES, HALF_EDGE, hand_model, painted_face
from safe_transfer_ros.tasks.cube_in_hand.simulation import HandSimulation
from safe_transfer_ros.tasks.cube_in_hand.task import Array
from safe_transfer_ros.tasks.offscreen import OffscreenCamera

_BESIDE = np.array([0.16, 0.02, 0.26])  # where the goal is shown
_WHITE = (0.92, 0.92, 0.90, 1.0)


class Camera(OffscreenCamera):
    """Looks at the hand from above and aside; beside it is a small cube as the goal has it."""

    def __init__(
        self, simulation: HandSimulation, goal: Callable[[], Array], width: int = 640, height: int = 480
    ) -> None:
        """Open the renderer.

        Args:
          simulation: Its hands are drawn.
          goal: Tells the goals in force when an image is made, Euler angles, shape (E, 3), rad.
          width: Of images, pixels.
          height: Likewise.
        """
        model = hand_model(timestep=simulation.task.timestep_s, painted=True)
        super().__init__(simulation, model, width, height)
        self._goal = goal
        self.view.lookat[:] = (0.03, 0.0, 0.2)
        self.view.distance, self.view.azimuth, self.view.elevation = 0.38, 235.0, -40.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        orientation, turned = np.empty(4), np.empty(9)
        mujoco.mju_euler2Quat(orientation, self._goal()[row], "xyz")
        mujoco.mju_quat2Mat(turned, orientation)
        half, axes = 0.6 * HALF_EDGE, turned.reshape(3, 3)
        self._add(mujoco.mjtGeom.mjGEOM_BOX, tuple(_BESIDE), (half, half, half), _WHITE, axes)
        for normal, colour in FACES:
            at, size = painted_face(normal, half)
            self._add(mujoco.mjtGeom.mjGEOM_BOX, tuple(_BESIDE + axes @ at), tuple(size), colour, axes)
