# SPDX-License-Identifier: Apache-2.0
"""Quality of service per kind of topic; docs/interfaces.md states it per topic.

Commands and joint states are never latched: a late subscriber must not act on an old one.
"""

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy


def _keep_last(depth: int, *, reliable: bool = True, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


# Listening to joint states, proposals, commands: delivered in order, the newest few kept, never latched.
STREAM = _keep_last(10)

# Listening to proposals: each gets its decision, so a listener that was not scheduled for seconds must still find all.
PROPOSALS = _keep_last(100)

# Everything that is published as a stream, and those who must see all of it (the recorder, the trainer, the monitor):
# deep enough for a whole iteration. A publisher forgets what it keeps no room for, even if a busy listener lacks it:
# with ten, a recorder that was not scheduled for a tenth of a second lost joint states.
RECORD = _keep_last(5000)

# The same from publishers that promise nothing.
BEST_EFFORT_RECORD = _keep_last(5000, reliable=False)

# Commands as ros2_control's controllers hear them: what is late is worth nothing.
COMMAND = _keep_last(10, reliable=False)

# State that a late joiner needs: the limit in force, the policy in force, weights, the run's configuration.
LATCHED = _keep_last(1, latched=True)

# A recorder of latched topics, and the history that a state has beside it (state_publisher.py): what was there before,
# and every change since. Never the state itself: a late listener would get the old ones first.
LATCHED_RECORD = _keep_last(1000, latched=True)

# Looking on without being waited for: best effort, so that a stopped or slow viewer costs the filter nothing.
VIEW = _keep_last(100, reliable=False)

CLASSES: dict[str, tuple[QoSProfile, str]] = {
    "stream": (STREAM, "what is only true now: a late joiner must never act on an old command or joint state"),
    "proposals": (PROPOSALS, "proposals as the filter hears them: each gets its decision, also after a stall"),
    "record": (RECORD, "what must be seen whole, and whatever is published as a stream"),
    "best-effort record": (BEST_EFFORT_RECORD, "the recorder, of those who publish with best effort"),
    "command": (COMMAND, "what is worth nothing late: commands as ros2_control hears them, permission, images"),
    "latched": (LATCHED, "state and weights that a late joiner needs"),
    "latched record": (LATCHED_RECORD, "the same with what came before it, for the recorder"),
    "view": (VIEW, "`safe_transfer watch` on decisions and diagnostics: a slow viewer does not block the publisher"),
}
"""Name -> profile, and what it is for."""


def name_of(profile: QoSProfile) -> str:
    """Name of a class of quality of service."""
    return next(name for name, (known, _) in CLASSES.items() if known is profile)
