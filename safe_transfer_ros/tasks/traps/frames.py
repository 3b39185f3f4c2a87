# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of a body among traps."""

from __future__ import annotations

import mujoco

from safe_transfer_ros.tasks.offscreen import Colour, OffscreenCamera
from safe_transfer_ros.tasks.traps.scene import car_model, point_model
from safe_transfer_ros.tasks.traps.simulation import TrapsSimulation
from safe_transfer_ros.tasks.traps.task import Array, Surroundings

_TRAP, _GOAL, _SIDE = (0.75, 0.1, 0.1, 1.0), (0.15, 0.6, 0.2, 1.0), (0.55, 0.53, 0.50, 1.0)


class Camera(OffscreenCamera):
    """Looks at the square from above and a little aside."""

    def __init__(
        self, simulation: TrapsSimulation, surroundings: Surroundings, width: int = 640, height: int = 480
    ) -> None:
        """Open the renderer.

        Args:
          simulation: Its bodies are drawn.
          surroundings: What they are among, as it is whenever an image is made.
          width: Of images, pixels.
          height: Likewise.
        """
        self._task, self._surroundings = simulation.task, surroundings
        model = (car_model if simulation.is_car else point_model)(timestep=simulation.task.timestep_s)
        super().__init__(simulation, model, width, height)
        self.view.distance, self.view.azimuth, self.view.elevation = 4.6, 90.0, -62.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        task, around = self._task, self._surroundings
        for trap in around.traps[row]:
            self._disc(trap, task.trap_radius, 0.006, _TRAP)
        self._disc(around.goal[row], task.goal_radius, 0.004, _GOAL)
        side = task.half_side
        for at, half in (((0.0, side), (side, 0.01)), ((0.0, -side), (side, 0.01))):
            self._bar(at, half)
            self._bar(at[::-1], half[::-1])

    def _disc(self, at: Array, radius: float, height: float, colour: Colour) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_CYLINDER, (*at, 0.0), (radius, height, 0.0), colour)

    def _bar(self, at: tuple[float, ...], half: tuple[float, ...]) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_BOX, (*at, 0.0), (*half, 0.002), _SIDE)
