# SPDX-License-Identifier: Apache-2.0
"""Gymnasium ids of all tasks: importing this module registers them.

    import gymnasium
    import safe_transfer_ros.environments

    gymnasium.make("safe_transfer_ros/Pr2CupSwirl-v0")
    gymnasium.make_vec("safe_transfer_ros/PandaPushTopple-v0", num_envs=8)

`import safe_transfer_ros` alone registers them too where Gymnasium has been imported before; the nodes, which have no
use for it, do not load it. Gymnasium 1 looks for no entry points, so some import has to tell it. In one string:
`gymnasium.make("safe_transfer_ros.environments:safe_transfer_ros/Pr2CupSwirl-v0")`.
"""

from __future__ import annotations

import re
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from safe_transfer_ros.tasks.task import TASKS, available

NAMESPACE = "safe_transfer_ros"


def environment_id(task: str, namespace: str = NAMESPACE) -> str:
    """Gymnasium id of a task: "pr2_cup_swirl" has "safe_transfer_ros/Pr2CupSwirl-v0"."""
    return f"{namespace}/{''.join(part.capitalize() for part in re.split('[_ ]+', task))}-v0"


def register_environments(namespace: str = NAMESPACE) -> None:
    """Register an id for every task that has none yet; call it again after registering a task of your own.

    Args:
      namespace: What stands before the slash in the ids of tasks not registered yet.
    """
    known = {spec.kwargs.get("task") for spec in gymnasium.registry.values() if spec.entry_point == _SINGLE}
    for task in available():
        if task not in known:
            gymnasium.register(
                environment_id(task, namespace),
                entry_point=_SINGLE,
                vector_entry_point=_VECTOR,
                max_episode_steps=TASKS[task].horizon,
                kwargs={"task": task},
            )


def single(*, task: str, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Make the environment of a task; see `Task.single_environment` of its class for the settings."""
    return TASKS[task].single_environment(**settings)


def vector(
    *, task: str, num_envs: int = 1, max_episode_steps: int | None = None, **settings: Any
) -> VectorEnv[Any, Any, Any]:
    """Make the vector environment of a task; see `Task.vector_environment` of its class for the settings.

    Raises:
      ValueError: if max_episode_steps is not the task's horizon.
    """
    kind = TASKS[task]
    if max_episode_steps not in (None, kind.horizon):
        raise ValueError(
            f"an episode of {task} lasts {kind.horizon} steps, got max_episode_steps={max_episode_steps}: leave it out"
        )
    return kind.vector_environment(num_envs, **settings)


_SINGLE, _VECTOR = f"{__name__}:{single.__name__}", f"{__name__}:{vector.__name__}"

register_environments()
