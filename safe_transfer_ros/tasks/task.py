# SPDX-License-Identifier: Apache-2.0
"""Definition of every task: sizes, horizon, discount and environments, without a robot.

A task of a robot is a `RobotTask` (tasks/robot_task.py); one of joint torques a `TorqueTask` (tasks/torque_task.py), of
tool motions a `PushTask` (tasks/push/task.py).
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import Registry

if TYPE_CHECKING:  # the processes beside the motors know tasks and load no Gymnasium
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]

_Class = TypeVar("_Class", bound="type[Task]")
_Kind = TypeVar("_Kind", bound="Task")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """Parts of an observation that name a goal: what is reached can be taken for what was wanted (HER).

    The reward is then 0 where the goal is reached and -1 elsewhere, and to reach it ends no episode.

    Attributes:
      reached: Part that says where the task is.
      wanted: Part that says where it is to be, of the same length.
      tolerance: Largest distance between the two at which the goal is reached, in the observation's unit.
    """

    reached: slice
    wanted: slice
    tolerance: float


class Task(abc.ABC):
    """Base of all tasks.

    Attributes:
      name: Name by which the task is made.
      horizon: Decisions per episode.
      gamma: Discount factor of the return.
      observation_size: Length of an observation.
      has_goal: Whether an episode can reach a goal.
      goal: Where observations name it, with the reward that follows from it alone; None: learners cannot change it.
      learning_settings: Of the vector environment that learners who are to fail seldom learn in.
      source_settings: In place of some of these, where a policy is pre-trained that is transferred to the task later.
      safety_gamma: gamma_safe, discount of a critic of failures that is pre-trained there; decides how far it sees.
      failure_cost: Taken off the reward of a step that fails there.
      limit_input: Where an observation tells the torque limit in force: its place, and the N·m that 1 stands for there.
        None: nowhere, or actions are no torques.
      cost_limit: Accepted sum of an episode's costs, where they add up: learners let such an episode go on. None: a
        cost is a failure, which ends an episode for them, and what is accepted is a share of the episodes.
    """

    name: ClassVar[str]
    horizon: ClassVar[int] = 200
    gamma: ClassVar[float] = 0.95
    observation_size: ClassVar[int]
    has_goal: ClassVar[bool] = False
    goal: ClassVar[Goal | None] = None
    learning_settings: ClassVar[Mapping[str, Any]] = {}
    source_settings: ClassVar[Mapping[str, Any]] = {}
    safety_gamma: ClassVar[float] = 0.7
    failure_cost: ClassVar[float] = 0.0
    limit_input: ClassVar[tuple[int, float] | None] = None
    cost_limit: ClassVar[float | None] = None

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """Length of an action."""

    @classmethod
    def labels(cls, observation: Array) -> npt.NDArray[np.bool_] | None:
        """Whether states count as failures in the tuples that a critic is shown before training (CSC).

        Args:
          observation: Of the states, shape (..., observation_size).

        Returns:
          Shape (...); None: what fails there is what fails.
        """
        return None

    @classmethod
    @abc.abstractmethod
    def single_environment(cls, **settings: Any) -> Env[Any, Any]:
        """Make the task's Gymnasium environment, one episode at a time.

        Every info has "cost", 1 where the state reached is a failure, else 0, and "success", whether it is the goal.
        The environment truncates itself at the horizon.

        Args:
          **settings: Of the task and of the environment.
        """

    @classmethod
    @abc.abstractmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Any, Any, Any]:
        """Make the task's vector environment, episodes side by side; see `single_environment`."""


def _named(name: str, task_class: type[Task]) -> None:
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise ValueError(f"a task must be a class made from Task, got {task_class!r}")
    task_class.name = name


TASKS: Registry[type[Task]] = Registry("task", group="safe_transfer_ros.tasks", check=_named)
"""Every task by name; another package adds its own by an entry point in the group."""


def register(name: str) -> Callable[[_Class], _Class]:
    """Make a task class known under a name, which becomes its `name`.

    Raises:
      ValueError: if the name is taken.
    """

    def add(task_class: _Class) -> _Class:
        TASKS.add(name, task_class)
        return task_class

    return add


def available(kind: Any = Task) -> tuple[str, ...]:
    """Names `make` knows for a kind of task, sorted."""
    return tuple(name for name in TASKS.names() if issubclass(TASKS[name], kind))


@overload
def make(name: str, **settings: Any) -> Task: ...


# A class is named as what it makes: mypy takes no abstract class for a `type[...]`.
@overload
def make(name: str, kind: Callable[..., _Kind], **settings: Any) -> _Kind: ...


def make(name: str, kind: Any = Task, **settings: Any) -> Any:
    """Make a task by name.

    Args:
      name: Registered name, for example "pr2_cup_swirl".
      kind: What the caller can deal with; any kind if not said.
      **settings: Passed to the task's constructor.

    Raises:
      ValueError: if the name is unknown (names the nearest known one) or the task of another kind.
    """
    found = TASKS[name]
    if not issubclass(found, kind):
        raise ValueError(
            f"the task '{name}' is not a {kind.__name__}: it has other actions and inputs than are used here"
        )
    return found(**settings)
