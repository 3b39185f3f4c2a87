# SPDX-License-Identifier: Apache-2.0
"""A controller of your own in the place of policy_server: springs that hold the arm where it is.

The filter does not care who proposes, as long as it is one node. Without unsafety_monitor nobody raises the torque
limit: it stays the initial one, by default the floor as well. On an arm `controller_supervisor` and an operator's
activation come before the filter can be armed (docs/hardware.md), and `reset_episode` is episode_reset's. In three
terminals of one ROS_DOMAIN_ID:

  ros2 run safe_transfer_ros mujoco_sim --ros-args -p timing:=realtime
  ros2 run safe_transfer_ros safety_filter --ros-args -p timing:=realtime
  python examples/own_controller.py
"""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from safe_transfer_msgs.msg import PolicyAction
from safe_transfer_msgs.srv import ResetEpisode
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

PERIOD, STEPS = 0.05, 60  # s; the filter stops the arm after 0.1 s without a fresh proposal
STIFFNESS, DAMPING = 0.5, 0.1  # N·m/rad, N·m·s/rad


class OwnController(Node):
    """Answers the newest joint state with a torque, twenty times a second."""

    def __init__(self) -> None:
        super().__init__("own_controller")
        self.state: JointState | None = None
        self.start: dict[str, float] = {}
        self.step = 0
        self.actions = self.create_publisher(PolicyAction, "policy_server/action", 10)
        self.create_subscription(JointState, "joint_states", self._on_joint_state, 10)

    def _on_joint_state(self, state: JointState) -> None:
        self.state = state

    def propose(self) -> None:
        """One proposal; the last one ends the episode, and the filter disarms itself."""
        state = self.state
        if state is None:
            return
        self.start = self.start or dict(zip(state.name, state.position, strict=True))
        torque = [
            STIFFNESS * (self.start[name] - position) - DAMPING * velocity
            for name, position, velocity in zip(state.name, state.position, state.velocity, strict=True)
        ]
        action = PolicyAction(step=self.step, last=self.step == STEPS, action_names=state.name)
        action.header.stamp = state.header.stamp  # of the state it answers, not of now
        if not action.last:
            action.mean = action.effort = torque
            action.stddev = [1e-3] * len(torque)  # of the distribution it was drawn from; never zero
        self.actions.publish(action)
        self.step += 1

    def ask(self, kind: type, service: str, request: Any) -> None:
        """Call a service, again while a graph that still starts refuses; SystemExit with its reason after ten tries."""
        client = self.create_client(kind, service)
        if not client.wait_for_service(timeout_sec=30.0):
            raise SystemExit(f"{service} is not there")
        answer = None
        for _ in range(10):
            future = client.call_async(request)
            rclpy.spin_until_future_complete(self, future, timeout_sec=3.0)
            answer = future.result()
            if answer is not None and answer.success:
                return
            time.sleep(1.0)
        raise SystemExit(f"{service}: {answer.message if answer else 'no answer'}")


def main() -> None:
    """One episode."""
    rclpy.init()
    node = OwnController()
    node.ask(ResetEpisode, "reset_episode", ResetEpisode.Request(seed=0, episode=0))
    node.ask(SetBool, "safety_filter/arm", SetBool.Request(data=True))
    node.create_timer(PERIOD, node.propose)
    while node.step <= STEPS:
        rclpy.spin_once(node, timeout_sec=1.0)
    node.actions.wait_for_all_acked(Duration(seconds=1))  # who leaves at once may take the last one along
    print(f"{STEPS} proposals made")


if __name__ == "__main__":
    main()
