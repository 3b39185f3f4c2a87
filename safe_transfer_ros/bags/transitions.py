# SPDX-License-Identifier: Apache-2.0
"""Decisions -> transitions (s, a, r, c, s'), never across a gap or the border of an episode.

Two decisions make a transition only if the second is the very next step of the same episode, under the same policy,
about one control period later by the robot's stamps, with nothing refused or stopped between them and nothing in them
that is not a number. Whatever is left out is counted, nothing is bridged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.decisions import DecisionReader, joined, taken
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.graph import namespace
from safe_transfer_ros.bags.laws import log_density
from safe_transfer_ros.bags.layout import FieldDefinitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions, TransitionWriter, transition_dtype
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution
from safe_transfer_ros.safety.reasons import NOT_TAKEN
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.tasks.robot_task import Outcome, Seen
from safe_transfer_ros.tasks.task import Array
from safe_transfer_ros.topic_names import DECISIONS, in_bag

_ACTIONS = ("proposed", "chosen", "applied")
_LAW = ("distribution", "mean", "stddev", "bound")
_TANH_GAUSSIAN = LAWS.index(Distribution.TANH_GAUSSIAN)
_PERIODS = (0.5, 1.5)  # of the control period, that may lie between two steps
_COPIED = ("stamp_ns", "iteration", "episode", "step", "observation", "proposed", "chosen", "mean")
_COPIED += ("stddev", "distribution", "bound", "torque_limit", "risk", "policy_version", "critic")  # type: ignore[assignment]


@dataclass(kw_only=True)
class Counts:
    """Counts of a stream of decisions, with the reasons why some made no transition.

    Attributes:
      decisions: Decisions read.
      episodes: Episodes met, whole or not.
      ended: Episodes whose last decision came.
      transitions: Transitions made.
      unsafe: Those that led to an unsafe state.
      refused: Decisions that refused a proposal or stopped the arm.
      gaps: Places where steps are missing inside an episode.
      missing: Steps missing there, and before the first step that was recorded of an episode.
      duplicated: Decisions that came twice.
      out_of_order: Decisions that came after a later one of their episode; left out.
      clock_jumps: Steps in order whose stamps are not about a control period apart; in another stack's recording,
        jumps of its clock, either way.
      interrupted: Steps between which something was refused or stopped.
      policy_changes: Steps of one episode under two policies.
      not_finite: Steps with NaN or infinity in them.
      unfinished: Episodes without a last decision.
      unusable_states: Joint states, of another stack's recording, left out: other joints, or numbers missing.
      unusable_commands: Commands left out there: another number of values.
    """

    decisions: int = 0
    episodes: int = 0
    ended: int = 0
    transitions: int = 0
    unsafe: int = 0
    refused: int = 0
    gaps: int = 0
    missing: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    clock_jumps: int = 0
    interrupted: int = 0
    policy_changes: int = 0
    not_finite: int = 0
    unfinished: int = 0
    unusable_states: int = 0
    unusable_commands: int = 0

    def add(self, other: Counts) -> None:
        """Sum of both, in place."""
        for part in dataclasses.fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def describe(self) -> str:
        """One line: what there is, and what was left out."""
        left_out = [
            f"{value} {name.replace('_', ' ')}"
            for name, value in dataclasses.asdict(self).items()
            if value and name not in ("decisions", "episodes", "ended", "transitions", "unsafe")
        ]
        text = f"{self.transitions:,} transitions ({self.unsafe:,} unsafe) from {self.decisions:,} decisions"
        return f"{text} of {self.episodes:,} episodes" + (f"; {', '.join(left_out)}" if left_out else "")


class Judge(Protocol):
    """Judge of a step's outcome: a Task, or the safety function of another stack's recording."""

    def outcome_of_steps(self, before: Seen, after: Seen, action: Array) -> Outcome:
        """See `RobotTask.outcome_of_steps`."""
        ...

    @property
    def unsafety_limit(self) -> float:
        """A state with a larger unsafety is unsafe."""
        ...


class TransitionBuilder:
    """Takes decisions in blocks, in the order they were recorded, and gives the transitions among them.

    Args:
      judge: Gives rewards and unsafety.
      period_s: Time between decisions, s.
      action_bound: Of motions of the tool, shape (n_actions,); None where actions are torques.
      first_chain: Number of the first unbroken stretch.

    Attributes:
      counts: What was found so far.
    """

    def __init__(
        self, judge: Judge, period_s: float, *, action_bound: Array | None = None, first_chain: int = 0
    ) -> None:
        self._judge, self._period_ns, self._bound = judge, period_s * 1e9, action_bound
        self.counts = Counts()
        self.chain = first_chain
        self._last: NDArray[Any] | None = None  # the newest step, shape (1,)
        self._last_chain = first_chain
        self._disturbed = False  # something was refused or stopped since

    def add(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Transitions that end in these rows.

        Args:
          rows: Decisions, shape (m,), see `decisions.row_dtype`.

        Returns:
          Shape (k,), see `transition_dtype`.
        """
        self.counts.decisions += len(rows)
        is_step = ~np.isin(rows["verdict"], list(NOT_TAKEN))
        self.counts.refused += int(np.count_nonzero(~is_step))
        self.counts.ended += int(np.count_nonzero(rows["last"] & is_step))
        disturbances = np.cumsum(~is_step) + int(self._disturbed)
        steps, disturbed = taken(rows, is_step), disturbances[is_step]
        if self._last is None:
            self.counts.episodes += int(len(steps) > 0)
            self.counts.missing += int(steps["step"][0]) if len(steps) else 0
        else:
            steps, disturbed = joined([self._last, steps]), np.concatenate([[0], disturbed])
        if len(steps) == 0:
            return self._none(rows)
        tail = int(disturbances[-1]) if len(rows) else int(self._disturbed)
        steps, disturbed = self._in_order(steps, disturbed)
        transitions = self._pairs(steps, disturbed)
        self._last, self._disturbed = steps[-1:].copy(), tail > int(disturbed[-1])
        return transitions

    def finish(self) -> None:
        """End the stream; an episode under way stays unfinished."""
        if self._last is not None and not self._last["last"][0]:
            self.counts.unfinished += 1
        self._last = None

    def _in_order(self, steps: NDArray[Any], disturbed: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Leave out steps that come no later in their episode than one before them."""
        border = _borders(steps)
        # Steps count up within an episode and start anew behind a border, whatever their numbers.
        number = np.cumsum(np.concatenate([[0], border])) * 2**33 + steps["step"].astype(np.int64)
        highest = np.maximum.accumulate(number)
        late = np.concatenate([[False], number[1:] <= highest[:-1]])
        if not late.any():
            return steps, disturbed
        same = np.concatenate([[False], _same(steps, "iteration", "episode", "step", "stamp_ns")])
        self.counts.duplicated += int(np.count_nonzero(late & same))
        self.counts.out_of_order += int(np.count_nonzero(late & ~same))
        return taken(steps, ~late), disturbed[~late]

    def _pairs(self, steps: NDArray[Any], disturbed: NDArray[Any]) -> NDArray[Any]:
        counts, before, after = self.counts, steps[:-1], steps[1:]
        border = _borders(steps)
        ahead = after["step"].astype(np.int64) - before["step"]
        gap = ~border & (ahead != 1)
        counts.episodes += int(np.count_nonzero(border))
        counts.unfinished += int(np.count_nonzero(border & ~before["last"]))
        counts.gaps += int(np.count_nonzero(gap))
        counts.missing += int((ahead[gap] - 1).sum()) + int(after["step"][border].sum())
        whole = ~border & ~gap
        for name, broken in (
            ("interrupted", np.diff(disturbed) != 0),
            ("policy_changes", before["policy_version"] != after["policy_version"]),
            ("clock_jumps", ~self._one_period(after["stamp_ns"] - before["stamp_ns"])),
            (
                "not_finite",
                ~(_finite(before, *_ACTIONS) & _bounded(steps)[:-1] & _finite_state(before) & _finite_state(after)),
            ),
        ):
            setattr(counts, name, getattr(counts, name) + int(np.count_nonzero(whole & broken)))
            whole &= ~broken
        chain = self._last_chain + np.cumsum(~whole)
        if len(chain):
            self._last_chain = int(chain[-1])
        self.chain = self._last_chain
        return self._transitions(taken(before, whole), taken(after, whole), chain[whole])

    def _one_period(self, elapsed_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        shortest, longest = (factor * self._period_ns for factor in _PERIODS)
        return (elapsed_ns > shortest) & (elapsed_ns < longest)

    def _transitions(self, before: NDArray[Any], after: NDArray[Any], chain: NDArray[Any]) -> NDArray[Any]:
        made = self._none(before, len(before))
        if len(before) == 0:
            return made
        # The reward is that of the action taken: what a critic refused was never done.
        outcome = self._judge.outcome_of_steps(_seen(before), _seen(after), before["chosen"])
        for name in _COPIED:
            made[name] = before[name]
        bound = self._bound
        made["applied"] = before["applied"] if bound is None else np.clip(before["chosen"], -bound, bound)
        made["chain"] = chain
        made["reward"], made["unsafety"] = outcome.reward, outcome.unsafety
        made["cost"] = ~(outcome.unsafety <= self._judge.unsafety_limit)  # NaN is unsafe
        made["next_observation"] = after["observation"]
        made["log_density"] = log_density(before["chosen"], before["mean"], before["stddev"], before["bound"])
        for name in _LAW:
            made[f"next_{name}"] = after[name]
        made["next_torque_limit"] = after["torque_limit"]
        ended = after["last"]
        made["next_mean"][ended] = made["next_stddev"][ended] = made["next_bound"][ended] = np.nan
        made["terminated"] = ended & after["terminated"]
        made["truncated"] = ended & ~after["terminated"]
        self.counts.transitions += len(made)
        self.counts.unsafe += int(np.count_nonzero(made["cost"]))
        return made

    def _none(self, rows: NDArray[Any], count: int = 0) -> NDArray[Any]:
        dtype = transition_dtype(rows["chosen"].shape[1], rows["observation"].shape[1])
        return np.empty(count, dtype=dtype)


def _seen(rows: NDArray[Any]) -> Seen:
    pose = rows["object_pose"]
    return Seen(
        position=rows["position"],
        velocity=rows["velocity"],
        observation=rows["observation"],
        object_pose=pose if pose.shape[1] else None,
    )


def _borders(steps: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask of episode starts, shape (m - 1,). An episode that is begun again later is another one."""
    again = (steps["step"][1:] == 0) & (steps["stamp_ns"][1:] > steps["stamp_ns"][:-1]) & (steps["step"][:-1] > 0)
    return np.asarray(~_same(steps, "iteration", "episode") | again)


def _same(steps: NDArray[Any], *names: str) -> NDArray[np.bool_]:
    return np.logical_and.reduce([steps[name][1:] == steps[name][:-1] for name in names])


def _finite(rows: NDArray[Any], *names: str) -> NDArray[np.bool_]:
    return np.logical_and.reduce([np.isfinite(rows[name]).all(axis=1) for name in names])


def _bounded(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a tanh Gaussian says its bound, without which its parameters say nothing."""
    return np.asarray((rows["distribution"] != _TANH_GAUSSIAN) | (rows["bound"] > 0.0).all(axis=1))


def _finite_state(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return _finite(rows, "position", "velocity", "observation") & np.isfinite(rows["torque_limit"])


def decision_reader(definitions: FieldDefinitions, type_name: str, graph: TaskInGraph) -> DecisionReader:
    """A reader of decisions made with this task."""
    task = graph.task
    return DecisionReader(
        definitions,
        type_name,
        joint_names=task.robot.joint_names,
        action_names=graph.action_names,
        n_observations=task.observation_size,
        tracks_object=graph.tracks_object,
    )


def transition_builder(graph: TaskInGraph, first_chain: int = 0) -> TransitionBuilder:
    """A builder of this task's transitions."""
    bound = None if graph.torques else graph.action_bound
    return TransitionBuilder(graph.task, graph.task.control_period_s, action_bound=bound, first_chain=first_chain)


def about_task(graph: TaskInGraph) -> dict[str, Any]:
    """Description of the task in a folder of transitions; "action_bound" is null where actions are torques."""
    task = graph.task
    return {
        "task": task.name,
        "period_s": task.control_period_s,
        "unsafety_limit": task.unsafety_limit,
        "action_bound": None if graph.torques else graph.action_bound.tolist(),
    }


def decision_rows(bag: Bag, graph: TaskInGraph) -> Iterator[tuple[NDArray[Any], list[str]]]:
    """A bag's decisions in blocks of rows, with the critic versions their `critic` column points into.

    Raises:
      BagError: if the bag cannot be read, or is not of this task's arm.
    """
    readers: dict[int, DecisionReader] = {}
    for topic, messages, _ in bag.batches((in_bag(DECISIONS, namespace(bag)),)):
        reader = readers.get(id(topic.definitions))
        if reader is None:
            reader = readers[id(topic.definitions)] = decision_reader(topic.definitions, topic.type_name, graph)
        yield reader.table([message.data for message in messages]), reader.critics


def write_transitions(bags: Iterable[Bag], graph: TaskInGraph, folder: Path | str) -> tuple[Transitions, Counts]:
    """Transitions of recordings as memory-mapped columns; memory does not grow with the recordings.

    Args:
      bags: Recordings of this package's graph; an episode does not go over from one to the next.
      graph: The task they were made with.
      folder: Folder to create.

    Returns:
      The transitions, and what was found over all bags.

    Raises:
      BagError: if a bag cannot be read or holds no decision, or the folder holds something.
    """
    dtype = transition_dtype(graph.task.action_size, graph.task.observation_size)
    total, critics, sources, chain = Counts(), [""], [], 0
    with TransitionWriter(folder, dtype) as writer:
        for bag in bags:
            builder = transition_builder(graph, chain)
            for rows, versions in decision_rows(bag, graph):
                critics += [version for version in versions if version not in critics]
                place = np.array([critics.index(version) for version in versions], dtype=np.int16)
                rows["critic"] = place[rows["critic"]]
                writer.add(builder.add(rows))
            builder.finish()
            if builder.counts.decisions == 0:
                raise BagError(f"{bag.path} holds no /{DECISIONS}: give a --mapping to read another stack's recording")
            chain = builder.chain + 1
            total.add(builder.counts)
            sources.append({"bag": str(bag.path), "counts": dataclasses.asdict(builder.counts), "damage": bag.losses()})
        writer.close(about_task(graph) | {"critics": critics, "counts": dataclasses.asdict(total), "sources": sources})
    return Transitions(folder), total
