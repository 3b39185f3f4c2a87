# SPDX-License-Identifier: Apache-2.0
"""Gymnasium's Pendulum-v1 as a task of this package: many episodes side by side, with the same numbers.

python examples/pendulum.py         # SAC swings it up: 4,000 steps, ten seconds to a minute
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.tasks.task import Task, register
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_GRAVITY, _MASS, _LENGTH, _PERIOD_S = 10.0, 1.0, 1.0, 0.05
_MAX_SPEED, _MAX_TORQUE = 8.0, 2.0


class PendulumEnv(NumberedVectorEnv):
    """Rows of pendulums; an observation is (cos, sin, speed), an action the torque in N·m."""

    def __init__(self, task: Task, num_envs: int = 1, *, threads: int = 1, autoreset: bool = True) -> None:
        """Make the rows.

        Args:
          task: The task.
          num_envs: How many.
          threads: Not used.
          autoreset: Whether an episode is followed by another.
        """
        super().__init__(task, num_envs, np.full(1, _MAX_TORQUE), autoreset=autoreset)
        self._angle, self._speed = np.zeros((2, num_envs))

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self._angle[row], self._speed[row] = rng.uniform([-np.pi, -1.0], [np.pi, 1.0])

    def _look(self) -> Array:
        return np.stack([np.cos(self._angle), np.sin(self._angle), self._speed], axis=1)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        applied = np.clip(actions, -_MAX_TORQUE, _MAX_TORQUE)
        torque, lean = applied[:, 0], (self._angle + np.pi) % (2.0 * np.pi) - np.pi
        reward = -(lean**2 + 0.1 * self._speed**2 + 0.001 * torque**2)
        pull = 3.0 * _GRAVITY / (2.0 * _LENGTH) * np.sin(self._angle) + 3.0 / (_MASS * _LENGTH**2) * torque
        speed = np.clip(self._speed + pull * _PERIOD_S, -_MAX_SPEED, _MAX_SPEED)
        self._speed = np.where(running, speed, self._speed)
        self._angle = np.where(running, self._angle + speed * _PERIOD_S, self._angle)
        return reward, {"applied": applied}

    def _info(self) -> dict[str, Any]:
        none = np.zeros(self.num_envs)
        return {"cost": none, "success": none > 0.0, "torque_limit": none + np.inf}

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.zeros(self.num_envs, dtype=np.bool_)


class Pendulum(Task):
    """Swing up and balance; a return of -200 or more has done it from most starts."""

    observation_size, action_size, horizon, gamma = 3, 1, 200, 0.98

    @classmethod
    def single_environment(cls, **settings: Any) -> gymnasium.Env[Array, Array]:
        """See `Task.single_environment`."""
        return SingleRowEnv(PendulumEnv(cls(), 1, autoreset=False, **settings))

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> PendulumEnv:
        """See `Task.vector_environment`."""
        return PendulumEnv(cls(), num_envs, **settings)


def main() -> None:
    """Learn, and say after each epoch how far it is."""
    from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
    from safe_transfer_ros.learning.environment import TaskEnvironment
    from safe_transfer_ros.learning.off_policy import OffPolicyLoop, OffPolicySettings

    register("pendulum")(Pendulum)
    rows = Pendulum.vector_environment(2)
    chosen = SacSettings(gamma=Pendulum.gamma, hidden=(64, 64), learning_rate=2e-3)
    agent = Sac(Pendulum.observation_size, rows.action_bound, chosen, seed=0)
    loop = OffPolicyLoop(rows, agent, OffPolicySettings(epoch_steps=Pendulum.horizon, warmup=500, batch=128), seed=0)
    with TaskEnvironment("pendulum") as judge:
        for _ in range(10):
            found = loop.epoch()
            print(f"{found.steps} steps: return {loop.evaluate(judge, 20).mean_return:.0f}", flush=True)


if __name__ == "__main__":
    main()
