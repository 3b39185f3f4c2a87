# SPDX-License-Identifier: Apache-2.0
"""The recorder's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class RecorderParameters:
    """bag_recorder."""

    bag: str = setting("", "Directory of the rosbag2 to write; it must not exist, or be empty")
    compression: str = setting("none", "Chunk compression of the mcap file", choices=("none", "zstd"))
    split_size: int = setting(0, "Begin a new file at this size, MB; 0: one file", minimum=0, maximum=1_000_000)
    split_time: float = setting(0.0, "Begin a new file after this time, s; 0: one file", minimum=0.0, maximum=1e6)
