# SPDX-License-Identifier: Apache-2.0
"""Bags of SafetyDecisions made by hand: every number of a decision follows from its episode and step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_run import PERIOD_NS, TYPES, Messages, definitions

from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.tasks.torque_task import TorqueTask

TOPIC = "/safety_filter/decision"


def state(task: TorqueTask, episode: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Joint position and velocity: a wrist that tilts by a degree a step, more in odd episodes."""
    position = task.robot.home + 0.001 * episode
    position[5] += np.radians(1.0 + (episode % 2)) * step
    return position, np.full(len(position), 0.01 * step)


def decision(messages: Messages, task: TorqueTask, episode: int, step: int, steps: int, **given: Any) -> bytes:
    """The decision of one step; `given` overrides its fields, `stamp_ns` among them."""
    position, velocity = state(task, episode, step)
    n, last = len(position), step == steps
    stamp = given.pop("stamp_ns", 10**9 + PERIOD_NS * (1000 * episode + step))
    nothing = np.empty(0)
    fields = {
        "header": messages.header(stamp),
        "iteration": episode // 2,
        "episode": episode,
        "step": step,
        "last": last,
        "verdict": 6 if last else 0,
        "joint_names": list(task.robot.joint_names),
        "position": position,
        "velocity": velocity,
        "observation": task.observe(position, velocity, 0.5),
        "proposed_mean": nothing if last else np.full(n, episode + 0.01 * step),
        "proposed_stddev": nothing if last else np.full(n, 0.3),
        "proposed_effort": nothing if last else np.full(n, 100.0 * episode + step),
        "applied_effort": np.full(n, 0.25 + 0.001 * step),
        "torque_limit": 0.5,
        "policy_version": episode // 2,
    }
    return messages.decision(**fields | given)


def whole(messages: Messages, task: TorqueTask, episodes: int, steps: int) -> list[bytes]:
    """Decisions of unbroken episodes."""
    return [decision(messages, task, e, s, steps) for e in range(episodes) for s in range(steps + 1)]


def write(folder: Path, data: Iterable[bytes], **options: Any) -> Path:
    """A bag of these decisions; small chunks, so that a cut loses little."""
    with BagWriter(folder, definitions=definitions(), **{"chunk_bytes": 4096} | options) as writer:
        topic = writer.register(TOPIC, TYPES[TOPIC])
        for number, one in enumerate(data):
            writer.write(topic, one, 10**18 + number * 10**7, 10**18 + number * 10**7, number + 1)
    return folder
