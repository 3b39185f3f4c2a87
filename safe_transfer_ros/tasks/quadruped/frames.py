# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of quadrupeds."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.tasks.offscreen import OffscreenCamera
from safe_transfer_ros.tasks.quadruped.scene import quadruped_model
from safe_transfer_ros.tasks.quadruped.simulation import QuadrupedSimulation

_GREY = (0.55, 0.53, 0.50, 1.0)


class Camera(OffscreenCamera):
    """Follows one simulation's quadrupeds from the side; shows a bar on the floor every half metre."""

    def __init__(self, simulation: QuadrupedSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        model = quadruped_model(timestep=simulation.task.timestep_s)
        super().__init__(simulation, model, width, height, follow=_trunk)
        self.view.distance, self.view.azimuth, self.view.elevation = 1.4, 60.0, -28.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        for at in 0.5 * (np.floor(2.0 * data.qpos[0]) + np.arange(-4.0, 6.0)):
            self._add(mujoco.mjtGeom.mjGEOM_BOX, (float(at), 0.0, 0.0), (0.008, 1.0, 0.002), _GREY)


def _trunk(data: mujoco.MjData) -> tuple[float, float, float]:
    x, y = (float(value) for value in data.qpos[:2])
    return x, y, 0.18
