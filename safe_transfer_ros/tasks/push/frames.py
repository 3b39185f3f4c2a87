# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of pushing scenes."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.tasks.offscreen import Colour, OffscreenCamera
from safe_transfer_ros.tasks.push.scene import push_model
from safe_transfer_ros.tasks.push.simulation import PushSimulation

_GREY, _GREEN, _RED = (0.35, 0.36, 0.38, 1.0), (0.15, 0.6, 0.25, 1.0), (0.75, 0.1, 0.1, 1.0)
_ARM, _TABLE = (0.88, 0.89, 0.9, 1.0), (0.72, 0.70, 0.66, 1.0)
_THIN = 0.0015  # m, half of a bar's width


class Camera(OffscreenCamera):
    """Looks at one simulation's scenes, from the robot's left front."""

    def __init__(self, simulation: PushSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation = simulation
        # The simulation's own model has no shapes to look at; positions and velocities are the same.
        model = push_model(simulation.task, shapes=True)
        of_the_arm = (model.geom_bodyid > 0) & (model.geom_contype == 0)
        model.geom_rgba[of_the_arm] = _ARM
        model.geom_rgba[model.geom("table").id] = _TABLE
        super().__init__(simulation, model, width, height, ambient=0.45, diffuse=0.45)
        self.view.lookat[:] = np.add(simulation.task.table_centre, (-0.14, 0.0, 0.14))
        self.view.distance, self.view.azimuth, self.view.elevation = 1.2, 125.0, -24.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        task = self._simulation.task
        x, y, z = task.table_centre
        self._outline(task.table_size[0] / 2, task.table_size[1] / 2, _GREY)
        boundary = getattr(task, "boundary", None)
        if boundary is not None:
            self._outline(boundary[0], boundary[1], _RED)
        goal_x, goal_y = self._simulation.goal[row]
        disc = (task.goal_distance, 0.0005, 0.0)
        self._add(mujoco.mjtGeom.mjGEOM_CYLINDER, (x + goal_x, y + goal_y, z), disc, _GREEN)

    def _outline(self, half_x: float, half_y: float, colour: Colour) -> None:
        """Add a rectangle of thin bars on the table."""
        x, y, z = self._simulation.task.table_centre
        for side in (-1.0, 1.0):
            self._add(mujoco.mjtGeom.mjGEOM_BOX, (x + side * half_x, y, z), (_THIN, half_y, _THIN), colour)
            self._add(mujoco.mjtGeom.mjGEOM_BOX, (x, y + side * half_y, z), (half_x, _THIN, _THIN), colour)
