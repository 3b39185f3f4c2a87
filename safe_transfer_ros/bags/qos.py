# SPDX-License-Identifier: Apache-2.0
"""Offered QoS of a recorded topic, in the words rosbag2 (metadata version 9) uses.

A player re-offers what was recorded, so a replayed topic matches the same subscribers as the live one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What rmw calls infinite, split as rosbag2 prints it.
_INFINITE_NS = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class OfferedQos:
    """Quality of service that a topic's publisher offers.

    Attributes:
      reliability: "reliable" or "best_effort".
      durability: "volatile" or "transient_local".
      history: "keep_last" or "keep_all"; "unknown" for what discovery cannot tell.
      depth: Queue length for keep_last.
      liveliness: "automatic" or "manual_by_topic".
      deadline_ns: Promised longest gap between messages, ns.
      lifespan_ns: Age after which a message is dropped, ns.
      liveliness_lease_ns: Time after which a silent publisher counts as lost, ns.
    """

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 10
    liveliness: str = "automatic"
    deadline_ns: int = _INFINITE_NS
    lifespan_ns: int = _INFINITE_NS
    liveliness_lease_ns: int = _INFINITE_NS

    @classmethod
    def from_profile(cls, profile: Any) -> OfferedQos:
        """Same values from an rclpy ``QoSProfile`` (read by attribute name: rclpy is not imported here)."""
        return cls(
            reliability=profile.reliability.name.lower(),
            durability=profile.durability.name.lower(),
            history=profile.history.name.lower(),
            depth=int(profile.depth),
            liveliness=profile.liveliness.name.lower(),
            deadline_ns=_nanoseconds(profile.deadline),
            lifespan_ns=_nanoseconds(profile.lifespan),
            liveliness_lease_ns=_nanoseconds(profile.liveliness_lease_duration),
        )

    def as_metadata(self) -> dict[str, Any]:
        """Mapping for metadata.yaml under ``offered_qos_profiles``."""
        return {
            "history": self.history,
            "depth": self.depth,
            "reliability": self.reliability,
            "durability": self.durability,
            "deadline": _sec_nsec(self.deadline_ns),
            "lifespan": _sec_nsec(self.lifespan_ns),
            "liveliness": self.liveliness,
            "liveliness_lease_duration": _sec_nsec(self.liveliness_lease_ns),
            "avoid_ros_namespace_conventions": False,
        }


def _nanoseconds(duration: Any) -> int:
    # rclpy says "not set" as zero; on the wire and in rosbag2 that is infinite.
    return int(duration.nanoseconds) or _INFINITE_NS


def _sec_nsec(nanoseconds: int) -> dict[str, int]:
    return {"sec": nanoseconds // 1_000_000_000, "nsec": nanoseconds % 1_000_000_000}
