# SPDX-License-Identifier: Apache-2.0
"""A figure of thirteen capsules, 1.65 m tall, and the short clips that it moves by.

Clips are written here as angles over time; no recorded motion is used. Each begins where it ends, so it can be
repeated, and goes about a place of its own, the middle of what it sweeps along x.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FRAME_S = 0.02
"""Time from a frame to the next, s."""

_HIP, _SHOULDER, _PELVIS_TO_NECK, _NECK_TO_HEAD = 0.09, 0.20, 0.52, 0.17  # m
_THIGH, _SHIN, _FOOT, _UPPER_ARM, _FOREARM = 0.41, 0.41, 0.16, 0.28, 0.26  # m


class Limb(NamedTuple):
    """A capsule between two points.

    Attributes:
      name: Its name.
      begin: Name of one point.
      end: Name of the other.
      radius: m.
    """

    name: str
    begin: str
    end: str
    radius: float


LIMBS = (
    Limb("pelvis", "hip_left", "hip_right", 0.09),
    Limb("torso", "pelvis", "neck", 0.10),
    Limb("head", "neck", "head", 0.08),
    *(
        limb
        for side in ("left", "right")
        for limb in (
            Limb(f"thigh_{side}", f"hip_{side}", f"knee_{side}", 0.07),
            Limb(f"shin_{side}", f"knee_{side}", f"ankle_{side}", 0.05),
            Limb(f"foot_{side}", f"ankle_{side}", f"toe_{side}", 0.04),
            Limb(f"upper_arm_{side}", f"shoulder_{side}", f"elbow_{side}", 0.045),
            Limb(f"forearm_{side}", f"elbow_{side}", f"hand_{side}", 0.04),
        )
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Gesture:
    """A clip as angles over time, each of shape (frames,), rad, or one number; 0 is a figure that stands upright.

    Attributes:
      frames: How many.
      x: Of the pelvis, m.
      heading: Of the figure.
      lean: Of the whole figure, ahead.
      hips: Of the thighs, ahead, left and right.
      knees: Bent by this.
      shoulders: Of the upper arms, ahead.
      arms_out: Of the upper arms, to their side.
      elbows: Bent by this.
    """

    frames: int
    x: Array | float = 0.0
    heading: Array | float = 0.0
    lean: Array | float = 0.0
    hips: tuple[Array | float, Array | float] = (0.0, 0.0)
    knees: tuple[Array | float, Array | float] = (0.0, 0.0)
    shoulders: tuple[Array | float, Array | float] = (0.0, 0.0)
    arms_out: tuple[Array | float, Array | float] = (0.1, 0.1)
    elbows: tuple[Array | float, Array | float] = (0.2, 0.2)


def joints(gesture: Gesture) -> dict[str, Array]:
    """Points between the limbs by name, each of shape (frames, 3), m; the lowest part touches the floor."""
    n = gesture.frames

    def turned(*about: tuple[int, Array | float]) -> Array:
        """Product of rotations about axes, shape (frames, 3, 3)."""
        found = np.broadcast_to(np.eye(3), (n, 3, 3))
        for axis, angle in about:
            found = found @ _about(axis, np.broadcast_to(np.asarray(angle, dtype=np.float64), (n,)))
        return found

    whole = ((2, gesture.heading), (1, gesture.lean))
    body = turned(*whole)
    points = {"pelvis": np.stack([np.broadcast_to(gesture.x, (n,)), *np.zeros((2, n))], axis=-1)}
    points["neck"] = points["pelvis"] + body @ (0.0, 0.0, _PELVIS_TO_NECK)
    points["head"] = points["neck"] + body @ (0.0, 0.0, _NECK_TO_HEAD)
    for number, (side, left) in enumerate((("left", 1.0), ("right", -1.0))):
        hip, knee = gesture.hips[number], gesture.knees[number]
        points[f"hip_{side}"] = points["pelvis"] + body @ (0.0, left * _HIP, 0.0)
        thigh, shin = turned(*whole, (1, -np.asarray(hip))), turned(*whole, (1, np.asarray(knee) - hip))
        points[f"knee_{side}"] = points[f"hip_{side}"] + thigh @ (0.0, 0.0, -_THIGH)
        points[f"ankle_{side}"] = points[f"knee_{side}"] + shin @ (0.0, 0.0, -_SHIN)
        points[f"toe_{side}"] = points[f"ankle_{side}"] + shin @ (_FOOT, 0.0, 0.0)
        out, ahead = (0, left * np.asarray(gesture.arms_out[number])), np.asarray(gesture.shoulders[number])
        points[f"shoulder_{side}"] = points["neck"] + body @ (0.0, left * _SHOULDER, -0.06)
        upper, fore = turned(*whole, out, (1, -ahead)), turned(*whole, out, (1, -ahead - gesture.elbows[number]))
        points[f"elbow_{side}"] = points[f"shoulder_{side}"] + upper @ (0.0, 0.0, -_UPPER_ARM)
        points[f"hand_{side}"] = points[f"elbow_{side}"] + fore @ (0.0, 0.0, -_FOREARM)
    lowest = np.min([np.minimum(points[b][:, 2], points[e][:, 2]) - radius for _, b, e, radius in LIMBS], axis=0)
    return {name: point - lowest[:, None] * (0.0, 0.0, 1.0) for name, point in points.items()}


def gestures() -> tuple[Gesture, ...]:
    """Clips: walk to and fro, wave, turn about with the arms out, fall and get up again."""
    return _walk(), _wave(), _turn(), _fall()


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """All clips as poses of the limbs, about their places.

    Attributes:
      frames: Of each, shape (clips,), int64.
      poses: Positions, m, and unit quaternions w, x, y, z, shape (clips, most frames, limbs, 7); padded.
      half_length: Of each limb, shape (limbs,), m.
      ends: Both points of each limb on the floor, shape (clips, most frames, limbs, 2, 2), m; padded by the last frame.
    """

    frames: npt.NDArray[np.int64]
    poses: Array
    half_length: Array
    ends: Array


@functools.cache
def clips() -> Clips:
    """Make the clips."""
    made = gestures()
    most = max(gesture.frames for gesture in made)
    poses, ends = [], []
    for gesture in made:
        points = joints(gesture)
        begin = np.stack([points[limb.begin] for limb in LIMBS], axis=1)
        end = np.stack([points[limb.end] for limb in LIMBS], axis=1)
        sweep = [limit(points) for points in (begin[..., 0], end[..., 0]) for limit in (np.min, np.max)]
        centre = np.array([0.5 * (min(sweep) + max(sweep)), 0.0, 0.0])
        begin, end = begin - centre, end - centre
        poses.append(np.pad(_capsules(begin, end), ((0, most - gesture.frames), (0, 0), (0, 0)), mode="edge"))
        both = np.stack([begin, end], axis=2)[..., :2]
        ends.append(np.pad(both, ((0, most - gesture.frames), (0, 0), (0, 0), (0, 0)), mode="edge"))
        half = 0.5 * np.linalg.norm(end - begin, axis=-1)[0]
    return Clips(
        frames=np.array([gesture.frames for gesture in made]),
        poses=np.stack(poses),
        half_length=half,
        ends=np.stack(ends),
    )


def _capsules(begin: Array, end: Array) -> Array:
    """Poses of capsules, their z axis from one point to the other, shape (..., 7)."""
    along = end - begin
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(along, -1, 0)
    # The shortest turn from z to `along`; downwards it is half a turn about any axis across.
    down = z < -1.0 + 1e-9
    turn = np.stack([1.0 + z, -y, x, np.zeros_like(z)], axis=-1)
    turn[down] = (0.0, 1.0, 0.0, 0.0)
    return np.concatenate([0.5 * (begin + end), turn / np.linalg.norm(turn, axis=-1, keepdims=True)], axis=-1)


def _walk() -> Gesture:
    """Four steps ahead, half a turn, four back, half a turn: 6 s."""
    n = 300
    t = _times(n)
    going = np.clip(np.minimum(_cycle(t, 3.0), 2.0 - _cycle(t, 3.0)) / 0.2, 0.0, 1.0)  # 1 while it walks, 2 s of 3
    way = np.where(t < 3.0, np.minimum(t, 2.0), 2.0 - np.minimum(t - 3.0, 2.0)) - 1.0
    heading = np.pi * (np.clip(t - 2.0, 0.0, 1.0) + np.clip(t - 5.0, 0.0, 1.0))
    stride = np.maximum(going, 0.25) * np.sin(2.0 * np.pi * t)  # a step is .5 s
    lifted = 0.5 + 0.5 * np.cos(2.0 * np.pi * t)
    knees = (0.1 + 0.6 * np.maximum(going, 0.25) * bend for bend in (lifted, 1.0 - lifted))
    left, right = knees
    return Gesture(
        frames=n,
        x=0.45 * way,
        heading=heading,
        lean=0.05,
        hips=(0.4 * stride + 0.1, -0.4 * stride + 0.1),
        knees=(left, right),
        shoulders=(-0.5 * stride, 0.5 * stride),
        elbows=(0.4, 0.4),
    )


def _wave() -> Gesture:
    """An arm is waved: 2 s."""
    n = 100
    t = _times(n)
    waving = np.sin(2.0 * np.pi * t)
    return Gesture(
        frames=n,
        lean=0.03 * waving,
        arms_out=(0.1, 2.4 + 0.35 * waving),
        elbows=(0.2, 0.6 + 0.3 * waving),
        hips=(0.03, -0.03),
    )


def _turn() -> Gesture:
    """Once about, arms out: 4 s."""
    n = 200
    t = _times(n)
    stride = np.sin(4.0 * np.pi * t)
    bend = 0.1 + 0.3 * np.maximum(stride, 0.0), 0.1 + 0.3 * np.maximum(-stride, 0.0)
    return Gesture(
        frames=n,
        heading=0.5 * np.pi * t,
        hips=(0.15 * np.maximum(stride, 0.0), 0.15 * np.maximum(-stride, 0.0)),
        knees=bend,
        arms_out=(1.1, 1.1),
    )


def _fall() -> Gesture:
    """Stand, fall ahead, lie, get up: 6 s."""
    n = 300
    t = _times(n)
    down = np.clip((t - 1.0) / 0.7, 0.0, 1.0) ** 2 * (1.0 - _eased((t - 3.5) / 2.0))
    lying = 0.15 * np.sin(2.0 * np.pi * t) * down
    rising = np.sin(np.pi * np.clip((t - 3.5) / 2.0, 0.0, 1.0))
    return Gesture(
        frames=n,
        x=(_THIGH + _SHIN) * np.sin(0.5 * np.pi * down),
        lean=0.5 * np.pi * down,
        hips=(0.9 * rising + lying, 0.5 * rising - lying),
        knees=(1.5 * rising + 0.1, 1.2 * rising + 0.1),
        shoulders=(2.4 * down, 2.4 * down + lying),
        elbows=(0.5, 0.5),
    )


def _times(frames: int) -> Array:
    return np.asarray(np.arange(frames) * FRAME_S, dtype=np.float64)


def _cycle(time: Array, period: float) -> Array:
    return np.mod(time, period)


def _eased(share: Array) -> Array:
    """From 0 to 1, smoothly."""
    within = np.clip(share, 0.0, 1.0)
    return within * within * (3.0 - 2.0 * within)


def _about(axis: int, angle: Array) -> Array:
    """Rotation matrices about a coordinate axis, shape (frames, 3, 3)."""
    found = np.zeros((len(angle), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    found[:, axis, axis] = 1.0
    found[:, first, first] = found[:, second, second] = np.cos(angle)
    found[:, second, first] = np.sin(angle)
    found[:, first, second] = -np.sin(angle)
    return found
