# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show the hand, the cube and its goal; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.cube_in_hand.environment import CubeInHandEnv
from safe_transfer_ros.tasks.cube_in_hand.scripted import TIP
from safe_transfer_ros.tasks.cube_in_hand.task import CubeInHand
env = CubeInHandEnv(CubeInHand(), render_mode="rgb_array")
env.reset(seed=0)
first = env.render()
assert first.shape == (480, 640, 3) and first.dtype == np.uint8
red, green, blue = np.moveaxis(first.astype(int), -1, 0)
assert ((red > green + 25) & (green > blue + 20) & (blue > 70)).sum() > 2000  # skin
yellow = (red > 150) & (green > 130) & (blue < 80)
assert yellow[:, 250:].sum() > 1000 and yellow[:, :250].sum() > 300  # on top of the cube, and of its goal
for _ in range(4):
    env.step(TIP)
assert (env.render() != first).any(axis=-1).sum() > 5000
env.close()
assert CubeInHandEnv(CubeInHand()).render() is None
"""


def test_frame_shows_the_hand_the_cube_and_its_goal() -> None:
    drawing.runs(PROGRAM)
