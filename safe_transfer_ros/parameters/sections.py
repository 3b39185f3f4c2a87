# SPDX-License-Identifier: Apache-2.0
"""The sections of a parameter file: which there are, what each holds, and which of them a node is given.

ROS matches a section's name against a node's full name, namespace included, and passes over what does not match without
a word. So sections are written `/**/safety_filter`, which matches in every namespace; `safety_filter` matches only
outside of any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from safe_transfer_ros.parameters.bag_recorder import RecorderParameters
from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.critic_shadow import CriticShadowParameters
from safe_transfer_ros.parameters.critic_trainer import CriticTrainerParameters
from safe_transfer_ros.parameters.episode_reset import ResetParameters
from safe_transfer_ros.parameters.franka_robot import FrankaParameters
from safe_transfer_ros.parameters.mujoco_sim import SimulatorParameters
from safe_transfer_ros.parameters.policy_server import PolicyServerParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.parameters.trainer import TrainerParameters
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.parameters.visualizer import VisualizerParameters

SHARED = "/**"
"""The section that every node is given."""

NODES: Mapping[str, type] = {
    "policy_server": PolicyServerParameters,
    "safety_filter": FilterParameters,
    "unsafety_monitor": MonitorParameters,
    "trainer": TrainerParameters,
    "bag_recorder": RecorderParameters,
    "mujoco_sim": SimulatorParameters,
    "critic_trainer": CriticTrainerParameters,
    "critic_shadow": CriticShadowParameters,
    "controller_supervisor": SupervisorParameters,
    "episode_reset": ResetParameters,
    "franka_robot": FrankaParameters,
    "visualizer": VisualizerParameters,
}
"""Node -> its own parameters."""

SECTIONS: Mapping[str, type] = {**NODES, "commission": CommissionParameters}
"""Every section but the shared one: the nodes', and that of `safe_transfer commission`."""


def section_name(node: str) -> str:
    """Name of a node's section, in any namespace."""
    return SHARED if node == SHARED else f"{SHARED}/{node}"


def document(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Content of a parameter file, from each node's parameters and the shared ones."""
    return {section_name(node): {"ros__parameters": dict(values)} for node, values in parameters.items()}


def node_of(section: str) -> str:
    """Node that a section of ours is for; `safety_filter` and `/safety_filter` are read as `/**/safety_filter`."""
    return section if section == SHARED else section.removeprefix(f"{SHARED}/").removeprefix("/")


def names_node(section: str, full_name: str) -> bool:
    """Whether ROS gives a section, by its name, to this node in particular.

    Args:
      section: As it stands in a file: `*` is one token, `**` any number of them.
      full_name: The node's, with its namespace: `/left/safety_filter`.
    """
    tokens = section.strip("/").split("/")
    if tokens[-1] in ("*", "**"):  # for every node there is: nobody's own
        return False
    pattern = "".join(
        "(/[^/]+)*" if token == "**" else "/[^/]+" if token == "*" else f"/{re.escape(token)}" for token in tokens
    )
    return re.fullmatch(pattern, full_name) is not None


def section_names(document: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Full names of all sections of a parameter file; a namespace may be a level of its own in it."""
    for name, below in document.items():
        if isinstance(below, Mapping):
            full = f"{above}/{str(name).strip('/')}"
            if "ros__parameters" in below:
                yield full
            yield from section_names({key: value for key, value in below.items() if key != "ros__parameters"}, full)
