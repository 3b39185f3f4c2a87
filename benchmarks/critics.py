# SPDX-License-Identifier: Apache-2.0
"""Speed of what critics need: transitions from a bag, updates, the gate. CPU time of one process.

    python benchmarks/critics.py [reading] [updates] [gate] [forward]

Reading is compared with rosbags reading the same messages raw; updates with a plain torch loop (nn.Sequential, Adam) of
the same network, batch and loss; the network itself with torch and onnxruntime. All on one thread.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.highlevel import AnyReader

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "test" / room) for room in ("bags", "critics", "record")]

from decision_bags import TOPIC, TYPES, decision, write  # noqa: E402
from proposed import proposed  # noqa: E402
from synthetic_run import Messages  # noqa: E402

from safe_transfer_ros.algorithms.safety_critic import (  # noqa: E402
    CSC_ALPHA,
    CriticLearner,
    CriticSettings,
    initial_critic,
)
from safe_transfer_ros.bags.layout import LayoutReader  # noqa: E402
from safe_transfer_ros.bags.read import Bag  # noqa: E402
from safe_transfer_ros.bags.transitions import write_transitions  # noqa: E402
from safe_transfer_ros.critics.safety_critic import SafetyCritic, Support  # noqa: E402
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings  # noqa: E402
from safe_transfer_ros.tasks.deployment import in_graph  # noqa: E402

GRAPH = in_graph("pr2_cup_swirl")
TASK = GRAPH.task
INPUTS, BATCH = TASK.observation_size + TASK.action_size, 256


def cpu_seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def reading(decisions: int = 40_000) -> None:
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
        ours = min(cpu_seconds(lambda: write_transitions([Bag(bag)], GRAPH, next(folders))) for _ in range(3))
        theirs = min(cpu_seconds(raw) for _ in range(3))
    print(f"bag -> transitions on disk     {len(data) / ours:10,.0f} decisions/s")
    print(f"rosbags, the same raw          {len(data) / theirs:10,.0f} messages/s   ratio {theirs / ours:.2f}")


def updates(count: int = 300) -> None:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    cost = (rng.random(BATCH) < 0.1).astype(np.float32)
    batch = dict(
        inputs=draw(BATCH, INPUTS), cost=cost, terminated=cost, next_inputs=draw(BATCH, INPUTS),
        policy_inputs=draw(BATCH, INPUTS),
    )  # fmt: skip
    for name, settings in (
        ("SQRL", CriticSettings()),
        ("CSC", CriticSettings(alpha=CSC_ALPHA)),
        ("SQRL, 5 members", CriticSettings(members=5)),
    ):
        learner = CriticLearner(initial_critic(INPUTS, settings, 0), settings)
        seconds = min(cpu_seconds(lambda one=learner: [one.update(**batch) for _ in range(count)]) for _ in range(2))
        print(f"updates, {name:22}{count / seconds:10,.0f} updates/s")
    torch.set_num_threads(1)
    layers = [torch.nn.Linear(INPUTS, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU()]
    online = torch.nn.Sequential(*layers, torch.nn.Linear(256, 1))
    target, optimiser = copy.deepcopy(online), torch.optim.Adam(online.parameters(), lr=3e-4)
    inputs, following, failed = (torch.from_numpy(a) for a in (batch["inputs"], batch["next_inputs"], batch["cost"]))

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


def untrained_critic() -> dict[str, np.ndarray]:
    parameters = initial_critic(INPUTS, CriticSettings(), 0)
    parameters |= {"input.mean": np.zeros(INPUTS, dtype=np.float32), "input.scale": np.ones(INPUTS, dtype=np.float32)}
    return parameters | {"support.factor": np.eye(INPUTS, dtype=np.float32)}


def times(name: str, action: Callable[[], object], count: int = 500) -> None:
    """Wall time, and CPU time of this thread: what is between them others have had."""
    wall, cpu = [], []
    for _ in range(count):
        start, used = time.perf_counter_ns(), time.thread_time_ns()
        action()
        cpu.append((time.thread_time_ns() - used) / 1e3)
        wall.append((time.perf_counter_ns() - start) / 1e3)
    low, high = np.quantile(cpu, [0.5, 0.99])
    print(
        f"{name:30} CPU {low:7,.0f} us median {high:7,.0f} us 99 %   "
        f"wall {np.median(wall):7,.0f} us median {np.quantile(wall, 0.99):7,.0f} us 99 %"
    )


def gate() -> None:
    critic = SafetyCritic(untrained_critic(), TASK.observation_size, Support(rule="density", limit=1e3))
    noise = np.random.default_rng(0).standard_normal
    n, observation = TASK.action_size, np.zeros(TASK.observation_size)
    proposal = proposed(np.zeros(n), np.ones(n), np.zeros(n))
    for name, epsilon in (("sample accepted", 0.5), ("100 samples, none safe", 1e-6)):
        judge = MaskedPolicyGate(critic, np.full(n, 30.0), MaskSettings(epsilon=epsilon), noise).judge
        times(f"gate, {name}", lambda j=judge: j(observation, proposal, 3.0))


def forward_passes() -> None:
    """The same network by numpy, torch and, where it is installed (with onnx), onnxruntime; one thread each."""
    parameters = untrained_critic()
    critic = SafetyCritic(parameters, TASK.observation_size, Support(rule="off", limit=1.0))
    layers = [(parameters[f"layer.{i}.weight"][0], parameters[f"layer.{i}.bias"][0]) for i in range(3)]
    torch.set_num_threads(1)
    modules: list[torch.nn.Module] = []
    for weight, bias in layers:
        linear = torch.nn.Linear(*reversed(weight.shape))
        linear.weight.data, linear.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        modules += [linear, torch.nn.ReLU()]
    network = torch.nn.Sequential(*modules[:-1], torch.nn.Sigmoid())
    session = onnx_session(layers)

    def by_torch(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(inputs))[:, 0].numpy()

    for rows in (1, 16, 84):
        inputs = np.random.default_rng(0).standard_normal((rows, INPUTS), dtype=np.float32)
        observation, torque = inputs[:, : TASK.observation_size], inputs[:, TASK.observation_size :]
        np.testing.assert_allclose(by_torch(inputs), critic.risk(observation, torque), atol=1e-5)
        times(f"numpy, {rows} rows", lambda o=observation, t=torque: critic.risk(o, t))
        times(f"torch, {rows} rows", lambda i=inputs: by_torch(i))
        if session is not None:
            np.testing.assert_allclose(session.run(None, {"a0": inputs})[0][:, 0], by_torch(inputs), atol=1e-5)
            times(f"onnxruntime, {rows} rows", lambda i=inputs: session.run(None, {"a0": i}))


def onnx_session(layers: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    try:
        import onnx
        import onnxruntime
    except ImportError:
        print("onnxruntime: not installed, with onnx; left out")
        return None
    make_node, real = onnx.helper.make_node, onnx.TensorProto.FLOAT
    nodes, weights = [], []
    for i, (weight, bias) in enumerate(layers):
        weights += [onnx.numpy_helper.from_array(weight, f"w{i}"), onnx.numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(make_node("Gemm", [f"a{i}", f"w{i}", f"b{i}"], [f"h{i}"], transB=1))
        nodes.append(make_node("Sigmoid" if i == len(layers) - 1 else "Relu", [f"h{i}"], [f"a{i + 1}"]))
    ends = [onnx.helper.make_tensor_value_info(f"a{i}", real, ["m", n]) for i, n in ((0, INPUTS), (len(layers), 1))]
    graph = onnx.helper.make_graph(nodes, "critic", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


PARTS: dict[str, Callable[[], None]] = {
    "reading": reading,
    "updates": updates,
    "gate": gate,
    "forward": forward_passes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    options = parser.parse_args()
    for part in options.parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
