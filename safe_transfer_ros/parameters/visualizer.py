# SPDX-License-Identifier: Apache-2.0
"""The visualizer's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class VisualizerParameters:
    """visualizer."""

    rate: float = setting(20.0, "Pictures per second, of the clock on the wall, Hz", minimum=0.1, maximum=100.0)
    transforms: str = setting(
        "auto",
        "Whether /tf and /tf_static are published: auto, unless a robot_state_publisher publishes them; always; never",
        choices=("auto", "always", "never"),
    )
