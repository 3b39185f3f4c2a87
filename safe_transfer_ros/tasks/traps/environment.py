# SPDX-License-Identifier: Apache-2.0
"""The tasks with traps as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.traps.frames import Camera
from safe_transfer_ros.tasks.traps.simulation import TrapsSimulation
from safe_transfer_ros.tasks.traps.task import Array, BodyState, Flags, Surroundings, Traps
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv


class TrapsVectorEnv(NumberedVectorEnv):
    """Many bodies among traps side by side; see NumberedVectorEnv.

    Every info has besides, of shape (E,): "health", points left, "in_trap", whether the body is in a trap, "goals",
    how many were reached so far, and "distance" to the goal the step was made for, m.

    Attributes:
      task: The task.
      simulation: Its bodies.
      surroundings: What they are among, with E rows.
    """

    def __init__(self, task: Traps, num_envs: int = 1, *, threads: int | None = None, autoreset: bool = True) -> None:
        """Build the bodies.

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
        self.simulation = TrapsSimulation(task, num_envs, threads=threads)
        self.surroundings = Surroundings(
            goal=np.zeros((num_envs, 2)), traps=np.zeros((num_envs, task.n_traps, 2)), health=np.zeros(num_envs)
        )
        self._goals = np.zeros(num_envs, dtype=np.int64)
        self._distance = np.zeros(num_envs)
        self._streams: dict[int, np.random.Generator] = {}  # each episode's own, for the goals that follow
        self._limits = np.full(num_envs, np.inf)  # an action is a fraction of what the motors have
        self._state: BodyState | None = None

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _place(self, row: int, rng: np.random.Generator) -> None:
        layout, around = self.task.start(rng), self.surroundings
        self.simulation.place(row, layout)
        around.goal[row], around.traps[row] = layout.goal, layout.traps
        around.health[row] = self.task.greatest_health
        self._goals[row], self._streams[row] = 0, rng
        self._distance[row] = np.hypot(*(layout.position - layout.goal))
        self._state = None

    def _look(self) -> Array:
        return self.task.observe(self._seen(), self.surroundings)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        before, applied, task, around = self._seen(), np.clip(actions, -1.0, 1.0), self.task, self.surroundings
        self.simulation.step(applied, running)
        state = self._state = self.simulation.states()
        reward = task.reward(before, state, around)
        around.health[:] -= running & task.in_trap(state, around)
        self._distance = np.where(running, task.distance_to_goal(state, around), self._distance)
        for row in np.flatnonzero(running & task.at_goal(state, around)).tolist():
            self._goals[row] += 1
            around.goal[row] = task.next_goal(self._streams[row], state.position[row], around.traps[row])
        return reward, {"applied": applied}

    def _seen(self) -> BodyState:
        if self._state is None:
            self._state = self.simulation.states()
        return self._state

    def _info(self) -> dict[str, Any]:
        around = self.surroundings
        return {
            "cost": (around.health <= 0.0).astype(np.float64),
            "success": self._goals > 0,
            "torque_limit": self._limits,
            "health": around.health.copy(),
            "in_trap": self.task.in_trap(self._seen(), around),
            "goals": self._goals.copy(),
            "distance": self._distance.copy(),
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray(info["cost"] > 0.0)


class TrapsEnv(RenderedEnv):
    """Single environment of a task with traps, with the numbers of a row of TrapsVectorEnv.

    Attributes:
      task: The task.
    """

    def __init__(self, task: Traps, *, render_mode: str | None = None) -> None:
        """Build the body.

        Raises:
          ValueError: if the render mode is unknown.
        """
        rows = TrapsVectorEnv(task, 1, threads=1, autoreset=False)
        super().__init__(rows, task.control_period_s, render_mode)
        self.task, self._bodies = task, rows

    def _camera(self) -> Camera:
        return Camera(self._bodies.simulation, self._bodies.surroundings)
