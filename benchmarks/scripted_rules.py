# SPDX-License-Identifier: Apache-2.0
"""Rules in their tasks: drivers among traps, pushes past an obstacle that gives way, the quadruped's trot.

python benchmarks/scripted_rules.py
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.scripted import from_above
from safe_transfer_ros.tasks.push.tasks import PushObstacleMovable
from safe_transfer_ros.tasks.quadruped.environment import QuadrupedVectorEnv
from safe_transfer_ros.tasks.quadruped.scripted import Trot
from safe_transfer_ros.tasks.quadruped.task import QuadrupedSpeed
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


def push(*, around: bool, episodes: int, seed: int) -> tuple[float, float]:
    """Share of episodes at whose end the cube is at its goal, and the cost of an episode."""
    task = PushObstacleMovable()
    env = PushVectorEnv(task, episodes, threads=1, autoreset=False)
    env.reset(seed=seed)
    cost = np.zeros(episodes)
    for _ in range(task.horizon):
        *_, info = env.step(from_above(task, env.simulation.scenes(), around=around))
        cost += info["cost"]
    arrived = task.at_goal(env.simulation.scenes())
    env.close()
    return float(arrived.mean()), float(cost.mean())


def trot() -> tuple[float, float]:
    """Mean speed over an episode, m/s, and how long it is, s."""
    task = QuadrupedSpeed()
    env = QuadrupedVectorEnv(task, 1, threads=1, autoreset=False)
    env.reset(seed=0)
    terminated = np.zeros(1, dtype=np.bool_)
    steps = 0
    while steps < task.horizon and not terminated[0]:
        _, _, terminated, _, info = env.step(Trot().action(task.control_period_s * steps)[None])
        steps += 1
    env.close()
    seconds = steps * task.control_period_s
    return float(info["x"][0]) / seconds, seconds


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=40, help="episodes of each driver (40)")
    parser.add_argument("--pushes", type=int, default=100, help="episodes of each push (100)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [["driver", "point: goals per episode, deaths", "car: goals per episode, deaths"]]
    for name, driver in DRIVERS.items():
        told = (drive(task, driver, options.drives, options.seed) for task in (PointTraps(), CarTraps()))
        rows.append([name, *(f"{goals:.1f}, {100 * dead:.0f} %" for goals, dead in told)])
    print(markdown(rows), end="\n\n")
    rows = [["push", "arrived", "cost per episode"]]
    for name, around in (("around the obstacle", True), ("straight", False)):
        arrived, cost = push(around=around, episodes=options.pushes, seed=options.seed)
        rows.append([name, f"{100 * arrived:.0f} %", f"{cost:.1f}"])
    print(markdown(rows), end="\n\n")
    speed, seconds = trot()
    print(f"trot: {speed:.2f} m/s over {seconds:.0f} s")


if __name__ == "__main__":
    main()
