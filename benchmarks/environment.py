# SPDX-License-Identifier: Apache-2.0
"""Environment steps per second: many episodes at once against bare `mujoco.rollout`, and one at a time.

    python benchmarks/environment.py [--episodes 50] [--threads 2] [--perturbation light_sticky]

Both sides hold the same torques on the same model for the same control periods, alternating in the same run;
the median ratio is the share of the physics' speed that is left after policy, kinematics, envelope and
rewards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import mujoco
import mujoco.rollout
import numpy as np

from safe_transfer_ros.robots.simulation import build_model, perturbation
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv


class TanhPolicy:
    """The shipped policy's shape, 3 x 64 tanh, with random weights."""

    def __init__(self, observation_size: int, action_size: int) -> None:
        """Draw the weights."""
        rng = np.random.default_rng(0)
        sizes = (observation_size, 64, 64, 64, action_size)
        self._layers = [rng.normal(size=pair) / np.sqrt(pair[0]) for pair in zip(sizes, sizes[1:], strict=False)]
        self._stddev = np.full(action_size, np.exp(-1.0))

    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation."""
        hidden = observation
        for layer in self._layers[:-1]:
            hidden = np.tanh(hidden @ layer)
        return 0.3 * (hidden @ self._layers[-1]), self._stddev


def bare_rollout(model: mujoco.MjModel, batch: SimulatedRollouts, threads: int, substeps: int) -> float:
    """Seconds `mujoco.rollout` needs for the torques of a batch, one call per control period."""
    episodes, steps, _ = batch.applied.shape
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    state, states = np.zeros((episodes, size)), np.empty((episodes, substeps, size))
    sensors = np.empty((episodes, substeps, model.nsensordata))
    state[:, 1 : 1 + model.nq] = batch.position[:, 0]
    models, data = [model] * episodes, [mujoco.MjData(model) for _ in range(threads)]
    with mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0) as pool:
        start = time.perf_counter()
        for step in range(steps):
            control = np.repeat(batch.applied[:, step, None], substeps, axis=1)
            pool.rollout(
                models,
                data,
                state,
                control,
                skip_checks=True,
                nstep=substeps,
                state=states,
                sensordata=sensors,
            )
            state[:] = states[:, -1]
        return time.perf_counter() - start


def main() -> None:
    """Print steps per second and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="pr2_cup_swirl")
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--perturbation", default="nominal")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    task, perturbed = make(arguments.task, TorqueTask), perturbation(arguments.perturbation)
    policy = TanhPolicy(task.observation_size, task.action_size)
    model = build_model(task.robot, perturbed, task.timestep_s)
    limits = task.draw_torque_limit(np.random.default_rng(0), arguments.episodes)
    steps = arguments.episodes * task.horizon
    batched, bare = [], []
    with VectorTorqueEnv(task, perturbed, threads=arguments.threads) as vector:
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            batch = vector.rollout(policy, torque_limits=limits, seed=0)
            batched.append(time.perf_counter() - start)
            bare.append(bare_rollout(model, batch, arguments.threads, task.substeps))
    single = TorqueEnv(task, perturbed, torque_limit=float(limits[0]))
    single.reset(seed=0)
    start = time.perf_counter()
    for torque in batch.proposed[0]:
        single.step(torque)
    alone = time.perf_counter() - start
    share = statistics.median(raw / whole for raw, whole in zip(bare, batched, strict=True))
    print(f"{arguments.episodes} episodes, {arguments.threads} threads, {arguments.perturbation} robot")
    print(f"bare mujoco.rollout    {steps / statistics.median(bare):>10,.0f} environment steps/s")
    print(f"batch of environments  {steps / statistics.median(batched):>10,.0f} environment steps/s")
    print(f"share of bare rollout  {share:>10.0%}")
    print(f"single environment     {task.horizon / alone:>10,.0f} environment steps/s")


if __name__ == "__main__":
    main()
