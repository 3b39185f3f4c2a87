# SPDX-License-Identifier: Apache-2.0
"""Steps per second of a pushing environment against bare `mujoco.rollout` on the same model, controls and substeps.

    python benchmarks/push_environment.py [--task panda_push_topple] [--envs 50] [--threads 2] [--cpu] [--profile]

Both sides step the same scenes through the same recorded controls, alternating; the median ratio is the share of the
physics' speed that is left after kinematics, leash, observations, rewards and resets. On a machine that others use, say
`--threads 1 --cpu`: processor time does not count waiting for them.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import time
from collections.abc import Callable

import mujoco
import mujoco.rollout
import numpy as np

from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import available, make

Clock = Callable[[], float]


def actions(task: PushTask, envs: int, steps: int) -> np.ndarray:
    """Random velocities, each held for five steps, forward on the whole; shape (steps, envs, n)."""
    drawn = np.random.default_rng(0).normal(size=(steps // 5 + 1, envs, task.action_size)) * 0.7
    drawn[..., 0] += 0.3
    return np.repeat(drawn, 5, axis=0)[:steps]


def recorded(env: PushVectorEnv, proposed: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """States before and controls of every step of a run."""
    env.reset(seed=0)
    states, controls = [], []
    for action in proposed:
        states.append(env.simulation.state.copy())
        env.step(action)
        controls.append(env.simulation.control.copy())
    return states, controls


def bare(env: PushVectorEnv, states: list[np.ndarray], controls: list[np.ndarray], threads: int, clock: Clock) -> float:
    """Seconds `mujoco.rollout` needs for the same steps."""
    model, count = env.simulation.model, env.num_envs
    out = np.empty((count, env.task.substeps, states[0].shape[1]))
    sensors = np.empty((count, env.task.substeps, model.nsensordata))
    models, data = [model] * count, [mujoco.MjData(model) for _ in range(threads)]
    with mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0) as pool:
        start = clock()
        for state, control in zip(states, controls, strict=True):
            pool.rollout(
                models,
                data,
                state,
                control,
                control_spec=env.simulation.inputs,
                skip_checks=True,
                nstep=env.task.substeps,
                state=out,
                sensordata=sensors,
            )
        return clock() - start


def whole(env: PushVectorEnv, proposed: np.ndarray, clock: Clock) -> float:
    """Seconds the environment needs."""
    env.reset(seed=0)
    start = clock()
    for action in proposed:
        env.step(action)
    return clock() - start


def main() -> None:
    """Print steps per second and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="panda_push_topple", choices=available(PushTask))
    parser.add_argument("--envs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu", action="store_true", help="measure processor time; with one thread")
    parser.add_argument("--profile", action="store_true", help="say also where the environment's time goes")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu else time.perf_counter
    task = make(arguments.task, PushTask)
    env = PushVectorEnv(task, arguments.envs, threads=arguments.threads)
    proposed = actions(task, arguments.envs, arguments.steps)
    states, controls = recorded(env, proposed)
    seconds = [
        (bare(env, states, controls, arguments.threads, clock), whole(env, proposed, clock))
        for _ in range(arguments.repeats)
    ]
    count = arguments.envs * arguments.steps
    raw, full = (count / statistics.median(column) for column in zip(*seconds, strict=True))
    shares = [raw_s / full_s for raw_s, full_s in seconds]
    print(f"{task.name}, {arguments.envs} side by side, {arguments.threads} threads, {task.substeps} substeps")
    print(f"bare mujoco.rollout    {raw:>10,.0f} environment steps/s")
    print(f"environment            {full:>10,.0f} environment steps/s")
    print(f"share of bare rollout  {statistics.median(shares):>10.0%}  ({min(shares):.0%} to {max(shares):.0%})")
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(whole, env, proposed, clock)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(18)
    env.close()


if __name__ == "__main__":
    main()
