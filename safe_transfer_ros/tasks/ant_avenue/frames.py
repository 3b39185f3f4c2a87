# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of ants. MuJoCo draws with the library that MUJOCO_GL names (egl, osmesa or glfw).

Where there is no screen and MUJOCO_GL says nothing, this package chooses egl (robots/__init__.py).
"""

from __future__ import annotations

import weakref

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.ant_avenue.scene import FLOOR, ant_model
from safe_transfer_ros.tasks.ant_avenue.simulation import AntSimulation

_RED, _GREY = (0.75, 0.1, 0.1, 1.0), (0.55, 0.53, 0.50, 1.0)
_FLOOR, _ANT = (0.86, 0.85, 0.82, 1.0), (0.80, 0.45, 0.15, 1.0)


class Camera:
    """Follows one simulation's ants, from behind and above; shows both sides of the avenue and a bar every metre."""

    def __init__(self, simulation: AntSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation = simulation
        task = simulation.task
        model = ant_model(gear=task.gear, timestep=task.timestep_s)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.6, 0.5
        model.geom_rgba[:] = _ANT
        model.geom_rgba[model.geom(FLOOR).id] = _FLOOR
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, height, width)
        # At the end of a process, before the library that draws is gone, also if nobody closes this.
        self._closing = weakref.finalize(self, self._renderer.close)
        self._view = mujoco.MjvCamera()
        self._view.distance, self._view.azimuth, self._view.elevation = 5.2, 25.0, -28.0

    def image(self, row: int) -> npt.NDArray[np.uint8]:
        """One ant, shape (height, width, 3)."""
        simulation = self._simulation
        simulation.show(row, self._renderer.model, self._data)
        x, y = (float(value) for value in self._data.qpos[:2])
        self._view.lookat[:] = (x + 0.4, 0.7 * y, 0.3)
        self._renderer.update_scene(self._data, self._view)
        side = simulation.task.half_width
        for y in (-side, side):
            self._bar((x, y), (12.0, 0.025), _RED)
        for metre in np.floor(x) + np.arange(-4.0, 12.0):
            self._bar((float(metre), 0.0), (0.015, side), _GREY)
        image: npt.NDArray[np.uint8] = self._renderer.render().copy()
        return image

    def close(self) -> None:
        """Close the renderer."""
        self._closing()

    def _bar(
        self, at: tuple[float, float], half: tuple[float, float], colour: tuple[float, float, float, float]
    ) -> None:
        """Add a bar on the floor, to the image only."""
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            mujoco.mjtGeom.mjGEOM_BOX,
            np.array((*half, 0.004)),
            np.array((*at, 0.004)),
            np.eye(3).ravel(),
            np.array(colour, dtype=np.float32),
        )
        scene.ngeom += 1
