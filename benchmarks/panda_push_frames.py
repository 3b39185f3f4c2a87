# SPDX-License-Identifier: Apache-2.0
"""Frames of scripted pushes: one that succeeds, one that topples the block, one past the obstacle.

MUJOCO_GL=egl python benchmarks/panda_push_frames.py docs/figures/panda_push.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.frames import Camera
from safe_transfer_ros.tasks.push.scripted import ScriptedPush, past_obstacle
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import make

# Label, task, script, and when to look (periods of 40 ms).
ROWS = (
    ("pushed low", "panda_push_topple", {"height": 0.04, "speed": 0.12}, (0, 24, 40, 56)),
    ("pushed high", "panda_push_topple", {"height": 0.08, "speed": 0.15}, (0, 12, 15, 18)),
    ("past the obstacle", "panda_push_obstacle", {"height": 0.02, "speed": 0.25}, (0, 16, 30, 44)),
)
SEED = 0


def frames(task: PushTask, script: dict[str, float], times: tuple[int, ...]) -> list[tuple[np.ndarray, str]]:
    """An image at each time, and how the episode stands there."""
    env = PushVectorEnv(task, 1, threads=1, autoreset=False)
    _, info = env.reset(seed=SEED)
    push, camera = ScriptedPush(task, 1, **script), Camera(env.simulation, 460, 400)
    shown = []
    for step in range(times[-1] + 1):
        if step in times:
            state = next(
                (name for name in ("failure", "success") if info[name][0]), f"{100 * info['distance'][0]:.0f} cm"
            )
            shown.append((camera.image(0), f"{step * task.control_period_s:.1f} s: {state}"))
        scenes = env.simulation.scenes()
        *_, info = env.step(past_obstacle(task, scenes) if task.obstacle_size is not None else push.action(scenes))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("panda_push.png")
    rows = [(label, frames(make(name, PushTask), script, times)) for label, name, script, times in ROWS]
    film_strip(rows, out, size=(11, 7.6), title_size=10.0, dpi=100)


if __name__ == "__main__":
    main()
