# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show the scene: arm, block, goal, boundary; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.push.tasks import PushBoundary
from safe_transfer_ros.tasks.push.environment import PushEnv
env = PushEnv(PushBoundary(), render_mode="rgb_array")
env.reset(seed=0)
first = env.render()
assert first.shape == (480, 640, 3) and first.dtype == np.uint8
red, green, blue = np.moveaxis(first.astype(int), -1, 0)
for name, seen in {
    "block": (red > green + 60) & (green > blue + 40),
    "goal": (green > red + 40) & (green > blue + 30),
    "boundary": (red > green + 90) & (abs(green - blue) < 30),
    "arm": (first.min(axis=-1) > 190) & (first.max(axis=-1) < 236),
}.items():
    assert seen.sum() > 60, (name, int(seen.sum()))
np.testing.assert_array_equal(env.render(), first)
for _ in range(25):
    env.step(np.array([1.0, 0.0]))
assert (env.render() != first).any(axis=-1).sum() > 500
env.close()
assert PushEnv(PushBoundary()).render() is None
"""


def test_frame_shows_arm_block_goal_and_boundary() -> None:
    drawing.runs(PROGRAM)
