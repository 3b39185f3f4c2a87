# SPDX-License-Identifier: Apache-2.0
"""Configuration of a run, as its bag tells it, whatever the names were then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.graph import messages
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.topic_names import RUN_CONFIG
from safe_transfer_ros.untrusted import UntrustedError, load_yaml

# Bags are read for longer than configurations are run. The old minimum was start and floor in one; where it was above
# D_safe the limit may differ from the recorded one, and a note says so.
_RENAMED = {
    "torque_limit_min": "initial_torque_limit",
    "allow_unsafe_minimum": "allow_unsafe_start",
    "limit": "limit_rule",
    "mode": "timing",
}


def parameters(config: Mapping[str, Any], node: str) -> dict[str, Any]:
    """A node's own parameters on top of the shared ones (`/**`), from the ROS parameter-file layout.

    Names are today's, also where the run had older ones.
    """
    result: dict[str, Any] = {}
    for section in ("/**", node, f"/**/{node}"):  # a node's own without /** is how it was written up to 0.1.0
        values = config.get(section)
        if isinstance(values, Mapping) and isinstance(values.get("ros__parameters"), Mapping):
            result.update(values["ros__parameters"])
    for old, new in _RENAMED.items():
        if old in result:
            result.setdefault(new, result.pop(old))
    return result


def governor(config: Mapping[str, Any]) -> TorqueLimitGovernor:
    """The governor a run had, as the unsafety monitor makes it from the same parameters."""
    own = parameters(config, "unsafety_monitor")
    return TorqueLimitGovernor(
        GovernorSettings.of(own),
        iteration=int(own.get("first_iteration", 0)),
        torque_limit=own.get("first_torque_limit") or None,  # 0 means: where the settings say
        memory=str(own.get("benefit_memory", "")),
    )


def run_config(bag: Bag) -> dict[str, Any]:
    """The last configuration published on trainer/run_config."""
    text = None
    for _, message, _ in messages(bag, (RUN_CONFIG,)):
        text = message.data
    if text is None:
        raise BagError(
            f"{bag.path} has nothing on /{RUN_CONFIG}, so it does not say how it came about: "
            "give a bag that bag_recorder wrote during fine-tuning"
        )
    try:
        config = load_yaml(str(text), f"/{RUN_CONFIG} in {bag.path}")
    except UntrustedError as error:
        raise BagError(str(error)) from None
    if not isinstance(config, dict) or "task" not in parameters(config, "trainer"):
        raise BagError(f"/{RUN_CONFIG} in {bag.path} names no task: expected '/**: ros__parameters: task: ...'")
    return config
