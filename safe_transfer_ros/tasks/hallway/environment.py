# SPDX-License-Identifier: Apache-2.0
"""The hallway as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.hallway.body import Motion
from safe_transfer_ros.tasks.hallway.camera import DepthCamera, RayCamera, RenderedCamera
from safe_transfer_ros.tasks.hallway.frames import Camera
from safe_transfer_ros.tasks.hallway.simulation import HallwaySimulation
from safe_transfer_ros.tasks.hallway.task import DEPTH_RANGE_M, IMAGE_SIDE, PIXELS, Array, Hallway
from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv

Flags = npt.NDArray[np.bool_]

CAMERAS = ("rays", "opengl")


class HallwayVectorEnv(NumberedVectorEnv):
    """Many bodies in hallways side by side; see NumberedVectorEnv.

    Every info has besides, of shape (E,): "x" and "y" of the body (m) and "touched", how many obstacles it has touched
    in this episode.

    Attributes:
      task: The task.
      simulation: Its bodies.
      camera: What they see with.
    """

    def __init__(
        self,
        task: Hallway,
        num_envs: int = 1,
        *,
        threads: int | None = None,
        autoreset: bool = True,
        camera: str = "rays",
    ) -> None:
        """Build the bodies.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          threads: Threads of physics and of rays; None takes every core this process may use, up to E.
          autoreset: See NumberedVectorEnv.
          camera: "rays", the same bits everywhere; "opengl", as MuJoCo's renderer draws (see tasks/offscreen.py).

        Raises:
          ValueError: if a number is not positive, or the camera unknown.
        """
        if camera not in CAMERAS:
            raise ValueError(f"camera must be one of {CAMERAS}, got {camera!r}")
        super().__init__(task, num_envs, np.ones(task.action_size), autoreset=autoreset)
        self.task = task
        self.simulation = HallwaySimulation(task, num_envs, threads=threads)
        self.camera: DepthCamera = self._opened(camera)
        self._images, self._stale = np.zeros((num_envs, PIXELS)), np.ones(num_envs, dtype=np.bool_)
        self._reward, self._cost = np.zeros(num_envs), np.zeros(num_envs)
        self._ever = np.zeros_like(self.simulation.touched)
        self._limits = np.full(num_envs, np.inf)  # an action is a fraction of what the motors have

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads, or the renderer."""
        self.simulation.close()
        self.camera.close()

    def _opened(self, camera: str) -> DepthCamera:
        made = self.simulation
        if camera == "opengl":
            return RenderedCamera(made.model, made.bring, IMAGE_SIDE)
        return RayCamera(made.model, made.bring, IMAGE_SIDE, DEPTH_RANGE_M, threads=made.threads)

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.simulation.place(row, self.task.start(rng))
        self._stale[row], self._ever[row] = True, False
        self._reward[row] = self._cost[row] = 0.0

    def _look(self) -> Array:
        stale = np.flatnonzero(self._stale)
        if len(stale):
            depths = self.camera.depths(stale.tolist())
            self._images[stale] = self.task.image(depths).reshape(len(stale), -1)
            self._stale[:] = False
        made = self.simulation
        return self.task.observe(self._images, made.motions(), made.acceleration, (self._reward, self._cost))

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        before, applied, made = self.simulation.motions(), np.clip(actions, -1.0, 1.0), self.simulation
        made.step(applied, running)
        reward = self.task.reward(before, made.motions())
        cost = self.task.course.cost(made.touched, self._ever, made.touched_side)
        self._reward, self._cost = np.where(running, reward, self._reward), np.where(running, cost, self._cost)
        self._ever |= made.touched
        self._stale |= running
        return self._reward.copy(), {"applied": applied}

    def _info(self) -> dict[str, Any]:
        motion: Motion = self.simulation.motions()
        return {
            "cost": self._cost.copy(),
            "success": np.zeros(self.num_envs, dtype=np.bool_),
            "torque_limit": self._limits,
            "x": motion.position[:, 0],
            "y": motion.position[:, 1],
            "touched": self._ever.sum(axis=1),
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.zeros(self.num_envs, dtype=np.bool_)


class HallwayEnv(RenderedEnv):
    """Single environment of a hallway, with the numbers of a row of HallwayVectorEnv.

    Attributes:
      task: The task.
    """

    def __init__(self, task: Hallway, *, render_mode: str | None = None, camera: str = "rays") -> None:
        """Build the body.

        Args:
          task: The task.
          render_mode: "rgb_array", or None.
          camera: See `HallwayVectorEnv`.

        Raises:
          ValueError: if the render mode or the camera is unknown.
        """
        rows = HallwayVectorEnv(task, 1, threads=1, autoreset=False, camera=camera)
        super().__init__(rows, task.control_period_s, render_mode)
        self.task, self._bodies = task, rows

    def _camera(self) -> Camera:
        return Camera(self._bodies.simulation)
