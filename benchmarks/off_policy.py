# SPDX-License-Identifier: Apache-2.0
"""CPU time of one update of SAC and TD3 against stable-baselines3's, at equal sizes, in one process on one thread.

  python benchmarks/off_policy.py                 # needs `pip install stable-baselines3`

Both draw batches of 256 of the same transitions (33 observations and 8 actions, as an ant has) from their own replay
buffer, and take the same steps: critics, actor, temperature or delayed actor, targets. The contestants take turns;
what is printed is the ratio of their CPU times turn by turn, its median and its quartiles. CPU time, not time on the
clock: other processes of the machine do not count, though a busy neighbour of the core slows both down.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.learning.off_policy import COLUMNS
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import schema

OBSERVATIONS, ACTIONS, HELD, BATCH = 33, 8, 20_000, 256
SIZES = ((256, 256), (400, 300))


class Idle(gymnasium.Env[np.ndarray, np.ndarray]):
    """Has the spaces, does nothing."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15, help="timed turns of each contestant (15)")
    parser.add_argument("--updates", type=int, default=40, help="updates per turn (40)")
    options = parser.parse_args()
    try:
        import stable_baselines3
    except ImportError:
        print("this comparison needs stable-baselines3: pip install stable-baselines3", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    columns = transitions()
    print(f"stable-baselines3 {stable_baselines3.__version__}, torch {torch.__version__}, 1 thread, batch {BATCH}\n")
    print("| method | hidden layers | ours, ms of CPU | sb3, ms of CPU | ratio | quartiles |")
    print("|---|---|---|---|---|---|")
    for name in ("SAC", "TD3"):
        for hidden in SIZES:
            times = taking_turns(
                ours(name, hidden, columns), theirs(name, hidden, columns), options.turns, options.updates
            )
            low, middle, high = np.quantile(times[1] / times[0], (0.25, 0.5, 0.75))
            mine, other = 1e3 * np.median(times, axis=1)
            print(
                f"| {name} | {hidden} | {mine:.2f} | {other:.2f} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True
            )
    return 0


def transitions() -> dict[str, np.ndarray]:
    """Transitions of nothing in particular, a hundredth of them terminated."""
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((2, HELD, OBSERVATIONS), dtype=np.float32)
    return {
        "chain": np.arange(HELD, dtype=np.int32),
        "observation": seen[0],
        "chosen": rng.uniform(-1.0, 1.0, (HELD, ACTIONS)).astype(np.float32),
        "reward": rng.standard_normal(HELD, dtype=np.float32),
        "cost": np.zeros(HELD, dtype=np.float32),
        "terminated": rng.random(HELD) < 0.01,
        "truncated": np.zeros(HELD, dtype=np.bool_),
        "next_observation": seen[1],
    }


def ours(name: str, hidden: tuple[int, ...], columns: dict[str, np.ndarray]) -> Callable[[int], None]:
    """Our updates, a number of them."""
    bound = np.ones(ACTIONS)
    agent: Sac | Td3 = (
        Sac(OBSERVATIONS, bound, SacSettings(hidden=hidden), seed=0)
        if name == "SAC"
        else Td3(OBSERVATIONS, bound, Td3Settings(hidden=hidden), seed=0)
    )
    buffer = ReplayBuffer(HELD, schema(ACTIONS, OBSERVATIONS, columns=COLUMNS))
    buffer.add(columns)
    rng = np.random.default_rng(1)

    def updates(count: int) -> None:
        for _ in range(count):
            agent.update(buffer.sample(BATCH, rng), rng)

    return updates


def theirs(name: str, hidden: tuple[int, ...], columns: dict[str, np.ndarray]) -> Callable[[int], None]:
    """Updates of stable-baselines3, a number of them."""
    import stable_baselines3
    from stable_baselines3.common.logger import configure

    made: Any = getattr(stable_baselines3, name)(
        "MlpPolicy",
        Idle(),
        batch_size=BATCH,
        buffer_size=HELD,
        policy_kwargs={"net_arch": list(hidden)},
        device="cpu",
        seed=0,
    )
    made.set_logger(configure(None, []))
    buffer = made.replay_buffer
    buffer.observations[:, 0], buffer.next_observations[:, 0] = columns["observation"], columns["next_observation"]
    buffer.actions[:, 0], buffer.rewards[:, 0] = columns["chosen"], columns["reward"]
    buffer.dones[:, 0], buffer.full = columns["terminated"], True
    return lambda count: made.train(count, BATCH)


def taking_turns(one: Callable[[int], None], other: Callable[[int], None], turns: int, updates: int) -> np.ndarray:
    """Seconds of CPU per update of each, shape (2, turns)."""
    times = np.zeros((2, turns))
    for turn in range(-1, turns):  # the first warms up
        for row, contestant in enumerate((one, other)):
            began = time.process_time()
            contestant(updates)
            if turn >= 0:
                times[row, turn] = (time.process_time() - began) / updates
    return times


if __name__ == "__main__":
    raise SystemExit(main())
