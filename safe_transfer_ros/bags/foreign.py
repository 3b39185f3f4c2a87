# SPDX-License-Identifier: Apache-2.0
"""Somebody else's recording as decisions: joint states and effort commands, brought together by a YAML mapping.

    joint_states: /arm/joint_states        # sensor_msgs/msg/JointState, or anything with name, position, velocity
    commands: /arm/effort_command          # std_msgs/msg/Float64MultiArray, or any array of numbers
    command_field: data                    # the array's field
    joints: [shoulder, elbow, wrist]       # names in the joint states, in the order of the commands
    rate: 20.0                             # decisions a second
    task: pr2_cup_swirl                    # gives observation, reward and safety function; or, for any other arm:
    unsafe: {joint_speed_above: 2.0}       # rad/s, of any joint; or joint_angle_beyond: 1.5, rad from zero
    torque_limit: 3.0                      # N·m in force while it was recorded

Time is the receipt time of the bag, which all its topics share. At every 1 / rate seconds the newest joint state is a
state; its action is the command in force half a period later, which is the answer to that state whether commands come
at that rate or faster. A joint state or command that is missing or too old ends the stretch: nothing is bridged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from safe_transfer_ros.bags.decisions import row_dtype
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.layout import LayoutReader
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions, TransitionWriter, transition_dtype
from safe_transfer_ros.bags.transitions import Counts, TransitionBuilder
from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.robot_task import Outcome, Seen
from safe_transfer_ros.tasks.task import Array, make
from safe_transfer_ros.tasks.torque_task import TorqueTask

_STALE = 1.5  # periods after which a joint state or a command no longer counts


@dataclass(frozen=True, kw_only=True)
class RecordingMap:
    """What stands where in a recording; see the module."""

    joint_states: str
    commands: str
    joints: tuple[str, ...]
    rate: float
    command_field: str = "data"
    torque_limit: float = 0.0
    task: str = ""
    unsafe: Mapping[str, float] = field(default_factory=dict)


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


SAFETY_FUNCTIONS = ("joint_speed_above", "joint_angle_beyond")


def read_mapping(path: Path) -> RecordingMap:
    """Read and check a mapping.

    Raises:
      BagError: one line saying what is wrong with it.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BagError(f"cannot read the mapping {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BagError(f"the mapping {path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise BagError(f"the mapping {path} must be 'name: value' lines, got {type(document).__name__}")
    fields = {part.name: part for part in dataclasses.fields(RecordingMap)}
    for name in document:
        if name not in fields:
            raise BagError(f"{path}: unknown entry '{name}'; {nearest(str(name), fields)}")
    missing = [name for name in ("joint_states", "commands", "joints", "rate") if not document.get(name)]
    if missing:
        raise BagError(f"{path} lacks {', '.join(missing)}")
    try:
        values = {name: type(getattr(_DEFAULTS, name))(value) for name, value in document.items()}
        mapping = RecordingMap(**values)
    except (TypeError, ValueError) as error:
        raise BagError(f"{path}: {error}") from error
    unknown = [name for name in mapping.unsafe if name not in SAFETY_FUNCTIONS]
    if unknown or (not mapping.task and len(mapping.unsafe) != 1):
        raise BagError(f"{path}: give a task, or one of {', '.join(SAFETY_FUNCTIONS)} under unsafe")
    if not mapping.rate > 0.0 or not mapping.torque_limit >= 0.0:
        raise BagError(f"{path}: rate must be > 0 and torque_limit >= 0")
    return mapping


_DEFAULTS = RecordingMap(joint_states="", commands="", joints=(), rate=0.0)


def write_foreign_transitions(bag: Bag, mapping: RecordingMap, folder: Path | str) -> tuple[Transitions, Counts]:
    """Transitions of somebody else's recording; see `transitions.write_transitions`.

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
    with TransitionWriter(folder, dtype) as writer:
        for rows in foreign_rows(bag, mapping, task):
            writer.add(builder.add(rows))
        builder.finish()
        if builder.counts.decisions == 0:
            raise BagError(
                f"{bag.path}: no time at which both {mapping.joint_states} and {mapping.commands} are known; "
                f"it holds {', '.join(sorted(one.topic for one in bag.summary())) or 'nothing'}"
            )
        damage = [one.describe() for one in bag.damage if not one.whole]
        counts = dataclasses.asdict(builder.counts)
        source = {"bag": str(bag.path), "counts": counts, "damage": damage}
        about = {"task": mapping.task, "period_s": 1.0 / mapping.rate, "unsafety_limit": judge.unsafety_limit}
        about |= {"mapping": dataclasses.asdict(mapping), "critics": [""], "counts": counts, "sources": [source]}
        writer.close(about)
    return Transitions(folder), builder.counts


def foreign_rows(bag: Bag, mapping: RecordingMap, task: TorqueTask | None) -> Iterator[NDArray[Any]]:
    """Decisions at the mapping's rate, in blocks; an episode is a stretch without a hole."""
    sampler = _Sampler(mapping, task)
    readers: dict[int, LayoutReader] = {}
    for topic, messages in bag.batches((mapping.joint_states, mapping.commands)):
        reader = readers.setdefault(id(topic.definitions), LayoutReader(topic.definitions, topic.type_name))
        start = 0
        for layout, block in reader.runs([message.data for message in messages]):
            times = np.array([message.log_time_ns for message in messages[start : start + len(block)]], dtype=np.int64)
            start += len(block)
            try:
                if topic.name == mapping.joint_states:
                    names = layout.strings["name"]
                    sampler.states(
                        times, list(names), layout.column(block, "position"), layout.column(block, "velocity")
                    )
                else:
                    sampler.commands(times, layout.column(block, mapping.command_field))
            except KeyError as error:
                numbers = ", ".join(sorted(layout.columns)) or "none"
                raise BagError(f"{topic.name} ({topic.type_name}) has no field {error}; numbers: {numbers}") from None
            except JointOrderError as error:
                raise BagError(f"{topic.name}: {error}") from None
        yield sampler.rows(final=False)
    yield sampler.rows(final=True)


class _Sampler:
    """Holds what has come of both topics and gives the decisions whose time is past."""

    def __init__(self, mapping: RecordingMap, task: TorqueTask | None) -> None:
        self._mapping, self._task = mapping, task
        self._order = JointOrder(mapping.joints)
        n = len(mapping.joints)
        self._period = 1e9 / mapping.rate
        self._state_times, self._state = np.empty(0, dtype=np.int64), np.empty((0, 2 * n))
        self._command_times, self._command = np.empty(0, dtype=np.int64), np.empty((0, n))
        self._first: int | None = None
        self._tick = self._episode = self._step = 0
        self._before: int | None = None  # tick of the row before

    def states(self, times: NDArray[np.int64], names: list[str], position: Array, velocity: Array) -> None:
        indices = self._order.indices(names)
        if position.shape[1] != len(names) or velocity.shape[1] != len(names):
            raise BagError(
                f"joint states name {len(names)} joints but hold {position.shape[1]} positions and "
                f"{velocity.shape[1]} velocities"
            )
        self._state_times = np.concatenate([self._state_times, times])
        self._state = np.concatenate([self._state, np.hstack([position[:, indices], velocity[:, indices]])])

    def commands(self, times: NDArray[np.int64], command: Array) -> None:
        if command.ndim != 2 or command.shape[1] != len(self._mapping.joints):
            got = command.shape[1] if command.ndim == 2 else 1
            raise BagError(f"commands have {got} values for the {len(self._mapping.joints)} joints of the mapping")
        self._command_times = np.concatenate([self._command_times, times])
        self._command = np.concatenate([self._command, command])

    def rows(self, *, final: bool) -> NDArray[Any]:
        """Decisions up to what both topics are known for."""
        n = len(self._mapping.joints)
        kinds = 2 * n if self._task is None else self._task.observation_size
        none = np.empty(0, dtype=row_dtype(n, n, kinds))
        if len(self._state_times) == 0 or (len(self._command_times) == 0 and not final):
            return none
        for name in ("_state", "_command"):  # a topic may be recorded a little out of order by several threads
            times = getattr(self, f"{name}_times")
            order = np.argsort(times, kind="stable")
            setattr(self, f"{name}_times", times[order])
            setattr(self, name, getattr(self, name)[order])
        if self._first is None:
            self._first = int(self._state_times[0])
        newest = int(self._state_times[-1])
        end = newest if final else min(newest, int(self._command_times[-1]))
        last_tick = int((end - self._first) // self._period - (0 if final else 2))
        ticks = np.arange(self._tick, max(last_tick + 1, self._tick))
        if len(ticks) == 0:
            return none
        self._tick = int(ticks[-1]) + 1
        due = self._first + np.round(ticks * self._period).astype(np.int64)
        state, state_known = self._newest(self._state_times, due)
        command, command_known = self._newest(self._command_times, due + round(self._period / 2))
        # A joint state that already was the newest one tick ago says nothing about this tick.
        fresh = np.concatenate([[True], state[1:] != state[:-1]])
        known = state_known & command_known & fresh
        rows = self._filled(ticks[known], due[known], state[known], command[known], none)
        self._forget(int(due[-1]))
        return rows

    def _newest(self, times: NDArray[np.int64], when: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        index = np.searchsorted(times, when, side="right") - 1
        if len(times) == 0:
            return index, np.zeros(len(when), dtype=np.bool_)
        age = when - times[np.maximum(index, 0)]
        return index, (index >= 0) & (age < _STALE * self._period)

    def _filled(
        self,
        ticks: NDArray[np.int64],
        due: NDArray[np.int64],
        state: NDArray[np.int64],
        command: NDArray[np.int64],
        none: NDArray[Any],
    ) -> NDArray[Any]:
        rows = np.zeros(len(ticks), dtype=none.dtype)
        if len(ticks) == 0:
            return rows
        n = len(self._mapping.joints)
        episode, step = [], []
        for tick in ticks.tolist():
            if self._before is not None and tick != self._before + 1:
                self._episode, self._step = self._episode + 1, 0
            episode.append(self._episode)
            step.append(self._step)
            self._step, self._before = self._step + 1, tick
        rows["stamp_ns"], rows["episode"], rows["step"] = due, episode, step
        rows["torque_limit"], rows["risk"] = self._mapping.torque_limit, np.nan
        rows["position"], rows["velocity"] = self._state[state][:, :n], self._state[state][:, n:]
        for name in ("mean", "proposed", "chosen", "applied"):
            rows[name] = self._command[command]
        rows["observation"] = (
            self._state[state]
            if self._task is None
            else self._task.observe(rows["position"], rows["velocity"], rows["torque_limit"])
        )
        return rows

    def _forget(self, before: int) -> None:
        """Keep what a later tick can still need: the newest of each topic up to now, and all behind it."""
        for name in ("_state", "_command"):
            times = getattr(self, f"{name}_times")
            keep = max(int(np.searchsorted(times, before, side="right")) - 1, 0)
            setattr(self, f"{name}_times", times[keep:])
            setattr(self, name, getattr(self, name)[keep:])
