# SPDX-License-Identifier: Apache-2.0
"""Quality of service per kind of topic; docs/interfaces.md states it per topic.

Commands and joint states are never latched: a late subscriber must not act on an old one.
"""

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

# Joint states, proposals, commands: delivered in order, the newest few kept, never latched.
STREAM = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.VOLATILE,
)

# What a node must see all of (decisions to learn from, states to account for): deep enough for a whole iteration.
RECORD = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=5000,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.VOLATILE,
)

# State that a late joiner needs: the limit in force, the policy in force, weights, the run's configuration.
LATCHED = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
)

# A recorder of latched topics: the state that was there before it, and every change since.
LATCHED_RECORD = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
)
