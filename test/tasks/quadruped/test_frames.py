# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show the quadruped; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.quadruped.environment import QuadrupedEnv
from safe_transfer_ros.tasks.quadruped.task import QuadrupedSpeed
env = QuadrupedEnv(QuadrupedSpeed(), render_mode="rgb_array")
env.reset(seed=0)
first = env.render()
assert first.shape == (480, 640, 3) and first.dtype == np.uint8
red, green, blue = np.moveaxis(first.astype(int), -1, 0)
assert ((red > green + 40) & (green > blue + 20)).sum() > 500  # its trunk
assert ((first < 110).all(axis=-1)).sum() > 500  # its legs
for _ in range(5):
    env.step(np.tile([0.0, 0.6, -0.6], 4))
assert (env.render() != first).any(axis=-1).sum() > 500
env.close()
assert QuadrupedEnv(QuadrupedSpeed()).render() is None
"""


def test_frame_shows_the_quadruped() -> None:
    drawing.runs(PROGRAM)
