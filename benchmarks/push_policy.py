# SPDX-License-Identifier: Apache-2.0
"""How often a pusher succeeds and fails, and how much torque it needs: episodes that it has not learned from.

python benchmarks/push_policy.py panda_push_obstacle --limits 1 2 3 5 10
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import make


class Mean:
    """A policy without its noise."""

    def __init__(self, policy: GaussianPolicy) -> None:
        self._policy = policy

    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, stddev = self._policy.distribution(observation)
        return mean, 0.0 * stddev


def main() -> None:
    """Print a line a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--policy", help="file, or name of a shipped policy (the task's)")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mean", action="store_true", help="the policy's mean, without its noise")
    parser.add_argument("--limits", type=float, nargs="*", default=[], metavar="NM", help="torque limits besides none")
    options = parser.parse_args()
    task = make(options.task, PushTask)
    policy = GaussianPolicy(load_for(task, options.policy or options.task)[0])
    acting = Mean(policy) if options.mean else policy
    for limit in (*options.limits, None):
        with TaskEnvironment(options.task, torque_limit=limit) as environment:
            found = evaluate(acting, environment, episodes=options.episodes, seed=options.seed)
        text = "no limit" if limit is None else f"{limit:g} N·m"
        shares = f"success {found.success_rate:.1%}, failures {found.failures_per_episode:.1%}"
        print(f"{text:>9}: {shares} of {options.episodes} episodes", flush=True)


if __name__ == "__main__":
    main()
