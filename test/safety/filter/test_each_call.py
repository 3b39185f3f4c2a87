# SPDX-License-Identifier: Apache-2.0
"""Rules that hold in every call, for every joint and for every setting: each by itself."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.envelope import Envelope, bound_torque
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
S = 1000 * MS

# Our own clock going back


CALLS = {
    "arm": lambda arm: arm.filter.arm(arm.now),
    "disarm": lambda arm: arm.filter.disarm(arm.now),
    "trip": lambda arm: arm.filter.trip(Reason.OPERATOR_STOP, arm.now),
    "reset": lambda arm: arm.filter.reset(arm.now),
    "observe_state": lambda arm: arm.filter.observe_state(arm.stamp + 1, np.ones(3), np.ones(3), arm.now),
    "observe_object": lambda arm: arm.filter.observe_object(1, np.eye(7)[6], arm.now),
    "propose": lambda arm: arm.filter.propose(arm.proposal(stamp_ns=arm.stamp + 1), arm.now),
    "reject": lambda arm: arm.filter.reject(Reason.JOINT_STATE_WRONG_JOINTS, arm.now),
    "cycle": lambda arm: arm.filter.cycle(arm.now),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_clock_that_went_back_is_noticed_in_every_call(rig, call):
    arm = rig().run()
    arm.now -= 1
    CALLS[call](arm)
    assert arm.filter.mode is Mode.TRIPPED and arm.filter.cause & Reason.CLOCK_WENT_BACK
    assert not arm.cycle().any()
    assert arm.filter.last_reasons & Reason.CLOCK_WENT_BACK


@pytest.mark.parametrize("call", CALLS)
def test_the_same_instant_is_no_step_back(rig, call):
    arm = rig().run()
    CALLS[call](arm)
    arm.cycle()
    assert not arm.filter.last_reasons & Reason.CLOCK_WENT_BACK


# Stamps and own limits in every mode


def test_a_state_set_back_is_refused_while_holding_too(rig):
    arm = rig().run()
    arm.wait(105)
    assert arm.filter.mode is Mode.HOLDING
    before = arm.filter.position.copy()
    assert arm.state(stamp_ns=arm.stamp - 100 * MS) is Reason.JOINT_STATE_STALE
    np.testing.assert_array_equal(arm.filter.position, before)


@pytest.mark.parametrize("end", ["disarm", "last", "trip", "state fault"])
def test_a_limit_of_its_own_ends_with_the_motion_however_that_ends(rig, end):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    assert arm.filter.arm(arm.now, own_limit=0.4) is None
    arm.propose([0.3, 0.0, 0.0])
    arm.cycle()
    assert arm.filter.torque_limit == 0.4
    if end == "disarm":
        arm.filter.disarm(arm.now)
    elif end == "last":
        arm.state()
        assert arm.propose(last=True) is Reason.NONE
    elif end == "trip":
        arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    else:
        arm.state(position=np.full(3, math.nan))
    assert arm.filter.own_limit is None
    arm.cycle()
    assert arm.filter.torque_limit == 0.1


def test_holding_keeps_the_limit_of_the_motion(rig):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    arm.filter.arm(arm.now, own_limit=0.4)
    arm.wait(105)
    assert arm.filter.mode is Mode.HOLDING and arm.filter.own_limit == 0.4


@pytest.mark.parametrize("standing", [Reason.SECOND_PUBLISHER, Reason.NO_PERMISSION | Reason.OPERATOR_STOP])
@pytest.mark.parametrize("own_limit", [None, 0.4])
def test_nothing_is_armed_while_the_caller_sees_a_cause(rig, standing, own_limit):
    arm = rig()
    arm.state()
    arm.cycle()
    refused = arm.filter.arm(arm.now, standing, own_limit)
    assert refused is not None and refused.startswith("must not be armed: ")
    for reason in (Reason.SECOND_PUBLISHER, Reason.NO_PERMISSION, Reason.OPERATOR_STOP):
        assert (reason.name in refused) == bool(reason & standing)
    assert arm.filter.mode is Mode.DISARMED and arm.filter.own_limit is None
    assert arm.filter.arm(arm.now, Reason.NONE, own_limit) is None


# Settings changed while it runs


def tightened(arm, **changes):
    return arm.filter.tighten(dataclasses.replace(arm.filter.settings, **changes))


def silent(arm):
    """Time until the mode changes, ms, with joint states and without proposals."""
    mode, began = arm.filter.mode, arm.now
    while arm.filter.mode is mode:
        arm.wait(5)
    return (arm.now - began) // MS


def test_a_shorter_action_timeout_holds_from_now_on(rig):
    arm = rig().run()
    assert tightened(arm, action_timeout_s=0.05) is None
    assert silent(arm) == 55 and arm.filter.mode is Mode.HOLDING
    assert arm.filter.settings.action_timeout_s == 0.05


def test_a_shorter_action_timeout_is_also_that_of_the_states_a_proposal_may_answer(rig):
    arm = rig().run()
    tightened(arm, action_timeout_s=0.05)
    answered = arm.stamp + 5 * MS
    arm.wait(60)
    assert arm.propose(stamp_ns=answered - MS) is Reason.PROPOSAL_STALE


def test_a_shorter_trip_timeout_holds_from_now_on(rig):
    arm = rig().run()
    assert tightened(arm, trip_timeout_s=0.2) is None
    assert silent(arm) == 105 and silent(arm) == 100 and arm.filter.mode is Mode.TRIPPED


def test_a_shorter_joint_state_timeout_holds_from_now_on(rig):
    arm = rig().run()
    assert tightened(arm, joint_state_timeout_s=0.02) is None
    arm.wait(20, states=False)
    assert arm.filter.mode is Mode.ARMED
    arm.wait(5, states=False)
    assert arm.filter.cause is Reason.JOINT_STATE_STALE


def test_a_shorter_frozen_timeout_holds_from_now_on(rig):
    arm = rig(action_timeout_s=0.4).run()
    assert tightened(arm, frozen_timeout_s=0.1) is None
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    for _ in range(21):
        arm.state(**still)
        arm.cycle()
    assert arm.filter.mode is Mode.ARMED
    arm.state(**still)
    arm.cycle()
    assert arm.filter.cause is Reason.JOINT_STATE_FROZEN


POSE = np.array([0.5, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "frozen", "reason"),
    [
        ("object_timeout_s", False, Reason.OBJECT_POSE_STALE),
        ("object_frozen_timeout_s", True, Reason.OBJECT_POSE_FROZEN),
    ],
)
def test_shorter_timeouts_of_the_object_hold_from_now_on(rig, name, frozen, reason):
    arm = rig(tracks_object=True, action_timeout_s=5.0, trip_timeout_s=5.0)
    arm.state()
    arm.filter.observe_object(arm.stamp, POSE, arm.now)
    arm.run()
    assert tightened(arm, **{name: 0.1}) is None
    began = arm.now
    while arm.filter.mode is Mode.ARMED:
        arm.state()
        if frozen:
            arm.filter.observe_object(arm.stamp, POSE, arm.now)
        arm.cycle()
    assert arm.filter.cause is reason and (arm.now - began) // MS in (95, 100, 105)


TIMEOUTS = {
    "action_timeout_s",
    "trip_timeout_s",
    "joint_state_timeout_s",
    "frozen_timeout_s",
    "object_timeout_s",
    "object_frozen_timeout_s",
}


@pytest.mark.parametrize("name", sorted(set(FilterSettings.__dataclass_fields__) - TIMEOUTS))
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_nothing_but_a_timeout_changes_while_it_runs(rig, name, factor):
    arm = rig(stop_damping=0.2)
    before = arm.filter.settings
    value = "scale" if name == "clamp" else factor * getattr(before, name)
    assert tightened(arm, **{name: value}) == f"{name} cannot be changed while the filter runs"
    assert arm.filter.settings is before


@pytest.mark.parametrize("name", sorted(TIMEOUTS))
def test_no_timeout_becomes_longer_and_nothing_of_a_refused_change_is_taken(rig, name):
    arm = rig()
    before = arm.filter.settings
    other = next(timeout for timeout in ("frozen_timeout_s", "object_timeout_s") if timeout != name)
    changes = {name: 1.01 * getattr(before, name), other: 0.5 * getattr(before, other)}
    if name == "action_timeout_s":
        changes["trip_timeout_s"] = before.trip_timeout_s
    assert f"{name} may only be shortened" in tightened(arm, **changes)
    assert arm.filter.settings is before


# The object's pose


def turned(*quaternion):
    return np.array([0.5, 0.0, 0.05, *quaternion])


HALF = math.sqrt(0.5)
ROTATIONS = [(0, 0, 0, 1), (1, 0, 0, 0), (0, -1, 0, 0), (0, 0, 0, -1), (HALF, 0, 0, HALF), (0.5, -0.5, 0.5, -0.5)]
NONE = [(0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 0, 1.01), (0.99, 0, 0, 0), (0.5, 0.5, 0.5, 0), (HALF, HALF, HALF, 0)]


@pytest.fixture
def pushing(rig):
    """A rig that tracks an object, armed, with torque."""

    def make(**changes):
        arm = rig(tracks_object=True, action_timeout_s=50.0, trip_timeout_s=50.0, **changes)
        arm.state()
        arm.filter.observe_object(arm.stamp, POSE, arm.now)
        return arm.run()

    return make


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_any_rotation_is_one(pushing, rotation):
    arm = pushing()
    assert arm.filter.observe_object(arm.stamp + 1, turned(*rotation), arm.now) is Reason.NONE
    np.testing.assert_array_equal(arm.filter.object_pose, turned(*rotation))


@pytest.mark.parametrize("rotation", NONE)
def test_what_is_no_rotation_is_refused_whichever_axis_it_is_about(pushing, rotation):
    arm = pushing()
    assert arm.filter.observe_object(arm.stamp + 1, turned(*rotation), arm.now) is Reason.OBJECT_POSE_NOT_FINITE
    assert arm.filter.cause is Reason.OBJECT_POSE_NOT_FINITE
    np.testing.assert_array_equal(arm.filter.object_pose, POSE)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_number_of_a_pose_is_enough(pushing, place, bad):
    arm = pushing()
    pose = POSE.copy()
    pose[place] = bad
    assert arm.filter.observe_object(arm.stamp + 1, pose, arm.now) is Reason.OBJECT_POSE_NOT_FINITE
    arm.wait(5)
    assert "not finite" in arm.filter.reset(arm.now)
    arm.filter.observe_object(arm.stamp + 2, POSE, arm.now)
    assert arm.filter.reset(arm.now) is None


def test_poses_found_frozen_must_change_before_a_reset(pushing):
    arm = pushing()
    while arm.filter.mode is Mode.ARMED:
        arm.state()
        arm.filter.observe_object(arm.stamp, POSE, arm.now)
        arm.cycle()
    assert arm.filter.cause is Reason.OBJECT_POSE_FROZEN
    for _ in range(3):
        arm.wait(5)
        arm.filter.observe_object(arm.stamp, POSE, arm.now)
        assert "have not changed" in arm.filter.reset(arm.now)
    arm.filter.observe_object(arm.stamp + 1, POSE + 1e-12 * np.eye(7)[0], arm.now)
    assert arm.filter.reset(arm.now) is None


def test_after_our_clock_went_back_no_pose_has_an_age(pushing):
    arm = pushing()
    arm.now -= 1
    arm.cycle()
    arm.state()
    assert arm.filter.reset(arm.now) is None
    assert arm.filter.arm(arm.now) == "no pose of the object has come"
    arm.filter.observe_object(arm.stamp, POSE, arm.now)
    assert arm.filter.arm(arm.now) is None


# One bad joint among several


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_one_bad_effort_limit_is_enough(joint, bad):
    limits = np.array([30.0, 10.0, 5.0])
    limits[joint] = bad
    with pytest.raises(ValueError, match="effort"):
        Envelope(limits)
    with pytest.raises(ValueError, match="effort"):
        bound_torque(np.zeros(3), np.zeros(3), 1.0, limits, 1.0)


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize(
    ("name", "bad"),
    [("velocity", 0.0), ("velocity", math.nan), ("k_position", 0.0), ("k_velocity", -1.0), ("soft_lower", 3.0)]
    + [("soft_upper", -3.0), ("soft_lower", math.nan), ("soft_upper", math.nan)],
)
def test_one_bad_soft_limit_is_enough(joint, name, bad):
    limits = {
        "soft_lower": np.full(3, -2.0),
        "soft_upper": np.full(3, 2.0),
        "velocity": np.full(3, 1.0),
        "k_position": np.full(3, 10.0),
        "k_velocity": np.full(3, 10.0),
    }
    limits[name][joint] = bad
    with pytest.raises(ValueError, match=name.split("_")[0]):
        SoftLimits(**limits)


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize("field", ["effort", "mean", "stddev"])
def test_one_bad_joint_of_a_proposal_is_enough(rig, joint, field):
    arm = rig().arm()
    values = np.ones(3)
    values[joint] = math.nan
    assert arm.propose(**{"effort": np.ones(3)} | {field: values}) is Reason.PROPOSAL_NOT_FINITE


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize("field", ["position", "velocity"])
def test_one_bad_joint_of_a_state_is_enough(rig, joint, field):
    arm = rig().run()
    values = np.ones(3)
    values[joint] = math.inf
    assert arm.state(**{field: values}) is Reason.JOINT_STATE_NOT_FINITE
    assert arm.filter.mode is Mode.TRIPPED


@pytest.mark.parametrize("joint", range(3))
def test_one_joint_with_torque_is_not_stopped(rig, joint):
    arm = rig(t_min=1.0, ceiling=1.0, torque_rate_limit=100.0).arm()
    arm.propose(0.4 * np.eye(3)[joint])
    arm.wait(20)
    assert not arm.filter.stopped
    arm.now += MS
    arm.filter.disarm(arm.now)
    assert "not come to zero" in arm.filter.arm(arm.now)


@pytest.mark.parametrize("joint", range(3))
def test_torque_on_one_joint_is_torque_to_a_frozen_arm(rig, joint):
    arm = rig(action_timeout_s=2.0, trip_timeout_s=2.0).arm()
    arm.propose(0.2 * np.eye(3)[joint])
    for _ in range(50):
        arm.state(position=np.ones(3), velocity=np.zeros(3))
        arm.cycle()
    assert arm.filter.cause is Reason.JOINT_STATE_FROZEN
