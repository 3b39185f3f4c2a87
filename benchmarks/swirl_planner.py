# SPDX-License-Identifier: Apache-2.0
"""A policy that is a process of its own: it plans the cup's circle and sends chunks of joint positions.

  ROS_DOMAIN_ID=78 python benchmarks/swirl_planner.py

For each joint state the next eight points on the circle, solved for joint positions one after the other by damped least
squares, the cup upright. It knows nothing of torques, limits or episodes. `benchmarks/foreign_policies.py` starts it.
"""

from __future__ import annotations

import numpy as np
import rclpy
from safe_transfer_msgs.msg import ActionChunk
from sensor_msgs.msg import JointState

from safe_transfer_ros.tasks.cup_swirl.task import CupSwirl
from safe_transfer_ros.tasks.task import make

LENGTH, PERIOD = 8, 0.05
DAMPING = 0.05  # of the least squares, m and rad
TASK = make("pr2_cup_swirl", CupSwirl)


def plan(position: np.ndarray) -> np.ndarray:
    """Joint positions of the next rows, shape (LENGTH, 7), rad."""
    joints, rows = position.copy(), []
    tool = TASK.chain.tool_position(joints)
    angle = np.arctan2(tool[1] - TASK.centre[1], tool[0] - TASK.centre[0])
    for _ in range(LENGTH):
        angle += TASK.speed / TASK.radius * PERIOD
        target = TASK.centre + TASK.radius * np.array([np.cos(angle), np.sin(angle), 0.0])
        tool, rotation, jacobian = TASK.chain.pose_and_jacobian(joints)
        way = np.clip(target - tool, -0.03, 0.03)
        lean = 0.3 * np.cross(rotation[:, 0], [0.0, 0.0, -1.0])  # the cup's axis is the tool's x
        error = np.concatenate([way, lean])
        joints = joints + jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING**2 * np.eye(6), error)
        rows.append(joints)
    return np.array(rows)


def main() -> None:
    """Answer every joint state."""
    rclpy.init()
    node = rclpy.create_node("outside_policy")
    chunks = node.create_publisher(ActionChunk, "outside_policy/chunk", 10)
    names = list(TASK.robot.joint_names)

    def answer(state: JointState) -> None:
        joints = np.array([state.position[state.name.index(name)] for name in names])
        chunk = ActionChunk(action_names=names, length=LENGTH, period=PERIOD, actions=plan(joints).ravel().tolist())
        chunk.header.stamp = state.header.stamp
        chunks.publish(chunk)

    node.create_subscription(JointState, "joint_states", answer, 10)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
