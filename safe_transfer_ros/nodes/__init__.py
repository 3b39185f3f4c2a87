# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: parameters, topics, lifecycle. No rule lives here; one node per file."""

from safe_transfer_ros.interrupted import end_on_interrupt, started_module

# Here, as a node's own imports take seconds. Once it runs, `middleware.process` takes the signal.
_started = started_module(__name__)
if _started:
    end_on_interrupt(_started)
