# SPDX-License-Identifier: Apache-2.0
"""A task as the nodes of a graph ask for it: one small object per kind of task, so that no node asks which kind it is.

A `View` is one process's own sight of what the robot's topics say; a `UnsafetyReader` turns joint states, and object
poses where there are any, into u of every joint state. Neither trusts another process's view.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.inverse_kinematics import joint_position_at
from safe_transfer_ros.robots.overrides import NO_OVERRIDES, RobotOverrides
from safe_transfer_ros.robots.task_space import TaskSpaceController
from safe_transfer_ros.safety.filter.drive import Drive
from safe_transfer_ros.tasks.push.drive import PushDrive
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.push.view import PushUnsafetyReader, PushView
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.task import TASKS, make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.view import TorqueView, UnsafetyReader, View

Array = npt.NDArray[np.float64]


class TaskInGraph(abc.ABC):
    """Interface of a task as the nodes use it, for any kind of action and input.

    Attributes:
      task: The task.
      action_names: What the numbers of an action belong to: joints, or axes of the tool's motion.
      action_bound: What is beyond is cut before it acts, shape (action_size,), in the actions' unit.
      torques: Whether an action is a torque for each joint, which the torque limit in force bounds besides.
      tracks_object: Whether it needs the pose of an object beside the joint states.
      physics_step_s: Physics step of the simulated robot, s.
    """

    task: RobotTask
    action_names: tuple[str, ...]
    action_bound: Array
    torques: bool
    tracks_object: bool
    physics_step_s: float

    @abc.abstractmethod
    def state_period_s(self, *, lockstep: bool) -> float:
        """Time between joint states, s: each gets a torque. In real time the nominal one."""

    @abc.abstractmethod
    def start_position(self, rng: np.random.Generator) -> Array:
        """Joint positions of an episode's start, shape (n_joints,), rad, drawn from the stream of its initial state."""

    def gate_limit(self, torque_limit: float) -> float:
        """The bound a critic puts on an action under a torque limit; infinite where an action is not a torque."""
        return torque_limit if self.torques else np.inf

    @abc.abstractmethod
    def limit_change(self, limited: npt.NDArray[np.bool_]) -> float | None:
        """dp_u1 (PSPT Eq. 22-23) where a policy's distribution cannot tell it, else None.

        Args:
          limited: Whether the torque limit was felt at each decision, shape (n_steps,).
        """

    @abc.abstractmethod
    def drive(self) -> Drive | None:
        """Drive that turns actions into torques; None where they are torques."""

    @abc.abstractmethod
    def view(self, seed: int, *, lockstep: bool) -> View:
        """A process's own view of the robot in a run with this seed."""

    @abc.abstractmethod
    def unsafety_reader(self, seed: int) -> UnsafetyReader:
        """Reader of u(s) from the robot's topics."""


class TorqueTaskInGraph(TaskInGraph):
    """A task of joint torques: joint states are all it needs; in lockstep there is one to a control period."""

    torques = True
    tracks_object = False

    def __init__(self, task: TorqueTask) -> None:
        """Wrap a task."""
        self.task: TorqueTask = task
        self.action_names = task.robot.joint_names
        self.action_bound = task.robot.limits.effort
        self.physics_step_s = task.timestep_s

    def state_period_s(self, *, lockstep: bool) -> float:
        """See `TaskInGraph.state_period_s`."""
        return self.task.control_period_s if lockstep else self.task.timestep_s

    def start_position(self, rng: np.random.Generator) -> Array:
        """See `TaskInGraph.start_position`."""
        return self.task.initial_state(rng)[0]

    def limit_change(self, limited: npt.NDArray[np.bool_]) -> float | None:
        """Return None: the distribution of torques determines it."""
        return None

    def drive(self) -> Drive | None:
        """None: actions are torques."""
        return None

    def view(self, seed: int, *, lockstep: bool) -> View:
        """Joint states alone."""
        return TorqueView(self.task)

    def unsafety_reader(self, seed: int) -> UnsafetyReader:
        """U follows from the joint positions at once."""
        return UnsafetyReader(self.task.unsafety)


class PushTaskInGraph(TaskInGraph):
    """A task of tool motions: an action is driven by torques, one to a joint state, many to a control period."""

    torques = False  # an action is a fraction of a speed
    tracks_object = True
    physics_step_s = 0.002

    def __init__(self, task: PushTask) -> None:
        """Wrap a task."""
        self.task: PushTask = task
        self.action_names = ("tool_x", "tool_y", "tool_z")[: task.action_size]
        self.action_bound = np.ones(task.action_size)

    def state_period_s(self, *, lockstep: bool) -> float:
        """See `TaskInGraph.state_period_s`: 500 Hz."""
        return self.physics_step_s

    def start_position(self, rng: np.random.Generator) -> Array:
        """Start position of the tool, always the same; only the block's place is drawn."""
        robot = self.task.robot
        start = np.add(self.task.tool_start, self.task.table_centre)
        return joint_position_at(TaskSpaceController(robot), robot, start)

    def limit_change(self, limited: npt.NDArray[np.bool_]) -> float | None:
        """The share of decisions at which the limit was felt: what Eq. 22-23 work out for a policy of torques."""
        return float(np.mean(limited))

    def drive(self) -> Drive | None:
        """Draws the tool."""
        return PushDrive(self.task)

    def view(self, seed: int, *, lockstep: bool) -> View:
        """Joint states and the block's pose."""
        return PushView(self.task, seed, exact=lockstep)

    def unsafety_reader(self, seed: int) -> UnsafetyReader:
        """U of a joint state follows from it and from the first pose of the block since."""
        return PushUnsafetyReader(self.task, seed)


_KINDS: Sequence[tuple[type[RobotTask], Callable[..., TaskInGraph]]] = (
    (TorqueTask, TorqueTaskInGraph),
    (PushTask, PushTaskInGraph),
)


def in_graph(name: str, overrides: RobotOverrides = NO_OVERRIDES) -> TaskInGraph:
    """A task, by name, as the nodes ask for it.

    Args:
      name: Of the task.
      overrides: Names and narrower limits of the arm that does it (`ExperimentParameters.robot_overrides`).

    Raises:
      ValueError: if there is no such task, none that a graph can do, or the overrides do not fit its robot.
    """
    for kind, wrap in _KINDS:
        if issubclass(TASKS[name], kind):
            task = make(name, kind)
            if overrides != NO_OVERRIDES:
                task.done_by(load(task.robot_name, overrides))
            if isinstance(task, PushTask) and task.obstacle_mass is not None:
                raise ValueError(
                    f"the task '{name}' cannot be done by a graph: nothing measures where an obstacle is that can be "
                    "pushed away; 'panda_push_obstacle' has one that stands fast"
                )
            return wrap(task)
    raise ValueError(f"the task '{name}' cannot be done by a graph: it is neither of torques nor a push")
