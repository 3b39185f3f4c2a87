# SPDX-License-Identifier: Apache-2.0
"""Messages of the filter as a view sees them, without ROS: objects with the same fields."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from safe_transfer_ros.safety.reasons import Mode, Reason


def header(seconds: float) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9)))


def status(mode: int, stamp: float = 1.0, **fields: Any) -> SimpleNamespace:
    standard = {"cause": 0, "iteration": 3, "torque_limit": 0.115, "accepted": True, "lease_lost": False, "message": ""}
    return SimpleNamespace(header=header(stamp), mode=int(mode), **(standard | fields))


def decision(*reasons: Reason) -> SimpleNamespace:
    return SimpleNamespace(reasons=sum(reasons))


def diagnostics(
    stamp: float = 2.0, *, name: str = "safety_filter", level: bytes = b"\0", message: str = "", **figures: str
) -> SimpleNamespace:
    values = [SimpleNamespace(key=key.replace("__", " "), value=value) for key, value in figures.items()]
    ours = SimpleNamespace(name=name, level=level, hardware_id="pr2_left_arm", message=message, values=values)
    return SimpleNamespace(header=header(stamp), status=[ours])


def estimate(
    unsafety_rate: float = 0.5, torque_limit: float = 0.1, d_safe: float = 0.2, **fields: Any
) -> SimpleNamespace:
    standard = {"iteration": 2, "predicted_unsafety_rate": 0.6, "missing": 0}
    return SimpleNamespace(unsafety_rate=unsafety_rate, torque_limit=torque_limit, d_safe=d_safe, **(standard | fields))


def everyday(mode: Mode = Mode.ARMED, **fields: Any) -> list[tuple[str, Any]]:
    """One message of each kind, with the name of the method that takes it."""
    figures = {
        "joint_state_age_ms": "3.1",
        "proposal_age_ms": "none",
        "latency_p50_us": "81",
        "latency_p99_us": "212",
        "latency_max_us": "1904",
        "cycles": "4821",
        "decisions": "482",
        "critic_error": "too slow",
        "reason__CLAMPED_TORQUE_LIMIT": "431",
        "reason__PROPOSAL_STALE": "2",
    }
    return [
        ("on_status", status(mode, **fields)),
        ("on_diagnostics", diagnostics(**figures)),
        ("on_estimate", estimate()),
    ]
