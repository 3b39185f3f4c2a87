# SPDX-License-Identifier: Apache-2.0
"""Names of the graph's topics, for readers of bags as for nodes; `middleware/topics.py` describes each.

A name is relative to the graph's namespace. A bag has the whole name: `/joint_states`, or `/left/joint_states`.
"""

from __future__ import annotations

JOINT_STATES = "joint_states"
OBJECT_POSE = "object_pose"
PROPOSALS = "policy_server/action"
OUTSIDE_ACTION = "outside_policy/action"
OUTSIDE_CHUNK = "outside_policy/chunk"
CAMERA_IMAGE = "camera/image"
POLICY_STATUS = "policy_server/policy_status"
DECISIONS = "safety_filter/decision"
FILTER_STATUS = "safety_filter/status"
EXTERNAL_STOP = "safety_filter/e_stop"
PERMISSION = "controller_supervisor/permission"
SUPERVISOR_STATUS = "controller_supervisor/status"
FRANKA_STATUS = "franka_robot/status"
FRANKA_JOINT_STATES = "franka_joint_states"
RESET_PROPOSALS = "episode_reset/action"
TORQUE_LIMIT = "unsafety_monitor/torque_limit"
UNSAFETY_ESTIMATE = "unsafety_monitor/estimate"
POLICY_WEIGHTS = "trainer/policy_weights"
CRITIC_WEIGHTS = "trainer/critic_weights"
RUN_CONFIG = "trainer/run_config"
ROBOT_DESCRIPTION = "robot_description"
TF = "tf"
TF_STATIC = "tf_static"
MARKERS = "visualizer/markers"
CLOCK = "clock"
DIAGNOSTICS = "diagnostics"


def commands(controller: str) -> str:
    """Topic on which an effort controller takes its commands."""
    return f"{controller}/commands"


def in_bag(name: str, namespace: str = "") -> str:
    """The whole name, as a bag has it: `/left/joint_states`.

    Args:
      name: Relative to the graph's namespace.
      namespace: The graph's, such as `/left`; empty: the root.
    """
    return f"{namespace}/{name}"
