# SPDX-License-Identifier: Apache-2.0
"""ROS plumbing without a rule: process, lifecycle, QoS, waiting, messages to and from the rules."""
