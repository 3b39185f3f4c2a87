# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of pushing scenes. MuJoCo draws with the library that MUJOCO_GL names (egl, osmesa or glfw).

Where there is no screen and MUJOCO_GL says nothing, this package chooses egl (robots/__init__.py).
"""

from __future__ import annotations

import weakref

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.push.scene import push_model
from safe_transfer_ros.tasks.push.simulation import PushSimulation

_GREY, _GREEN, _RED = (0.35, 0.36, 0.38, 1.0), (0.15, 0.6, 0.25, 1.0), (0.75, 0.1, 0.1, 1.0)
_ARM, _TABLE = (0.88, 0.89, 0.9, 1.0), (0.72, 0.70, 0.66, 1.0)


class Camera:
    """Looks at one simulation's scenes, from the robot's left front."""

    def __init__(self, simulation: PushSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation = simulation
        # The simulation's own model has no shapes to look at; positions and velocities are the same.
        model = push_model(simulation.task, shapes=True)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.45, 0.45
        of_the_arm = (model.geom_bodyid > 0) & (model.geom_contype == 0)
        model.geom_rgba[of_the_arm] = _ARM
        model.geom_rgba[model.geom("table").id] = _TABLE
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, height, width)
        # At the end of a process, before the library that draws is gone, also if nobody closes this.
        self._closing = weakref.finalize(self, self._renderer.close)
        self._view = mujoco.MjvCamera()
        self._view.lookat[:] = np.add(simulation.task.table_centre, (-0.14, 0.0, 0.14))
        self._view.distance, self._view.azimuth, self._view.elevation = 1.2, 125.0, -24.0

    def image(self, row: int) -> npt.NDArray[np.uint8]:
        """One scene, shape (height, width, 3)."""
        simulation = self._simulation
        simulation.show(row, self._renderer.model, self._data)
        self._renderer.update_scene(self._data, self._view)
        task, (x, y, z) = simulation.task, simulation.task.table_centre
        half_x, half_y = task.table_size[0] / 2, task.table_size[1] / 2
        self._outline(x, y, z, half_x, half_y, _GREY)
        boundary = getattr(task, "boundary", None)
        if boundary is not None:
            self._outline(x, y, z, boundary[0], boundary[1], _RED)
        goal_x, goal_y = simulation.goal[row]
        self._marker(
            mujoco.mjtGeom.mjGEOM_CYLINDER, (x + goal_x, y + goal_y, z), (task.goal_distance, 0.0005, 0.0), _GREEN
        )
        image: npt.NDArray[np.uint8] = self._renderer.render().copy()
        return image

    def close(self) -> None:
        """Close the renderer."""
        self._closing()

    def _outline(
        self, x: float, y: float, z: float, half_x: float, half_y: float, colour: tuple[float, float, float, float]
    ) -> None:
        """A rectangle of thin bars on the table."""
        thin = 0.0015
        for side in (-1.0, 1.0):
            self._marker(mujoco.mjtGeom.mjGEOM_BOX, (x + side * half_x, y, z), (thin, half_y, thin), colour)
            self._marker(mujoco.mjtGeom.mjGEOM_BOX, (x, y + side * half_y, z), (half_x, thin, thin), colour)

    def _marker(
        self,
        shape: mujoco.mjtGeom,
        at: tuple[float, float, float],
        size: tuple[float, float, float],
        colour: tuple[float, float, float, float],
    ) -> None:
        """Add a shape to the image only."""
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            shape,
            np.array(size),
            np.array(at),
            np.eye(3).ravel(),
            np.array(colour, dtype=np.float32),
        )
        scene.ngeom += 1
