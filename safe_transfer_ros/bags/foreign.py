# SPDX-License-Identifier: Apache-2.0
"""Recordings of other stacks as decisions and transitions, by a mapping of topics and fields.

How joint states and commands are brought together: `sampling`. What a mapping holds: `recording_map`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.layout import LayoutReader
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.recording_map import RecordingMap
from safe_transfer_ros.bags.sampling import Sampler
from safe_transfer_ros.bags.transition_store import Transitions, TransitionWriter, transition_dtype
from safe_transfer_ros.bags.transitions import Counts, TransitionBuilder
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.robot_task import Outcome, Seen
from safe_transfer_ros.tasks.task import Array, make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.untrusted import printable


@dataclass(frozen=True, kw_only=True)
class JointSpaceSafety:
    """Safety function of an arm that no task of ours knows; reward is 0.

    Attributes:
      function: "joint_speed_above" (rad/s) or "joint_angle_beyond" (rad).
      unsafety_limit: Its bound.
    """

    function: str
    unsafety_limit: float

    def outcome_of_steps(self, before: Seen, after: Seen, action: Array) -> Outcome:
        """The largest magnitude over the joints is the unsafety, shape (...)."""
        u = np.abs(after.velocity if self.function == "joint_speed_above" else after.position).max(axis=-1)
        return Outcome(task_reward=np.zeros_like(u), unsafety=u, reward=np.zeros_like(u))


def write_foreign_transitions(bag: Bag, mapping: RecordingMap, folder: Path | str) -> tuple[Transitions, Counts]:
    """Write the transitions of another stack's recording; see `transitions.write_transitions`.

    The next action is the one that was applied next, without spread: nobody recorded what else might have been.

    Raises:
      BagError: if the bag lacks what the mapping names, or the folder holds something.
    """
    if mapping.task and not in_graph(mapping.task).torques:
        raise BagError(
            f"a mapping cannot name {mapping.task}: commands are torques, and tell neither the motions of the tool "
            "that its critic judges nor the episode's goal"
        )
    task = make(mapping.task, TorqueTask) if mapping.task else None
    judge = task or JointSpaceSafety(
        function=next(iter(mapping.unsafe)), unsafety_limit=float(next(iter(mapping.unsafe.values())))
    )
    n = len(mapping.joints)
    if task is not None and (n != task.action_size):
        raise BagError(f"the mapping names {n} joints, task {task.name} has {task.action_size}")
    observations = 2 * n if task is None else task.observation_size
    dtype = transition_dtype(n, observations)
    builder = TransitionBuilder(judge, 1.0 / mapping.rate)
    sampler = Sampler(mapping, task)
    with TransitionWriter(folder, dtype) as writer:
        for rows in foreign_rows(bag, mapping, sampler):
            writer.add(builder.add(rows))
        builder.finish()
        found = builder.counts
        found.clock_jumps += bag.clock.jumps
        found.unusable_states, found.unusable_commands = sampler.states_left_out, sampler.commands_left_out
        if found.transitions == 0:
            raise BagError(_nothing(bag, mapping, sampler))
        counts = dataclasses.asdict(found)
        source = {"bag": str(bag.path), "counts": counts, "damage": bag.losses()}
        about = {"task": mapping.task, "period_s": 1.0 / mapping.rate, "unsafety_limit": judge.unsafety_limit}
        about |= {"mapping": dataclasses.asdict(mapping), "critics": [""], "counts": counts, "sources": [source]}
        writer.close(about)
    return Transitions(folder), found


def _nothing(bag: Bag, mapping: RecordingMap, sampler: Sampler) -> str:
    """Explanation of why a recording gave no transition, as far as it is known."""
    topics = (mapping.joint_states, mapping.commands)
    rates = {topic: sampler.rate(topic) for topic in topics}
    there = {one.topic for one in bag.summary()}
    for topic in topics:
        if math.isnan(rates[topic]) and topic in sampler.why_left_out:
            return f"{bag.path}: {printable(f'{topic}: {sampler.why_left_out[topic]}')}"
    slowest = min(topics, key=lambda topic: math.inf if math.isnan(rates[topic]) else rates[topic])
    if all(topic in there for topic in topics) and mapping.rate > rates[slowest]:
        return (
            f"{bag.path}: the mapping's rate {mapping.rate:g} is above that of {slowest}, which comes "
            f"{rates[slowest]:.3g} times a second: give a rate at or below that"
        )
    holds = ", ".join(sorted(there)) or "nothing"
    both = f"{mapping.joint_states} and {mapping.commands}"
    return printable(f"{bag.path}: no time at which both {both} are known; it holds {holds}")


def foreign_rows(bag: Bag, mapping: RecordingMap, sampler: Sampler) -> Iterator[NDArray[Any]]:
    """Decisions at the mapping's rate, in blocks; an episode is a stretch without a hole or a jump of the clock."""
    readers: dict[int, LayoutReader] = {}
    clock = 0
    for topic, messages, jumps in bag.batches((mapping.joint_states, mapping.commands)):
        if jumps != clock:
            clock = jumps
            yield sampler.restart()
        reader = readers.setdefault(id(topic.definitions), LayoutReader(topic.definitions, topic.type_name))
        start = 0
        for layout, block in reader.runs([message.data for message in messages]):
            times = np.array([message.log_time_ns for message in messages[start : start + len(block)]], dtype=np.int64)
            start += len(block)
            try:
                if topic.name == mapping.joint_states:
                    names = layout.strings["name"]
                    position, velocity = (layout.column(block, name) for name in ("position", "velocity"))
                    if isinstance(names, str) or position.ndim != 2 or velocity.ndim != 2:
                        raise BagError(f"{topic.name} ({topic.type_name}): name, position, velocity must be arrays")
                    sampler.states(times, names, position, velocity)
                else:
                    sampler.commands(times, layout.column(block, mapping.command_field))
            except KeyError as error:
                numbers = ", ".join(sorted(layout.columns)[:20]) or "none"
                told = f"{topic.name} ({topic.type_name}) has no field {error}; numbers: {numbers}"
                raise BagError(printable(told)) from None
        yield sampler.rows(final=False)
    yield sampler.rows(final=True)
