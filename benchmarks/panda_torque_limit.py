# SPDX-License-Identifier: Apache-2.0
"""Does a torque limit keep a pushed block from toppling? Scripted and random pushes under limits of the arm's torque.

    python benchmarks/panda_torque_limit.py [--episodes 40] [--perturbation nominal]

Of each kind of push: the share of episodes that succeed, and the share that fail. Episodes of the same numbers under
every limit. Random pushes drift towards the block and hold each velocity for a quarter of a second.
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.robots.simulation import PERTURBATIONS, perturbation
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.scripted import ScriptedPush
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import make

LIMITS = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, None)
# Height of the ball (m) and speed (m/s) of a scripted push.
SCRIPTS = {"low": (0.04, 0.12), "high": (0.08, 0.12)}


def shares(task: PushTask, kind: str, limit: float | None, robot: str, episodes: int, seed: int) -> tuple[float, float]:
    """Share of episodes that succeeded and that failed."""
    env = PushVectorEnv(task, episodes, perturbation(robot), torque_limit=limit, autoreset=False)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    script = ScriptedPush(task, episodes, height=SCRIPTS[kind][0], speed=SCRIPTS[kind][1]) if kind in SCRIPTS else None
    ended, success, failure = (np.zeros(episodes, dtype=bool) for _ in range(3))
    for step in range(task.horizon // 2):
        if script is not None:
            action = script.action(env.simulation.scenes())
        elif step % 6 == 0:
            action = rng.normal(size=(episodes, task.action_size)) + (0.4, 0.0, 0.0)
        _, _, terminated, _, info = env.step(action)
        success |= ~ended & info["success"]
        failure |= ~ended & info["failure"]
        ended |= terminated
        if ended.all():
            break
    env.close()
    return float(success.mean()), float(failure.mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="panda_push_topple")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--perturbation", default="nominal", choices=sorted(PERTURBATIONS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    task = make(options.task, PushTask)
    kinds = (*SCRIPTS, "random")
    print(f"{options.task}, {options.perturbation} robot, {options.episodes} episodes of seed {options.seed} each")
    print("| limit, N·m | " + " | ".join(f"{kind}: success, failure" for kind in kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    for limit in LIMITS:
        cells = [shares(task, kind, limit, options.perturbation, options.episodes, options.seed) for kind in kinds]
        written = " | ".join(f"{success:.0%}, {failure:.0%}" for success, failure in cells)
        print(f"| {'none' if limit is None else f'{limit:g}'} | {written} |", flush=True)


if __name__ == "__main__":
    main()
