# SPDX-License-Identifier: Apache-2.0
"""Steps per second of a task's environments against bare MuJoCo on the same model, controls and substeps.

    python benchmarks/task_environment.py [--task ant_avenue] [--envs 50] [--threads 1 2] [--cpu] [--profile]

The single environment is held against `mj_step` alone, many side by side against `mujoco.rollout`; each pair steps the
same bodies through the same recorded controls, alternating. The median ratio is the share of the physics' speed that is
left after observations, rewards, costs and resets. On a machine that others use, say `--threads 1 --cpu`: processor
time does not count waiting for them.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

import mujoco
import numpy as np
from push_environment import Clock, bare, recorded, whole

from safe_transfer_ros.tasks.task import Task, make

Seconds = list[tuple[float, float]]


HALLWAYS = tuple(
    f"hallway_{body}_{course}" for body in ("point", "doggo") for course in ("walls", "poles", "humanoids")
)
TASKS = (
    "ant_avenue",
    "car_traps",
    "cube_in_hand",
    *HALLWAYS,
    "point_traps",
    "quadruped_friction",
    "quadruped_speed",
    "quadruped_walk",
)


def actions(task: Task, envs: int, steps: int) -> np.ndarray:
    """Random actions, as a policy that explores; shape (steps, envs, n)."""
    return 0.4 * np.random.default_rng(0).normal(size=(steps, envs, task.action_size))


def single(task: Task, proposed: np.ndarray, clock: Clock, repeats: int) -> Seconds:
    """Seconds of `mj_step` alone and of the single environment, for one body, repeated."""
    env, rows = task.single_environment(), task.vector_environment(1, threads=1)
    states, controls = recorded(rows, proposed)
    data = mujoco.MjData(rows.simulation.model)
    found = []
    for _ in range(repeats):
        start = clock()
        for state, control in zip(states, controls, strict=True):
            mujoco.mj_setState(data.model, data, state[0], mujoco.mjtState.mjSTATE_FULLPHYSICS)
            mujoco.mj_setState(data.model, data, control[0, 0], rows.simulation.inputs)
            data.qacc_warmstart[:] = 0.0
            mujoco.mj_step(data.model, data, task.substeps)
        raw = clock() - start
        env.reset(seed=0)
        start = clock()
        for action in proposed[:, 0]:
            *_, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        found.append((raw, clock() - start))
    env.close(), rows.close()
    return found


def side_by_side(task: Task, proposed: np.ndarray, threads: int, clock: Clock, repeats: int) -> Seconds:
    """Seconds of `mujoco.rollout` and of the vector environment, repeated."""
    env = task.vector_environment(proposed.shape[1], threads=threads)
    states, controls = recorded(env, proposed)
    found = [(bare(env, states, controls, threads, clock), whole(env, proposed, clock)) for _ in range(repeats)]
    env.close()
    return found


def camera_share(task: Task, proposed: np.ndarray, clock: Clock) -> str:
    """What of a step's time the camera takes, for a task that has one; one thread."""
    env = task.vector_environment(proposed.shape[1], threads=1)
    spent = whole(env, proposed, clock)
    rows = list(range(env.num_envs))
    start = clock()
    for _ in range(10):
        env.camera.depths(rows)
    per_image = (clock() - start) / (10 * len(rows))
    env.close()
    per_step = spent / (proposed.shape[0] * proposed.shape[1])
    return f"camera: {1e3 * per_image:.2f} ms of {1e3 * per_step:.2f} ms per step, {per_image / per_step:.0%}"


def told(name: str, count: int, seconds: Seconds) -> str:
    """One line of the table."""
    raw, full = (count / statistics.median(column) for column in zip(*seconds, strict=True))
    shares = [raw_s / full_s for raw_s, full_s in seconds]
    spread = f"({min(shares):.0%} to {max(shares):.0%})"
    return f"| {name} | {raw:,.0f} | {full:,.0f} | {statistics.median(shares):.0%} {spread} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="ant_avenue", choices=TASKS)
    parser.add_argument("--envs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu", action="store_true", help="measure processor time; with one thread")
    parser.add_argument("--profile", action="store_true", help="say also where the vector environment's time goes")
    arguments = parser.parse_args()
    clock: Clock = time.process_time if arguments.cpu else time.perf_counter
    task, envs, steps, repeats = make(arguments.task), arguments.envs, arguments.steps, arguments.repeats
    print("| environment | bare MuJoCo, steps/s | environment, steps/s | share |\n|---|---|---|---|")
    alone = actions(task, 1, 5 * steps)
    print(told("single", 5 * steps, single(task, alone, clock, repeats)))
    proposed = actions(task, envs, steps)
    for threads in arguments.threads:
        seconds = side_by_side(task, proposed, threads, clock, repeats)
        print(told(f"{envs} side by side, threads={threads}", envs * steps, seconds))
    if arguments.task in HALLWAYS:
        print(f"\n{camera_share(task, proposed, clock)}")
    if arguments.profile:
        env, profile = task.vector_environment(envs, threads=1), cProfile.Profile()
        profile.runcall(whole, env, proposed, clock)
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)
        env.close()


if __name__ == "__main__":
    main()
