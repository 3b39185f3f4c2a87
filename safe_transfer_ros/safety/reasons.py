# SPDX-License-Identifier: Apache-2.0
"""Reasons of the filter's interventions, its modes, and the verdicts on proposals.

The numbers are part of the recorded interface: safe_transfer_msgs/SafetyDecision repeats them as constants. Never
renumber one; add new ones at the end.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import Final


class Reason(IntFlag):
    """Every cause for which a published torque differs from the proposed one, or a message is refused."""

    NONE = 0
    CLAMPED_TORQUE_LIMIT = 1 << 0
    CLAMPED_EFFORT_LIMIT = 1 << 1
    CLAMPED_TORQUE_RATE = 1 << 2
    PROPOSAL_NOT_FINITE = 1 << 3
    PROPOSAL_WRONG_LENGTH = 1 << 4
    PROPOSAL_WRONG_JOINTS = 1 << 5
    PROPOSAL_STALE = 1 << 6
    PROPOSAL_FROM_FUTURE = 1 << 7
    PROPOSAL_TIMEOUT = 1 << 8
    JOINT_STATE_STALE = 1 << 9
    JOINT_STATE_FROZEN = 1 << 10
    JOINT_STATE_NOT_FINITE = 1 << 11
    JOINT_STATE_WRONG_JOINTS = 1 << 12
    LIMIT_LEASE_LOST = 1 << 13
    LIMIT_REFUSED = 1 << 14
    CRITIC_RISK = 1 << 15
    CRITIC_FAILED = 1 << 16
    SECOND_PUBLISHER = 1 << 17
    OPERATOR_STOP = 1 << 18
    SHUTDOWN = 1 << 19
    NOT_ARMED = 1 << 20
    CLOCK_WENT_BACK = 1 << 21
    CLAMPED_SOFT_POSITION = 1 << 22
    CLAMPED_SOFT_VELOCITY = 1 << 23
    NO_PERMISSION = 1 << 24
    OBJECT_POSE_STALE = 1 << 25
    OBJECT_POSE_FROZEN = 1 << 26
    OBJECT_POSE_NOT_FINITE = 1 << 27
    GRAVITY_FAILED = 1 << 28
    JOINT_STATE_IMPLAUSIBLE = 1 << 29
    DAMAGE_BUDGET_SPENT = 1 << 30
    ARM_STOPPED = 1 << 31


class Mode(IntEnum):
    """State of the filter. Only ARMED lets a proposal through."""

    DISARMED = 0
    ARMED = 1
    HOLDING = 2
    TRIPPED = 3


class Verdict(IntEnum):
    """Verdict on the proposal of one decision."""

    ACCEPTED = 0
    BOUNDED = 1
    RESAMPLED = 2
    LEAST_RISKY = 3
    REJECTED = 4
    STOPPED = 5
    EPISODE_END = 6


NOT_TAKEN: Final = frozenset({Verdict.REJECTED, Verdict.STOPPED})
"""Verdicts on what was refused, or on no proposal at all: no step of the episode, nothing of it was applied."""

VERDICTS: Final = frozenset(int(verdict) for verdict in Verdict)
"""Numbers that stand for a verdict. With any other it is not known whether anything was applied."""

REASON_TEXT: Final = MappingProxyType(
    {
        Reason.CLAMPED_TORQUE_LIMIT: "a proposed torque was above the torque limit and was cut to it",
        Reason.CLAMPED_EFFORT_LIMIT: "a torque was above the joint's own effort limit and was cut to it",
        Reason.CLAMPED_TORQUE_RATE: "a torque would have changed faster than the rate limit and was slowed",
        Reason.PROPOSAL_NOT_FINITE: "a proposal held NaN, infinity or numbers that its distribution cannot have",
        Reason.PROPOSAL_WRONG_LENGTH: "a proposal had the wrong number of values",
        Reason.PROPOSAL_WRONG_JOINTS: "a proposal's joint names were missing, repeated or not this robot's",
        Reason.PROPOSAL_STALE: "a proposal answered a joint state no newer than the last one answered, or one too old",
        Reason.PROPOSAL_FROM_FUTURE: "a proposal was stamped ahead of every joint state seen",
        Reason.PROPOSAL_TIMEOUT: "no fresh proposal came in time",
        Reason.JOINT_STATE_STALE: "no new joint state came in time, or one came with an old stamp",
        Reason.JOINT_STATE_FROZEN: "joint states kept coming with identical values while torque was applied",
        Reason.JOINT_STATE_NOT_FINITE: "a joint state held NaN or infinity",
        Reason.JOINT_STATE_WRONG_JOINTS: "a joint state lacked a joint of this robot or had the wrong length",
        Reason.LIMIT_LEASE_LOST: "the torque limit was not renewed in time; the lowest limit is in force",
        Reason.LIMIT_REFUSED: "a torque-limit message broke a rule and was refused; the old limit stands",
        Reason.CRITIC_RISK: "the safety critic judged the proposal too risky; another action was chosen, or none",
        Reason.CRITIC_FAILED: "the safety critic raised or gave no usable answer; proposal refused",
        Reason.SECOND_PUBLISHER: "more than one publisher was on a topic, or spoke of our joints, where one must be",
        Reason.OPERATOR_STOP: "an operator or an external stop asked for it",
        Reason.SHUTDOWN: "the filter was being deactivated or shut down",
        Reason.NOT_ARMED: "a proposal came while the filter was not armed",
        Reason.CLOCK_WENT_BACK: "the steady clock handed to the filter went back, so no age was known",
        Reason.CLAMPED_SOFT_POSITION: "a joint was at a soft position limit; torque towards it was cut, or turned back",
        Reason.CLAMPED_SOFT_VELOCITY: "a joint was at its speed limit; torque to go faster was cut, or turned back",
        Reason.NO_PERMISSION: "the supervisor of the arm's controller did not permit torque, or was silent",
        Reason.OBJECT_POSE_STALE: "no new pose of the task's object came in time, or one with an old stamp or frame",
        Reason.OBJECT_POSE_FROZEN: "poses of the object kept coming with identical values while torque was applied",
        Reason.OBJECT_POSE_NOT_FINITE: "a pose of the object held NaN or infinity, or no rotation",
        Reason.GRAVITY_FAILED: "the torque that carries the arm, g(q), could not be computed; the last one stands",
        Reason.JOINT_STATE_IMPLAUSIBLE: "a joint was far outside its range, or faster than any arm of its kind can be",
        Reason.DAMAGE_BUDGET_SPENT: "the iteration's damage budget was spent; the lowest limit is in force now",
        Reason.ARM_STOPPED: "the arm takes no torque: it stopped itself, its user stop, guided, or out of reach",
    }
)
"""One line per reason, for people."""

MODE_TEXT: Final = MappingProxyType(
    {
        Mode.DISARMED: "stop torque; proposals are refused until the filter is armed",
        Mode.ARMED: "fresh proposals pass, within the envelope",
        Mode.HOLDING: "armed, but proposals stopped coming: stop torque until a fresh one is accepted",
        Mode.TRIPPED: "stop torque, latched until a reset that is refused while the cause stands",
    }
)
"""One line per mode, for people."""

VERDICT_TEXT: Final = MappingProxyType(
    {
        Verdict.ACCEPTED: "applied as proposed",
        Verdict.BOUNDED: "accepted, and changed by the envelope",
        Verdict.RESAMPLED: "too risky for the critic; a safe sample of the same distribution was applied",
        Verdict.LEAST_RISKY: "no safe sample was found; the least risky candidate was applied",
        Verdict.REJECTED: "refused as a whole; the proposal before it stands until it is too old",
        Verdict.STOPPED: "stop torque was applied",
        Verdict.EPISODE_END: "the last decision of an episode: no torque, the filter disarmed",
    }
)
"""One line per verdict, for people."""


def split(reasons: int) -> tuple[Reason, ...]:
    """The single reasons in a combination, lowest bit first; bits this version does not know are left out."""
    return tuple(reason for reason in REASON_TEXT if reasons & reason)


def describe(reasons: int) -> str:
    """The reasons of a combination in plain words, joined by semicolons; empty for none."""
    return "; ".join(REASON_TEXT[reason] for reason in split(reasons))


def reasons_table() -> str:
    """The reasons as the Markdown table of docs/safety.md."""
    rows = [f"| `{reason.name}` | {int(reason)} | {text} |" for reason, text in REASON_TEXT.items()]
    return "\n".join(["| reason | value | in words |", "|---|---|---|", *rows])
