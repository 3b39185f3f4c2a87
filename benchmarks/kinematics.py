# SPDX-License-Identifier: Apache-2.0
"""How long kinematics and the task's functions take, for one state and for batches.

    python benchmarks/kinematics.py [--task pr2_cup_swirl] [--batches 1 50 10000]

One state is the case that counts: the filter, the monitor and the policy server each do it at every joint
state.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask


def microseconds(call: Callable[[], Any]) -> float:
    """Best mean over five runs of at least .1 s each."""
    timer = timeit.Timer(call)
    number, taken = timer.autorange()
    number = max(1, int(number * 0.1 / taken))
    return min(timer.repeat(5, number)) / number * 1e6


def main() -> None:
    """Print one line per function."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="pr2_cup_swirl")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 50, 10000])
    arguments = parser.parse_args()
    task = make(arguments.task, TorqueTask)
    chain = task.chain
    rng = np.random.default_rng(0)
    print(f"{'microseconds per call':<24}" + "".join(f"{f'batch {size}':>14}" for size in arguments.batches))
    columns: dict[str, list[float]] = {}
    for size in arguments.batches:
        shape = (task.action_size,) if size == 1 else (size, task.action_size)
        q = task.robot.home + rng.uniform(-0.1, 0.1, shape)
        dq, torque = rng.normal(size=shape), rng.normal(size=shape)
        calls: dict[str, Callable[[], Any]] = {
            "chain.tool_position": lambda q=q: chain.tool_position(q),  # type: ignore[misc]
            "chain.tool_pose": lambda q=q: chain.tool_pose(q),  # type: ignore[misc]
            "chain.tool_motion": lambda q=q, dq=dq: chain.tool_motion(q, dq),  # type: ignore[misc]
            "chain.jacobian": lambda q=q: chain.jacobian(q),  # type: ignore[misc]
            "task.observe": lambda q=q, dq=dq: task.observe(q, dq, 1.0),  # type: ignore[misc]
            "task.unsafety": lambda q=q: task.unsafety(q),  # type: ignore[misc]
            "task.outcome": lambda q=q, dq=dq, torque=torque: task.outcome(q, dq, torque),  # type: ignore[misc]
        }
        for name, call in calls.items():
            columns.setdefault(name, []).append(microseconds(call))
    for name, row in columns.items():
        print(f"{name:<24}" + "".join(f"{value:>14.1f}" for value in row))


if __name__ == "__main__":
    main()
