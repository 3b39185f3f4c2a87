# SPDX-License-Identifier: Apache-2.0
"""One description of the graph, run by `ros2 launch` or, without the launch packages, by `safe_transfer up`."""
