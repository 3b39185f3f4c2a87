# SPDX-License-Identifier: Apache-2.0
"""Episodes put together from the filter's decisions, live or from a bag.

The stream of SafetyDecisions is the one record of what was proposed, what was applied and why; learning,
reports and recomputation all start from the episodes made here. Nothing is interpolated: an episode with a
step missing is refused, by name. A step is not missing when the filter has recorded that it refused it: the torque
before it went on, and the episode has a row less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.reasons import NOT_TAKEN, VERDICTS, Verdict

Array = NDArray[np.float64]

# Between two states a joint moves no faster than JUMP_FACTOR times the larger of its speeds in them plus JUMP_SPEED.
# The light wrist of a simulated arm, slung about by 3 N·m at random, came to a quarter of that.
JUMP_FACTOR = 3.0
JUMP_SPEED = 4.0  # rad/s, above the speed limit of every joint of the arms here


class EpisodeError(ValueError):
    """Decisions do not make up an episode. The message names the iteration, the episode and the step."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode of T steps of an arm with n joints, k observed numbers.

    Row t of a (T, ...) array is the step taken in state t; row T of a (T+1, ...) array is the state in which
    the episode ended.

    Attributes:
      iteration: Iteration of the run it belongs to.
      index: Its number in the run.
      stamp_ns: Stamp of each state, shape (T+1,), ns.
      position: Joint positions, shape (T+1, n), rad.
      velocity: Joint velocities, shape (T+1, n), rad/s.
      observation: What the policy was shown, as the filter saw it, shape (T+1, k).
      mean: Mean of the proposed distribution, shape (T, n_actions), N·m or the task's unit.
      stddev: Its standard deviation, same shape and unit.
      proposed: Torque, or motion of the tool in the task's unit, proposed, shape (T, n_actions); where a critic refused
        that, what it let pass instead: another sample of the same distribution, and what was acted on.
      applied: Torque sent to the arm, shape (T, n), N·m.
      torque_limit: Limit in force, shape (T,), N·m.
      reasons: Combined `Reason` bits, shape (T,).
      verdict: `Verdict` of each step, shape (T,).
      risk: The critic's risk, shape (T,); NaN without a critic.
      policy_version: Version of the weights that proposed.
      terminated: It ended by failure or success, not by its time limit.
      object_pose: Of the task's object in each state, x y z in m and quaternion x y z w, shape (T+1, 7); None where
        there is none.
    """

    iteration: int
    index: int
    stamp_ns: NDArray[np.int64]
    position: Array
    velocity: Array
    observation: Array
    mean: Array
    stddev: Array
    proposed: Array
    applied: Array
    torque_limit: Array
    reasons: NDArray[np.uint32]
    verdict: NDArray[np.uint8]
    risk: Array
    policy_version: int
    terminated: bool
    object_pose: Array | None = None

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.torque_limit)


class EpisodeAssembler:
    """Takes decisions one by one and gives each episode as it becomes complete.

    Args:
      joint_names: Joint order of the arrays; None takes the order of each decision, which must then not
        change within an episode.
      action_names: The same of what actions are made of; the joints where not said.

    Attributes:
      interventions: Per iteration, the number of decisions with any reason set, refused ones included.
    """

    def __init__(self, joint_names: Sequence[str] | None = None, *, action_names: Sequence[str] | None = None) -> None:
        self.interventions: dict[int, int] = defaultdict(int)
        self._expected = _order(joint_names)
        self._expected_actions = _order(joint_names if action_names is None else action_names)
        self._rows: list[Any] = []
        self._refused: set[tuple[int, int, int]] = set()  # steps refused since the last episode that ended
        self._given_up: tuple[int, int] | None = None

    @property
    def unfinished(self) -> int:
        """Steps of the episode in hand, which has not ended yet."""
        return len(self._rows)

    def add(self, decision: Any) -> Episode | None:
        """Takes the next decision.

        Args:
          decision: A SafetyDecision, or anything with its attributes.

        Returns:
          The episode it completes, or None.

        Raises:
          EpisodeError: if a step is missing, the decision does not fit the episode, or its verdict stands for
            nothing. The rest of that episode is ignored; the next one can begin.
        """
        if decision.reasons or decision.verdict in NOT_TAKEN:
            self.interventions[int(decision.iteration)] += 1
        episode = (int(decision.iteration), int(decision.episode))
        if decision.verdict in NOT_TAKEN:
            if decision.verdict == Verdict.REJECTED:
                self._refused.add((*episode, int(decision.step)))
            return None
        if episode == self._given_up:
            return None
        if int(decision.verdict) not in VERDICTS:
            raise self._give_up(decision, _unknown(decision))
        rows = self._rows
        if rows and episode != (rows[0].iteration, rows[0].episode):
            broken_off = f"{_name(rows[0])} has no last decision: it breaks off after step {rows[-1].step}"
            begins = not decision.last and not self._missing(decision, 0)
            self._rows = [decision] if begins else []
            raise EpisodeError(broken_off)
        due = int(rows[-1].step) + 1 if rows else 0
        if decision.step < due or self._missing(decision, due):
            raise self._give_up(decision, _gap(due, int(decision.step)))
        if decision.last and not rows:
            raise self._give_up(decision, "every step was refused")
        if rows and decision.policy_version != rows[0].policy_version:
            changed = f"at step {decision.step}, {rows[0].policy_version} before"
            raise self._give_up(decision, f"policy version {decision.policy_version} {changed}")
        rows.append(decision)
        if not decision.last:
            return None
        self._rows = []
        self._refused.clear()
        return self._episode(rows)

    def _missing(self, decision: Any, due: int) -> bool:
        """Whether a step from `due` up to this decision is neither there nor known to have been refused."""
        episode = (int(decision.iteration), int(decision.episode))
        return any((*episode, step) not in self._refused for step in range(due, int(decision.step)))

    def _give_up(self, decision: Any, why: str) -> EpisodeError:
        self._rows = []
        self._given_up = (int(decision.iteration), int(decision.episode))
        return EpisodeError(f"{_name(decision)}: {why}")

    def _episode(self, rows: list[Any]) -> Episode:
        joint_order = _columns(rows, "joint_names", self._expected)
        action_order = _columns(rows, "action_names", self._expected_actions)
        steps, first = rows[:-1], rows[0]

        def columns(rows: list[Any], field: str, order: NDArray[np.intp]) -> Array:
            try:
                stacked = np.array([getattr(row, field) for row in rows], dtype=np.float64)
                return stacked.reshape(len(rows), len(order))[:, order]
            except ValueError:
                bad = next(row for row in rows if len(getattr(row, field)) != len(order))
                raise EpisodeError(
                    f"{_name(first)}: {field} of step {bad.step} has {len(getattr(bad, field))} values "
                    f"for {len(order)} joints"
                ) from None

        try:
            observation = np.array([row.observation for row in rows], dtype=np.float64)
        except ValueError:
            raise EpisodeError(f"{_name(first)}: observations differ in length") from None
        stamps = np.array([stamp_ns(row) for row in rows], dtype=np.int64)
        position, velocity = columns(rows, "position", joint_order), columns(rows, "velocity", joint_order)
        jump = first_jump(stamps, position, velocity)
        if jump is not None:
            moved = np.abs(position[jump] - position[jump - 1]).max()
            seconds = (stamps[jump] - stamps[jump - 1]) / 1e9
            raise EpisodeError(
                f"{_name(first)}: a joint moved by {moved:.3g} rad in the {seconds:.3g} s before step "
                f"{rows[jump].step}, which no arm does: it was reset in mid-episode, or joint states are another arm's"
            )
        return Episode(
            iteration=int(first.iteration),
            index=int(first.episode),
            stamp_ns=stamps,
            position=position,
            velocity=velocity,
            observation=observation,
            mean=columns(steps, "proposed_mean", action_order),
            stddev=_spread(steps, columns, action_order),
            proposed=columns(steps, "chosen", action_order),
            applied=columns(steps, "applied_effort", joint_order),
            torque_limit=np.array([row.torque_limit for row in steps], dtype=np.float64),
            reasons=np.array([row.reasons for row in steps], dtype=np.uint32),
            verdict=np.array([row.verdict for row in steps], dtype=np.uint8),
            risk=np.array([row.risk for row in steps], dtype=np.float64),
            policy_version=int(first.policy_version),
            terminated=bool(rows[-1].terminated),
            object_pose=_object_pose(rows),
        )


def _object_pose(rows: list[Any]) -> Array | None:
    """Poses of the task's object; None where a state came without one."""
    poses = [getattr(row, "object_pose", ()) for row in rows]
    return np.array(poses, dtype=np.float64) if all(len(pose) == 7 for pose in poses) else None


