# SPDX-License-Identifier: Apache-2.0
"""Frames of the quadruped: a trot by rule, and a fall under random actions.

MUJOCO_GL=egl python benchmarks/quadruped_frames.py docs/figures/quadruped.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.quadruped.environment import QuadrupedVectorEnv
from safe_transfer_ros.tasks.quadruped.frames import Camera
from safe_transfer_ros.tasks.quadruped.scripted import Trot
from safe_transfer_ros.tasks.quadruped.task import QuadrupedSpeed


def frames(action: Callable[[float], np.ndarray], times: tuple[int, ...]) -> list[tuple[np.ndarray, str]]:
    """An image at each time, in control periods, and what the episode has come to."""
    env = QuadrupedVectorEnv(QuadrupedSpeed(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    camera, shown = Camera(env.simulation, 320, 240), []
    for step in range(1, times[-1] + 1):
        *_, info = env.step(action(0.02 * (step - 1))[None])
        if step in times:
            fallen = ", fallen" if info["cost"][0] else ""
            shown.append((camera.image(0), f"{0.02 * step:.2f} s: {info['x'][0]:.2f} m{fallen}"))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("quadruped.png")
    rng = np.random.default_rng(0)
    rows = (
        ("trot", frames(Trot().action, (25, 60, 110, 250))),
        ("random", frames(lambda _: np.sign(rng.normal(size=12)), (2, 8, 16, 40))),
    )
    film_strip(rows, out)


if __name__ == "__main__":
    main()
