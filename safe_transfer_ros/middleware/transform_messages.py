# SPDX-License-Identifier: Apache-2.0
"""Poses of links as messages for /tf and /tf_static."""

from __future__ import annotations

from collections.abc import Iterable

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from tf2_msgs.msg import TFMessage

from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.robots.link_tree import LinkPose


def transforms(poses: Iterable[LinkPose], stamp_ns: int) -> TFMessage:
    """Poses of one stamp."""
    message = TFMessage()
    for pose in poses:
        x, y, z, w = pose.orientation
        translation = Vector3(**dict(zip("xyz", pose.position, strict=True)))
        transform = Transform(translation=translation, rotation=Quaternion(x=x, y=y, z=z, w=w))
        stamped = TransformStamped(child_frame_id=pose.link, transform=transform)
        stamped.header.frame_id = pose.parent
        set_ns(stamped.header.stamp, stamp_ns)
        message.transforms.append(stamped)
    return message
