# SPDX-License-Identifier: Apache-2.0
"""The cube's tasks as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.tasks.cube_in_hand.frames import Camera
from safe_transfer_ros.tasks.cube_in_hand.simulation import HandSimulation
from safe_transfer_ros.tasks.cube_in_hand.task import Array, CubeInHand, Flags, HandState
from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv


class CubeInHandVectorEnv(NumberedVectorEnv):
    """Many hands side by side; see NumberedVectorEnv.

    Every info has besides, of shape (E,): "error", from the goal the step was made for, rad, and "height" of the cube
    from where it started, m.

    Attributes:
      task: The task.
      simulation: Its hands.
    """

    def __init__(
        self, task: CubeInHand, num_envs: int = 1, *, threads: int | None = None, autoreset: bool = True
    ) -> None:
        """Build the hands.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          threads: Physics threads; None takes every core this process may use, up to E.
          autoreset: See NumberedVectorEnv.

        Raises:
          ValueError: if a number is not positive.
        """
        super().__init__(task, num_envs, np.ones(task.action_size), autoreset=autoreset)
        self.task = task
        self.simulation = HandSimulation(task, num_envs, threads=threads)
        self._goals = np.zeros((num_envs, task.n_goals, 3))
        self._judged = np.zeros((num_envs, 3))  # goals that the last steps were made for
        self._actions = np.zeros((num_envs, task.history, task.action_size))  # newest first
        self._limits = np.full(num_envs, np.inf)  # an action is none
        self._state: HandState | None = None

    @property
    def goal(self) -> Array:
        """Goals in force, Euler angles, shape (E, 3), rad."""
        return np.asarray(self._goals[np.arange(self.num_envs), self.task.goal_number(self._steps)])

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.simulation.place(row)
        self._goals[row] = self.task.goals(rng)
        self._judged[row], self._actions[row] = self._goals[row, 0], 0.0
        self._state = None

    def _look(self) -> Array:
        return self.task.observe(self._seen(), self.goal, self._actions)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        applied, rows = np.clip(actions, -1.0, 1.0), running[:, None]
        self._judged = np.where(rows, self.goal, self._judged)
        self.simulation.step(applied, running)
        self._state = self.simulation.states()
        pushed = np.concatenate([applied[:, None], self._actions[:, :-1]], axis=1)
        self._actions = np.where(rows[:, None], pushed, self._actions)
        return self.task.reward(self._state, self._judged), {"applied": applied}

    def _seen(self) -> HandState:
        if self._state is None:
            self._state = self.simulation.states()
        return self._state

    def _info(self) -> dict[str, Any]:
        state = self._seen()
        return {
            "cost": self.task.dropped(state).astype(np.float64),
            "success": np.zeros(self.num_envs, dtype=np.bool_),
            "torque_limit": self._limits,
            "error": self.task.error(state, self._judged),
            "height": state.position[:, 2].copy(),
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray(info["cost"] > 0.0)


class CubeInHandEnv(RenderedEnv):
    """Single environment of one of the cube's tasks, with the numbers of a row of CubeInHandVectorEnv.

    Attributes:
      task: The task.
    """

    def __init__(self, task: CubeInHand, *, render_mode: str | None = None) -> None:
        """Build the hand.

        Raises:
          ValueError: if the render mode is unknown.
        """
        rows = CubeInHandVectorEnv(task, 1, threads=1, autoreset=False)
        super().__init__(rows, task.control_period_s, render_mode)
        self.task, self._hands = task, rows

    def _camera(self) -> Camera:
        return Camera(self._hands.simulation, lambda: self._hands.goal)
