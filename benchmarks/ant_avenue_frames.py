# SPDX-License-Identifier: Apache-2.0
"""Frames of two scripted trots along the avenue: one within the speed limit, one too fast.

MUJOCO_GL=egl python benchmarks/ant_avenue_frames.py docs/figures/ant_avenue.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.ant_avenue.environment import AntVectorEnv
from safe_transfer_ros.tasks.ant_avenue.frames import Camera
from safe_transfer_ros.tasks.ant_avenue.scripted import TOO_FAST, WITHIN_LIMIT, Trot
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue

ROWS = (("within the limit", WITHIN_LIMIT), ("too fast", TOO_FAST))
TIMES = (30, 120, 300, 480)  # control periods
SEED = 0


def frames(task: AntAvenue, trot: Trot) -> list[tuple[np.ndarray, str]]:
    """An image at each time, and what the episode has come to."""
    env = AntVectorEnv(task, 1, threads=1, autoreset=False)
    env.reset(seed=SEED)
    camera, shown, cost = Camera(env.simulation, 320, 240), [], 0.0
    for step in range(1, TIMES[-1] + 1):
        time_s = step * task.control_period_s
        action = trot.action(env.simulation.states(), time_s - task.control_period_s)
        *_, info = env.step(action)
        cost += info["cost"][0]
        if step in TIMES:
            shown.append((camera.image(0), f"{time_s:.1f} s: {info['x'][0] / time_s:.1f} m/s, cost {cost:.0f}"))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("ant_avenue.png")
    film_strip([(label, frames(AntAvenue(), trot)) for label, trot in ROWS], out)


if __name__ == "__main__":
    main()