def _spread(
    steps: list[Any], columns: Callable[[list[Any], str, NDArray[np.intp]], Array], order: NDArray[np.intp]
) -> Array:
    """Standard deviations; 0 of a deterministic policy, which has none."""
    if all(len(row.proposed_stddev) == 0 for row in steps):
        return np.zeros((len(steps), len(order)))
    return columns(steps, "proposed_stddev", order)


def first_jump(stamp_ns: NDArray[np.int64], position: Array, velocity: Array) -> int | None:
    """First state of an episode that the arm cannot have reached from the one before.

    Args:
      stamp_ns: Stamps, shape (T+1,), ns.
      position: Joint positions, shape (T+1, n), rad.
      velocity: Joint velocities, shape (T+1, n), rad/s.

    Returns:
      Its row; None where there is none. A stamp set back, and a value that is not a number, are jumps too.
    """
    speed = np.maximum(np.abs(velocity[1:]), np.abs(velocity[:-1])) + JUMP_SPEED
    seconds = np.diff(stamp_ns)[:, None] / 1e9
    possible = (np.abs(np.diff(position, axis=0)) <= JUMP_FACTOR * speed * seconds).all(axis=1)
    return None if possible.all() else int(np.argmin(possible)) + 1


def _order(names: Sequence[str] | None) -> JointOrder | None:
    return None if names is None else JointOrder(names, extra_allowed=False)


