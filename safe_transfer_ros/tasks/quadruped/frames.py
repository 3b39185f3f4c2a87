# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of quadrupeds. MuJoCo draws with the library that MUJOCO_GL names (egl, osmesa or glfw).

Where there is no screen and MUJOCO_GL says nothing, this package chooses egl (robots/__init__.py).
"""

from __future__ import annotations

import weakref

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.quadruped.scene import quadruped_model
from safe_transfer_ros.tasks.quadruped.simulation import QuadrupedSimulation

_GREY = np.array((0.55, 0.53, 0.50, 1.0), dtype=np.float32)


class Camera:
    """Follows one simulation's quadrupeds from the side; shows a bar on the floor every half metre."""

    def __init__(self, simulation: QuadrupedSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation = simulation
        model = quadruped_model(timestep=simulation.task.timestep_s)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.6, 0.5
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, height, width)
        # At the end of a process, before the library that draws is gone, also if nobody closes this.
        self._closing = weakref.finalize(self, self._renderer.close)
        self._view = mujoco.MjvCamera()
        self._view.distance, self._view.azimuth, self._view.elevation = 1.4, 60.0, -28.0

    def image(self, row: int) -> npt.NDArray[np.uint8]:
        """One quadruped, shape (height, width, 3)."""
        self._simulation.show(row, self._renderer.model, self._data)
        x, y = (float(value) for value in self._data.qpos[:2])
        self._view.lookat[:] = (x, y, 0.18)
        self._renderer.update_scene(self._data, self._view)
        scene = self._renderer.scene
        for at in 0.5 * (np.floor(2.0 * x) + np.arange(-4.0, 6.0)):
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom],
                mujoco.mjtGeom.mjGEOM_BOX,
                np.array((0.008, 1.0, 0.002)),
                np.array((at, 0.0, 0.0)),
                np.eye(3).ravel(),
                _GREY,
            )
            scene.ngeom += 1
        image: npt.NDArray[np.uint8] = self._renderer.render().copy()
        return image

    def close(self) -> None:
        """Close the renderer."""
        self._closing()
