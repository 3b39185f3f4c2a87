# SPDX-License-Identifier: Apache-2.0
"""Frames of scripted drives among traps: the point straight to its goals, the car round the traps.

MUJOCO_GL=egl python benchmarks/traps_frames.py docs/figures/traps.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.traps.environment import TrapsVectorEnv
from safe_transfer_ros.tasks.traps.frames import Camera
from safe_transfer_ros.tasks.traps.scripted import ROUND_TRAPS, STRAIGHT, Driver
from safe_transfer_ros.tasks.traps.task import CarTraps, PointTraps, Traps

ROWS = (("point, straight", PointTraps(), STRAIGHT), ("car, round the traps", CarTraps(), ROUND_TRAPS))
TIMES_S = (0.4, 3.0, 6.0, 9.6)
SEED = 1


def frames(task: Traps, driver: Driver) -> list[tuple[np.ndarray, str]]:
    """An image at each time, and what the episode has come to."""
    env = TrapsVectorEnv(task, 1, threads=1, autoreset=False)
    env.reset(seed=SEED)
    camera, shown = Camera(env.simulation, env.surroundings, 320, 240), []
    times = [round(time / task.control_period_s) for time in TIMES_S]
    for step in range(1, times[-1] + 1):
        *_, info = env.step(driver.action(task, env.simulation.states(), env.surroundings))
        if step in times:
            told = f"{step * task.control_period_s:.1f} s: goals {info['goals'][0]}, health {info['health'][0]:.0f}"
            shown.append((camera.image(0), told))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("traps.png")
    film_strip([(label, frames(task, driver)) for label, task, driver in ROWS], out)


if __name__ == "__main__":
    main()
