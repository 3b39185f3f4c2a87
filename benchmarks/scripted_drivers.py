# SPDX-License-Identifier: Apache-2.0
"""Goals and deaths of the drivers by rule among traps: 40 episodes of seed 0 each.

python benchmarks/scripted_drivers.py
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.tasks.traps.environment import TrapsVectorEnv
from safe_transfer_ros.tasks.traps.scripted import INTO_TRAP, ROUND_TRAPS, STRAIGHT, Driver
from safe_transfer_ros.tasks.traps.task import CarTraps, PointTraps, Traps

DRIVERS = {"round the traps": ROUND_TRAPS, "straight to the goals": STRAIGHT, "into a trap": INTO_TRAP}


def drive(task: Traps, driver: Driver, episodes: int, seed: int) -> tuple[float, float]:
    """Goals per episode, and the share of episodes that end in death."""
    env = TrapsVectorEnv(task, episodes, threads=1, autoreset=False)
    env.reset(seed=seed)
    dead, goals = np.zeros((2, episodes))
    for _ in range(task.horizon):
        *_, info = env.step(driver.action(task, env.simulation.states(), env.surroundings))
        dead, goals = np.maximum(dead, info["cost"]), info["goals"]
    env.close()
    return float(goals.mean()), float(dead.mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [["driver", "point: goals per episode, deaths", "car: goals per episode, deaths"]]
    for name, driver in DRIVERS.items():
        row = [name]
        for task in (PointTraps(), CarTraps()):
            goals, dead = drive(task, driver, options.episodes, options.seed)
            row.append(f"{goals:.1f}, {100 * dead:.0f} %")
        rows.append(row)
    print(markdown(rows))


if __name__ == "__main__":
    main()
