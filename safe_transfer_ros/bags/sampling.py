# SPDX-License-Identifier: Apache-2.0
"""Joint states and commands brought together at a fixed rate.

Time is the receipt time of the bag, which all its topics share. At every 1 / rate seconds the newest joint state is a
state; its action is the command in force half a period later, which is the answer to that state whether commands come
at that rate or faster. A joint state or command that is missing or too old ends the stretch: nothing is bridged. Nor
is a jump of the recording's clock, either way.

Other nodes publish on the same topics: a gripper its finger, a second arm its joints. What does not hold what the
mapping names is left out and counted; it is missed where no good one follows in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.decisions import row_dtype
from safe_transfer_ros.bags.recording_map import RecordingMap
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.tasks.task import Array
from safe_transfer_ros.tasks.torque_task import TorqueTask

_STALE = 1.5  # periods after which a joint state or a command no longer counts


class Sampler:
    """Sampler of decisions from the messages of both topics, at a fixed rate.

    Args:
      mapping: What stands where.
      task: Gives observations; None: joint positions and velocities are the observation.

    Attributes:
      states_left_out: Joint states without the mapping's joints, or without their positions and velocities.
      commands_left_out: Commands with another number of values than there are joints.
      why_left_out: What was wrong with the first of each topic.
    """

    def __init__(self, mapping: RecordingMap, task: TorqueTask | None) -> None:
        """Start before the first message."""
        self._mapping, self._task = mapping, task
        self._order = JointOrder(mapping.joints)
        self._period = 1e9 / mapping.rate
        self._episode = self._step = 0
        self.states_left_out = self.commands_left_out = 0
        self.why_left_out: dict[str, str] = {}
        self._spans = {mapping.joint_states: [0, 0], mapping.commands: [0, 0]}  # ns, messages less one
        self._begin()

    def _begin(self) -> None:
        n = len(self._mapping.joints)
        self._state_times, self._state = np.empty(0, dtype=np.int64), np.empty((0, 2 * n))
        self._command_times, self._command = np.empty(0, dtype=np.int64), np.empty((0, n))
        self._first: int | None = None
        self._tick = 0
        self._used: int | None = None  # time of the joint state used last
        self._before: int | None = None  # tick of the row before

    def restart(self) -> NDArray[Any]:
        """Finish the stretch before a jump of the clock and begin another."""
        rows = self.rows(final=True)
        if self._step:
            self._episode, self._step = self._episode + 1, 0
        self._begin()
        return rows

    def states(self, times: NDArray[np.int64], names: list[str], position: Array, velocity: Array) -> None:
        """Process joint states of one layout, shape (m, names)."""
        try:
            indices = self._order.indices(names)
            if position.shape[1] != len(names) or velocity.shape[1] != len(names):
                raise JointOrderError(
                    f"joint states name {len(names)} joints but hold {position.shape[1]} positions and "
                    f"{velocity.shape[1]} velocities"
                )
        except JointOrderError as error:
            self.states_left_out += len(times)
            self.why_left_out.setdefault(self._mapping.joint_states, str(error))
            return
        self._note(self._mapping.joint_states, times)
        self._state_times = np.concatenate([self._state_times, times])
        self._state = np.concatenate([self._state, np.hstack([position[:, indices], velocity[:, indices]])])

    def commands(self, times: NDArray[np.int64], command: Array) -> None:
        """Process commands of one layout, shape (m, joints)."""
        if command.ndim != 2 or command.shape[1] != len(self._mapping.joints):
            got = command.shape[1] if command.ndim == 2 else 1
            self.commands_left_out += len(times)
            why = f"commands have {got} values for the {len(self._mapping.joints)} joints of the mapping"
            self.why_left_out.setdefault(self._mapping.commands, why)
            return
        self._note(self._mapping.commands, times)
        self._command_times = np.concatenate([self._command_times, times])
        self._command = np.concatenate([self._command, command])

    def _note(self, topic: str, times: NDArray[np.int64]) -> None:
        span = self._spans[topic]
        span[0] += int(times.max() - times.min())
        span[1] += len(times) - 1

    def rate(self, topic: str) -> float:
        """Usable messages per second of one of the two topics; NaN where fewer than two came."""
        nanoseconds, count = self._spans[topic]
        return 1e9 * count / nanoseconds if nanoseconds > 0 else float("nan")

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
        ticks = self._due(int((end - self._first) // self._period - (0 if final else 2)))
        if len(ticks) == 0:
            return none
        due = self._first + np.round(ticks * self._period).astype(np.int64)
        state, state_known = self._newest(self._state_times, due)
        command, command_known = self._newest(self._command_times, due + round(self._period / 2))
        # A joint state that already was the newest one tick ago says nothing about this tick.
        used = self._state_times[np.maximum(state, 0)]
        fresh = used != np.concatenate([[-1 if self._used is None else self._used], used[:-1]])
        known = state_known & command_known & fresh
        self._used = int(used[-1])
        rows = self._filled(ticks[known], due[known], state[known], command[known], none)
        self._forget(int(due[-1]))
        return rows

    def _due(self, last: int) -> NDArray[np.int64]:
        """Ticks up to `last`, not given before, at which some joint state is new enough.

        At most three for each joint state, however long nothing came between two of them.
        """
        assert self._first is not None
        at = np.ceil((self._state_times - self._first) / self._period).astype(np.int64)
        ticks = np.unique(np.concatenate([at - 1, at, at + 1]))
        ticks = ticks[(ticks >= self._tick) & (ticks <= last)]
        self._tick = max(self._tick, last + 1)
        return np.asarray(ticks)

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
        rows["distribution"], rows["bound"] = LAWS.index(Distribution.DETERMINISTIC), np.nan
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
