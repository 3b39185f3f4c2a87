# SPDX-License-Identifier: Apache-2.0
"""Shapes as a MarkerArray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from safe_transfer_ros.display.shape import Kind, Shape
from safe_transfer_ros.middleware.stamps import set_ns

LIFETIME_SECONDS = 3.0  # a picture that nobody renews must not look alive
_TYPES = {
    Kind.BOX: Marker.CUBE,
    Kind.CYLINDER: Marker.CYLINDER,
    Kind.SPHERE: Marker.SPHERE,
    Kind.LINES: Marker.LINE_LIST,
    Kind.TRIANGLES: Marker.TRIANGLE_LIST,
    Kind.TEXT: Marker.TEXT_VIEW_FACING,
}


def markers(shapes: Iterable[Shape], frame: str, stamp_ns: int) -> MarkerArray:
    """Markers in the place of all that were shown before.

    Args:
      shapes: What is shown.
      frame: In which it is given.
      stamp_ns: Of the joint state that it belongs to.
    """
    message, counts = MarkerArray(markers=[Marker(action=Marker.DELETEALL)]), Counter[str]()
    lifetime = Duration(seconds=LIFETIME_SECONDS).to_msg()
    for shape in shapes:
        message.markers.append(_marker(shape, counts[shape.group]))
        message.markers[-1].lifetime = lifetime
        counts[shape.group] += 1
    for marker in message.markers:
        marker.header.frame_id = frame
        set_ns(marker.header.stamp, stamp_ns)
    return message


def _marker(shape: Shape, number: int) -> Marker:
    x, y, z = shape.position
    red, green, blue, opacity = shape.colour
    turned = Quaternion(**dict(zip("xyzw", shape.orientation, strict=True)))
    return Marker(
        ns=shape.group,
        id=number,
        type=_TYPES[shape.kind],
        action=Marker.ADD,
        pose=Pose(position=Point(x=x, y=y, z=z), orientation=turned),
        scale=Vector3(**dict(zip("xyz", shape.size, strict=True))),
        color=ColorRGBA(r=red, g=green, b=blue, a=opacity),
        points=[Point(x=x, y=y, z=z) for x, y, z in shape.points],
        text=shape.text,
    )
