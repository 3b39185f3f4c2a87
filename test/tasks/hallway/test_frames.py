# SPDX-License-Identifier: Apache-2.0
"""Offscreen frames show body, obstacles and sides; where the machine can draw at all."""

from __future__ import annotations

import drawing

PROGRAM = """
from safe_transfer_ros.tasks.hallway.environment import HallwayEnv
from safe_transfer_ros.tasks.hallway import task as hallway
for name in ("PointWalls", "DoggoPoles", "PointHumanoids"):
    env = HallwayEnv(getattr(hallway, "Hallway" + name)(), render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (480, 640, 3) and first.dtype == np.uint8
    red, green, blue = np.moveaxis(first.astype(int), -1, 0)
    seen = {
        "obstacles": (red > green + 50) & (abs(green - blue) < 30),
        "body": (red > green + 40) & (green > blue + 25),
        "sides": (abs(red - green) < 15) & (red < 150) & (red > 60),
    }
    if "Doggo" in name:
        seen["body"] = (blue > red + 30) & (blue > green + 20)
    for part, pixels in seen.items():
        assert pixels.sum() > 100, (name, part, int(pixels.sum()))
    for _ in range(15):
        env.step(np.ones(env.task.action_size))
    assert (env.render() != first).any(axis=-1).sum() > 50
    env.close()
    assert HallwayEnv(env.task).render() is None
"""


def test_frame_shows_body_obstacles_and_sides() -> None:
    drawing.runs(PROGRAM)
