# SPDX-License-Identifier: Apache-2.0
"""A pose means something in one frame only."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.middleware.object_pose import pose_message, pose_of, wrong_frame

POSE = np.array([0.4, -0.1, 0.05, 0.0, 0.0, 0.6, 0.8])


def test_a_pose_in_the_base_links_frame_is_one() -> None:
    message = pose_message("panda_link0", 7, POSE)
    assert wrong_frame(message, "panda_link0") is None
    np.testing.assert_array_equal(pose_of(message), POSE)


@pytest.mark.parametrize("frame", ["", "camera_color_optical_frame", "panda_link0 ", "Panda_link0", "x" * 10_000])
def test_one_in_another_frame_is_none_and_both_are_named(frame: str) -> None:
    problem = wrong_frame(pose_message(frame, 7, POSE), "panda_link0")
    assert problem is not None and "'panda_link0'" in problem and repr(frame[:64]) in problem
    assert len(problem) < 200
