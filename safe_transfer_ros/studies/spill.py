# SPDX-License-Identifier: Apache-2.0
"""PSPT's spill test: an episode's motion gone through once more with a cup of almonds on the tool."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.robots.almond_cup import AlmondCup, cup_poses
from safe_transfer_ros.robots.simulation import ArmSimulation, Perturbation, build_model
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.torque_task import TorqueTask

Array = NDArray[np.float64]


def carry(cup: AlmondCup, task: TorqueTask, perturbation: Perturbation, batch: SimulatedRollouts) -> None:
    """Lead a cup through the episodes of a batch, one after the other, at the rate of the physics.

    What is lost stays lost; what is left lies as it was filled in when an episode begins.
    """
    for episode in range(len(batch.reward)):
        if not cup.lost.all():
            position, rotation = cup_poses(*tool_path(task, perturbation, batch, episode))
            cup.place(position[0], rotation[0])
            cup.follow(position, rotation, task.timestep_s)


def tool_path(
    task: TorqueTask, perturbation: Perturbation, batch: SimulatedRollouts, episode: int
) -> tuple[Array, Array]:
    """Tool poses of an episode at every physics step, from the torques that were applied.

    Returns:
      Positions, shape (steps * substeps + 1, 3), m, and rotations, shape (steps * substeps + 1, 3, 3).
    """
    arm = ArmSimulation(build_model(task.robot, perturbation, task.timestep_s), task.robot.joint_names)
    arm.reset(batch.position[episode, 0], batch.velocity[episode, 0])
    joints = [arm.position]
    for torque in batch.applied[episode]:
        arm.step(torque)
        joints.append(arm.position)
        # The solver starts cold once a period, as in the rollout.
        for _ in range(task.substeps - 1):
            mujoco.mj_step(arm.model, arm.data)
            joints.append(arm.position)
    path = np.array(joints)
    return task.chain.tool_position(path), task.chain.tool_rotation(path)
