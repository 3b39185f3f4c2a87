# SPDX-License-Identifier: Apache-2.0
"""The pushing tasks as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.robots.simulation import NOMINAL, Perturbation
from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.push.frames import Camera
from safe_transfer_ros.tasks.push.simulation import PushSimulation
from safe_transfer_ros.tasks.push.task import Array, Flags, PushScene, PushTask
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv


class PushVectorEnv(NumberedVectorEnv):
    """Many pushes side by side; see NumberedVectorEnv.

    Every info has besides, of the state the step led to: "failure" (E,), "distance" (E,) from block to goal, m,
    "position" and "velocity" (E, n_joints) of the joints, rad and rad/s, and "object_pose" (E, 7), the block's x y z
    in m and quaternion x y z w, in the base frame.

    Attributes:
      task: The task.
      simulation: Its scenes.
    """

    def __init__(
        self,
        task: PushTask,
        num_envs: int = 1,
        perturbation: Perturbation = NOMINAL,
        *,
        torque_limit: float | None = None,
        threads: int | None = None,
        autoreset: bool = True,
    ) -> None:
        """Build the scenes.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          perturbation: How the robots differ from their description.
          torque_limit: Bound on every joint's torque beside its own effort limit, N·m.
          threads: Physics threads; None takes every core this process may use, up to E.
          autoreset: See NumberedVectorEnv.

        Raises:
          ValueError: if a number is not positive.
        """
        super().__init__(task, num_envs, np.ones(task.action_size), autoreset=autoreset)
        self.task = task
        self.simulation = PushSimulation(task, num_envs, perturbation, torque_limit=torque_limit, threads=threads)
        self._limits = np.full(num_envs, np.inf)  # of torques: an action is none
        self._scene: PushScene | None = None

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.simulation.place(row, self.task.start(rng))
        self._scene = None

    def _look(self) -> Array:
        return self.task.observe(self._seen())

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        before = self._seen()
        self.simulation.step(actions, running)
        scene = self._scene = self.simulation.scenes()
        return self.task.reward(before, scene), {"applied": np.clip(actions, -1.0, 1.0)}

    def _seen(self) -> PushScene:
        if self._scene is None:
            self._scene = self.simulation.scenes()
        return self._scene

    def _info(self) -> dict[str, Any]:
        scene = self._seen()
        failure = self.task.failed(scene)
        return {
            "failure": failure,
            "cost": failure.astype(np.float64),
            "success": self.task.succeeded(scene),
            "distance": self.task.distance_to_goal(scene),
            "torque_limit": self._limits,
            "position": self.simulation.position,
            "velocity": self.simulation.velocity,
            "object_pose": self.simulation.object_pose,
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        task = self.task
        return np.asarray((info["failure"] & task.ends_on_failure) | (info["success"] & task.ends_on_success))


class PushEnv(RenderedEnv):
    """Single environment of a pushing task, with the numbers of a row of PushVectorEnv.

    Attributes:
      task: The task.
    """

    def __init__(
        self,
        task: PushTask,
        perturbation: Perturbation = NOMINAL,
        *,
        torque_limit: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the scene; see PushVectorEnv for the arguments.

        Raises:
          ValueError: if the torque limit is not positive or the render mode unknown.
        """
        pushes = PushVectorEnv(task, 1, perturbation, torque_limit=torque_limit, threads=1, autoreset=False)
        super().__init__(pushes, task.control_period_s, render_mode)
        self.task, self._simulation = task, pushes.simulation

    def _camera(self) -> Camera:
        return Camera(self._simulation)
