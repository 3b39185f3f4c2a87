# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of a body in its hallway."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.tasks.hallway.course import Walls
from safe_transfer_ros.tasks.hallway.scene import SIDES, hallway_model
from safe_transfer_ros.tasks.hallway.simulation import HallwaySimulation
from safe_transfer_ros.tasks.offscreen import Colour, OffscreenCamera

_RED, _GREY = (0.66, 0.26, 0.20, 1.0), (0.55, 0.53, 0.50, 1.0)


class Camera(OffscreenCamera):
    """Follows the bodies from behind and above; shows the sides low, and of walls what is between them."""

    def __init__(self, simulation: HallwaySimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation, course = simulation, simulation.task.course
        model = hallway_model(simulation.task.body, course, simulation.slots)
        sides = model.geom_bodyid == model.body(SIDES).id
        model.geom_rgba[sides, 3] = 0.0
        if isinstance(course, Walls):
            model.geom_rgba[model.body_mocapid[model.geom_bodyid] >= 0, 3] = 0.0
        super().__init__(simulation, model, width, height, follow=_ahead)
        self.view.distance, self.view.azimuth, self.view.elevation = 2.4 * course.hall.half_width + 2.4, 0.0, -48.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        course = self._simulation.task.course
        hall, x = course.hall, float(data.qpos[0])
        for side in (-1.0, 1.0):
            self._box((x, side * (hall.half_width + 0.02), 0.05), (9.0, 0.02, 0.05), _GREY)
        for metre in np.floor(x) + np.arange(-4.0, 9.0):
            self._box((float(metre), 0.0, 0.001), (0.01, hall.half_width, 0.001), _GREY)
        if isinstance(course, Walls):
            for wall_x, wall_y in self._simulation.obstacles.place[row]:
                if abs(wall_x - x) < 9.0:
                    inside = np.clip(
                        wall_y + np.array([-1.0, 1.0]) * hall.half_width, -hall.half_width, hall.half_width
                    )
                    at, half = (wall_x, inside.mean(), 0.5 * hall.height), 0.5 * (inside[1] - inside[0])
                    self._box(at, (0.5 * hall.thickness, half, 0.5 * hall.height), _RED)

    def _box(self, at: tuple[float, float, float], half: tuple[float, float, float], colour: Colour) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_BOX, at, half, colour)


def _ahead(data: mujoco.MjData) -> tuple[float, float, float]:
    return float(data.qpos[0]) + 1.1, 0.0, 0.2
