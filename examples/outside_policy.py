# SPDX-License-Identifier: Apache-2.0
"""A policy that is a process of its own: springs to where the arm began (docs/policies.md)."""

import rclpy
from safe_transfer_msgs.msg import PolicyAction
from sensor_msgs.msg import JointState

rclpy.init()
node = rclpy.create_node("outside_policy")
actions = node.create_publisher(PolicyAction, "outside_policy/action", 10)
start: dict[str, float] = {}


def propose(state: JointState) -> None:
    """Answer a joint state with torques, N·m."""
    start.update(start or zip(state.name, state.position, strict=True))
    joints = zip(state.name, state.position, state.velocity, strict=True)
    torque = [0.5 * (start[name] - position) - 0.1 * velocity for name, position, velocity in joints]
    action = PolicyAction(action_names=state.name, mean=torque, effort=torque)
    action.distribution = PolicyAction.DISTRIBUTION_DETERMINISTIC
    action.header.stamp = state.header.stamp  # of the state it answers, not of now
    actions.publish(action)


node.create_subscription(JointState, "joint_states", propose, 10)
rclpy.spin(node)
