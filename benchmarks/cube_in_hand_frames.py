# SPDX-License-Identifier: Apache-2.0
"""Frames of a cube in a hand: held, tipped onto the fingers, and dropped.

MUJOCO_GL=egl python benchmarks/cube_in_hand_frames.py docs/figures/cube_in_hand.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.cube_in_hand.environment import CubeInHandVectorEnv
from safe_transfer_ros.tasks.cube_in_hand.frames import Camera
from safe_transfer_ros.tasks.cube_in_hand.scripted import HOLD, SPREAD, TIP
from safe_transfer_ros.tasks.cube_in_hand.task import CubeInHandQuarter

ROWS = (("hold", HOLD, (2, 30, 60, 100)), ("tip", TIP, (1, 3, 10, 30)), ("spread", SPREAD, (1, 3, 4, 5)))
SEED = 11  # its first goal is a quarter down


def frames(action: np.ndarray, times: tuple[int, ...]) -> list[tuple[np.ndarray, str]]:
    """An image at each time, in control periods, and what the episode has come to."""
    env = CubeInHandVectorEnv(CubeInHandQuarter(), 1, threads=1, autoreset=False)
    env.reset(seed=SEED)
    camera, shown = Camera(env.simulation, lambda: env.goal, 320, 240), []
    for step in range(1, times[-1] + 1):
        *_, info = env.step(action[None])
        if step in times:
            dropped = ", dropped" if info["cost"][0] else ""
            error = np.degrees(info["error"][0])
            shown.append((camera.image(0), f"{0.1 * step:.1f} s: {error:.0f}° off{dropped}"))
    camera.close()
    env.close()
    return shown


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("cube_in_hand.png")
    film_strip([(label, frames(action, times)) for label, action, times in ROWS], out, size=(9.6, 6.2))


if __name__ == "__main__":
    main()
