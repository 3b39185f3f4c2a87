# SPDX-License-Identifier: Apache-2.0
"""The pose of a task's object as a message: PoseStamped on topic `object_pose`, in the base link's frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, PoseStamped, Quaternion

from safe_transfer_ros.middleware.stamps import set_ns


def pose_of(message: PoseStamped) -> npt.NDArray[np.float64]:
    """Position x y z, m, and quaternion x y z w, shape (7,); any floats whatever."""
    at, turned = message.pose.position, message.pose.orientation
    return np.array([at.x, at.y, at.z, turned.x, turned.y, turned.z, turned.w])


def wrong_frame(message: PoseStamped, frame: str) -> str | None:
    """Reason why a pose cannot be used; None where it is in `frame`, the robot's base link.

    In another frame the same numbers are another place. Nothing here knows how frames lie to each other, so such a pose
    is left out, and missed when none in the right one follows.
    """
    came = message.header.frame_id
    if came == frame:
        return None
    return f"poses of the object must be in frame {frame!r} (the robot's base link), got {came[:64]!r}"


def pose_message(frame: str, stamp_ns: int, pose: npt.NDArray[np.float64]) -> PoseStamped:
    """A pose (7,) of that stamp in a link's frame."""
    x, y, z, *turned = pose.tolist()
    message = PoseStamped()
    message.header.frame_id = frame
    set_ns(message.header.stamp, stamp_ns)
    message.pose.position = Point(x=x, y=y, z=z)
    message.pose.orientation = Quaternion(**dict(zip("xyzw", turned, strict=True)))
    return message
