# SPDX-License-Identifier: Apache-2.0
"""Images of a camera, for a policy that sees: bounded, of one publisher, refused unless they are as expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from sensor_msgs.msg import Image

from safe_transfer_ros.middleware import bounded, topics
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.stamps import to_ns

_HEADER_BYTES = 4096  # beside the pixels: frame, encoding
_PADDING = 64  # bytes at the end of a row: drivers align rows
_TURNED = {"rgb8": "bgr8", "bgr8": "rgb8"}


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """Format of the images that a policy sees.

    Attributes:
      height: Pixels.
      width: Pixels.
      channels: Bytes of a pixel.
      encoding: As sensor_msgs/Image names it.
    """

    height: int
    width: int
    channels: int
    encoding: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadImage:
    """An image as it came.

    Attributes:
      stamp_ns: Of its exposure, ns.
      pixels: Shape (height, width, channels), in the expected encoding.
    """

    stamp_ns: int
    pixels: npt.NDArray[np.uint8]


def read_image(message: Image, expected: ImageFormat) -> ReadImage:
    """Read an image, or refuse it. Of rgb8 and bgr8 either will do: the channels are put into the expected order.

    Raises:
      ValueError: saying what was expected and what came.
    """
    height, width, row = expected.height, expected.width, expected.width * expected.channels
    if (message.height, message.width) != (height, width):
        raise ValueError(f"expected {width} x {height} pixels, got {message.width} x {message.height}")
    if message.encoding not in (expected.encoding, _TURNED.get(expected.encoding)):
        raise ValueError(f"expected encoding {expected.encoding}, got {message.encoding[:32]!r}")
    step, data = int(message.step), np.frombuffer(message.data, dtype=np.uint8)
    if step < row or data.size != height * step:
        raise ValueError(
            f"it is not whole: expected {height} rows of {row} bytes at least, got {data.size} bytes, a step of {step}"
        )
    pixels = data.reshape(height, step)[:, :row].reshape(height, width, expected.channels)
    if message.encoding != expected.encoding:
        pixels = pixels[..., ::-1]
    return ReadImage(stamp_ns=to_ns(message.header.stamp), pixels=pixels)


class Camera:
    """Subscription to the images that a policy sees; while it sees none they are left unread.

    Attributes:
      newest: Image that came last and was as expected; None before the first.
    """

    def __init__(self, node: Node, *, seen: Callable[[], None], stop: Callable[[str], None]) -> None:
        """Expect nothing yet.

        Args:
          node: That listens.
          seen: Called when there is a new image.
          stop: Called with the reason when no image can be believed any longer.
        """
        self._node, self._seen, self._stop = node, seen, stop
        self._expected: ImageFormat | None = None
        self._listens = False
        self.newest: ReadImage | None = None

    def expect(self, expected: ImageFormat | None) -> None:
        """Expect images of a format, or none, from now on."""
        if expected == self._expected:
            return
        self._expected, self.newest = expected, None
        if not self._listens:  # a graph whose policy does not see is not sent any
            topics.CAMERA_IMAGE.listen(self._node, self._on_image, raw=True)
            self._listens = True

    def missing(self) -> str:
        """Reason why no image can come yet; empty where a camera is there, or none is needed."""
        name = topics.CAMERA_IMAGE.name
        if self._expected is None:
            return ""
        if self._node.count_publishers(name) == 0:
            return f"the policy sees images, and nothing publishes {name} yet: start the camera"
        return second_publisher(self._node, name) or ""

    def _on_image(self, data: bytes) -> None:
        expected, name = self._expected, topics.CAMERA_IMAGE.name
        if expected is None:
            return
        doubt = second_publisher(self._node, name)
        if doubt:
            self._stop(doubt)
            return
        most = expected.height * (expected.width * expected.channels + _PADDING) + _HEADER_BYTES
        try:
            self.newest = read_image(bounded.read(data, Image, most), expected)
        except ValueError as error:
            self._node.get_logger().error(f"{name} refused: {error}", throttle_duration_sec=1.0)
        else:
            self._seen()
