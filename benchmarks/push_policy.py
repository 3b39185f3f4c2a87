# SPDX-License-Identifier: Apache-2.0
"""How often a pusher succeeds and fails, and how much torque it needs: episodes that it has not learned from.

python benchmarks/push_policy.py panda_push_obstacle --limits 1 2 3 5 10
"""

from __future__ import annotations

import argparse

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import make


def judged(
    task: PushTask, policy: GaussianPolicy, episodes: int, seed: int, limit: float | None, *, mean: bool
) -> tuple[float, float]:
    """Shares of episodes that ended at the goal without a failure, and that failed."""
    scenes, noise = PushVectorEnv(task, episodes, threads=1, autoreset=False, torque_limit=limit), 0.0 if mean else 1.0
    observation, info = scenes.reset(seed=seed, options={"first_episode": FirstEpisode.EVALUATION})
    rng, failed = np.random.default_rng(seed), info["failure"]
    ended = np.zeros(episodes, dtype=np.bool_)
    for _ in range(task.horizon):
        means, stddev = policy.distribution(observation)
        observation, _, terminated, truncated, info = scenes.step(
            means + noise * stddev * rng.standard_normal(means.shape)
        )
        failed, ended = failed | info["failure"], ended | terminated | truncated
        if ended.all():
            break
    scenes.close()
    return float((info["success"] & ~failed).mean()), float(failed.mean())


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
    for limit in (*options.limits, None):
        success, failed = judged(task, policy, options.episodes, options.seed, limit, mean=options.mean)
        text = "no limit" if limit is None else f"{limit:g} N·m"
        print(f"{text:>9}: success {success:.1%}, failures {failed:.1%} of {options.episodes} episodes", flush=True)


if __name__ == "__main__":
    main()
