# SPDX-License-Identifier: Apache-2.0
"""Base of this package's vector environments: numbered episodes side by side, with cost and success in info."""

from __future__ import annotations

import abc
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from safe_transfer_ros.randomness import Purpose, fresh_seed, generator
from safe_transfer_ros.tasks.task import Task

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class NumberedVectorEnv(VectorEnv[Array, Array, Array]):
    """Episodes side by side, each replaced by the next as soon as it ends (`AutoresetMode.SAME_STEP`), or not at all.

    Episodes are numbered: a reset starts numbers 0 to E - 1, each that ends is followed by the next number not yet
    used, lower rows first. Its number and the seed fix an episode's start.

    Every info has, of shape (E,): "cost", 1 where the state the step led to is a failure, else 0, "success", whether it
    is the goal (False where the task has none), "torque_limit" in force, N·m (infinite where there is none), and
    "episode_number"; that of a step also "applied" (E, n), the actions as bounded. Where an episode ended the
    observation is the next one's first; "final_obs" (E, k) has what the step led to, and "_final_obs" tells in which
    rows.

    Attributes:
      task: The task.
      action_bound: What is beyond is cut before it is applied, shape (n,), in the unit of the actions.
    """

    metadata: dict[str, Any] = {"render_modes": []}
    action_bound: Array

    def __init__(self, task: Task, num_envs: int, action_bound: Array, *, autoreset: bool) -> None:
        """Set what all have in common.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          action_bound: Bounds of the action space, shape (n,).
          autoreset: Whether an episode that ends is followed by another. If not it stands still, without reward, as
            it ended, until `reset`.

        Raises:
          ValueError: if num_envs is not positive.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.metadata = {
            **self.metadata,
            "autoreset_mode": AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED,
        }
        self.num_envs, self.action_bound, self._autoreset, self._horizon = (
            num_envs,
            action_bound,
            autoreset,
            task.horizon,
        )
        box = gymnasium.spaces.Box
        self.single_observation_space = box(-np.inf, np.inf, (task.observation_size,), dtype=np.float64)
        self.single_action_space = box(-action_bound, action_bound, dtype=np.float64)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self._seed: int | None = None
        self._episode = np.zeros(num_envs, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._next_episode = 0
        self._begun = False
        self._terminated, self._truncated = np.zeros((2, num_envs), dtype=np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode in every row.

        Args:
          seed: Seed of the run, kept until the next one is given; numbers start again with it. Without any the
            run draws one.
          options: "first_episode": the number of the first row's episode.

        Returns:
          Observations (E, k) and info; see the class.

        Raises:
          ValueError: if an option is unknown or the seed is a list: rows are told apart by their episode's number.
        """
        options = dict(options or {})
        first = options.pop("first_episode", None)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: first_episode")
        if isinstance(seed, list):
            raise ValueError("give one seed for all rows: each episode's number makes its start its own")
        if seed is not None or self._seed is None:
            self._seed = fresh_seed() if seed is None else int(seed)
            self._next_episode = 0
        if first is not None:
            self._next_episode = int(first)
        for row in range(self.num_envs):
            self._start(row)
        self._begun = True
        return self._look(), {**self._info(), "episode_number": self._episode.copy()}

    def step(  # type: ignore[override]  # flags are flags
        self, actions: Array
    ) -> tuple[Array, Array, Flags, Flags, dict[str, Any]]:
        """Act for one control period in every row.

        Args:
          actions: Shape (E, n). Not cut to the action space beforehand: what bounds them is the task's.

        Returns:
          Observations (E, k), rewards, terminated, truncated, each (E,), and info; see the class.

        Raises:
          ValueError: if the shape is wrong or an action is not finite; nothing was stepped then.
          RuntimeError: if `reset` was not called first.
        """
        if not self._begun:
            raise RuntimeError("no episode is running; call reset() first")
        actions = np.asarray(actions, dtype=np.float64)
        wanted = (self.num_envs, len(self.action_bound))
        if actions.shape != wanted:
            raise ValueError(f"actions must have shape {wanted}, got {actions.shape}")
        if not np.isfinite(actions).all():
            raise ValueError("an action is not finite; nothing was stepped. A policy that proposes this has diverged")
        running = ~(self._terminated | self._truncated)
        reward, done = self._advance(actions, running)
        self._steps += running
        info = {**self._info(), **done, "episode_number": self._episode.copy()}
        terminated = self._terminal(info)
        truncated = ~terminated & (self._steps >= self._horizon)
        observation = self._look()
        ended = terminated | truncated
        if self._autoreset and ended.any():
            info["final_obs"], info["_final_obs"] = observation, ended
            for row in np.flatnonzero(ended):
                self._start(int(row))
            observation = np.where(ended[:, None], self._look(), observation)
        else:
            self._terminated, self._truncated = terminated.copy(), truncated.copy()
        return observation, np.where(running, reward, 0.0), terminated, truncated, info

    def _start(self, row: int) -> None:
        assert self._seed is not None
        self._episode[row] = self._next_episode
        self._steps[row] = 0
        self._terminated[row] = self._truncated[row] = False
        self._place(row, generator(Purpose.INITIAL_STATE, self._seed, self._next_episode))
        self._next_episode += 1

    @abc.abstractmethod
    def _place(self, row: int, rng: np.random.Generator) -> None:
        """Put a row into the start of an episode, drawn from the stream of its initial state."""

    @abc.abstractmethod
    def _look(self) -> Array:
        """Observations (E, k) of the states as they are."""

    @abc.abstractmethod
    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        """Step the running rows; rewards (E,), and info of the step with "applied"."""

    @abc.abstractmethod
    def _info(self) -> dict[str, Any]:
        """Info of the states as they are: cost, success, torque_limit and what the task has besides, each (E, ...)."""

    @abc.abstractmethod
    def _terminal(self, info: dict[str, Any]) -> Flags:
        """Whether states with this info end their episodes, (E,)."""


