# SPDX-License-Identifier: Apache-2.0
"""A task's robot and its surroundings, driven by torques: the simulated robot of a graph."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import NOMINAL, ArmSimulation, Perturbation, build_model
from safe_transfer_ros.tasks.deployment import PushTaskInGraph, TaskInGraph
from safe_transfer_ros.tasks.push.scene import BLOCK, OBSTACLE, push_model
from safe_transfer_ros.tasks.torque_task import TorqueTask

Array = npt.NDArray[np.float64]


class SimulatedTask(Protocol):
    """One simulated robot.

    Attributes:
      arm: Its joints.
    """

    arm: ArmSimulation

    def place(self, rng: np.random.Generator) -> None:
        """Put everything into the start of an episode, drawn from the stream of its initial state."""
        ...

    @property
    def object_pose(self) -> Array | None:
        """Pose of the task's object in the base frame, x y z, m, and quaternion x y z w, shape (7,); None without."""
        ...


class SimulatedArm:
    """A robot alone."""

    def __init__(self, task: TorqueTask, perturbed: Perturbation = NOMINAL) -> None:
        """Build the robot."""
        self._task = task
        self.arm = ArmSimulation(build_model(task.robot, perturbed, task.timestep_s), task.robot.joint_names)

    def place(self, rng: np.random.Generator) -> None:
        """See `SimulatedTask.place`."""
        self.arm.reset(*self._task.initial_state(rng))

    @property
    def object_pose(self) -> Array | None:
        """Return None: there is no object."""
        return None


class SimulatedPush:
    """An arm before a table with a block."""

    def __init__(self, graph: PushTaskInGraph, perturbed: Perturbation = NOMINAL) -> None:
        """Build the scene, with a torque motor at each joint."""
        self._task = task = graph.task
        model = push_model(task, perturbed, torque_motors=True, timestep=graph.physics_step_s)
        self.arm = ArmSimulation(model, task.robot.joint_names)
        at = int(model.jnt_qposadr[model.body(BLOCK).jntadr[0]])
        self._block, self._orientation = slice(at, at + 3), slice(at + 3, at + 7)
        self._centre = np.array(task.table_centre)
        self._joints = graph.start_position(generator(Purpose.INITIAL_STATE, 0, 0))  # the same in every episode

    def place(self, rng: np.random.Generator) -> None:
        """See `SimulatedTask.place`: everything at rest."""
        start, task, data = self._task.start(rng), self._task, self.arm.data
        self.arm.reset(self._joints)
        data.qpos[self._block] = self._centre + (*start.block, 0.5 * task.block_size[2])
        data.qpos[self._orientation] = (1.0, 0.0, 0.0, 0.0)
        if start.obstacle is not None and task.obstacle_size is not None:
            stand = int(self.arm.model.body(OBSTACLE).mocapid[0])
            data.mocap_pos[stand] = self._centre + (*start.obstacle, 0.5 * task.obstacle_size)

    @property
    def object_pose(self) -> Array | None:
        """See `SimulatedTask.object_pose`."""
        position, orientation = self.arm.data.qpos[self._block], self.arm.data.qpos[self._orientation]
        return np.concatenate([position, orientation[[1, 2, 3, 0]]])


def simulated(graph: TaskInGraph, perturbed: Perturbation = NOMINAL) -> SimulatedTask:
    """The simulated robot of a task."""
    if isinstance(graph, PushTaskInGraph):
        return SimulatedPush(graph, perturbed)
    assert isinstance(graph.task, TorqueTask)
    return SimulatedArm(graph.task, perturbed)
