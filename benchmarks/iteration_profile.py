# SPDX-License-Identifier: Apache-2.0
"""Where the time of an in-process iteration goes, beside bare mujoco.rollout with the same torques; one thread.

    python benchmarks/iteration_profile.py

Processor time, so that other work on the machine weighs little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv, _BatchPhysics
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune, improve_from_rollouts

REPEATS = 5


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - started))
    return float(np.median(times))


def main() -> None:
    task = make("pr2_cup_swirl", TorqueTask)
    parameters, _ = load_for(task, "pr2_cup_swirl")
    print("| robot | episodes | bare rollout, ms | rollouts, ms | times bare | update, ms | whole iteration, ms |")
    print("|---|---|---|---|---|---|---|")
    for robot in ("nominal", "light_sticky", "tenth"):
        for episodes in (5, 50):
            with VectorTorqueEnv(task, PERTURBATIONS[robot], threads=1) as environment:
                limits = np.full(episodes, 0.3)
                policy = GaussianPolicy(parameters)
                batch = environment.rollout(policy, torque_limits=limits, seed=0)

                def bare(environment=environment, batch=batch) -> None:
                    physics = _BatchPhysics(
                        environment._model, environment._data, environment._pool, task,
                        batch.position[:, 0], batch.velocity[:, 0],
                    )  # fmt: skip
                    for step in range(task.horizon):
                        physics.step(batch.applied[:, step])

                steps = fine_tune(
                    environment, parameters, settings=PsptSettings(), governor=GovernorSettings(), seed=0,
                    episodes=episodes,
                )  # fmt: skip
                physics_ms = median_ms(bare)
                rollout_ms = median_ms(lambda e=environment, p=policy, n=limits: e.rollout(p, torque_limits=n, seed=0))
                update_ms = median_ms(lambda b=batch: improve_from_rollouts(parameters, b, PsptSettings(), 0))
                whole_ms = median_ms(lambda s=steps: list(islice(s, 1)))
                print(
                    f"| {robot} | {episodes} | {physics_ms:.0f} | {rollout_ms:.0f} | {rollout_ms / physics_ms:.1f} | "
                    f"{update_ms:.0f} | {whole_ms:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
