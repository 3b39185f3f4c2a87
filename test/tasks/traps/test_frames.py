# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show body, goal and traps; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.traps.environment import TrapsEnv
from safe_transfer_ros.tasks.traps.task import CarTraps, PointTraps
for task, turn in ((PointTraps(), (0.0, 1.0)), (CarTraps(), (-1.0, 1.0))):
    env = TrapsEnv(task, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (480, 640, 3) and first.dtype == np.uint8
    red, green, blue = np.moveaxis(first.astype(int), -1, 0)
    seen = {
        "traps": (red > green + 60) & (abs(green - blue) < 40),
        "goal": (green > red + 40) & (green > blue + 40),
        "body": (red > green + 25) & (green > blue + 25) if turn[0] == 0.0 else (blue > red + 30) & (blue > green + 20),
    }
    for name, pixels in seen.items():
        assert pixels.sum() > 150, (task.name, name, int(pixels.sum()))
    assert (env.render() != first).any(axis=-1).sum() < 30  # at the edges of what overlaps
    for _ in range(10):
        env.step(np.array(turn))
    assert (env.render() != first).any(axis=-1).sum() > 50
    env.close()
    assert TrapsEnv(task).render() is None
"""


def test_frame_shows_body_goal_and_traps() -> None:
    drawing.runs(PROGRAM)
