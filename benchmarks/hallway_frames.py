# SPDX-License-Identifier: Apache-2.0
"""Frames of drives along a hallway, each with the depth image beside it: the point by its camera alone, Doggo trotting.

MUJOCO_GL=egl python benchmarks/hallway_frames.py docs/figures/hallway.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.film_strip import film_strip
from safe_transfer_ros.tasks.hallway.environment import HallwayVectorEnv
from safe_transfer_ros.tasks.hallway.frames import Camera
from safe_transfer_ros.tasks.hallway.scripted import LOOKING, Trot
from safe_transfer_ros.tasks.hallway.task import (
    Hallway,
    HallwayDoggoPoles,
    HallwayPointHumanoids,
    HallwayPointPoles,
    HallwayPointWalls,
    parts,
)

Act = Callable[[HallwayVectorEnv, np.ndarray, float], np.ndarray]


def look(env: HallwayVectorEnv, observation: np.ndarray, time_s: float) -> np.ndarray:
    """Action of the point that looks where it goes."""
    return LOOKING.action(env.task, observation)


def trot(env: HallwayVectorEnv, observation: np.ndarray, time_s: float) -> np.ndarray:
    """Action of Doggo's trot."""
    return Trot().action(env.simulation.motions(), time_s)


ROWS: tuple[tuple[str, Hallway, Act], ...] = (
    ("walls", HallwayPointWalls(), look),
    ("poles", HallwayPointPoles(), look),
    ("humanoids", HallwayPointHumanoids(), look),
    ("doggo", HallwayDoggoPoles(), trot),
)
TIMES_S = (1.0, 4.0, 7.0, 10.0)
SEED = 1


def shown(task: Hallway, act: Act, every_s: float, until_s: float, side: int) -> Iterator[tuple[np.ndarray, str]]:
    """A frame beside its depth image, dark is near, and what the episode has come to, at regular times."""
    env = HallwayVectorEnv(task, 1, threads=1, autoreset=False)
    observation, _ = env.reset(seed=SEED)
    camera, cost = Camera(env.simulation, side, side), 0.0
    every = round(every_s / task.control_period_s)
    for step in range(1, round(until_s / task.control_period_s) + 1):
        time_s = (step - 1) * task.control_period_s
        observation, *_, info = env.step(act(env, observation, time_s))
        cost += info["cost"][0]
        if step % every == 0:
            depth = np.kron(parts(observation).image[0], np.ones((side // 50, side // 50)))
            grey = np.zeros((side, side), dtype=np.uint8)
            grey[: len(depth), : len(depth)] = np.rint(255 * depth)
            both = np.concatenate([camera.image(0), np.repeat(grey[..., None], 3, axis=-1)], axis=1)
            yield both, f"{time_s + task.control_period_s:.1f} s: {info['x'][0]:.1f} m, cost {cost:.0f}"
    camera.close()
    env.close()


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("hallway.png")
    rows = []
    for label, task, act in ROWS:
        every = [frame for frame in shown(task, act, 1.0, TIMES_S[-1], 250)]
        rows.append((label, [every[round(time) - 1] for time in TIMES_S]))
    film_strip(rows, out, size=(9.6, 5.6))


if __name__ == "__main__":
    main()
