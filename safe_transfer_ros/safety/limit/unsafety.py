# SPDX-License-Identifier: Apache-2.0
"""Unsafety and its rate: safety functions u(s), and the unsafety rate p_u of an iteration (PSPT).

A safety function is registered under a name and maps poses to a number that must stay at or below a limit.
The ledger counts over an iteration's rollouts, from joint states and decisions that may arrive in any order,
and fails closed: what should have been seen and was not counts as unsafe.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.limit.standstill import Travel, asked_joints, marked, stood_still

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
UnsafetyFunction: TypeAlias = Callable[[Array], Array]

_FUNCTIONS: Final[dict[str, UnsafetyFunction]] = {}


def register(name: str) -> Callable[[UnsafetyFunction], UnsafetyFunction]:
    """Decorator: make a safety function known under `name`.

    Raises:
      ValueError: if the name is taken.
    """

    def add(function: UnsafetyFunction) -> UnsafetyFunction:
        if name in _FUNCTIONS:
            raise ValueError(f"unsafety function {name!r} is registered already; choose another name")
        _FUNCTIONS[name] = function
        return function

    return add


def get(name: str) -> UnsafetyFunction:
    """The safety function registered under `name`.

    Raises:
      ValueError: if there is none; the message names the nearest one.
    """
    if name not in _FUNCTIONS:
        near = difflib.get_close_matches(name, _FUNCTIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown unsafety function {name!r}, known: {', '.join(sorted(_FUNCTIONS))}{hint}")
    return _FUNCTIONS[name]


@register("tilt_from_vertical")
def tilt_from_vertical(rotation: Array) -> Array:
    """Angle between the tool's +x axis and straight down (PSPT, cup swirl).

    Args:
      rotation: Tool orientation in a frame whose +z points up, shape (..., 3, 3).

    Returns:
      Degrees in [0, 180], shape (...); 0 when the cup hangs straight down. NaN where the rotation is.
    """
    # atan2 stays accurate near 0, where acos loses half of its digits.
    sideways = np.hypot(rotation[..., 0, 0], rotation[..., 1, 0])
    return np.asarray(np.degrees(np.arctan2(sideways, -rotation[..., 2, 0])), dtype=np.float64)


def unsafety_rate(unsafety: Array, limit: float) -> float:
    """Fraction of states with u(s) > limit (PSPT p_u).

    Args:
      unsafety: u of each visited state, any shape, not empty. NaN counts as unsafe.
      limit: u_lim, in the unit of u.

    Returns:
      Rate in [0, 1].

    Raises:
      ValueError: if there is no state, or the limit is NaN.
    """
    values = np.asarray(unsafety, dtype=np.float64)
    if values.size == 0:
        raise ValueError("unsafety_rate needs at least one state, got none")
    if limit != limit:
        raise ValueError("unsafety_rate needs a limit, got NaN")
    return float(np.mean(~(values <= limit)))


@dataclass(frozen=True, kw_only=True)
class LedgerTotals:
    """Totals of one iteration's rollouts.

    Attributes:
      iteration: The iteration.
      unsafety_rate: p_u in [0, 1]: the share of decision periods with an unsafe or a missing state; or, where larger,
        that share of the periods under the iteration's own limit: what a lowered one kept safe says nothing of it. 1
        where there is no such period.
      standstill_rate: p_u with all periods of episodes that stood still counted as unsafe; at least unsafety_rate.
      unsafe_periods: Number of unsafe periods under each limit, N·m.
      unsafe: Whether each period under the iteration's own limit was unsafe, one series per episode.
      stood_still: Whether a joint stood still though asked for torque, or its motion was not seen; by episode.
      periods: Decision periods, p_u's denominator: from one step of an episode to the next, or to its end.
      states: Joint states seen in them, with the missing ones.
      missing: Decision stamps without a joint state; the period of each counts as unsafe.
      overflowed: Some evidence had to be dropped for lack of room; p_u is then 1, and all periods are unsafe.
      unsafety_mean: Mean u over the states seen; NaN where none was, or one was NaN.
      unsafety_max: Largest u over the states seen; NaN likewise.
      mean: Policy mean torque per step under the iteration's own limit, shape (n_steps, n_joints), N·m, ordered by
        episode and stamp; of every step where none was under it.
      stddev: Standard deviation, same shape, N·m.
      torque_limit: Limit each of these steps was taken under, shape (n_steps,), N·m.
      lowered: Steps under a lower limit, which are not among them.
      limited: Whether a torque was cut to it since the step before, shape (n_steps,).
      observation: What each step was decided on, shape (n_steps, k), in the order of `mean`; (n_steps, 0) where the
        ledger does not keep it.
    """

    iteration: int
    unsafety_rate: float
    standstill_rate: float
    unsafe_periods: Mapping[float, int]
    unsafe: tuple[Flags, ...]
    stood_still: tuple[bool, ...]
    periods: int
    states: int
    missing: int
    overflowed: bool
    unsafety_mean: float
    unsafety_max: float
    mean: Array
    stddev: Array
    torque_limit: Array
    lowered: int
    limited: Flags
    observation: Array

    def shown(self, standstill: str = "measured") -> list[Flags]:
        """`unsafe` of the episodes that show anything; see `GovernorSettings.standstill`."""
        still = [standstill == "unsafe" and stands for stands in self.stood_still]
        return [flags for flags in marked(self.unsafe, still) if len(flags)]

    def damage(self, damage: Callable[[float], float]) -> float:
        """Mean damage of a decision period: d of the limit that each unsafe one was under.

        Args:
          damage: d, torque limit (N·m) to damage (`damage.DamageModel`).
        """
        if not self.periods:  # nothing was shown to be safe
            return damage(float(self.torque_limit.max()))
        return sum(count / self.periods * damage(limit) for limit, count in self.unsafe_periods.items())


@dataclass(kw_only=True)
class _Episode:
    """Decisions of one episode by stamp and step; None where the decision carries no proposal.

    The stamp alone will not do: two proposals that come between two joint states are decided on the same one.
    """

    steps: dict[tuple[int, int], tuple[Array, Array, float, bool, Array] | None]
    ended: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """Stamps of the first and of the last decision."""
        return min(self.steps)[0], max(self.steps)[0]

    @property
    def edges(self) -> npt.NDArray[np.int64]:
        """Stamps at which decision periods begin and end, rising; a proposal that was refused begins none."""
        steps = {stamp for (stamp, _), step in self.steps.items() if step is not None}
        return np.array(sorted(steps.union(self.span)), dtype=np.int64)

    def limits(self, stamps: npt.NDArray[np.int64], otherwise: float) -> Array:
        """Limit that the decision at each stamp was under, N·m; `otherwise` where there was none with a proposal."""
        found: dict[int, float] = {}
        for (stamp, _), step in self.steps.items():
            if step is not None:
                found[stamp] = max(step[2], found.get(stamp, 0.0))
        return np.array([found.get(stamp, otherwise) for stamp in stamps.tolist()], dtype=np.float64)


def _rate(bad: Flags, under: Flags) -> float:
    """Share of bad periods, of all or, where larger, of those under the iteration's limit."""
    if not under.any():  # nothing was shown to be safe under it
        return 1.0
    return max(int(bad.sum()) / len(bad), int(bad[under].sum()) / int(under.sum()))


