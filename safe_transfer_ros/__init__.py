# SPDX-License-Identifier: Apache-2.0
"""Safe transfer learning of robot policies on ROS 2: the policy proposes, the safety filter decides."""

import sys

__version__ = "0.1.0"

if "gymnasium" in sys.modules:  # else `import safe_transfer_ros.environments`: a node has no use for Gymnasium
    import safe_transfer_ros.environments  # noqa: F401
