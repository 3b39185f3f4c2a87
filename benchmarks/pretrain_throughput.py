# SPDX-License-Identifier: Apache-2.0
"""Environment steps per second of pre-training, learning included, against bare `mujoco.rollout`.

    python benchmarks/pretrain_throughput.py [--batches 12] [--threads 2]

The bare side gets the torques that the last batch applied, all 2,000 physics steps of all episodes in ONE call: no
policy, no kinematics, no envelope, no reward, no Python between two steps. The two take turns in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import mujoco
import mujoco.rollout
import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import NOMINAL, build_model
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.pretraining import PretrainSettings, Progress, pretrain


def bare_seconds(task: TorqueTask, model: mujoco.MjModel, batch: SimulatedRollouts, threads: int) -> float:
    episodes, steps, _ = batch.applied.shape
    state = np.zeros((episodes, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
    state[:, 1 : 1 + model.nq] = batch.position[:, 0]
    control = np.repeat(batch.applied, task.substeps, axis=1)
    data = [mujoco.MjData(model) for _ in range(threads)]
    with mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0) as pool:
        started = time.perf_counter()
        pool.rollout([model] * episodes, data, state, control, skip_checks=True, nstep=steps * task.substeps)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="pr2_cup_swirl")
    parser.add_argument("--policy", default="pr2_cup_swirl", help="where to go on: a trained policy moves as most do")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    task, settings = make(options.task, TorqueTask), PretrainSettings()
    parameters, _ = load_for(task, options.policy)
    model = build_model(task.robot, NOMINAL, task.timestep_s)
    limits = task.draw_torque_limit(np.random.default_rng(0), settings.episodes)
    with VectorTorqueEnv(task, threads=options.threads) as environment:
        batch = environment.rollout(GaussianPolicy(parameters), torque_limits=limits, seed=0)
    steps = settings.episodes * task.horizon
    rollouts, updates, bare = [], [], []
    batches = pretrain(task, settings, Progress(batches=0, parameters=parameters), threads=options.threads)
    for number, (_, record) in enumerate(batches):
        seconds = bare_seconds(task, model, batch, options.threads)
        if number:  # the first warms up
            rollouts.append(record.rollout_s)
            updates.append(record.update_s)
            bare.append(seconds)
        if number == options.batches:
            break
    whole = [rollout + update for rollout, update in zip(rollouts, updates, strict=True)]
    share = statistics.median(raw / both for raw, both in zip(bare, whole, strict=True))
    print(
        f"{settings.episodes} episodes x {task.horizon} steps a batch, {options.threads} threads, median of {len(bare)}"
    )
    print(f"bare mujoco.rollout   {steps / statistics.median(bare):>9,.0f} environment steps/s")
    print(f"rollouts              {steps / statistics.median(rollouts):>9,.0f} environment steps/s")
    print(f"with learning         {steps / statistics.median(whole):>9,.0f} environment steps/s")
    print(f"an update takes       {1e3 * statistics.median(updates):>9,.0f} ms")
    print(f"share of bare rollout {share:>9.0%}")


if __name__ == "__main__":
    main()
