# SPDX-License-Identifier: Apache-2.0
"""Images of a camera: of one publisher, whole, of the expected format, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from listener_bench import ListenerBench, started
from rclpy.context import Context
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image

from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.camera import Camera, ImageFormat, read_image

RGB = ImageFormat(height=2, width=3, channels=3, encoding="rgb8")
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def image(pixels: np.ndarray = PIXELS, padding: int = 0, **fields: Any) -> Image:
    rows = np.pad(pixels.reshape(len(pixels), -1), [(0, 0), (0, padding)], constant_values=99)
    message = Image(height=2, width=3, encoding="rgb8", step=rows.shape[1], data=rows.tobytes())
    message.header.stamp.sec, message.header.stamp.nanosec = 2, 5
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_come_as_they_are(padding: int) -> None:
    found = read_image(image(padding=padding), RGB)
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found.stamp_ns == 2_000_000_005


def test_channels_come_in_the_expected_order() -> None:
    np.testing.assert_array_equal(read_image(image(encoding="bgr8"), RGB).pixels, PIXELS[..., ::-1])
    grey = ImageFormat(height=2, width=3, channels=1, encoding="mono8")
    found = read_image(image(PIXELS[..., :1], encoding="mono8"), grey)
    np.testing.assert_array_equal(found.pixels, PIXELS[..., :1])


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (image(height=3), "expected 3 x 2 pixels, got 3 x 3"),
        (image(width=4), "expected 3 x 2 pixels, got 4 x 2"),
        (image(encoding="mono8"), "expected encoding rgb8, got 'mono8'"),
        (image(encoding="rgba8"), "expected encoding rgb8, got 'rgba8'"),
        (image(step=8), "it is not whole: expected 2 rows of 9 bytes at least, got 18 bytes, a step of 8"),
        (image(step=2**32 - 1), "it is not whole"),
        (image(data=PIXELS.tobytes()[:-1]), "it is not whole: .* got 17 bytes"),
        (image(data=b""), "it is not whole"),
    ],
)
def test_what_is_not_as_expected_is_refused(message: Image, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_image(message, RGB)


class Bench(ListenerBench):
    """A node that sees, and others that show."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.seen: list[Any] = []
        self.stopped: list[str] = []
        self.camera = Camera(self.nodes[0], seen=lambda: self.seen.append(self.camera.newest), stop=self.stopped.append)

    def publisher(self, **given: Any) -> Publisher:
        topic = topics.CAMERA_IMAGE
        node = self.node(f"camera_{len(self.nodes)}")
        return node.create_publisher(topic.kind, topic.name, given.get("profile", topic.offered))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with started(Bench) as bench:
        yield bench


@pytest.mark.parametrize("profile", [qos.RECORD, qos.VIEW], ids=["reliable", "best effort"])
def test_only_what_is_expected_is_seen(bench: Bench, profile: Any) -> None:
    camera = bench.camera
    assert camera.missing() == ""  # of a policy that does not see
    camera.expect(RGB)
    assert camera.missing() == "the policy sees images, and nothing publishes camera/image yet: start the camera"
    shown = bench.publisher(profile=profile)

    def show() -> bool:
        shown.publish(image(height=3))
        shown.publish(image(np.zeros((2, 40_000, 3), dtype=np.uint8)))
        shown.publish(image(encoding="bgr8"))
        bench.turn()
        return bool(bench.seen)

    bench.until(show, "an image")
    assert camera.missing() == "" and not bench.stopped
    for found in bench.seen:
        np.testing.assert_array_equal(found.pixels, PIXELS[..., ::-1])
    camera.expect(RGB)
    assert camera.newest is not None, "the same policy's next weights"
    camera.expect(None)
    seen = len(bench.seen)
    for _ in range(20):
        show()
    assert camera.newest is None and len(bench.seen) == seen


def test_of_two_cameras_none_is_believed(bench: Bench) -> None:
    bench.camera.expect(RGB)
    first, second = bench.publisher(), bench.publisher()
    bench.until(lambda: "has 2 publishers" in bench.camera.missing(), "both")

    def show() -> bool:
        first.publish(image())
        second.publish(image())
        bench.turn()
        return bool(bench.stopped)

    bench.until(show, "the end of the episode")
    assert "camera/image has 2 publishers, expected one" in bench.stopped[0] and not bench.seen
