# SPDX-License-Identifier: Apache-2.0
"""Every number of a run once more, from its bag alone.

The joint states, the filter's decisions and the policy updates in the bag go through the same ledger,
governor and rewards as in the run. What comes out must equal the run's iterations.csv; where it does not,
one of the two is wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.graph import messages
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.record.accounting import account
from safe_transfer_ros.record.episode import Episode, EpisodeAssembler, EpisodeError, stamp_ns
from safe_transfer_ros.record.iteration import IterationRecord, iteration_estimate, iteration_record
from safe_transfer_ros.record.policy_shift import policy_shift, updated_policy
from safe_transfer_ros.record.returns import ReturnsHeard
from safe_transfer_ros.record.run_config import governor, parameters, run_config
from safe_transfer_ros.robots.overrides import RobotOverrides
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError, OtherJointsError
from safe_transfer_ros.safety.limit.governor import unfit_update
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger
from safe_transfer_ros.safety.reasons import Reason, split
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.topic_names import DECISIONS, JOINT_STATES, OBJECT_POSE, POLICY_WEIGHTS, RUN_CONFIG
from safe_transfer_ros.untrusted import printable

Array = NDArray[np.float64]

# Joint states are taken in by blocks: forward kinematics of many at once costs a twentieth of one by one.
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class IterationDetail:
    """Details of the filter and the arm in one iteration, beyond its row.

    Attributes:
      iteration: Its number.
      unsafety: u of every state a step led to, shape (steps,), in the task's unit.
      reasons: Decisions per reason; one decision may have several.
      decisions: Decisions made, refused ones included.
      episodes: Whole episodes.
      unsafe_episodes: Those with an unsafe state.
      succeeded: Those that the task's rule ended without one.
      stood_still: Episodes in which a joint that was asked for torque stood still, where D_safe is at stake should it
        break loose (`TorqueLimitGovernor.may_break_loose`); 0 where it is not.
      critics: Decisions that a critic judged, by its version.
    """

    iteration: int
    unsafety: NDArray[np.float64]
    reasons: Mapping[Reason, int]
    decisions: int
    episodes: int = 0
    unsafe_episodes: int = 0
    succeeded: int = 0
    stood_still: int = 0
    critics: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """A run as recomputed from its bag.

    Attributes:
      records: A row per iteration that was learned from.
      details: As many, plus one for an iteration that was interrupted.
      config: The run's parameters by node, ROS parameter-file layout.
      next_iteration: The iteration after the last one in `records`.
      next_torque_limit: Its limit, N·m.
      memory: What the limit's rule then remembers, see `TorqueLimitGovernor.memory`.
      notes: What a reader should know: damage of the bag, missing data, iterations left out.
    """

    records: tuple[IterationRecord, ...]
    details: tuple[IterationDetail, ...]
    config: Mapping[str, Any]
    next_iteration: int
    next_torque_limit: float
    memory: str
    notes: tuple[str, ...]


def iteration_records(bag: Bag | Path | str) -> tuple[list[IterationRecord], dict[str, Any]]:
    """Rows and configuration of a run, from its bag alone; see `recompute`."""
    result = recompute(bag)
    return list(result.records), dict(result.config)


def recompute(bag: Bag | Path | str) -> Recomputed:
    """Recomputes a run from its bag.

    Args:
      bag: A bag of this package's graph.

    Returns:
      The rows and what else the bag tells. wall_time_s is from the first to each following policy update, by
      time of receipt; every other column equals the live run's.

    Raises:
      BagError: if the bag cannot be read or lacks a topic this needs.
    """
    bag = bag if isinstance(bag, Bag) else Bag(bag)
    config = run_config(bag)
    try:
        replay = _Replay(config)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        told = printable(f"/{RUN_CONFIG} in {bag.path} holds a value that cannot be used: {error}")
        raise BagError(told.splitlines()[0]) from error
    poses = (OBJECT_POSE,) if replay.tracks_object else ()
    for topic, message, log_time_ns in messages(bag, (JOINT_STATES, *poses, DECISIONS, POLICY_WEIGHTS)):
        try:
            if topic == JOINT_STATES:
                replay.on_joint_state(message)
            elif topic == OBJECT_POSE:
                replay.on_object_pose(message)
            elif topic == DECISIONS:
                replay.on_decision(message)
            else:
                replay.on_weights(message, log_time_ns)
        except BagError:
            raise
        except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise BagError(f"/{topic} in {bag.path} is not what this package's graph publishes: {error}") from error
    replay.finish()
    return Recomputed(
        records=tuple(replay.records),
        details=tuple(replay.details()),
        config=config,
        next_iteration=replay.governor.iteration,
        next_torque_limit=replay.governor.torque_limit,
        memory=replay.governor.memory,
        notes=tuple(bag.losses() + replay.notes),
    )


class _Replay:
    """Takes a bag's messages in the order of recording and does what monitor and trainer did with them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.records: list[IterationRecord] = []
        self.notes: list[str] = []
        shared = parameters(config, "trainer")
        self._graph = in_graph(str(shared["task"]), RobotOverrides.of(shared))
        self._task = self._graph.task
        self._reader = self._graph.unsafety_reader(int(shared.get("seed", 0)))
        self._order = JointOrder(self._task.robot.joint_names)
        self.governor = governor(config)
        self._ledger = UnsafetyLedger(
            self._task.unsafety_limit,
            torque_actions=self._graph.torques,
            observations=self.governor.settings.needs_shift,
        )
        self._returns: ReturnsHeard | None = None
        if self.governor.settings.benefit:
            self._returns = ReturnsHeard(self._task, self._graph.action_names)
        self._held = ""  # why the limit did not rise after the iteration before
        self._assembler = EpisodeAssembler(self._task.robot.joint_names, action_names=self._graph.action_names)
        self._episodes: dict[int, list[Episode]] = defaultdict(list)
        self._reasons: dict[int, Counter[int]] = defaultdict(Counter)  # by combination of bits
        self._decisions: Counter[int] = Counter()
        self._unsafety: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
        self._critics: dict[int, Counter[str]] = defaultdict(Counter)
        self._stood_still: dict[int, int] = {}  # episodes, where D_safe is at stake
        self._ends: dict[int, list[tuple[bool, bool]]] = defaultdict(list)  # whether unsafe, whether it succeeded
        self._stamps: list[int] = []
        self._positions: list[NDArray[np.float64]] = []
        self._unreadable_states = self._states_of_others = self._misplaced_poses = 0
        self._updates: list[tuple[Any, float]] = []
        self._started_ns: int | None = None

    def on_joint_state(self, message: Any) -> None:
        try:
            position = message.position[self._order.indices(message.name)]
        except OtherJointsError:  # a gripper's, or another arm's: the monitor leaves it out too
            self._states_of_others += 1
            return
        except (JointOrderError, IndexError):
            self._unreadable_states += 1
            return
        self._stamps.append(stamp_ns(message))
        self._positions.append(position)
        self._ledger.add_position(self._stamps[-1], position)
        if len(self._stamps) >= _BLOCK:
            self._account_states()
        self._close_complete()

    @property
    def tracks_object(self) -> bool:
        return self._graph.tracks_object

    def on_object_pose(self, message: Any) -> None:
        if message.header.frame_id != self._task.robot.base_link:  # the monitor leaves it out too
            self._misplaced_poses += 1
            return
        at, turned = message.pose.position, message.pose.orientation
        pose = np.array([at.x, at.y, at.z, turned.x, turned.y, turned.z, turned.w])
        self._account(self._reader.pose(stamp_ns(message), pose))
        self._close_complete()

    def on_decision(self, message: Any) -> None:
        iteration = int(message.iteration)
        self._decisions[iteration] += 1
        self._reasons[iteration][int(message.reasons)] += 1
        judge = str(getattr(message, "critic_version", ""))  # before decisions told it there was none
        if judge and not np.isnan(getattr(message, "risk", np.nan)):
            self._critics[iteration][judge] += 1
        account(self._ledger, message)
        if self._returns is not None:
            self._returns.add(message)
        self._account(self._reader.decision(stamp_ns(message), int(message.episode)))
        try:
            episode = self._assembler.add(message)
        except EpisodeError as error:
            self.notes.append(f"left out: {error}")
            return
        if episode is not None:
            self._episodes[iteration].append(episode)
            unsafety = self._task.outcome_of(episode).unsafety
            unsafe = bool((~(unsafety <= self._task.unsafety_limit)).any())
            self._unsafety[iteration].append(unsafety)
            self._ends[iteration].append((unsafe, episode.terminated and not unsafe))
            self._close_complete()

    def on_weights(self, message: Any, log_time_ns: int) -> None:
        if self._started_ns is None:
            self._started_ns = log_time_ns
        # The weights a run starts from, which a late recorder may see twice: no iteration is behind them.
        if message.version <= self.governor.iteration + len(self._updates):
            return
        refusal = unfit_update(message, self.governor.iteration + len(self._updates))
        if refusal:
            self.notes.append(f"weights version {message.version} left out, as the monitor did: {refusal}")
            return
        while self._updates:  # the monitor gave up waiting for its data, so it does not matter what comes now
            self._account_states()
            self._close()
        self._updates.append((message, (log_time_ns - self._started_ns) / 1e9))
        self._close_complete()

    def finish(self) -> None:
        """Closes what the end of the bag leaves open."""
        self._account_states()
        while self._updates:
            self._close()
        if self._assembler.unfinished or self._episodes:
            self.notes.append(
                f"iteration {max(self._decisions)} was interrupted: its decisions are in the bag, no update "
                "came of them"
            )
        if self._misplaced_poses:
            self.notes.append(f"{self._misplaced_poses} poses of the object are not in the base link's frame; left out")
        if self._unreadable_states:
            self.notes.append(
                f"{self._unreadable_states} joint states lack a joint of the robot, or name too many; left out"
            )
        if self._states_of_others:
            self.notes.append(f"{self._states_of_others} joint states are of other joints than the robot's; left out")

    def details(self) -> list[IterationDetail]:
        """Details of every iteration with at least one complete episode."""
        return [
            IterationDetail(
                iteration=iteration,
                unsafety=np.concatenate(self._unsafety[iteration]),
                reasons=_by_reason(self._reasons[iteration]),
                decisions=self._decisions[iteration],
                episodes=len(self._ends[iteration]),
                unsafe_episodes=sum(unsafe for unsafe, _ in self._ends[iteration]),
                succeeded=sum(succeeded for _, succeeded in self._ends[iteration]),
                stood_still=self._stood_still.get(iteration, 0),
                critics=self._critics[iteration],
            )
            for iteration in sorted(self._unsafety)
        ]

    def _account_states(self) -> None:
        if self._stamps:
            self._account(self._reader.states(self._stamps, np.stack(self._positions)))
            self._stamps.clear()
            self._positions.clear()

    def _account(self, told: list[tuple[int, float]]) -> None:
        for state_ns, unsafety in told:
            self._ledger.add_state(state_ns, unsafety)

    def _close_complete(self) -> None:
        """Closes iterations as the monitor did: once the update is there and all its data."""
        while self._updates:
            self._account_states()
            update, _ = self._updates[0]
            if not self._ledger.complete(int(update.iteration), int(update.steps)):
                return
            self._close()

    def _close(self) -> None:
        update, wall_time_s = self._updates.pop(0)
        iteration = int(update.iteration)
        episodes = self._episodes.pop(iteration, [])
        try:
            updated = updated_policy(update) if self.governor.settings.needs_shift else None
            totals = self._ledger.close(iteration, self.governor.torque_limit)
            step = self.governor.take(
                totals,
                kl=float(update.kl),
                kl_bound=float(update.kl_bound),
                returns=None if self._returns is None else self._returns.close(iteration, int(update.steps)),
                shift=None if updated is None else policy_shift(totals, updated),
                limit_change=self._graph.limit_change(totals.limited),
            )
            estimate = iteration_estimate(
                step,
                totals,
                policy_version=int(update.version) - 1,
                steps=int(update.steps),
                kl=float(update.kl),
            )
            record = iteration_record(
                episodes,
                estimate,
                self._task,
                interventions=self._assembler.interventions[iteration],
                wall_time_s=wall_time_s,
            )
        except ValueError as error:
            self.notes.append(f"iteration {iteration} left out: {error}")
            return
        self._note_hold(iteration)
        if self.governor.may_break_loose(totals.standstill_rate):
            self._stood_still[iteration] = sum(totals.stood_still)
        if totals.missing:
            self.notes.append(f"iteration {iteration}: {totals.missing} joint states missing, counted as unsafe")
        if totals.lowered:
            self.notes.append(
                f"iteration {iteration}: {totals.lowered} steps were under a lower limit, the lease lost or the damage "
                "budget spent"
            )
        in_force = float(np.median(totals.torque_limit))
        if abs(in_force - step.torque_limit) > 1e-9:
            self.notes.append(
                f"iteration {iteration}: the filter worked with {in_force:.4g} N·m, the rule gives "
                f"{step.torque_limit:.4g} N·m"
            )
        self.records.append(record)

    def _note_hold(self, iteration: int) -> None:
        """Note where a limit begins to be held below what the bound allows."""
        held, self._held = self._held, self.governor.held
        if self._held and not held:
            self.notes.append(f"from iteration {iteration + 1} on the torque limit was {self._held}")


def _by_reason(combinations: Counter[int]) -> dict[Reason, int]:
    """Counts of single reasons from counts of their combinations."""
    result: Counter[Reason] = Counter()
    for combination, count in combinations.items():
        result.update(dict.fromkeys(split(combination), count))
    return dict(result)
