# SPDX-License-Identifier: Apache-2.0
"""How a batch of episodes speeds up with workers, and that it stays the same numbers when one is lost.

    python benchmarks/workers.py [--episodes 200] [--rounds 3] [--ray-nodes 2]

Local processes, as many as cores; with --ray-nodes (`pip install 'safe_transfer_ros[ray]'`) also a Ray cluster of that
many nodes of one CPU each on this machine's loopback. Times are ratios to one process without workers in the same run,
rounds in turns. Every batch is compared bit for bit; in one more of each kind a worker, or a node, is killed half way.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from safe_transfer_ros import resources
from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.learning.rollout_workers import WorkerRollouts
from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers, Workers
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

TASK, ROBOT = "pr2_cup_swirl", PERTURBATIONS["light_sticky"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200, help="in a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray-nodes", type=int, default=0, help="nodes of a Ray cluster; 0: none")
    options = parser.parse_args()
    parameters, _ = load_for(make(TASK, TorqueTask), str(resources.path("weights/pr2_cup_swirl.safetensors")))
    policy = GaussianPolicy(parameters)
    limits = np.full(options.episodes, 0.5)

    def roll_out(rollouts: WorkerRollouts | VectorTorqueEnv) -> SimulatedRollouts:
        return rollouts.rollout(policy, torque_limits=limits, seed=0)

    alone = VectorTorqueEnv(make(TASK, TorqueTask), ROBOT, threads=1)
    expected = roll_out(alone)
    kinds: dict[str, Workers] = {f"{n} local": LocalWorkers(n) for n in range(1, len(os.sched_getaffinity(0)) + 1)}
    kill: dict[str, Callable[[], None]] = {}
    for name, workers in kinds.items():
        kill[name] = lambda workers=workers: os.kill(workers.process_ids[0], signal.SIGKILL)
    if options.ray_nodes:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # all of it on the loopback, as Ray does it there
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(options.ray_nodes)]
        cluster.wait_for_nodes()
        kinds["ray"] = RayWorkers(cluster.address)
        kill["ray"] = lambda: cluster.remove_node(nodes[0], allow_graceful=False)

    times: dict[str, list[float]] = defaultdict(list)
    for workers in kinds.values():
        compare(roll_out(WorkerRollouts(TASK, ROBOT, workers=workers)), expected)  # starts them, builds their robots
    for _ in range(options.rounds):
        times["alone"].append(timed(lambda: compare(roll_out(alone), expected)))
        for name, workers in kinds.items():
            batches = WorkerRollouts(TASK, ROBOT, workers=workers)
            times[name].append(timed(lambda batches=batches: compare(roll_out(batches), expected)))
    base = np.median(times["alone"])
    print(f"{options.episodes} episodes of {TASK}, medians of {options.rounds} rounds; one process alone: {base:.2f} s")
    for name, seconds in times.items():
        print(f"  {name:8}  {base / np.median(seconds):.2f} x as fast  ({min(seconds):.2f} to {max(seconds):.2f} s)")
    for name, workers in kinds.items():
        killer = threading.Timer(0.3 * float(np.median(times[name])), kill[name])
        killer.start()
        seconds = timed(
            lambda workers=workers: compare(roll_out(WorkerRollouts(TASK, ROBOT, workers=workers)), expected)
        )
        killer.join()
        print(f"  {name:8}  one killed half way: the same numbers, {seconds:.2f} s")
    for workers in kinds.values():
        workers.__exit__(None, None, None)


def compare(batch: SimulatedRollouts, expected: SimulatedRollouts) -> None:
    """Bit for bit."""
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(batch, name), array, err_msg=name)


def timed(work: Callable[[], None]) -> float:
    """Seconds it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
