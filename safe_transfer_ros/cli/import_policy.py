# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer import-policy`: a policy of others, held to its contract, as a policy file of ours."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is only needed when it runs is imported there
    from safe_transfer_ros.learning.contracted import ContractInTask, Sensed
    from safe_transfer_ros.policies.foreign.importing import Imported
    from safe_transfer_ros.tasks.deployment import TaskInGraph

_SAMPLES = 200
_MOST_RECORDED = 10_000

_DESCRIPTION = """\
Make a policy file of a policy that was trained elsewhere: a zip of stable-baselines3 (PPO, SAC, TD3), a torch state
dict of a plain MLP, an ONNX model, or a process of its own (no FILE). A contract says what it observes and what its
numbers mean. Nothing in FILE is unpickled or executed, but for an ONNX graph by onnxruntime.

The policy is evaluated on sampled states, and on recorded ones and its maker's own if they are given, before the file
is written. docs/policies.md has the contract's fields.
"""

_EPILOG = """\
examples:
  safe_transfer import-policy ppo.zip --contract contract.yaml --out ppo.safetensors
  safe_transfer import-policy actor.onnx --contract contract.yaml --out actor.safetensors --bag runs/mine/bag
  safe_transfer import-policy --contract process.yaml --out process.safetensors
then:
  safe_transfer up pr2_cup_swirl policy:=ppo.safetensors learner:=none
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "import-policy",
        help="make a policy of stable-baselines3, torch, ONNX or a process of its own fit for a graph",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the policy; none for a process of its own")
    parser.add_argument("--contract", type=Path, required=True, metavar="YAML", help="what its numbers mean")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.safetensors", help="the policy file to write")
    parser.add_argument("--bag", type=Path, metavar="PATH", help="recording with states to evaluate it on, too")
    parser.add_argument(
        "--examples", type=Path, metavar="NPZ", help="its maker's observations and outputs, which it must reproduce"
    )
    parser.add_argument(
        "--learnable", action="store_true", help="write it as a policy of ours that pspt and csc can learn from"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, check, write.

    Raises:
      ValueError: what does not fit; nothing is written then.
      OSError: a file cannot be read or written.
    """
    from safe_transfer_ros.bounds import ARCHIVE_BYTES
    from safe_transfer_ros.configuration import ConfigurationError
    from safe_transfer_ros.files import write_atomically
    from safe_transfer_ros.interpreter import invocation
    from safe_transfer_ros.learning.contracted import ContractInTask
    from safe_transfer_ros.policies.contract import read_contract
    from safe_transfer_ros.policies.foreign.importing import import_policy
    from safe_transfer_ros.tasks.deployment import in_graph
    from safe_transfer_ros.untrusted import read_bytes, read_yaml

    if options.out.suffix != ".safetensors":
        raise ConfigurationError(f"expected --out as NAME.safetensors, got {options.out}: a policy file is named so")
    contract = read_contract(read_yaml(options.contract), str(options.contract))
    data = None if options.file is None else read_bytes(options.file, most_bytes=ARCHIVE_BYTES)
    origin = "a process of its own" if options.file is None else options.file.name
    imported = import_policy(data, contract, origin=origin)
    graph = in_graph(contract.task)
    fitted = ContractInTask(imported.policy, graph)
    for line in (*imported.understood, *_meaning(fitted)):
        print(f"  {line}")
    if imported.policy.network is not None:
        _check(options, imported, fitted, graph)
    content = _learnable(imported, fitted, graph) if options.learnable else imported.content
    write_atomically(options.out, content)
    learner = "" if options.learnable else " learner:=none"
    command = f"{invocation()} up {_graph(contract.task)} policy:={shlex.quote(str(options.out))}{learner}"
    print(f"{options.out}: run it with\n  {command}")
    return 0


def _graph(task: str) -> str:
    """Graph of a task, and the argument that names the task there, as they are typed."""
    pushes = "panda_push"
    return f"{pushes} task:={task.removeprefix(f'{pushes}_')}" if task.startswith(f"{pushes}_") else task


def _learnable(imported: Imported, fitted: ContractInTask, graph: TaskInGraph) -> bytes:
    """The policy as one of ours, checked to give the same actions."""
    import numpy as np

    from safe_transfer_ros.learning.import_checks import check_same, sampled
    from safe_transfer_ros.policies.foreign.learnable import gaussian_of
    from safe_transfer_ros.policies.forward import GaussianPolicy
    from safe_transfer_ros.policies.weights import from_bytes

    content = gaussian_of(imported)
    policy, still = GaussianPolicy(from_bytes(content)[0]), np.zeros(fitted.action_size)
    for number, sensed in enumerate(sampled(graph, _SAMPLES)):
        mean, stddev = fitted.evaluate(sensed, still)
        act, _ = fitted.act(mean, stddev, still, sensed)
        check_same(policy.mean(sensed.observation), act.mean, number)
    print("  a policy that can learn: kind gaussian, the contract's scaling in its weights")
    return content


def _meaning(fitted: ContractInTask) -> Iterator[str]:
    """Lines that say how the contract was read."""
    contract = fitted.policy.contract
    if contract.observation:
        yield f"observes {fitted.observation_size} numbers: {', '.join(part.name for part in contract.observation)}"
    action = contract.action
    yield f"gives {action.kind} for {', '.join(fitted.action_names)}"
    if action.chunk is not None:
        chunk = action.chunk
        yield f"in chunks of {chunk.length} at {chunk.rate_hz:g} Hz, of which {chunk.follow} are followed"
    yield f"distribution {contract.law}"


def _check(options: argparse.Namespace, imported: Imported, fitted: ContractInTask, graph: TaskInGraph) -> None:
    """Evaluate a policy on sampled states, recorded ones and examples, and print what came out."""
    from safe_transfer_ros.bounds import WEIGHTS_BYTES
    from safe_transfer_ros.learning.import_checks import check_examples, check_outputs, sampled
    from safe_transfer_ros.untrusted import read_bytes

    sets = {"sampled": sampled(graph, _SAMPLES)}
    if options.bag is not None:
        sets["recorded"] = _recorded(options.bag)
    for name, states in sets.items():
        checked = check_outputs(fitted, states, imported.source)
        told = "" if checked.difference is None else f", within {checked.difference:.1e} of the source"
        print(f"  {checked.observations} {name} states: finite{told}")
        ranges = zip(fitted.action_names, checked.lowest, checked.highest, strict=True)
        print("    " + ", ".join(f"{joint} {low:.3g} to {high:.3g}" for joint, low, high in ranges))
    if options.examples is not None:
        count = check_examples(fitted, read_bytes(options.examples, most_bytes=WEIGHTS_BYTES))
        print(f"  {count} examples: the same outputs")


def _recorded(bag: Path) -> Iterator[Sensed]:
    """States of a recording's decisions, the first ten thousand of them."""
    import numpy as np

    from safe_transfer_ros.bags.read import messages
    from safe_transfer_ros.learning.contracted import Sensed
    from safe_transfer_ros.topic_names import DECISIONS, in_bag

    for number, (_, decision, stamp_ns) in enumerate(messages(bag, [in_bag(DECISIONS)])):
        if number == _MOST_RECORDED:
            return
        pose = np.array(decision.object_pose)
        yield Sensed(
            stamp_ns=stamp_ns,
            position=np.array(decision.position),
            velocity=np.array(decision.velocity),
            torque_limit=float(decision.torque_limit),
            observation=np.array(decision.observation),
            object_pose=pose if pose.size else None,
        )
