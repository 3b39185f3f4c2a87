# SPDX-License-Identifier: Apache-2.0
"""A policy that is a process of its own and gives chunks: eight joint positions ahead (docs/policies.md)."""

import rclpy
from safe_transfer_msgs.msg import ActionChunk
from sensor_msgs.msg import JointState

LENGTH, PERIOD = 8, 0.05  # as its contract says: length 8, rate_hz 20

rclpy.init()
node = rclpy.create_node("outside_policy")
chunks = node.create_publisher(ActionChunk, "outside_policy/chunk", 10)


def plan(state: JointState) -> None:
    """Answer a joint state with positions to be reached, rad: half a degree further in each row."""
    rows = [[position + 0.01 * (row + 1) for position in state.position] for row in range(LENGTH)]
    chunk = ActionChunk(action_names=state.name, length=LENGTH, period=PERIOD)
    chunk.actions = [position for row in rows for position in row]
    chunk.header.stamp = state.header.stamp  # row k is for this time and k periods
    chunks.publish(chunk)


node.create_subscription(JointState, "joint_states", plan, 10)
rclpy.spin(node)
