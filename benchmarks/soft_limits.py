# SPDX-License-Identifier: Apache-2.0
"""What the robot's soft limits do to the shipped cup swirl policy, by the rate at which the envelope runs.

    python benchmarks/soft_limits.py [--episodes 10]

The policy proposes at 20 Hz. The envelope bounds its torque once per proposal, as in lockstep, or once per joint state
at 200 Hz, as in real time. Same seeds in every column; means over episodes, largest speed of any joint at any decision,
share of decisions in which a soft limit changed a torque.
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model, perturbation
from safe_transfer_ros.safety.filter.envelope import Envelope
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.cup_swirl.task import CupSwirl

SOFT = Reason.CLAMPED_SOFT_POSITION | Reason.CLAMPED_SOFT_VELOCITY


def episodes(
    task: CupSwirl, policy: GaussianPolicy, robot: str, limit: float, count: int, *, soft: bool, per_period: int
) -> tuple[float, float, float, float]:
    """Return, unsafety rate, largest speed, share of decisions touched by a soft limit."""
    arm = ArmSimulation(build_model(task.robot, perturbation(robot), task.timestep_s), task.robot.joint_names)
    substeps = task.substeps // per_period
    rewards, unsafe, speeds, touched = [], [], [], []
    for number in range(count):
        envelope = Envelope(task.robot.limits.effort, None, task.soft_limits if soft else None)
        noise = generator(Purpose.ACTION_NOISE, 0, number)
        arm.reset(*task.initial_state(generator(Purpose.INITIAL_STATE, 0, number)))
        applied = np.empty(task.action_size)
        for _ in range(task.horizon):
            observation = task.observe(arm.position, arm.velocity, limit)
            torque = policy.sample(observation, noise.standard_normal(task.action_size))
            reasons = Reason.NONE
            for _ in range(per_period):
                state = (arm.position, arm.velocity)
                reasons |= envelope.apply(torque, limit, substeps * task.timestep_s, applied, state)
                arm.step(applied, substeps)
            outcome = task.outcome(arm.position, arm.velocity, torque)
            rewards.append(outcome.reward)
            unsafe.append(outcome.unsafety > task.unsafety_limit)
            speeds.append(np.abs(arm.velocity).max())
            touched.append(bool(reasons & SOFT))
    return float(np.sum(rewards)) / count, float(np.mean(unsafe)), float(np.max(speeds)), float(np.mean(touched))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--robots", nargs="+", default=["nominal", "light_sticky"])
    parser.add_argument("--limits", nargs="+", type=float, default=[0.1, 0.2, 0.3, 1.0, 3.0], help="N·m")
    options = parser.parse_args()
    task = CupSwirl()
    policy = GaussianPolicy(load_for(task, "pr2_cup_swirl")[0])
    print("Return / unsafety rate / largest speed, rad/s / decisions touched\n")
    print("| robot | T_lim (N·m) | no soft limits | at 20 Hz | at 200 Hz |")
    print("|---|---|---|---|---|")
    for robot in options.robots:
        for limit in options.limits:
            cells = [
                "{:.0f} / {:.3f} / {:.1f} / {:.0%}".format(
                    *episodes(task, policy, robot, limit, options.episodes, soft=soft, per_period=per_period)
                )
                for soft, per_period in ((False, 1), (True, 1), (True, task.substeps))
            ]
            print(f"| {robot} | {limit:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