class UnsafetyLedger:
    """Counts unsafe states per iteration from joint states and decisions in any order of arrival.

    A state counts when its stamp lies in (first decision, last decision] of an episode. What is counted are decision
    periods, each by the worst of its states: more states, of a faster robot or of a stranger, add no safe ones to the
    measure. In lockstep a period has one state, the one its torque led to. A decision stamp (but the first) whose joint
    state never came makes its period unsafe. Two values for one stamp: the worse one counts.

    Memory is bounded: at most `capacity` states and as many decisions are held. What does not fit makes the
    iterations it may have belonged to `overflowed`, with an unsafety rate of 1. One ledger serves one run,
    whose iterations are closed in rising order.

    Attributes:
      late: Decisions that came for an iteration already closed; not counted.
    """

    def __init__(
        self, limit: float, *, capacity: int = 200_000, torque_actions: bool = True, observations: bool = False
    ) -> None:
        """Start empty.

        Args:
          limit: u_lim, in the unit of u, finite.
          capacity: Most states, positions and decisions held at a time, > 0.
          torque_actions: Whether actions are the joints' torques. Where not, a policy's distribution does not tell
            which joints are asked: all count, in an episode in which the limit was felt.
          observations: Whether to keep the observations that decisions were made on.

        Raises:
          ValueError: if the limit is not finite or the capacity not positive.
        """
        if not np.isfinite(limit) or capacity <= 0:
            raise ValueError(f"expected a finite limit and a capacity > 0, got {limit} and {capacity}")
        self.limit = float(limit)
        self.late = 0
        self._capacity = capacity
        self._torque_actions, self._keeps_observations = torque_actions, observations
        self._travel = Travel(capacity)
        self._states: dict[int, float] = {}
        self._episodes: dict[int, dict[int, _Episode]] = {}
        self._held_steps = 0
        self._overflowed_through = -1  # iterations up to this one lost decisions
        self._evicted_through = -1  # states up to this stamp may have been dropped
        self._closed_iteration = -1
        self._closed_through = -1

    def add_state(self, stamp_ns: int, unsafety: float) -> None:
        """Record u of the joint state stamped `stamp_ns`."""
        if stamp_ns <= self._closed_through:
            return
        known = self._states.get(stamp_ns)
        if known is None or unsafety > known or unsafety != unsafety:
            self._states[stamp_ns] = unsafety
        if len(self._states) > self._capacity:
            self._evict_older_half()

    def add_position(self, stamp_ns: int, position: Array) -> None:
        """Record the joint positions of the state stamped `stamp_ns`, shape (n_joints,), rad."""
        if stamp_ns > self._closed_through:
            self._travel.add(stamp_ns, position)

    def add_step(
        self,
        iteration: int,
        episode: int,
        stamp_ns: int,
        last: bool,
        mean: Array,
        stddev: Array,
        torque_limit: float,
        step: int = 0,
        limited: bool = False,
        observation: npt.ArrayLike = (),
    ) -> None:
        """Record one decision.

        Args:
          iteration: Iteration it belongs to.
          episode: Episode within the run.
          stamp_ns: Stamp of the joint state it answers.
          last: It ends the episode and carries no proposal; `mean` and `stddev` are ignored.
          mean: Policy mean torque, shape (n_joints,), N·m; copied. Empty where the filter stopped the arm
            without a proposal: the states still count.
          stddev: Standard deviation, shape (n_joints,), N·m; copied.
          torque_limit: Limit in force, N·m.
          step: Its number in the episode, where two decisions may be on the same state.
          limited: Whether a torque was cut to the limit since the decision before.
          observation: What it was decided on, shape (k,); copied where the ledger keeps observations.
        """
        if iteration <= self._closed_iteration:
            self.late += 1
            return
        if self._held_steps >= self._capacity:
            self._overflowed_through = max(self._overflowed_through, iteration)
            return
        record = self._episodes.setdefault(iteration, {}).setdefault(episode, _Episode(steps={}))
        record.ended |= last
        carries = not last and len(mean) > 0
        # The same step on the same state again counts only where it was refused before, and carried no proposal.
        key = (stamp_ns, step)
        known = key in record.steps
        if known and (record.steps[key] is not None or not carries):
            return
        self._held_steps += not known
        if not carries:
            record.steps[key] = None
            return
        kept = np.array(observation if self._keeps_observations else (), dtype=np.float64)
        record.steps[key] = (np.array(mean), np.array(stddev), float(torque_limit), limited, kept)

    def complete(self, iteration: int, steps: int) -> bool:
        """Whether everything of an iteration has arrived.

        Args:
          iteration: The iteration.
          steps: Decisions with a proposal it consists of, over all its episodes.

        Returns:
          True when that many were seen, every episode seen has ended, and each decision but an episode's
          first has its joint state. An iteration that lost evidence for lack of room may never get complete;
          close it all the same.
        """
        episodes = self._episodes.get(iteration, {})
        seen = sum(step is not None for episode in episodes.values() for step in episode.steps.values())
        if seen < steps or not all(episode.ended for episode in episodes.values()):
            return False
        return bool(episodes) and not any(len(self._absent(episode)) for episode in episodes.values())

    def close(self, iteration: int, torque_limit: float | None = None) -> LedgerTotals:
        """Count an iteration and forget it, every earlier one, and all states up to its end.

        Args:
          iteration: The iteration.
          torque_limit: Its own limit, N·m. What happened under a lower one, after a lost lease or with the damage
            budget spent, counts as damage, and is no evidence for the next limit. None: all steps count alike.

        Raises:
          ValueError: if the iteration has no decision with a proposal; nothing is forgotten then.
        """
        episodes = self._episodes.get(iteration, {})
        rows = [step for key in sorted(episodes) for _, step in sorted(episodes[key].steps.items()) if step is not None]
        if not rows:
            raise ValueError(f"iteration {iteration} has no decision with a proposal; nothing to close")
        stamps = np.array(sorted(self._states), dtype=np.int64)
        unsafety = np.array([self._states[stamp] for stamp in stamps.tolist()], dtype=np.float64)
        inside = np.zeros(len(stamps), dtype=np.bool_)
        above = ~(unsafety <= self.limit)
        unsafe: list[Flags] = []
        unshown: list[Flags] = []
        limits: list[Array] = []
        missing = 0
        own = max(row[2] for row in rows) if torque_limit is None else torque_limit
        overflowed = iteration <= self._overflowed_through
        still = tuple(self._stood_still(episodes[key]) for key in sorted(episodes))
        for key, stands in zip(sorted(episodes), still, strict=True):
            episode = episodes[key]
            first, end = episode.span
            within = (stamps > first) & (stamps <= end)
            inside |= within
            edges, absent = episode.edges, self._absent(episode)
            bad = np.zeros(len(edges) - 1, dtype=np.bool_)
            bad[np.searchsorted(edges[1:], np.concatenate([stamps[within & above], absent]))] = True
            unsafe.append(bad)
            unshown.append(bad | stands)
            limits.append(episode.limits(edges[:-1], own))
            missing += len(absent)
            overflowed |= first < self._evicted_through
        seen, limit, bad = unsafety[inside], np.concatenate(limits), np.concatenate(unsafe) | overflowed
        least = own * (1.0 - 1e-9) if torque_limit is not None else -np.inf
        under = [row for row in rows if not row[2] < least] or rows
        totals = LedgerTotals(
            iteration=iteration,
            unsafety_rate=_rate(bad, ~(limit < least)),
            standstill_rate=_rate(np.concatenate(unshown) | overflowed, ~(limit < least)),
            unsafe_periods=Counter(limit[bad].tolist()),
            unsafe=tuple((b | overflowed)[~(t < least)] for b, t in zip(unsafe, limits, strict=True)),
            stood_still=still,
            periods=len(bad),
            states=len(seen) + missing,
            missing=missing,
            overflowed=overflowed,
            unsafety_mean=float(seen.mean()) if len(seen) else float("nan"),
            unsafety_max=float(seen.max()) if len(seen) else float("nan"),
            mean=np.stack([row[0] for row in under]),
            stddev=np.stack([row[1] for row in under]),
            torque_limit=np.array([row[2] for row in under], dtype=np.float64),
            lowered=len(rows) - len(under),
            limited=np.array([row[3] for row in under], dtype=np.bool_),
            observation=np.stack([row[4] for row in under]),
        )
        self._forget(iteration, max(episode.span[1] for episode in episodes.values()))
        return totals

    def _evict_older_half(self) -> None:
        # Half at a time: finding the oldest of 200,000 for every new state would cost milliseconds each.
        stamps = sorted(self._states)
        self._evicted_through = stamps[len(stamps) // 2]
        for stamp in stamps[: len(stamps) // 2 + 1]:
            del self._states[stamp]

    def _stood_still(self, episode: _Episode) -> bool:
        rows = [row for row in episode.steps.values() if row is not None]
        travel = self._travel.between(*episode.span)
        if not rows:
            return True  # nothing was asked of any joint, so nothing was shown
        if self._torque_actions:
            mean, stddev, limit = (np.array([row[part] for row in rows], dtype=np.float64) for part in range(3))
            return stood_still(travel, asked_joints(mean, stddev, limit))
        return stood_still(travel, np.full(len(travel), any(row[3] for row in rows)))

    def _absent(self, episode: _Episode) -> npt.NDArray[np.int64]:
        """Decision stamps, but the first, without a joint state, rising."""
        first, _ = episode.span
        stamps = {stamp for stamp, _ in episode.steps}
        absent = sorted(stamp for stamp in stamps if stamp != first and stamp not in self._states)
        return np.array(absent, dtype=np.int64)

    def _forget(self, iteration: int, end_ns: int) -> None:
        self._closed_iteration = max(self._closed_iteration, iteration)
        self._closed_through = max(self._closed_through, end_ns)
        for old in [key for key in self._episodes if key <= iteration]:
            self._held_steps -= sum(len(episode.steps) for episode in self._episodes.pop(old).values())
        self._states = {stamp: u for stamp, u in self._states.items() if stamp > end_ns}
        self._travel.forget(end_ns)