def _columns(rows: list[Any], field: str, expected: JointOrder | None) -> NDArray[np.intp]:
    """Columns that bring what the decisions name in a field into the expected order."""

    def names_of(row: Any) -> tuple[str, ...]:
        return tuple(getattr(row, field, ()) or row.joint_names)  # before there were other actions all were torques

    names = names_of(rows[0])
    changed = next((row for row in rows if names_of(row) != names), None)
    if changed is not None:
        raise EpisodeError(f"{_name(changed)}: joint names change at step {changed.step}")
    try:
        return (expected or JointOrder(names, extra_allowed=False)).indices(names)
    except JointOrderError as error:
        raise EpisodeError(f"{_name(rows[0])}: {error}") from None


def episodes_from_decisions(
    decisions: Iterable[Any], *, joint_names: Sequence[str] | None = None, action_names: Sequence[str] | None = None
) -> list[Episode]:
    """Every episode in a stream of decisions.

    Args:
      decisions: SafetyDecisions in the order they were made. Those of an episode that has not ended yet may
        stand at the end; they are left out.
      joint_names: See `EpisodeAssembler`.
      action_names: See `EpisodeAssembler`.

    Returns:
      The complete episodes.

    Raises:
      EpisodeError: if a step is missing; the message names it.
    """
    assembler = EpisodeAssembler(joint_names, action_names=action_names)
    return [episode for decision in decisions if (episode := assembler.add(decision)) is not None]


def count_interventions(decisions: Iterable[Any]) -> int:
    """Decisions in which the filter changed or refused something: any reason set, or nothing let through."""
    return sum(1 for decision in decisions if decision.reasons or decision.verdict in NOT_TAKEN)


def stamp_ns(message: Any) -> int:
    """Stamp of a message's header, ns."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _gap(due: int, came: int) -> str:
    if came < due:
        return f"step {came} comes where step {due} was due"
    return f"step {due} is missing" if came == due + 1 else f"steps {due} to {came - 1} are missing"


def _unknown(decision: Any) -> str:
    expected = f"expected {min(VERDICTS)} to {max(VERDICTS)}"
    return f"step {decision.step} has the verdict {decision.verdict}, {expected}: what was applied is not known"


def _name(decision: Any) -> str:
    return f"iteration {decision.iteration}, episode {decision.episode}"
