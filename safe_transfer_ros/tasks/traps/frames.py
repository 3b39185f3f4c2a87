# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of a body among traps. MuJoCo draws with the library that MUJOCO_GL names (egl, osmesa or glfw).

Where there is no screen and MUJOCO_GL says nothing, this package chooses egl (robots/__init__.py).
"""

from __future__ import annotations

import weakref

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.traps.scene import car_model, point_model
from safe_transfer_ros.tasks.traps.simulation import TrapsSimulation
from safe_transfer_ros.tasks.traps.task import Array, Surroundings

_TRAP, _GOAL, _SIDE = (0.75, 0.1, 0.1, 1.0), (0.15, 0.6, 0.2, 1.0), (0.55, 0.53, 0.50, 1.0)


class Camera:
    """Looks at the square from above and a little aside."""

    def __init__(self, simulation: TrapsSimulation, width: int = 640, height: int = 480) -> None:
        """Open the renderer."""
        self._simulation = simulation
        model = (car_model if simulation.is_car else point_model)(timestep=simulation.task.timestep_s)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.6, 0.5
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, height, width)
        # At the end of a process, before the library that draws is gone, also if nobody closes this.
        self._closing = weakref.finalize(self, self._renderer.close)
        self._view = mujoco.MjvCamera()
        self._view.distance, self._view.azimuth, self._view.elevation = 4.6, 90.0, -62.0

    def image(self, row: int, around: Surroundings) -> npt.NDArray[np.uint8]:
        """One body and what it is among, shape (height, width, 3)."""
        task = self._simulation.task
        self._simulation.show(row, self._renderer.model, self._data)
        self._renderer.update_scene(self._data, self._view)
        for trap in around.traps[row]:
            self._disc(trap, task.trap_radius, 0.006, _TRAP)
        self._disc(around.goal[row], task.goal_radius, 0.004, _GOAL)
        side = task.half_side
        for at, half in (((0.0, side), (side, 0.01)), ((0.0, -side), (side, 0.01))):
            self._bar(at, half)
            self._bar(at[::-1], half[::-1])
        image: npt.NDArray[np.uint8] = self._renderer.render().copy()
        return image

    def close(self) -> None:
        """Close the renderer."""
        self._closing()

    def _disc(self, at: Array, radius: float, height: float, colour: tuple[float, ...]) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_CYLINDER, (radius, height, 0.0), (*at, 0.0), colour)

    def _bar(self, at: tuple[float, ...], half: tuple[float, ...]) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_BOX, (*half, 0.002), (*at, 0.0), _SIDE)

    def _add(
        self, kind: mujoco.mjtGeom, size: tuple[float, ...], at: tuple[float, ...], colour: tuple[float, ...]
    ) -> None:
        """Add a shape on the floor, to the image only."""
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            kind,
            np.array(size),
            np.array(at),
            np.eye(3).ravel(),
            np.array(colour, dtype=np.float32),
        )
        scene.ngeom += 1
