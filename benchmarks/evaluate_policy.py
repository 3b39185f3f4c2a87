# SPDX-License-Identifier: Apache-2.0
"""How well a cup swirl policy swirls, and how unsafe it is: torque limits x robots, without learning.

    python benchmarks/evaluate_policy.py [--policy pr2_cup_swirl] [--episodes 50] [--csv FILE]

The policy acts as it explores: torques are sampled with its own standard deviation. Pace and distance leave out the
first 2.5 s, in which the arm gets to the circle; tilt and unsafety rate do not.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import perturbation
from safe_transfer_ros.safety.limit.unsafety import unsafety_rate
from safe_transfer_ros.tasks.cup_swirl.task import CupSwirl
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

ARRIVED = 50  # steps


@dataclass(frozen=True, kw_only=True)
class Row:
    robot: str
    torque_limit: float
    pace: float
    distance_mm: float
    tilt_deg: float
    unsafety_rate: float
    mean_return: float
    mean_task_return: float
    outside_limit: float


def evaluate(task: CupSwirl, policy: GaussianPolicy, robot: str, limit: float, episodes: int, seed: int) -> Row:
    with VectorTorqueEnv(task, perturbation(robot)) as environment:
        batch = environment.rollout(policy, torque_limits=np.full(episodes, limit), seed=seed)
    pace, distance = follow(task, batch)
    return Row(
        robot=robot,
        torque_limit=limit,
        pace=float(pace.mean()),
        distance_mm=1e3 * float(distance.mean()),
        tilt_deg=float(batch.unsafety[:, 1:].mean()),
        unsafety_rate=unsafety_rate(batch.unsafety[:, 1:], task.unsafety_limit),
        mean_return=float(batch.reward.sum(axis=1).mean()),
        mean_task_return=float(batch.task_reward.sum(axis=1).mean()),
        outside_limit=float(np.mean(np.abs(batch.proposed) > limit)),
    )


def follow(task: CupSwirl, batch: SimulatedRollouts) -> tuple[np.ndarray, np.ndarray]:
    """Tangential speed over the speed asked for, and distance to the circle, m, per state after arrival."""
    position, velocity = batch.position[:, ARRIVED + 1 :], batch.velocity[:, ARRIVED + 1 :]
    tool, _, motion = task.chain.tool_motion(position, velocity)
    x, y, z = (tool[..., axis] - task.centre[axis] for axis in range(3))
    from_axis = np.hypot(x, y)
    along = (x * motion[..., 1] - y * motion[..., 0]) / np.maximum(from_axis, 1e-12)
    return along / task.speed, np.hypot(from_axis - task.radius, z)


def rounded(row: Row) -> dict[str, object]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(row).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="pr2_cup_swirl", help="a shipped policy's name, or a .safetensors file")
    parser.add_argument("--robots", nargs="+", default=["nominal", "tenth", "light_sticky"])
    parser.add_argument("--limits", nargs="+", type=float, default=[0.1, 0.3, 1.0, 3.0], help="N·m")
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1_000_000, help="far from any training run's")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    try:
        task = CupSwirl()
        policy = GaussianPolicy(load_for(task, options.policy)[0])
        print("| robot | T_lim (N·m) | v / v* | distance (mm) | tilt (deg) | p_u | return | over T_lim |")
        print("|---|---|---|---|---|---|---|---|")
        rows = []
        for robot in options.robots:
            for limit in options.limits:
                row = evaluate(task, policy, robot, limit, options.episodes, options.seed)
                rows.append(row)
                print(
                    f"| {row.robot} | {row.torque_limit:g} | {row.pace:.2f} | {row.distance_mm:.0f} "
                    f"| {row.tilt_deg:.1f} | {row.unsafety_rate:.3f} | {row.mean_return:.0f} "
                    f"| {row.outside_limit:.0%} |",
                    flush=True,
                )
        if options.csv:
            with options.csv.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])), lineterminator="\n")
                writer.writeheader()
                writer.writerows(
                    {
                        name: round(value, 4) if isinstance(value, float) else value
                        for name, value in asdict(row).items()
                    }
                    for row in rows
                )
    except (ValueError, OSError) as error:
        print(f"evaluate_policy: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
