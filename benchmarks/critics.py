# SPDX-License-Identifier: Apache-2.0
"""Speed of what critics need: transitions from a bag, updates, the gate. CPU time of one process.

    python benchmarks/critics.py [--decisions 40000]

Reading is compared with rosbags reading the same messages raw; updates with a plain torch loop (nn.Sequential, Adam) of
the same network, batch and loss; both on one thread.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rosbags.highlevel import AnyReader

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "test" / room) for room in ("bags", "transfer")]

from decision_bags import TOPIC, TYPES, decision, write  # noqa: E402
from synthetic_run import Messages  # noqa: E402

from safe_transfer_ros.algorithms.safety_critic import CriticBatch, CriticLearner, CriticSettings, initial_critic  # noqa: E402
from safe_transfer_ros.bags.layout import LayoutReader  # noqa: E402
from safe_transfer_ros.bags.read import Bag  # noqa: E402
from safe_transfer_ros.bags.transitions import write_transitions  # noqa: E402
from safe_transfer_ros.policies.critic import SafetyCritic, Support  # noqa: E402
from safe_transfer_ros.safety.masked_policy import MaskedPolicyGate, MaskSettings  # noqa: E402
from safe_transfer_ros.tasks.task import make  # noqa: E402

TASK = make("pr2_cup_swirl")
INPUTS, BATCH = TASK.observation_size + TASK.action_size, 256


def cpu_seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def reading(decisions: int) -> None:
    messages, steps = Messages(), 200
    first = [decision(messages, TASK, 0, s, steps) for s in range(steps + 1)]
    place = next(LayoutReader(messages.definitions, TYPES[TOPIC]).runs(first))[0].columns["episode"][0]
    data = [
        one[:place] + episode.to_bytes(4, "little") + one[place + 4 :]
        for episode in range(decisions // len(first))
        for one in first
    ]
    with tempfile.TemporaryDirectory() as temporary:
        bag = write(Path(temporary) / "bag", data, chunk_bytes=65536)

        def raw() -> None:
            with AnyReader([bag]) as reader:
                for _ in reader.messages():
                    pass

        folders = (Path(temporary) / str(number) for number in range(9))
        ours = min(cpu_seconds(lambda: write_transitions([Bag(bag)], TASK, next(folders))) for _ in range(3))
        theirs = min(cpu_seconds(raw) for _ in range(3))
    print(f"bag -> transitions on disk     {len(data) / ours:10,.0f} decisions/s")
    print(f"rosbags, the same raw          {len(data) / theirs:10,.0f} messages/s   ratio {theirs / ours:.2f}")


def updates(count: int = 300) -> None:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    cost = (rng.random(BATCH) < 0.1).astype(np.float32)
    batch = CriticBatch(
        inputs=draw(BATCH, INPUTS), cost=cost, terminated=cost, next_inputs=draw(BATCH, INPUTS),
        policy_inputs=draw(BATCH, INPUTS),
    )  # fmt: skip
    for name, settings in (
        ("SQRL", CriticSettings()),
        ("CSC", CriticSettings(alpha=0.5)),
        ("SQRL, 5 members", CriticSettings(members=5)),
    ):
        learner = CriticLearner(initial_critic(INPUTS, settings, 0), settings)
        seconds = min(cpu_seconds(lambda one=learner: [one.update(batch) for _ in range(count)]) for _ in range(2))
        print(f"updates, {name:22}{count / seconds:10,.0f} updates/s")
    torch.set_num_threads(1)
    layers = [torch.nn.Linear(INPUTS, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU()]
    online = torch.nn.Sequential(*layers, torch.nn.Linear(256, 1))
    target, optimiser = copy.deepcopy(online), torch.optim.Adam(online.parameters(), lr=3e-4)
    inputs, following, failed = (torch.from_numpy(a) for a in (batch.inputs, batch.next_inputs, batch.cost))

    def plain() -> None:
        for _ in range(count):
            with torch.no_grad():
                y = failed + (1 - failed) * 0.7 * torch.sigmoid(target(following)[:, 0])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(online(inputs)[:, 0], y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for old, new in zip(target.parameters(), online.parameters(), strict=True):
                    old.lerp_(new, 0.005)

    seconds = min(cpu_seconds(plain) for _ in range(2))
    print(f"updates, plain torch loop      {count / seconds:10,.0f} updates/s")


def gate() -> None:
    settings = CriticSettings()
    parameters = initial_critic(INPUTS, settings, 0)
    parameters |= {"input.mean": np.zeros(INPUTS, dtype=np.float32), "input.scale": np.ones(INPUTS, dtype=np.float32)}
    parameters["support.factor"] = np.eye(INPUTS, dtype=np.float32)
    critic = SafetyCritic(parameters, TASK.observation_size, Support(rule="density", limit=1e3))
    noise = np.random.default_rng(0).standard_normal
    n, observation = TASK.action_size, np.zeros(TASK.observation_size)
    for name, epsilon in (("sample accepted", 0.5), ("100 samples, none safe", 1e-6)):
        judge = MaskedPolicyGate(critic, np.full(n, 30.0), MaskSettings(epsilon=epsilon), noise).judge
        taken = []
        for _ in range(300):
            start = time.perf_counter_ns()
            judge(observation, np.zeros(n), np.ones(n), np.zeros(n), 3.0)
            taken.append((time.perf_counter_ns() - start) / 1e3)
        print(f"gate, {name:25}{np.median(taken):10,.0f} us median  {np.quantile(taken, 0.99):8,.0f} us 99 %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=40_000)
    options = parser.parse_args()
    reading(options.decisions)
    updates()
    gate()


if __name__ == "__main__":
    main()
