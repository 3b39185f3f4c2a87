# SPDX-License-Identifier: Apache-2.0
"""CPU time of one off-policy update against stable-baselines3's, at equal sizes, in one process on one thread.

  python benchmarks/off_policy.py                 # needs `pip install stable-baselines3`

Both draw batches of 256 of the same transitions (33 observations and 8 actions, as an ant has) from their own replay
buffer, and take the same steps: critics, actor, temperature or delayed actor, targets. Where stable-baselines3 has no
such method, the next of kin: SAC for SAC-Lagrangian and for SQRL's fine-tuning, which have a critic more; two of TD3
for the dual agent, which is two agents; for the update of SQRL's safety critic a plain loop of torch.

A third contestant does the matrix products of our update and nothing else, from memory that is at hand: `at most` is
what the ratio would be if all the rest took no time. Contestants take turns; what is printed are the ratios of their
CPU times turn by turn, the median and the quartiles. CPU time, not time on the clock: other processes of the machine do
not count, though a busy neighbour of the core, or of its caches, slows all down.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import torch

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.sac.cost_constraint import CostConstraintSettings
from safe_transfer_ros.algorithms.safety_critic import CriticLearner, CriticSettings, initial_critic
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.learning.off_policy import COLUMNS, Agent
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import schema
from safe_transfer_ros.transfer.dual_agent.agent import DualAgent, DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.baseline import LearnedBaseline
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

OBSERVATIONS, ACTIONS, HELD, BATCH = 33, 8, 20_000, 256
SIZES = ((256, 256), (400, 300))
CRITIC = "SQRL's critic"
NAMES = ("SAC", "SAC-Lagrangian", "TD3", "dual agent", "SQRL, fine-tuning", CRITIC)

Columns: TypeAlias = Mapping[str, np.ndarray]
Updates: TypeAlias = Callable[[int], object]
"""Does so many updates."""


class Idle(gymnasium.Env[np.ndarray, np.ndarray]):
    """Has the spaces, does nothing."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15, help="timed turns of each contestant (15)")
    parser.add_argument("--updates", type=int, default=20, help="updates per turn (20)")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, help="of these alone")
    options = parser.parse_args()
    try:
        import stable_baselines3
    except ImportError:
        print("this comparison needs stable-baselines3: pip install stable-baselines3", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    columns = transitions()
    print(f"stable-baselines3 {stable_baselines3.__version__}, torch {torch.__version__}, 1 thread, batch {BATCH}\n")
    print("| method | hidden layers | ours, ms of CPU | theirs, ms of CPU | ratio | quartiles | at most |")
    print("|---|---|---|---|---|---|---|")
    for name in options.only:
        for hidden in SIZES[:1] if name == CRITIC else SIZES:
            contestants = (ours(name, hidden, columns), theirs(name, hidden, columns), products(name, hidden))
            times = taking_turns(contestants, options.turns, options.updates)
            low, middle, high = np.quantile(times[1] / times[0], (0.25, 0.5, 0.75))
            most = np.median(times[1] / times[2])
            mine, other, _ = 1e3 * np.median(times, axis=1)
            ratios = f"{middle:.2f} | {low:.2f} to {high:.2f} | {most:.2f}"
            print(f"| {name} | {hidden} | {mine:.2f} | {other:.2f} | {ratios} |", flush=True)
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


def ours(name: str, hidden: tuple[int, ...], columns: Columns) -> Updates:
    """Our updates, a number of them."""
    buffer = ReplayBuffer(HELD, schema(ACTIONS, OBSERVATIONS, columns=COLUMNS))
    buffer.add(columns)
    rng = np.random.default_rng(1)
    if name == CRITIC:
        settings = CriticSettings(hidden=hidden)
        learner = CriticLearner(initial_critic(OBSERVATIONS + ACTIONS, settings, 0), settings)
        return lambda count: repeat(count, lambda: learner.update(**critic_batch(buffer.sample(BATCH, rng))))
    agent = agent_of(name, hidden)
    return lambda count: repeat(count, lambda: agent.update(buffer.sample(BATCH, rng), rng))


def agent_of(name: str, hidden: tuple[int, ...]) -> Agent:
    """An agent of ours that has learned nothing."""
    bound, sac = np.ones(ACTIONS), SacSettings(hidden=hidden)
    if name in ("TD3", "dual agent"):
        td3 = Td3(OBSERVATIONS, bound, Td3Settings(hidden=hidden), seed=0)
        about = DualAgentSettings(horizon=500, hidden=hidden)
        return td3 if name == "TD3" else DualAgent(OBSERVATIONS, bound, LearnedBaseline(td3), about, seed=0)
    if name == "SQRL, fine-tuning":
        return SqrlAgent(OBSERVATIONS, bound, sac, SqrlSettings(hidden=hidden), seed=0, penalty="dual")
    constraint = CostConstraintSettings(limit=1.0) if name == "SAC-Lagrangian" else None
    return Sac(OBSERVATIONS, bound, sac, seed=0, constraint=constraint)


def critic_batch(columns: Columns) -> dict[str, np.ndarray]:
    """What a safety critic learns from, of sampled transitions."""
    parts = (("observation", "chosen"), ("next_observation", "chosen"))
    inputs, following = (np.concatenate([columns[one] for one in names], axis=1) for names in parts)
    ends = columns["terminated"].astype(np.float32)
    return {"inputs": inputs, "cost": columns["cost"], "terminated": ends, "next_inputs": following}


def theirs(name: str, hidden: tuple[int, ...], columns: Columns) -> Updates:
    """Updates of stable-baselines3, or of a plain loop, a number of them."""
    if name == CRITIC:
        return plain_critic(hidden, columns)
    if name == "dual agent":
        pair = [of_stable_baselines3("TD3", hidden, columns) for _ in range(2)]
        return lambda count: [train(count) for train in pair]
    return of_stable_baselines3("TD3" if name == "TD3" else "SAC", hidden, columns)


def of_stable_baselines3(name: str, hidden: tuple[int, ...], columns: Columns) -> Updates:
    """Updates of its SAC or TD3."""
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


def plain_critic(hidden: tuple[int, ...], columns: Columns) -> Updates:
    """SQRL's critic as one would write it down with torch."""
    sizes = (OBSERVATIONS + ACTIONS, *hidden)
    layers = [part for pair in itertools.pairwise(sizes) for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
    online = torch.nn.Sequential(*layers, torch.nn.Linear(hidden[-1], 1))
    target, optimiser = copy.deepcopy(online), torch.optim.Adam(online.parameters(), lr=3e-4)
    rng = np.random.default_rng(1)

    def update() -> None:
        rows = rng.integers(0, HELD, BATCH)
        batch = critic_batch({name: column[rows] for name, column in columns.items()})
        given = {name: torch.from_numpy(column) for name, column in batch.items()}
        with torch.no_grad():
            going_on = 0.7 * (1 - given["cost"]) * (1 - given["terminated"])
            y = given["cost"] + going_on * torch.sigmoid(target(given["next_inputs"])[:, 0])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(online(given["inputs"])[:, 0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for old, new in zip(target.parameters(), online.parameters(), strict=True):
                old.lerp_(new, 0.005)

    return lambda count: repeat(count, update)


def products(name: str, hidden: tuple[int, ...]) -> Updates:
    """The matrix products of our updates and nothing else, two updates after two.

    Of a network: how often in two updates it is gone through, forward for its outputs, backward for the gradients of
    its weights, for those of its inner layers' inputs, and for those of its own inputs too.
    """
    both = OBSERVATIONS + ACTIONS
    actor, critic = (OBSERVATIONS, *hidden, ACTIONS), (both, *hidden, 1)
    stochastic = (OBSERVATIONS, *hidden, 2 * ACTIONS)
    sac = [(stochastic, 4, 2, 2, 0), *2 * [(critic, 6, 2, 2, 2)]]
    delayed = (actor, 3, 1, 1, 0)
    passes = {
        "SAC": sac,
        "SAC-Lagrangian": [*sac, (critic, 6, 2, 2, 2)],
        "SQRL, fine-tuning": [*sac, (critic, 2, 0, 0, 2)],
        "TD3": [delayed, (critic, 5, 2, 2, 1), (critic, 4, 2, 2, 0)],
        "dual agent": [delayed, delayed, (actor, 1, 0, 0, 0), *3 * [(critic, 5, 2, 2, 1)], (critic, 4, 2, 2, 0)],
        CRITIC: [(critic, 4, 2, 2, 0)],
    }[name]

    def twice() -> None:
        for layers, forward, weights, inner, inputs in networks:
            for values, weight, gradient in layers:
                for _ in range(forward):
                    torch.mm(values, weight)
                for _ in range(weights):
                    torch.mm(values.T, gradient)
                for _ in range(inputs + (inner if values is not layers[0][0] else 0)):
                    torch.mm(gradient, weight.T)

    def layer(inputs: int, outputs: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.randn(BATCH, inputs), torch.randn(inputs, outputs), torch.randn(BATCH, outputs)

    networks = [([layer(*pair) for pair in itertools.pairwise(sizes)], *counts) for sizes, *counts in passes]
    return lambda count: repeat(count // 2, twice)


def repeat(count: int, update: Callable[[], object]) -> None:
    """Do it so many times."""
    for _ in range(count):
        update()


def taking_turns(contestants: Sequence[Updates], turns: int, updates: int) -> np.ndarray:
    """Seconds of CPU per update of each, shape (contestants, turns)."""
    times = np.zeros((len(contestants), turns))
    for turn in range(-1, turns):  # the first warms up
        for row, contestant in enumerate(contestants):
            began = time.process_time()
            contestant(updates)
            if turn >= 0:
                times[row, turn] = (time.process_time() - began) / updates
    return times


if __name__ == "__main__":
    raise SystemExit(main())