class SingleRowEnv(gymnasium.Env[Array, Array]):
    """The only row of a vector environment, as a Gymnasium environment of one episode at a time.

    Info is that of the row, as single values.
    """

    def __init__(self, rows: NumberedVectorEnv) -> None:
        """Wrap a vector environment.

        Args:
          rows: Has one row and `autoreset=False`.

        Raises:
          ValueError: if it has not.
        """
        if rows.num_envs != 1 or rows.metadata["autoreset_mode"] is not AutoresetMode.DISABLED:
            raise ValueError(
                f"expected one row that stands still at its end, got num_envs={rows.num_envs} and "
                f"{rows.metadata['autoreset_mode']}: make it with num_envs=1 and autoreset=False"
            )
        self._rows, self._running = rows, False
        self.observation_space, self.action_space = rows.single_observation_space, rows.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode.

        Args:
          seed: Seed of the run, kept until the next one is given.
          options: "episode": its number; without it episodes are numbered from 0 on.

        Raises:
          ValueError: if an option is unknown.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        episode = options.pop("episode", None)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: episode")
        first = None if episode is None else {"first_episode": episode}
        observation, info = self._rows.reset(seed=seed, options=first)
        self._running = True
        return observation[0], _single(info)

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Act for one control period; see `NumberedVectorEnv.step`.

        Raises:
          ValueError: if the action's shape is wrong or it is not finite; nothing was stepped then.
          RuntimeError: if no episode is running.
        """
        if not self._running:
            raise RuntimeError("no episode is running; call reset() first")
        observation, reward, terminated, truncated, info = self._rows.step(np.asarray(action)[None])
        self._running = not (terminated[0] or truncated[0])
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _single(info)

    def close(self) -> None:
        """Close the row."""
        self._rows.close()


def _single(info: dict[str, Any]) -> dict[str, Any]:
    """The only row of each entry."""
    return {name: values[0] if values.ndim > 1 else values[0].item() for name, values in info.items()}
