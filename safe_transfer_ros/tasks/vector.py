# SPDX-License-Identifier: Apache-2.0
"""Many episodes of joint torques at once: physics on all cores by `mujoco.rollout`, one policy call per period."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Protocol

import mujoco
import mujoco.rollout
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import (
    NOMINAL,
    Perturbation,
    UnstableSimulationError,
    build_model,
    check_stable,
    joint_addresses,
)
from safe_transfer_ros.safety.filter.envelope import EnvelopeSettings, bound_torque
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import Array
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector_environment import Flags, NumberedVectorEnv


class Policy(Protocol):
    """Interface of a policy."""

    def distribution(self, observation: Array) -> tuple[Array, Array]:
        """Mean torque (E, n) and standard deviation (n,) or (E, n), N·m, for observations (E, k)."""
        ...


class BatchGate(Protocol):
    """A safety critic before the envelope, for many episodes at once."""

    def judge_batch(
        self, observation: Array, mean: Array, stddev: Array, sample: Array, torque_limit: Array
    ) -> tuple[Array, npt.NDArray[np.uint32]]:
        """Torques to use instead of the samples (E, n), and why, reason bits (E,); see `safety.critic.gate.Gate`."""
        ...


class VectorTorqueEnv(NumberedVectorEnv):
    """Many episodes of a task of joint torques; see NumberedVectorEnv. Each is the one TorqueEnv would run.

    Every info has besides: "unsafety" (E,), "position" and "velocity" (E, n); that of a step also "task_reward" and
    "reasons" (E,). The reward is for the torque proposed and the state the applied one led to.

    `step` is for learners that go step by step; `rollout` runs whole episodes, any number of them, with the same
    numbers and without the time that a step's own bookkeeping takes.

    Attributes:
      task: The task.
      threads: Physics threads.
    """

    def __init__(
        self,
        task: TorqueTask,
        perturbation: Perturbation = NOMINAL,
        *,
        num_envs: int = 1,
        torque_limit: float | None = None,
        envelope: EnvelopeSettings | None = None,
        soft_limits: bool = False,
        threads: int | None = None,
        autoreset: bool = True,
        ends_on_failure: bool = False,
    ) -> None:
        """Build the simulated robot.

        Args:
          task: The task.
          perturbation: How the robots differ from their description.
          num_envs: Episodes side by side, E, for `reset` and `step`.
          torque_limit: Limit of every episode of `reset`, N·m; None draws one per episode from the task's range.
          envelope: The envelope's settings.
          soft_limits: Whether the robot's soft limits hold; see TorqueEnv.
          threads: Physics threads; None takes every core this process may use.
          autoreset: See NumberedVectorEnv.
          ends_on_failure: Whether a step to an unsafe state ends its episode, for `step`.

        Raises:
          ValueError: if a number is not positive.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        if torque_limit is not None:
            _checked_limits(torque_limit)
        effort = task.robot.limits.effort
        bound = np.minimum(effort, task.torque_limit_range[1] if torque_limit is None else torque_limit)
        super().__init__(task, num_envs, bound, autoreset=autoreset)
        self.task = task
        self.threads = threads or len(os.sched_getaffinity(0))
        self._model = build_model(task.robot, perturbation, task.timestep_s)
        self._data = [mujoco.MjData(self._model) for _ in range(self.threads)]
        self._pool = mujoco.rollout.Rollout(nthread=self.threads if self.threads > 1 else 0)
        settings = envelope or EnvelopeSettings()
        self._max_change = settings.torque_rate_limit * task.control_period_s
        self._clamp = settings.clamp
        self._soft_limits = task.soft_limits if soft_limits else None
        self._given_limit, self._ends_on_failure = torque_limit, ends_on_failure
        self._limits = np.full(num_envs, task.torque_limit_range[0] if torque_limit is None else torque_limit)
        self._position, self._velocity, self._applied = np.zeros((3, num_envs, task.action_size))
        self._physics: _BatchPhysics | None = None

    def __enter__(self) -> VectorTorqueEnv:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self._pool.close()

    def torque_limits(self, seed: int, first_episode: int) -> Array:
        """Limits under which `reset` starts these episodes, shape (E,), N·m."""
        if self._given_limit is not None:
            return np.full(self.num_envs, self._given_limit)
        limits = np.empty(self.num_envs)
        for row in range(self.num_envs):
            rng = generator(Purpose.INITIAL_STATE, seed, first_episode + row)
            self.task.initial_state(rng)
            limits[row] = self.task.draw_torque_limit(rng)
        return limits

    def rollout(
        self,
        policy: Policy,
        *,
        torque_limits: npt.ArrayLike,
        seed: int,
        first_episode: int = 0,
        gate: BatchGate | None = None,
    ) -> SimulatedRollouts:
        """Run one episode per torque limit.

        Args:
          policy: Gives the distribution of the torque proposed.
          torque_limits: Limit of each episode, shape (E,), or of each of its steps, shape (E, T), N·m.
          seed: Seed of the run.
          first_episode: Number of the first episode; with the seed it fixes initial states and noise.
          gate: Safety critic; what it chooses goes to the envelope, what was proposed stays on record.

        Raises:
          ValueError: if a limit is not positive or the policy proposes something that is not finite.
          UnstableSimulationError: if the physics diverges.
        """
        limits = np.asarray(torque_limits, dtype=np.float64)
        task, steps, n = self.task, self.task.horizon, self.task.action_size
        if limits.size == 0 or limits.shape not in ((len(limits),), (len(limits), steps)):
            raise ValueError(
                f"torque_limits must be positive numbers of N·m, one per episode or one for each of its {steps} steps, "
                f"got {limits}"
            )
        _checked_limits(limits)
        episodes = len(limits)
        by_step = np.ascontiguousarray(np.broadcast_to(limits.T, (steps, episodes)))
        position = np.empty((steps + 1, episodes, n))
        velocity = np.empty((steps + 1, episodes, n))
        observation = np.empty((steps + 1, episodes, task.observation_size))
        mean, stddev, proposed, applied = (np.empty((steps, episodes, n)) for _ in range(4))
        reasons = np.empty((steps, episodes), dtype=np.uint32)
        chosen = proposed if gate is None else np.empty_like(proposed)
        gated = np.zeros((steps, episodes), dtype=np.bool_)
        noise = np.empty((steps, episodes, n))
        for row in range(episodes):
            numbered = first_episode + row
            position[0, row], velocity[0, row] = task.initial_state(generator(Purpose.INITIAL_STATE, seed, numbered))
            # The same numbers as one draw per step.
            noise[:, row] = generator(Purpose.ACTION_NOISE, seed, numbered).standard_normal((steps, n))
        physics = _BatchPhysics(self._model, self._data, self._pool, task, position[0], velocity[0])
        previous = np.zeros((episodes, n))
        for step in range(steps):
            limit = by_step[step]
            observation[step] = task.observe(position[step], velocity[step], limit)
            mean[step], stddev[step] = policy.distribution(observation[step])
            np.multiply(stddev[step], noise[step], out=proposed[step])
            proposed[step] += mean[step]
            if not np.isfinite(proposed[step]).all():
                raise ValueError(f"the policy proposed a torque that is not finite at step {step}; it has diverged")
            why: npt.NDArray[np.uint32] | int = 0
            if gate is not None:
                chosen[step], why = gate.judge_batch(observation[step], mean[step], stddev[step], proposed[step], limit)
                gated[step] = why != 0
            previous, reasons[step] = self._bounded(chosen[step], previous, limit, position[step], velocity[step])
            reasons[step] |= why
            applied[step] = previous
            position[step + 1], velocity[step + 1] = physics.step(previous)
        observation[steps] = task.observe(position[steps], velocity[steps], by_step[-1])
        # The reward is that of the torque that was let pass: what a gate refused was never done.
        outcome = task.outcome(position[1:], velocity[1:], chosen)
        unsafety = np.concatenate([task.unsafety(position[:1]), outcome.unsafety])
        return SimulatedRollouts(
            first_episode=first_episode,
            position=_by_episode(position),
            velocity=_by_episode(velocity),
            observation=_by_episode(observation),
            mean=_by_episode(mean),
            stddev=_by_episode(stddev),
            proposed=_by_episode(proposed),
            chosen=_by_episode(chosen),
            gated=np.ascontiguousarray(gated.T),
            applied=_by_episode(applied),
            torque_limit=_by_episode(by_step),
            reasons=np.ascontiguousarray(reasons.T),
            unsafety=_by_episode(unsafety),
            task_reward=_by_episode(outcome.task_reward),
            reward=_by_episode(outcome.reward),
            cost=_by_episode((~(outcome.unsafety <= task.unsafety_limit)).astype(np.float64)),
            terminated=np.zeros((episodes, steps), dtype=np.bool_),
            lengths=np.full(episodes, steps, dtype=np.int64),
            succeeded=np.full(episodes, np.nan),
        )

    def _bounded(
        self, torque: Array, previous: Array, limits: Array, position: Array, velocity: Array
    ) -> tuple[Array, npt.NDArray[np.uint32]]:
        """Torques as the envelope applies them, and why."""
        return bound_torque(
            torque,
            previous,
            limits,
            self.task.robot.limits.effort,
            self._max_change,
            clamp=self._clamp,
            soft_limits=self._soft_limits,
            state=(position, velocity),
        )

    def _place(self, row: int, rng: np.random.Generator) -> None:
        if self._physics is None:
            self._physics = _BatchPhysics(
                self._model, self._data, self._pool, self.task, self._position, self._velocity
            )
        # What was given away must not change with the next episode.
        self._position, self._velocity, self._applied, self._limits = (
            values.copy() for values in (self._position, self._velocity, self._applied, self._limits)
        )
        self._position[row], self._velocity[row] = self.task.initial_state(rng)
        self._applied[row] = 0.0
        if self._given_limit is None:
            self._limits[row] = self.task.draw_torque_limit(rng)
        self._physics.place(row, self._position[row], self._velocity[row])

    def _look(self) -> Array:
        return self.task.observe(self._position, self._velocity, self._limits)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        assert self._physics is not None
        torque, reasons = self._bounded(actions, self._applied, self._limits, self._position, self._velocity)
        self._applied = np.where(running[:, None], torque, self._applied)
        self._position, self._velocity = self._physics.step(self._applied, running)
        outcome = self.task.outcome(self._position, self._velocity, actions)
        done = {"applied": self._applied, "task_reward": outcome.task_reward, "reasons": reasons}
        return outcome.reward, done

    def _info(self) -> dict[str, Any]:
        unsafety = self.task.unsafety(self._position)
        return {
            "cost": (~(unsafety <= self.task.unsafety_limit)).astype(np.float64),
            "success": np.zeros(self.num_envs, dtype=np.bool_),
            "unsafety": unsafety,
            "torque_limit": self._limits,
            "position": self._position,
            "velocity": self._velocity,
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray((info["cost"] > 0.0) & self._ends_on_failure)


class _BatchPhysics:
    """E simulated arms stepped together, from positions and velocities of shape (E, n_joints)."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: list[mujoco.MjData],
        pool: mujoco.rollout.Rollout,
        task: TorqueTask,
        position: Array,
        velocity: Array,
    ) -> None:
        episodes, substeps = len(position), task.substeps
        self._models, self._data, self._pool, self._substeps = [model] * episodes, data, pool, substeps
        self._timestep = model.opt.timestep
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._state = np.zeros((episodes, size))
        self._states = np.empty((episodes, substeps, size))
        self._sensors = np.empty((episodes, substeps, model.nsensordata))
        self._control = np.empty((episodes, substeps, model.nu))
        addresses = joint_addresses(model, task.robot.joint_names)
        # Full physics state of a model of hinges and motors: time, positions, velocities.
        self._q, self._v = 1 + addresses.position, 1 + model.nq + addresses.velocity
        self._u = addresses.motor
        self._state[:, self._q], self._state[:, self._v] = position, velocity

    def place(self, row: int, position: Array, velocity: Array) -> None:
        """Put one arm into a state, at time 0."""
        self._state[row] = 0.0
        self._state[row, self._q], self._state[row, self._v] = position, velocity

    def step(self, torque: Array, running: Flags | None = None) -> tuple[Array, Array]:
        """Hold torques (E, n) for a control period; positions and velocities after it, (E, n) each.

        Where `running` is false nothing moves.
        """
        self._control[:, :, self._u] = torque[:, None, :]
        self._pool.rollout(
            self._models,
            self._data,
            self._state,
            self._control,
            skip_checks=True,
            nstep=self._substeps,
            state=self._states,
            sensordata=self._sensors,
        )
        # A rollout that went bad stops where it is and says nothing.
        if not (self._states[:, -1, 0] - self._state[:, 0]).min() > (self._substeps - 0.5) * self._timestep:
            raise UnstableSimulationError("the simulation diverged; use a milder perturbation or a shorter timestep")
        if running is None:
            self._state[:] = self._states[:, -1]
        else:
            self._state[running] = self._states[running, -1]
        velocity = self._state[:, self._v]
        check_stable(velocity, self._timestep)
        return self._state[:, self._q], velocity


def _checked_limits(limits: npt.ArrayLike) -> None:
    values = np.asarray(limits)
    if not (np.isfinite(values) & (values > 0.0)).all():
        raise ValueError(f"torque_limits must be positive numbers of N·m, got {values}")


def _by_episode(by_step: Array) -> Array:
    """Steps first (T, E, ...) to episodes first (E, T, ...)."""
    return np.ascontiguousarray(by_step.swapaxes(0, 1))
