# SPDX-License-Identifier: Apache-2.0
"""Offered QoS of a recorded topic, in the words rosbag2 (metadata version 9) uses.

A player re-offers what was recorded, so a replayed topic matches the same subscribers as the live one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safe_transfer_ros.untrusted import load_yaml

# What rmw calls infinite, split as rosbag2 prints it.
_INFINITE_NS = 2**63 - 1

# The words of each policy at the numbers they have in rmw, which recorders before ROS 2 Jazzy wrote in their place.
_WORDS = {
    "reliability": ("system_default", "reliable", "best_effort", "unknown", "best_available"),
    "durability": ("system_default", "transient_local", "volatile", "unknown", "best_available"),
    "history": ("system_default", "keep_last", "keep_all", "unknown"),
    "liveliness": (*("system_default", "automatic", "manual_by_node", "manual_by_topic", "unknown", "best_available"),),
}


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
      avoid_ros_namespace_conventions: Whether the topic's name is the middleware's own, without ROS's prefix.
    """

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 10
    liveliness: str = "automatic"
    deadline_ns: int = _INFINITE_NS
    lifespan_ns: int = _INFINITE_NS
    liveliness_lease_ns: int = _INFINITE_NS
    avoid_ros_namespace_conventions: bool = False

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
            "avoid_ros_namespace_conventions": self.avoid_ros_namespace_conventions,
        }


def recorded_qos(text: str) -> list[OfferedQos]:
    """QoS of a topic's publishers as a recording tells it: YAML, its policies in words or, before Jazzy, in numbers.

    Raises:
      ValueError: if it is not that; one line.
    """
    profiles = load_yaml(text, "offered_qos_profiles")
    if not isinstance(profiles, list | None):
        raise ValueError("offered_qos_profiles is not a list")
    return [_recorded(profile) for profile in profiles or ()]


def _recorded(profile: Any) -> OfferedQos:
    if not isinstance(profile, Mapping):
        raise ValueError("offered_qos_profiles holds what is not a mapping")
    return OfferedQos(
        reliability=_word("reliability", profile),
        durability=_word("durability", profile),
        history=_word("history", profile),
        depth=_count("depth", profile.get("depth")),
        liveliness=_word("liveliness", profile),
        deadline_ns=_recorded_ns("deadline", profile),
        lifespan_ns=_recorded_ns("lifespan", profile),
        liveliness_lease_ns=_recorded_ns("liveliness_lease_duration", profile),
        avoid_ros_namespace_conventions=profile.get("avoid_ros_namespace_conventions") is True,
    )


def _word(name: str, profile: Mapping[str, Any]) -> str:
    words, value = _WORDS[name], profile.get(name)
    if type(value) is int and 0 <= value < len(words):
        return words[value]
    if value not in words:
        raise ValueError(f"offered_qos_profiles: expected {name} as one of {', '.join(words)}, got {str(value)[:40]!r}")
    return str(value)


def _count(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _INFINITE_NS:
        raise ValueError(f"offered_qos_profiles: expected {name} as a whole number from 0, got {str(value)[:40]!r}")
    return value


def _recorded_ns(name: str, profile: Mapping[str, Any]) -> int:
    value = profile.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"offered_qos_profiles: expected {name} as sec and nsec, got {str(value)[:40]!r}")
    seconds, rest = (_count(f"{name}.{part}", value.get(part)) for part in ("sec", "nsec"))
    return min(seconds * 1_000_000_000 + rest, _INFINITE_NS)


def _nanoseconds(duration: Any) -> int:
    # rclpy says "not set" as zero; on the wire and in rosbag2 that is infinite.
    return int(duration.nanoseconds) or _INFINITE_NS


def _sec_nsec(nanoseconds: int) -> dict[str, int]:
    return {"sec": nanoseconds // 1_000_000_000, "nsec": nanoseconds % 1_000_000_000}
