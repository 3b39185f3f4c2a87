# SPDX-License-Identifier: Apache-2.0
"""What a task is: observation, reward, unsafety and initial states as pure functions of joint arrays.

The environment, the policy server, the monitor and the trainer call the same functions. They take single
states (n_joints,) or any leading dimensions, and know neither the simulator nor a learning library.

`Task` is a task of joint torques. Another kind shares `RobotTask` and the register: tasks/push/task.py.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import Registry
from safe_transfer_ros.robots.description import RobotDescription, load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.limit import unsafety

if TYPE_CHECKING:  # the processes beside the motors know tasks and load no Gymnasium
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]

_Class = TypeVar("_Class", bound="type[RobotTask]")
_Kind = TypeVar("_Kind", bound="RobotTask")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a step led to, every field of the leading shape.

    Attributes:
      task_reward: Reward without the safety penalty.
      unsafety: u of the state reached, in the task's unit (degrees for a tilt).
      reward: Reward the policy is trained on (PSPT Eq. 4).
    """

    task_reward: Array
    unsafety: Array
    reward: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the filter recorded of states, every field with the same leading shape.

    Attributes:
      position: Joint positions, shape (..., n_joints), rad.
      velocity: Joint velocities, shape (..., n_joints), rad/s.
      observation: Shape (..., observation_size).
    """

    position: Array
    velocity: Array
    observation: Array


class RecordedEpisode(Protocol):
    """What the filter recorded of an episode of T steps; row t is the step taken in state t."""

    @property
    def position(self) -> Array:
        """Joint positions, shape (T+1, n_joints), rad."""
        ...

    @property
    def velocity(self) -> Array:
        """Joint velocities, shape (T+1, n_joints), rad/s."""
        ...

    @property
    def observation(self) -> Array:
        """Shape (T+1, observation_size)."""
        ...

    @property
    def proposed(self) -> Array:
        """The actions, those the critic let pass where there is one, before any bound, shape (T, action_size)."""
        ...


class RobotTask(abc.ABC):
    """What every task of one robot has, whatever its actions and inputs are.

    Attributes:
      name: Name by which the task is made.
      robot_name: Robot that does it.
      robot: Its description.
      chain: Its kinematics.
      control_period_s: Time between decisions, s.
      timestep_s: Physics step in simulation, s.
      horizon: Decisions per episode.
      gamma: Discount factor of the return.
      observation_size: Length of an observation.
      has_goal: Whether an episode can reach a goal.
      learning_settings: Of the vector environment that learners who are to fail seldom learn in.
      failure_cost: Taken off the reward of a step that fails there.
      unsafety_limit: u_lim; a state with a larger u is unsafe, in the unit of the task's u.
      unsafety_text: What u is, in a few words.
      unsafety_unit: Its unit; empty where it has none.
    """

    name: ClassVar[str]
    robot_name: ClassVar[str]
    control_period_s: ClassVar[float] = 0.05
    timestep_s: ClassVar[float] = 0.005
    horizon: ClassVar[int] = 200
    gamma: ClassVar[float] = 0.95
    observation_size: ClassVar[int]
    has_goal: ClassVar[bool] = False
    learning_settings: ClassVar[Mapping[str, Any]] = {}
    failure_cost: ClassVar[float] = 0.0
    unsafety_limit: ClassVar[float]
    unsafety_text: ClassVar[str] = "tilt from straight down"
    unsafety_unit: ClassVar[str] = "deg"

    def __init__(self) -> None:
        """Load the robot."""
        self.robot: RobotDescription = load(self.robot_name)
        self.chain = SerialChain(self.robot)

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """Length of an action."""

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

    @property
    def substeps(self) -> int:
        """Physics steps per decision."""
        return round(self.control_period_s / self.timestep_s)

    @property
    def soft_limits(self) -> SoftLimits:
        """The robot's soft limits as the envelope takes them."""
        limits = self.robot.limits
        return SoftLimits(**{field.name: getattr(limits, field.name) for field in dataclasses.fields(SoftLimits)})

    @abc.abstractmethod
    def outcome_of_steps(self, before: Seen, after: Seen, action: Array) -> Outcome:
        """What recorded steps led to, fields of the leading shape.

        Args:
          before: The states they were taken in.
          after: The states they led to.
          action: The actions taken, before any bound, shape (..., action_size).
        """

    def outcome_of(self, episode: RecordedEpisode) -> Outcome:
        """What each step of a recorded episode led to, fields of shape (T,)."""
        before, after = (
            Seen(
                position=episode.position[rows],
                velocity=episode.velocity[rows],
                observation=episode.observation[rows],
            )
            for rows in (slice(None, -1), slice(1, None))
        )
        return self.outcome_of_steps(before, after, episode.proposed)


class Task(RobotTask):
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

    def __init__(self) -> None:
        """Load the robot."""
        super().__init__()
        self._unsafety = unsafety.get(self.unsafety_function)

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `RobotTask.single_environment`; the settings are those of `TorqueEnv`."""
        from safe_transfer_ros.tasks.environment import TorqueEnv

        return TorqueEnv(cls(), **settings)

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `RobotTask.vector_environment`; the settings are those of `VectorTorqueEnv`."""
        from safe_transfer_ros.tasks.vector import VectorTorqueEnv

        return VectorTorqueEnv(cls(), num_envs=num_envs, **settings)

    @property
    def action_size(self) -> int:
        """Number of driven joints."""
        return self.robot.joint_count

    @abc.abstractmethod
    def observe(self, position: Array, velocity: Array, torque_limit: float | Array) -> Array:
        """What the policy sees.

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
          torque: Torque PROPOSED at the step, before any bound, same shape, N·m.
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
        """See `RobotTask.outcome_of_steps`: of the state a step led to and the torque it proposed."""
        return self.outcome(after.position, after.velocity, action)

    def reward(self, position: Array, velocity: Array, torque: Array) -> Array:
        """Reward the policy is trained on, shape (...); see `outcome`."""
        return self.outcome(position, velocity, torque).reward

    def draw_torque_limit(self, rng: np.random.Generator, count: int | None = None) -> Any:
        """Limits for training, N·m, log-uniform in `torque_limit_range`: a float, or shape (count,)."""
        low, high = np.log(self.torque_limit_range)
        drawn = np.exp(rng.uniform(low, high, count))
        return float(drawn) if count is None else drawn


def _named(name: str, task_class: type[RobotTask]) -> None:
    if not (isinstance(task_class, type) and issubclass(task_class, RobotTask)):
        raise ValueError(f"a task must be a class made from RobotTask, got {task_class!r}")
    task_class.name = name


TASKS: Registry[type[RobotTask]] = Registry("task", group="safe_transfer_ros.tasks", check=_named)
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
      kind: What the caller can deal with; a task of joint torques if not said.
      **settings: Passed to the task's constructor.

    Raises:
      ValueError: if the name is unknown (names the nearest known one) or the task of another kind.
    """
    found = TASKS[name]
    if not issubclass(found, kind):
        raise ValueError(f"the task '{name}' is no {kind.__name__}: it has other actions and inputs than are used here")
    return found(**settings)
