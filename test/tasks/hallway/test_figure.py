# SPDX-License-Identifier: Apache-2.0
"""The figure: limbs keep their length and stay on the floor, clips close, poses are those of its points."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.tasks.hallway.figure import LIMBS, Gesture, clips, gestures, joints

WALK, WAVE, TURN, FALL = gestures()


def rotated_z(quaternion: np.ndarray) -> np.ndarray:
    """Where a quaternion turns the z axis to."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    return np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z], axis=-1)


def test_upright_it_is_as_tall_as_a_person_and_its_hands_hang() -> None:
    points = {name: point[0] for name, point in joints(Gesture(frames=1)).items()}
    assert points["head"][2] + 0.08 == pytest.approx(1.63, abs=0.05)
    assert points["hand_left"][1] > 0.2 > -0.2 > points["hand_right"][1]
    assert points["hand_left"][2] < points["hip_left"][2] + 0.05
    ahead = joints(Gesture(frames=1, hips=(0.5, 0.0), knees=(0.0, 0.8), shoulders=(1.0, 0.0)))
    assert ahead["knee_left"][0, 0] > 0.15 and ahead["ankle_right"][0, 0] < -0.2 and ahead["hand_left"][0, 0] > 0.3


@pytest.mark.parametrize("number", range(4), ids=["walk", "wave", "turn", "fall"])
def test_a_clip_keeps_its_limbs_stands_on_the_floor_and_closes(number: int) -> None:
    points = joints(gestures()[number])
    lowest = []
    for name, begin, end, radius in LIMBS:
        length = np.linalg.norm(points[end] - points[begin], axis=-1)
        np.testing.assert_allclose(length, length[0], rtol=1e-9, err_msg=name)
        lowest.append(np.minimum(points[begin][:, 2], points[end][:, 2]) - radius)
    np.testing.assert_allclose(np.min(lowest, axis=0), 0.0, atol=1e-12)
    made = clips()
    n = made.frames[number]
    middle = made.poses[number, :n, :, :3]
    step = np.linalg.norm(np.diff(middle, axis=0), axis=-1).max()
    assert np.linalg.norm(middle[0] - middle[n - 1], axis=-1).max() <= 1.5 * step and step < 0.15
    for at, (name, begin, end, _) in enumerate(LIMBS):
        along = points[end] - points[begin]
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        np.testing.assert_allclose(rotated_z(made.poses[number, :n, at, 3:]), along, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(
            middle[:, at, 2], 0.5 * (points[begin] + points[end])[:, 2], atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(np.linalg.norm(made.poses[number, :, :, 3:], axis=-1), 1.0, rtol=1e-12)
    ends = made.ends[number, :n]
    assert ends[..., 0].min() == pytest.approx(-ends[..., 0].max()), "the place is the middle of what is swept along x"


def test_clips_do_what_they_are_called() -> None:
    walk, wave, turn, fall = (joints(gesture) for gesture in (WALK, WAVE, TURN, FALL))
    ahead = np.diff(walk["pelvis"][:, 0])
    facing = walk["toe_left"][:, 0] - walk["ankle_left"][:, 0]
    going = np.abs(ahead) > 0.005
    assert going.mean() > 0.5 and (np.sign(ahead) == np.sign(facing[1:]))[going].mean() > 0.95, "it walks forwards"
    assert np.ptp(wave["hand_right"][:, 1]) > 0.15 and wave["hand_right"][:, 2].min() > wave["neck"][:, 2].max()
    heading = np.unwrap(np.arctan2(*(turn["hip_left"] - turn["hip_right"])[:, 1::-1].T))
    assert abs(heading[-1] - heading[0]) == pytest.approx(2.0 * np.pi, rel=0.01)
    assert fall["head"][:, 2].max() > 1.5 and fall["head"][:, 2].min() < 0.35
