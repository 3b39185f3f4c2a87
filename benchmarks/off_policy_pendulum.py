# SPDX-License-Identifier: Apache-2.0
"""TD3 and SAC on Gymnasium's Pendulum-v1: steps until the policy without noise returns so much in 20 episodes.

  python benchmarks/off_policy_pendulum.py --seeds 3

-1200 is the threshold of stable-baselines3's tests (test_callbacks), which a policy reaches that hardly does anything;
-200 is ours: one that swings up and balances returns about -150. Evaluated every 1,000 steps. Networks (256, 256) for
SAC and (400, 300) for TD3, gamma .98, learning rate 1e-3, batch 256, one update per step after 1,000 random ones.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.off_policy import OffPolicyLoop, OffPolicySettings
from safe_transfer_ros.tasks.task import register

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "pendulum.py"
THEIRS, THRESHOLD, EPISODES = -1200.0, -200.0, 20


def main() -> int:
    """Command line; status 1 where a run does not reach the threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method (3)")
    parser.add_argument("--steps", type=int, default=10_000, help="of a run at most (10,000)")
    options = parser.parse_args()
    pendulum = runpy.run_path(str(EXAMPLE))["Pendulum"]
    register("pendulum")(pendulum)
    reached = True
    print("| method | seed | steps to -1200 | steps to -200 | return |\n|---|---|---|---|---|")
    for name in ("SAC", "TD3"):
        for seed in range(options.seeds):
            rows = pendulum.vector_environment(1)
            shared = {"gamma": pendulum.gamma, "learning_rate": 1e-3}
            agent = (
                Sac(pendulum.observation_size, rows.action_bound, SacSettings(**shared), seed=seed)
                if name == "SAC"
                else Td3(pendulum.observation_size, rows.action_bound, Td3Settings(**shared), seed=seed)
            )
            loop = OffPolicyLoop(rows, agent, OffPolicySettings(epoch_steps=5 * pendulum.horizon), seed=seed)
            found, first = float("-inf"), 0
            with TaskEnvironment("pendulum") as judge:
                while found < THRESHOLD and loop.buffer.added < options.steps:
                    loop.epoch()
                    found = loop.evaluate(judge, EPISODES).mean_return
                    first = first or (loop.buffer.added if found >= THEIRS else 0)
            reached &= found >= THRESHOLD
            steps = f"{loop.buffer.added}" if found >= THRESHOLD else "not reached"
            print(f"| {name} | {seed} | {first or 'not reached'} | {steps} | {found:.0f} |", flush=True)
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
