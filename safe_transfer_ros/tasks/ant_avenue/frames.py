# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of ants."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.tasks.ant_avenue.scene import ant_model
from safe_transfer_ros.tasks.ant_avenue.simulation import AntSimulation
from safe_transfer_ros.tasks.floor import FLOOR
from safe_transfer_ros.tasks.offscreen import Colour, OffscreenCamera

_RED, _GREY = (0.75, 0.1, 0.1, 1.0), (0.55, 0.53, 0.50, 1.0)
_ANT = (0.80, 0.45, 0.15, 1.0)


class Camera(OffscreenCamera):
    """Follows one simulation's ants, from behind and above; shows both sides of the avenue and a bar every metre."""

    def __init__(self, simulation: AntSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._task = simulation.task
        model = ant_model(gear=self._task.gear, timestep=self._task.timestep_s)
        of_the_ant = np.arange(model.ngeom) != model.geom(FLOOR).id
        model.geom_rgba[of_the_ant] = _ANT
        super().__init__(simulation, model, width, height, follow=_ahead)
        self.view.distance, self.view.azimuth, self.view.elevation = 5.2, 25.0, -28.0

    def _mark(self, row: int, data: mujoco.MjData) -> None:
        x, side = float(data.qpos[0]), self._task.half_width
        for y in (-side, side):
            self._bar((x, y), (12.0, 0.025), _RED)
        for metre in np.floor(x) + np.arange(-4.0, 12.0):
            self._bar((float(metre), 0.0), (0.015, side), _GREY)

    def _bar(self, at: tuple[float, float], half: tuple[float, float], colour: Colour) -> None:
        """Add a bar on the floor."""
        self._add(mujoco.mjtGeom.mjGEOM_BOX, (*at, 0.004), (*half, 0.004), colour)


def _ahead(data: mujoco.MjData) -> tuple[float, float, float]:
    x, y = (float(value) for value in data.qpos[:2])
    return x + 0.4, 0.7 * y, 0.3
