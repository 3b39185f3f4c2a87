# SPDX-License-Identifier: Apache-2.0
"""A critic made by hand, whose answers can be told beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from safe_transfer_ros.critics.safety_critic import critic_to_bytes
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.policies.weights import sha256_of
from safe_transfer_ros.tasks.deployment import in_graph

TASK = in_graph("pr2_cup_swirl").task
MISSING = object()


def critic(
    *,
    threshold: float,
    certified: bool = True,
    task: str = "pr2_cup_swirl",
    gamma: float | None = 0.7,
    card: Mapping[str, object] | None = None,
) -> bytes:
    """A critic by hand: risk 1 where the first joint's applied torque is above the threshold, else nearly 0.

    `card` is written over its model card; MISSING there takes an entry out.
    """
    inputs = TASK.observation_size + TASK.action_size
    first = np.zeros((1, 1, inputs), dtype=np.float32)
    first[0, 0, TASK.observation_size] = 1.0
    parameters = {
        "input.mean": np.zeros(inputs, dtype=np.float32),
        "input.scale": np.ones(inputs, dtype=np.float32),
        "support.factor": np.eye(inputs, dtype=np.float32),
        "layer.0.weight": first,
        "layer.0.bias": np.full((1, 1), -threshold, dtype=np.float32),
        "layer.1.weight": np.full((1, 1, 1), 1e4, dtype=np.float32),
        "layer.1.bias": np.full((1, 1), -9.0, dtype=np.float32),
    }
    about = {"certified": certified, "against": ["no unsafe examples"], "task": task, "epsilon": 0.1}
    about |= {} if gamma is None else {"gamma_safe": gamma}
    about |= {"observation_size": TASK.observation_size, "support": {"rule": "off", "limit": 1.0}}
    about |= card or {}
    return critic_to_bytes(parameters, {name: value for name, value in about.items() if value is not MISSING})


def version_of(data: bytes) -> str:
    """First digits of the hash, as decisions tell it."""
    return sha256_of(data)[:12]


def critic_file(path: Path, **about: object) -> str:
    """The critic as a file; its version."""
    data = critic(**about)  # type: ignore[arg-type]
    write_atomically(path, data)
    return version_of(data)
