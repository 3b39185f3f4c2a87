# SPDX-License-Identifier: Apache-2.0
"""Frames of scripted drives among traps: the point straight to its goals, the car round the traps.

MUJOCO_GL=egl python benchmarks/traps_frames.py docs/figures/traps.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from safe_transfer_ros.reporting.plots import STYLE
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
    camera, shown = Camera(env.simulation, 320, 240), []
    times = [round(time / task.control_period_s) for time in TIMES_S]
    for step in range(1, times[-1] + 1):
        *_, info = env.step(driver.action(task, env.simulation.states(), env.surroundings))
        if step in times:
            told = f"{step * task.control_period_s:.1f} s: goals {info['goals'][0]}, health {info['health'][0]:.0f}"
            shown.append((camera.image(0, env.surroundings), told))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("traps.png")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(ROWS), len(TIMES_S), figsize=(9.6, 4.2), layout="constrained")
        for panels, (label, task, driver) in zip(axes, ROWS, strict=True):
            for panel, (image, title) in zip(panels, frames(task, driver), strict=True):
                panel.imshow(image)
                panel.set_title(title, fontsize=9)
                panel.set_xticks([])
                panel.set_yticks([])
                panel.grid(False)
            panels[0].set_ylabel(label)
        figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main()
