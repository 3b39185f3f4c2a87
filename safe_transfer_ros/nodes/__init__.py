# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: parameters, topics, lifecycle. No rule lives here; one node per file."""
