# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show the ant and the sides of the avenue; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.ant_avenue.environment import AntEnv
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue
env = AntEnv(AntAvenue(), render_mode="rgb_array")
env.reset(seed=0)
first = env.render()
assert first.shape == (480, 640, 3) and first.dtype == np.uint8
red, green, blue = np.moveaxis(first.astype(int), -1, 0)
for name, seen in {
    "ant": (red > green + 40) & (green > blue + 30),
    "left side": ((red > green + 60) & (abs(green - blue) < 30))[:, :320],
    "right side": ((red > green + 60) & (abs(green - blue) < 30))[:, 320:],
}.items():
    assert seen.sum() > 300, (name, int(seen.sum()))
np.testing.assert_array_equal(env.render(), first)
for _ in range(25):
    env.step(np.zeros(8))
assert (env.render() != first).any(axis=-1).sum() > 500
env.close()
assert AntEnv(AntAvenue()).render() is None
"""


def test_frame_shows_the_ant_and_both_sides() -> None:
    drawing.runs(PROGRAM)
