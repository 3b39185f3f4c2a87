# SPDX-License-Identifier: Apache-2.0
"""A task as a Gymnasium environment: one episode at a time, behind the same envelope as the robot.

Numbers are float64, as in the processes beside the robot: an episode here is bit for bit that of a graph. A learner
that wants float32 wraps it: `gymnasium.wrappers.DtypeObservation(environment, numpy.float32)`.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import NOMINAL, ArmSimulation, Perturbation, build_model
from safe_transfer_ros.safety.filter.envelope import Envelope, EnvelopeSettings
from safe_transfer_ros.tasks.task import Array
from safe_transfer_ros.tasks.torque_task import TorqueTask


class TorqueEnv(gymnasium.Env[Array, Array]):
    """Propose torques, N·m; the envelope decides what is applied.

    The reward is for the torque proposed and the state the applied one led to. Episodes are truncated at the
    task's horizon and never terminate.

    Every info has "unsafety" and, as a number, "cost": 1 where that is above the task's limit; "success" is False, as
    such a task has no goal.

    Attributes:
      task: The task.
      torque_limit: Limit of the current episode, N·m.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        task: TorqueTask,
        perturbation: Perturbation = NOMINAL,
        *,
        torque_limit: float | None = None,
        envelope: EnvelopeSettings | None = None,
        soft_limits: bool = False,
    ) -> None:
        """Build the simulated robot.

        Args:
          task: The task.
          perturbation: How the robot differs from its description.
          torque_limit: Limit of every episode, N·m; None draws one per episode from the task's training
            range.
          envelope: The envelope's settings.
          soft_limits: Whether the robot's soft limits hold. Off, as they are in lockstep: they are a control loop made
            for a thousand turns a second, and at the twenty of a control period they throw a light arm about.

        Raises:
          ValueError: if the torque limit is not positive.
        """
        self.task = task
        self._given_limit = None if torque_limit is None else _checked_limit(torque_limit)
        self.torque_limit = task.torque_limit_range[0]
        robot = task.robot
        self._arm = ArmSimulation(build_model(robot, perturbation, task.timestep_s), robot.joint_names)
        self._envelope = Envelope(robot.limits.effort, envelope, task.soft_limits if soft_limits else None)
        effort = robot.limits.effort
        self.action_space = gymnasium.spaces.Box(-effort, effort, dtype=np.float64)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (task.observation_size,), dtype=np.float64)
        self._seed: int | None = None
        self._step: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode.

        Args:
          seed: Seed of the environment's own stream and of numbered episodes; kept until the next one is
            given.
          options: "torque_limit", N·m, for this episode; "episode", a number: the initial state is then the
            one that every process of a run with this seed gives this episode.

        Returns:
          Observation and info.

        Raises:
          ValueError: if an option is unknown or senseless, or an episode is numbered without a seed.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._seed = seed
        options = dict(options or {})
        episode = options.pop("episode", None)
        limit = options.pop("torque_limit", self._given_limit)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: episode, torque_limit")
        if episode is None:
            rng = self.np_random
        elif self._seed is None:
            raise ValueError("a numbered episode needs a seed: call reset(seed=..., options={'episode': ...})")
        else:
            rng = generator(Purpose.INITIAL_STATE, self._seed, episode)
        position, velocity = self.task.initial_state(rng)
        self.torque_limit = self.task.draw_torque_limit(self.np_random) if limit is None else _checked_limit(limit)
        self._envelope.reset()
        self._arm.reset(position, velocity)
        self._step = 0
        u = float(self.task.unsafety(position))
        return self.task.observe(position, velocity, self.torque_limit), {
            **self._state_info(position, velocity, u),
            "episode": episode,
        }

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Propose a torque for one control period.

        Args:
          action: Proposed torque, shape (n_joints,), N·m. Not clipped to the action space: bounding it is
            the envelope's work.

        Returns:
          Observation, reward, False, whether the horizon is reached, info: unsafety, unsafe, cost, torque_limit,
          position, velocity, applied (N·m), reasons (safety.Reason), task_reward.

        Raises:
          ValueError: if the action has the wrong shape or is not finite; nothing was stepped then.
          RuntimeError: if no episode is running.
        """
        if self._step is None:
            raise RuntimeError("no episode is running; call reset() first")
        torque = np.asarray(action, dtype=np.float64)
        if torque.shape != (self.task.action_size,):
            raise ValueError(
                f"the action must be {self.task.action_size} torques, one per joint; got shape {torque.shape}"
            )
        if not np.isfinite(torque).all():
            raise ValueError(
                f"the action must be finite torques (N·m), got {torque.tolist()}; nothing was stepped. "
                "A policy that proposes this has diverged"
            )
        applied = np.empty_like(torque)
        reasons = self._envelope.apply(
            torque,
            self.torque_limit,
            self.task.control_period_s,
            out=applied,
            state=(self._arm.position, self._arm.velocity),
        )
        self._arm.step(applied, self.task.substeps)
        self._step += 1
        position, velocity = self._arm.position, self._arm.velocity
        outcome = self.task.outcome(position, velocity, torque)
        info = {
            **self._state_info(position, velocity, float(outcome.unsafety)),
            "applied": applied,
            "reasons": reasons,
            "task_reward": float(outcome.task_reward),
        }
        truncated = self._step >= self.task.horizon
        if truncated:
            self._step = None
        observation = self.task.observe(position, velocity, self.torque_limit)
        return observation, float(outcome.reward), False, truncated, info

    def _state_info(self, position: Array, velocity: Array, u: float) -> dict[str, Any]:
        unsafe = not u <= self.task.unsafety_limit
        return {
            "unsafety": u,
            "unsafe": unsafe,
            "cost": float(unsafe),
            "success": False,
            "torque_limit": self.torque_limit,
            "position": position,
            "velocity": velocity,
        }


def _checked_limit(torque_limit: float) -> float:
    if not (math.isfinite(torque_limit) and torque_limit > 0.0):
        raise ValueError(f"torque_limit must be a positive number of N·m, got {torque_limit}")
    return float(torque_limit)
