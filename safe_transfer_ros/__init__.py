# SPDX-License-Identifier: Apache-2.0
"""Safe transfer learning of robot policies on ROS 2: the policy proposes, the safety filter decides."""

__version__ = "0.1.0"
