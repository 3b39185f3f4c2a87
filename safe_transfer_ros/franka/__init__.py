# SPDX-License-Identifier: Apache-2.0
"""A Franka arm's own process: 1 kHz, libfranka, and no ROS. `nodes/franka_robot` starts it and talks to the graph."""
