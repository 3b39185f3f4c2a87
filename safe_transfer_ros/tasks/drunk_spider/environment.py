# SPDX-License-Identifier: Apache-2.0
"""The drunk spider as Gymnasium environments: many side by side in numpy, or one."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.tasks.drunk_spider.map import (
    GOAL_RADIUS,
    START,
    Array,
    Flags,
    distance_to_goal,
    in_lava,
    outside,
)
from safe_transfer_ros.tasks.drunk_spider.task import DrunkSpider
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv

NOISE_FORMS = ("uniform", "gaussian")
_SUBSTEPS = 10


class SpiderVectorEnv(NumberedVectorEnv):
    """Many spiders side by side; see NumberedVectorEnv.

    Every info has besides "position", of shape (E, 2), and "off_map", of shape (E,).

    Attributes:
      task: The task.
      position: Where the spiders are, shape (E, 2).
    """

    def __init__(
        self,
        task: DrunkSpider,
        num_envs: int = 1,
        *,
        noise: float = 0.1,
        noise_form: str = "uniform",
        action_scale: float = 1.0,
        threads: int | None = None,
        autoreset: bool = True,
    ) -> None:
        """Place the spiders.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          noise: Added to the displacement along each axis, in cells; see `noise_form`.
          noise_form: "uniform": within +-noise / 2, as the code of SQRL's authors has it; "gaussian": of this standard
            deviation, which is three and a half times as much. The paper says "action noise" and no more.
          action_scale: Displacement of an action of 1, in cells; also with the noise none is longer along an axis.
          threads: Ignored: there are no physics to share.
          autoreset: See NumberedVectorEnv.

        Raises:
          ValueError: if a number is out of range or the form unknown.
        """
        super().__init__(task, num_envs, np.ones(task.action_size), autoreset=autoreset)
        if noise_form not in NOISE_FORMS:
            raise ValueError(f"noise_form must be one of {', '.join(NOISE_FORMS)}, got {noise_form!r}")
        if not (0.0 <= noise < np.inf and 0.0 < action_scale < np.inf):
            raise ValueError(f"expected a finite noise >= 0 and action_scale > 0, got {noise} and {action_scale}")
        self.task, self._amount, self._form, self._scale = task, noise, noise_form, action_scale
        self.position: Array = np.tile(START, (num_envs, 1))
        self._off_map, self._fallen = np.zeros((2, num_envs), dtype=np.bool_)
        self._noise = np.zeros((num_envs, task.horizon, 2))  # of the whole episode, drawn at its start
        self._limits = np.full(num_envs, np.inf)

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.position[row] = START
        self._off_map[row] = self._fallen[row] = False
        shape = self._noise.shape[1:]
        drawn = rng.uniform(-0.5, 0.5, shape) if self._form == "uniform" else rng.standard_normal(shape)
        self._noise[row] = self._amount * drawn

    def _look(self) -> Array:
        return self.task.observe(self.position)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        applied = np.clip(actions, -1.0, 1.0)
        drawn = self._noise[np.arange(self.num_envs), np.minimum(self._steps, self.task.horizon - 1)]
        moved = np.clip(self._scale * applied + drawn, -self._scale, self._scale)
        path = _path(self.position, moved)
        off_map, lava = outside(path), in_lava(path)
        fallen = off_map | lava
        # The first place of the path that is a fall, else its end.
        stop = np.where(fallen.any(axis=1), fallen.argmax(axis=1), path.shape[1] - 1)
        rows = np.arange(self.num_envs)
        self.position = np.where(running[:, None], path[rows, stop], self.position)
        self._off_map = np.where(running, off_map[rows, stop], self._off_map)
        self._fallen = np.where(running, fallen[rows, stop], self._fallen)
        reward = self.task.reward(
            self.position, self._steps + 1, success=self._arrived(), off_map=self._off_map, fallen=self._fallen
        )
        return reward, {"applied": applied}

    def _arrived(self) -> Flags:
        return np.asarray(~self._fallen & (distance_to_goal(self.position) <= GOAL_RADIUS))

    def _info(self) -> dict[str, Any]:
        return {
            "cost": self._fallen.astype(np.float64),
            "success": self._arrived(),
            "torque_limit": self._limits,
            "position": self.position.copy(),
            "off_map": self._off_map.copy(),
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray((info["cost"] > 0.0) | info["success"])


def _path(position: Array, moved: Array) -> Array:
    """Places on the way, shape (E, 20, 2): ten sub-steps, each along the rows first, then along the columns."""
    share = np.arange(1, _SUBSTEPS + 1) / _SUBSTEPS
    rows = np.repeat(share, 2)
    columns = np.concatenate([[0.0], rows[:-1]])
    return position[:, None] + moved[:, None] * np.stack([rows, columns], axis=-1)


def single(task: DrunkSpider, **settings: Any) -> SingleRowEnv:
    """Make the environment of one spider, with the numbers of a row of SpiderVectorEnv and its settings."""
    return SingleRowEnv(SpiderVectorEnv(task, 1, autoreset=False, **settings))
