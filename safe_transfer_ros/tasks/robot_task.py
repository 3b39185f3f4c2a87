# SPDX-License-Identifier: Apache-2.0
"""Definition of a robot's task: reward and unsafety as pure functions of the robot's topics.

The environment, the policy server, the monitor and the trainer call the same functions. They take single states
(n_joints,) or any leading dimensions.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, Protocol

from safe_transfer_ros.robots.description import RobotDescription, load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.tasks.task import Array, Task


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Outcome of a step, every field of the leading shape.

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
    """States as the filter recorded them, every field with the same leading shape.

    Attributes:
      position: Joint positions, shape (..., n_joints), rad.
      velocity: Joint velocities, shape (..., n_joints), rad/s.
      observation: Shape (..., observation_size).
      object_pose: Of the task's object, x y z in m and quaternion x y z w, base frame, shape (..., 7); NaN where it was
        not recorded, None where there is none.
    """

    position: Array
    velocity: Array
    observation: Array
    object_pose: Array | None = None


class RecordedEpisode(Protocol):
    """An episode of T steps as the filter recorded it; row t is the step taken in state t."""

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
    def object_pose(self) -> Array | None:
        """Of the task's object, shape (T+1, 7), see `Seen`; None where there is none."""
        ...

    @property
    def proposed(self) -> Array:
        """The actions, those the critic let pass where there is one, before any bound, shape (T, action_size)."""
        ...


class RobotTask(Task):
    """Base of all tasks of one robot, for any kind of action and input.

    Attributes:
      robot_name: Robot that does it.
      robot: Its description.
      chain: Its kinematics.
      control_period_s: Time between decisions, s.
      timestep_s: Physics step in simulation, s.
      unsafety_limit: u_lim; a state with a larger u is unsafe, in the unit of the task's u.
      unsafety_text: What u is, in a few words.
      unsafety_unit: Its unit; empty where it has none.
    """

    robot_name: ClassVar[str]
    control_period_s: ClassVar[float] = 0.05
    timestep_s: ClassVar[float] = 0.005
    unsafety_limit: ClassVar[float]
    unsafety_text: ClassVar[str] = "tilt from straight down"
    unsafety_unit: ClassVar[str] = "deg"

    def __init__(self) -> None:
        """Load the robot."""
        self.done_by(load(self.robot_name))

    def done_by(self, robot: RobotDescription) -> None:
        """Have the task done by this arm: the same robot, by other names or within narrower limits.

        A task that keeps what depends on those (home does not) takes it again here.
        """
        self.robot = robot
        self.chain = SerialChain(robot)

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
        """Outcome of recorded steps, fields of the leading shape.

        Args:
          before: The states they were taken in.
          after: The states they led to.
          action: The actions taken, before any bound, shape (..., action_size).
        """

    def outcome_of(self, episode: RecordedEpisode) -> Outcome:
        """Outcome of each step of a recorded episode, fields of shape (T,)."""
        before, after = (
            Seen(
                position=episode.position[rows],
                velocity=episode.velocity[rows],
                observation=episode.observation[rows],
                object_pose=None if episode.object_pose is None else episode.object_pose[rows],
            )
            for rows in (slice(None, -1), slice(1, None))
        )
        return self.outcome_of_steps(before, after, episode.proposed)
