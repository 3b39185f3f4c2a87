# SPDX-License-Identifier: Apache-2.0
"""A task with an object: its pose lost, frozen or senseless stops the arm with a named reason."""

from __future__ import annotations

import numpy as np
import pytest

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
