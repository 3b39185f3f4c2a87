# SPDX-License-Identifier: Apache-2.0
"""Tasks of joint torques: observation, reward, unsafety and initial states as functions of joint arrays."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from safe_transfer_ros.registry import load
from safe_transfer_ros.safety.limit import unsafety
from safe_transfer_ros.tasks.robot_task import Outcome, RobotTask, Seen
from safe_transfer_ros.tasks.task import Array

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv


class TorqueTask(RobotTask):
    """One task of one robot, done with joint torques.

    A subclass names its robot and sizes and implements `observe`, `task_reward` and `initial_state`.

    Attributes:
      unsafety_function: Registered safety function applied to the tool's rotation.
      unsafety_penalty: lambda of PSPT Eq. 4, reward per squared unit of u.
      unsafety_free: u'_lim of PSPT Eq. 4; no penalty up to here.
      torque_limit_range: Limits a policy is trained under, N·m.
    """

    unsafety_function: ClassVar[str]
    unsafety_penalty: ClassVar[float]
    unsafety_free: ClassVar[float] = 0.0
    torque_limit_range: ClassVar[tuple[float, float]]
    learning_settings = {"torque_limit": 1.0, "ends_on_failure": True}
    source_settings = {"torque_limit": None}  # in the graph the limit follows from what is measured

    def __init__(self) -> None:
        """Load the robot."""
        super().__init__()
        self._unsafety = unsafety.get(self.unsafety_function)

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of `TorqueEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.environment:TorqueEnv")(cls(), **settings)
        return made

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of `VectorTorqueEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.vector:VectorTorqueEnv")(
            cls(), num_envs=num_envs, **settings
        )
        return made

    @property
    def action_size(self) -> int:
        """Number of driven joints."""
        return self.robot.joint_count

    @abc.abstractmethod
    def observe(self, position: Array, velocity: Array, torque_limit: float | Array) -> Array:
        """Observation of the policy.

        Args:
          position: Joint positions, shape (..., n_joints), rad.
          velocity: Joint velocities, same shape, rad/s.
          torque_limit: Limit in force, scalar or shape (...), N·m.

        Returns:
          Observation, shape (..., observation_size), float64.
        """

    @abc.abstractmethod
    def task_reward(self, position: Array, velocity: Array, torque: Array) -> Array:
        """Reward of a step without the safety penalty, shape (...).

        Args:
          position: Joint positions the step led to, shape (..., n_joints), rad.
          velocity: Joint velocities the step led to, same shape, rad/s.
          torque: Torque CHOSEN at the step, the one proposed unless a critic let another pass; before any bound, same
            shape, N·m.
        """

    @abc.abstractmethod
    def initial_state(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw joint position (n_joints,), rad, and velocity (n_joints,), rad/s, of an episode's start."""

    def unsafety(self, position: Array) -> Array:
        """u(s), shape (...), for joint positions (..., n_joints), rad."""
        return self._unsafety(self.chain.tool_rotation(position))

    def outcome(self, position: Array, velocity: Array, torque: Array) -> Outcome:
        """Reward and unsafety of a step; the arguments are those of `task_reward`.

        The reward is PSPT Eq. 4: r' = r - lambda max(0, u - u'_lim)^2.
        """
        task_reward, u = self.task_reward(position, velocity, torque), self.unsafety(position)
        excess = np.maximum(0.0, u - self.unsafety_free)
        return Outcome(task_reward=task_reward, unsafety=u, reward=task_reward - self.unsafety_penalty * excess**2)

    def outcome_of_steps(self, before: Seen, after: Seen, action: Array) -> Outcome:
        """See `RobotTask.outcome_of_steps`: of the state a step led to and the torque chosen."""
        return self.outcome(after.position, after.velocity, action)

    def reward(self, position: Array, velocity: Array, torque: Array) -> Array:
        """Reward the policy is trained on, shape (...); see `outcome`."""
        return self.outcome(position, velocity, torque).reward

    def draw_torque_limit(self, rng: np.random.Generator, count: int | None = None) -> Any:
        """Limits for training, N·m, log-uniform in `torque_limit_range`: a float, or shape (count,)."""
        low, high = np.log(self.torque_limit_range)
        drawn = np.exp(rng.uniform(low, high, count))
        return float(drawn) if count is None else drawn
