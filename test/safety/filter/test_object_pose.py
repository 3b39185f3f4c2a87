# SPDX-License-Identifier: Apache-2.0
"""A task with an object: its pose lost, frozen or senseless stops the arm with a named reason."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.object_pose import ObjectPoseWatch
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
POSE = np.array([0.5, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0])


def seen(arm, x=0.0, **changes):
    """A pose whose x differs by a little each time, as a measured one does."""
    pose = POSE + np.eye(7)[0] * (x + arm.now * 1e-18)
    arguments = {"stamp_ns": arm.stamp, "pose": pose} | changes
    return arm.filter.observe_object(now_ns=arm.now, **arguments)


@pytest.fixture
def moving(rig):
    """Armed, with torque, joint states and poses coming."""

    def make():
        arm = rig(tracks_object=True, action_timeout_s=5.0, trip_timeout_s=5.0)
        arm.state()
        seen(arm)
        arm.arm()
        arm.propose()
        arm.cycle()
        assert arm.filter.applied.any()
        return arm

    return make


def run(arm, ms, **pose):
    for _ in range(ms // 5):
        arm.state()
        seen(arm, **pose)
        arm.propose()
        arm.cycle()


def test_it_moves_while_poses_come(moving):
    arm = moving()
    run(arm, 2000)
    assert arm.filter.mode is Mode.ARMED and arm.filter.applied.any()


def test_lost_poses_trip_and_reset_waits_for_one(moving):
    arm = moving()
    arm.wait(195)  # joint states go on
    assert arm.filter.mode is Mode.ARMED
    arm.wait(10)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.OBJECT_POSE_STALE)
    assert not arm.filter.applied.any()
    assert "pose of the object" in arm.filter.reset(arm.now)
    seen(arm)
    assert arm.filter.reset(arm.now) is None


def test_poses_that_never_change_are_no_measurements(moving):
    arm = moving()
    for _ in range(199):
        run(arm, 5, pose=POSE)
    assert arm.filter.mode is Mode.ARMED
    for _ in range(3):
        run(arm, 5, pose=POSE)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.OBJECT_POSE_FROZEN)


@pytest.mark.parametrize(
    ("newest", "late_ms", "expected"),
    [(POSE + np.eye(7)[0], 300, "s old"), (np.full(7, np.nan), 0, "not finite"), (POSE, 0, "have not changed")],
)
def test_after_frozen_poses_reset_waits_for_a_good_new_one(moving, newest, late_ms, expected):
    arm = moving()
    while arm.filter.mode is Mode.ARMED:
        run(arm, 5, pose=POSE)
    assert arm.filter.cause is Reason.OBJECT_POSE_FROZEN
    arm.state()
    seen(arm, pose=newest)
    arm.wait(late_ms)
    assert expected in arm.filter.reset(arm.now)
    arm.state()
    seen(arm)
    assert arm.filter.reset(arm.now) is None


@pytest.mark.parametrize("bad", [np.full(7, np.nan), POSE + np.inf, POSE * 0.9, np.zeros(7), np.ones(3)])
def test_a_senseless_pose_trips_at_once(moving, bad):
    arm = moving()
    assert seen(arm, pose=bad) is Reason.OBJECT_POSE_NOT_FINITE
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.OBJECT_POSE_NOT_FINITE)
    arm.cycle()
    assert not arm.filter.applied.any()
    assert arm.filter.last_reasons & Reason.OBJECT_POSE_NOT_FINITE


def test_a_pose_stamped_as_the_last_is_none(moving):
    arm = moving()
    stamp = arm.stamp
    for _ in range(50):
        run(arm, 5, stamp_ns=stamp)
    assert arm.filter.cause is Reason.OBJECT_POSE_STALE


def test_without_a_pose_it_is_not_armed_but_may_be_moved_to_the_start(rig):
    arm = rig(tracks_object=True)
    arm.state()
    arm.cycle()
    assert arm.filter.arm(arm.now) == "no pose of the object has come"
    assert arm.filter.arm(arm.now, own_limit=0.5) is None
    arm.wait(300)  # the move is not stopped for want of an object
    assert not arm.filter.cause & Reason.OBJECT_POSE_STALE


def test_a_task_without_an_object_takes_no_notice(rig):
    arm = rig().run()
    assert seen(arm, pose=np.full(7, np.nan)) is Reason.NONE
    assert arm.filter.mode is Mode.ARMED


# The watch by itself


def test_the_first_pose_may_have_the_stamp_zero():
    watch = ObjectPoseWatch(0.2, 1.0)
    assert watch.stamp_ns == -1
    for stamp in (0, 1):
        assert watch.observe(stamp, POSE + np.eye(7)[0] * stamp, 0) is Reason.NONE
        assert watch.observe(stamp, POSE, 0) is Reason.OBJECT_POSE_STALE
        watch = ObjectPoseWatch(0.2, 1.0)


def test_its_age_counts_from_receipt_and_is_told_in_seconds():
    watch = ObjectPoseWatch(0.2, 1.0)
    assert watch.problem(0) == "no pose of the object has come"
    assert watch.fault(0, None) is Reason.OBJECT_POSE_STALE
    watch.observe(5, POSE, 500 * MS, 400 * MS)
    assert watch.problem(600 * MS) is None
    assert watch.problem(601 * MS) == "the newest pose of the object is 0.201 s old (at most 0.2 s)"
    watch.forget_age(100 * MS)
    assert watch.problem(100 * MS) == "no pose of the object has come"


def test_frozen_counts_from_the_last_change_or_the_first_torque_whichever_is_later():
    watch = ObjectPoseWatch(9.0, 1.0)
    watch.observe(1, POSE, 0)
    for torque_since_ns, frozen_ns in ((0, 1000 * MS), (500 * MS, 1500 * MS), (None, None)):
        assert watch.fault(1000 * MS, torque_since_ns) is Reason.NONE
        if frozen_ns is not None:
            assert watch.fault(frozen_ns, torque_since_ns) is Reason.NONE
            assert watch.fault(frozen_ns + 1, torque_since_ns) is Reason.OBJECT_POSE_FROZEN
    watch.forget_age(3000 * MS)
    watch.observe(2, POSE, 3000 * MS)
    assert watch.fault(4000 * MS, 0) is Reason.NONE, "after a clock that went back it counts anew"
    assert watch.fault(4000 * MS + 1, 0) is Reason.OBJECT_POSE_FROZEN


@pytest.mark.parametrize(
    "pose", [POSE[:6], POSE[None], np.append(POSE, 0.0), POSE * np.array([1, 1, 1, 1, 1, 1, 1.002])]
)
def test_a_pose_is_seven_numbers_and_a_rotation(pose):
    watch = ObjectPoseWatch(0.2, 1.0)
    assert watch.observe(1, pose, 0) is Reason.OBJECT_POSE_NOT_FINITE
    assert watch.problem(0) == "the newest pose of the object is not finite, or no rotation"
