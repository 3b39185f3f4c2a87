# SPDX-License-Identifier: Apache-2.0
"""rosbag2 in and out, with or without ROS installed."""
