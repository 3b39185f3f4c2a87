# SPDX-License-Identifier: Apache-2.0
"""The tf2_msgs and visualization_msgs that are imported here, ours or a real ROS's, are those of RViz and Foxglove.

The type hash is made of names, types and order of all fields, nested ones included; see test_controller_manager_msgs.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safe_transfer_ros.bags.definitions import MessageDefinitions

SOURCES = Path(__file__).resolve().parents[2] / "interfaces" / "tf2_msgs"


@pytest.mark.parametrize(
    ("name", "published"),
    [  # of ROS 2 Jazzy, as `ros2 topic info --verbose /tf` tells them
        ("tf2_msgs/msg/TFMessage", "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"),
    ],
)
def test_type_hash_is_the_published_one(name: str, published: str) -> None:
    assert MessageDefinitions().find(name).type_hash == f"RIHS01_{published}"


def test_a_bag_can_say_what_a_transform_and_a_marker_are() -> None:
    definitions = MessageDefinitions()
    transforms, markers = (
        definitions.find(name).text for name in ("tf2_msgs/msg/TFMessage", "visualization_msgs/msg/MarkerArray")
    )
    assert "geometry_msgs/TransformStamped[] transforms" in transforms and "string child_frame_id" in transforms
    assert "MSG: visualization_msgs/Marker" in markers and "MSG: std_msgs/ColorRGBA" in markers


def test_ours_is_kept_from_colcon_and_built_whole() -> None:
    """Beside a real ROS, colcon would put this partial copy before the whole one."""
    assert (SOURCES / "COLCON_IGNORE").exists()
    listed = re.findall(r"^  (msg/\w+\.msg)$", (SOURCES / "CMakeLists.txt").read_text(), flags=re.MULTILINE)
    assert listed == [str(path.relative_to(SOURCES)) for path in sorted(SOURCES.glob("msg/*"))]
