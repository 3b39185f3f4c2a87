# SPDX-License-Identifier: Apache-2.0
"""The pushing tasks as Gymnasium environments: one episode at a time, or many side by side.

Importing this module registers `safe_transfer_ros/PandaPushTopple-v0`, `...Boundary-v0` and `...Obstacle-v0` for
`gymnasium.make` and `gymnasium.make_vec(..., vectorization_mode="vector_entry_point")`.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from safe_transfer_ros.randomness import Purpose, fresh_seed, generator
from safe_transfer_ros.robots.simulation import NOMINAL, Perturbation
from safe_transfer_ros.tasks.push.frames import Camera
from safe_transfer_ros.tasks.push.simulation import PushSimulation
from safe_transfer_ros.tasks.push.task import Array, Flags, PushScene, PushTask
from safe_transfer_ros.tasks.task import make

ENVIRONMENT_IDS = {
    "panda_push_topple": "safe_transfer_ros/PandaPushTopple-v0",
    "panda_push_boundary": "safe_transfer_ros/PandaPushBoundary-v0",
    "panda_push_obstacle": "safe_transfer_ros/PandaPushObstacle-v0",
}


class PushVectorEnv(VectorEnv[Array, Array, Array]):
    """Many episodes side by side, each replaced by the next as soon as it ends (`AutoresetMode.SAME_STEP`).

    Episodes are numbered: a reset starts numbers 0 to E - 1, each that ends is followed by the next number not yet
    used, lower rows first. Its number and the seed fix an episode's start.

    Every info has, of shape (E,): "failure" and "success" of the state the step led to, "distance" (block to goal, m)
    and "episode_number". Where an episode ended the observation is the next one's first; "final_obs" (E, k) has
    what the step led to, and "_final_obs" tells in which rows.

    Attributes:
      task: The task.
      simulation: Its scenes.
    """

    metadata: dict[str, Any] = {"render_modes": []}

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
          autoreset: Whether an episode that ends is followed by another. If not it stands still, without reward, as
            it ended, until `reset`.

        Raises:
          ValueError: if a number is not positive.
        """
        self.metadata = {
            **self.metadata,
            "autoreset_mode": AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED,
        }
        self._autoreset = autoreset
        self.task, self.num_envs = task, num_envs
        threads = min(len(os.sched_getaffinity(0)), num_envs) if threads is None else threads
        self.simulation = PushSimulation(task, num_envs, perturbation, torque_limit=torque_limit, threads=threads)
        self.single_observation_space, self.single_action_space = _spaces(task)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self._seed: int | None = None
        self._episode = np.zeros(num_envs, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._next_episode = 0
        self._scene: PushScene | None = None
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
        scene = self._scene = self.simulation.scenes()
        return self.task.observe(scene), self._info(scene)

    def step(  # type: ignore[override]  # flags are flags
        self, actions: Array
    ) -> tuple[Array, Array, Flags, Flags, dict[str, Any]]:
        """Act for one control period in every row.

        Args:
          actions: Shape (E, action_size), fractions of the greatest speed.

        Returns:
          Observations (E, k), rewards, terminated, truncated, each (E,), and info; see the class.

        Raises:
          ValueError: if the shape is wrong or an action is not finite; nothing was stepped then.
          RuntimeError: if `reset` was not called first.
        """
        if self._scene is None:
            raise RuntimeError("no episode is running; call reset() first")
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (self.num_envs, self.task.action_size):
            raise ValueError(f"actions must have shape {(self.num_envs, self.task.action_size)}, got {actions.shape}")
        if not np.isfinite(actions).all():
            raise ValueError("an action is not finite; nothing was stepped. A policy that proposes this has diverged")
        task, before = self.task, self._scene
        running = ~(self._terminated | self._truncated)
        self.simulation.step(actions, running)
        self._steps += running
        scene = self.simulation.scenes()
        reward, info = np.where(running, task.reward(before, scene), 0.0), self._info(scene)
        terminated = (info["failure"] & task.ends_on_failure) | (info["success"] & task.ends_on_success)
        truncated = ~terminated & (self._steps >= task.horizon)
        observation = task.observe(scene)
        ended = terminated | truncated
        if self._autoreset and ended.any():
            info["final_obs"], info["_final_obs"] = observation, ended
            for row in np.flatnonzero(ended):
                self._start(int(row))
            scene = self.simulation.scenes()
            observation = np.where(ended[:, None], task.observe(scene), observation)
        else:
            self._terminated, self._truncated = terminated.copy(), truncated.copy()
        self._scene = scene
        return observation, reward, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _start(self, row: int) -> None:
        assert self._seed is not None
        self._episode[row] = self._next_episode
        self._steps[row] = 0
        self._terminated[row] = self._truncated[row] = False
        self.simulation.place(row, self.task.start(generator(Purpose.INITIAL_STATE, self._seed, self._next_episode)))
        self._next_episode += 1

    def _info(self, scene: PushScene) -> dict[str, Any]:
        return {
            "failure": self.task.failed(scene),
            "success": self.task.succeeded(scene),
            "distance": self.task.distance_to_goal(scene),
            "episode_number": self._episode.copy(),
        }


class PushEnv(gymnasium.Env[Array, Array]):
    """One episode at a time; the same numbers as a row of PushVectorEnv gives.

    Info has "failure", "success", "distance" and "episode_number" as there, as single values.

    Attributes:
      task: The task.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 25}

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
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be one of {self.metadata['render_modes']}, got {render_mode!r}")
        self.task, self.render_mode = task, render_mode
        self._one = PushVectorEnv(task, 1, perturbation, torque_limit=torque_limit, threads=1, autoreset=False)
        self.observation_space, self.action_space = _spaces(task)
        self._running = False
        self._camera: Camera | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode.

        Args:
          seed: Seed of the run, kept until the next one is given; without any the run draws one.
          options: "episode": its number; without it episodes are numbered from 0 on.

        Raises:
          ValueError: if an option is unknown.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        episode = options.pop("episode", None)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: episode")
        observation, info = self._one.reset(seed=seed, options=None if episode is None else {"first_episode": episode})
        self._running = True
        return observation[0], _single(info)

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Act for one control period.

        Args:
          action: Shape (action_size,), fractions of the greatest speed.

        Raises:
          ValueError: if the shape is wrong or the action is not finite; nothing was stepped then.
          RuntimeError: if no episode is running.
        """
        if not self._running:
            raise RuntimeError("no episode is running; call reset() first")
        observation, reward, terminated, truncated, info = self._one.step(np.asarray(action)[None])
        self._running = not (terminated[0] or truncated[0])
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _single(info)

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The scene as an image, shape (height, width, 3); None unless the render mode is "rgb_array"."""
        if self.render_mode is None:
            return None
        if self._camera is None:
            self._camera = Camera(self._one.simulation)
        return self._camera.image(0)

    def close(self) -> None:
        """End the renderer."""
        self._one.close()
        if self._camera is not None:
            self._camera.close()
            self._camera = None


def _spaces(task: PushTask) -> tuple[gymnasium.Space[Array], gymnasium.Space[Array]]:
    """Observation and action space of one episode."""
    return (
        gymnasium.spaces.Box(-np.inf, np.inf, (task.observation_size,), dtype=np.float64),
        gymnasium.spaces.Box(-1.0, 1.0, (task.action_size,), dtype=np.float64),
    )


def _single(info: dict[str, Any]) -> dict[str, Any]:
    """The only row of each entry."""
    return {key: values[0].item() for key, values in info.items()}


def _env(name: str, *, reward: str | None = None, **settings: Any) -> PushEnv:
    return PushEnv(make(name, PushTask, reward=reward), **settings)


def _vector_env(name: str, *, num_envs: int = 1, reward: str | None = None, **settings: Any) -> PushVectorEnv:
    return PushVectorEnv(make(name, PushTask, reward=reward), num_envs, **settings)


for _name, _id in ENVIRONMENT_IDS.items():
    if _id not in gymnasium.registry:
        # The environment truncates itself: Gymnasium's own time limit would not know the task's horizon.
        gymnasium.register(
            _id,
            entry_point=functools.partial(_env, _name),
            vector_entry_point=functools.partial(_vector_env, _name),
        )
