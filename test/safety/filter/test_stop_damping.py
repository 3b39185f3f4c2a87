# SPDX-License-Identifier: Apache-2.0
"""Stop torque that damps: against the motion, within the envelope, on trusted states only; and it ends in zero."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.joint_state import JointStateWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.filter.stop_torque import StopTorque
from safe_transfer_ros.safety.filter.torque_output import TorqueOutput
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
MOTION = np.array([0.5, -0.25, 0.01])
DAMPED = -2.0 * MOTION


def stopped_in_motion(rig, reason=Reason.OPERATOR_STOP, **changes):
    """An arm tripped at full swing, with the first damping torque on it."""
    arm = rig(**{"stop_damping": 2.0, "stop_damping_time_s": 0.1, **changes}).run()
    arm.filter.trip(reason, arm.now)
    moving(arm)
    return arm


def moving(arm):
    """A joint state in motion and a cycle."""
    arm.state(velocity=MOTION)
    return arm.cycle()


def test_it_opposes_the_motion_while_tripped_and_ends_in_zero(rig):
    arm = stopped_in_motion(rig)
    torques = [arm.filter.applied.copy()]
    for _ in range(30):
        torques.append(moving(arm))
    np.testing.assert_allclose(torques[:20], np.tile(DAMPED, (20, 1)))
    np.testing.assert_array_equal(torques[21:], 0.0)
    assert arm.filter.stopped


def test_it_damps_while_holding_too_and_a_fresh_proposal_ends_it(rig):
    arm = rig(stop_damping=2.0).run()
    for _ in range(21):
        moving(arm)
    assert arm.filter.mode is Mode.HOLDING
    np.testing.assert_allclose(arm.filter.applied, DAMPED)
    arm.propose([0.1, 0.1, 0.1])
    np.testing.assert_allclose(moving(arm), 0.1)


def test_zero_is_the_default(rig):
    arm = rig().run()
    arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    np.testing.assert_array_equal(moving(arm), 0.0)


def test_it_is_bounded_like_any_torque(rig):
    arm = stopped_in_motion(rig, stop_damping=100.0, t_min=0.3, ceiling=1.0, torque_rate_limit=10.0)
    assert np.abs(arm.filter.applied).max() <= 0.1 + 0.05 + 1e-12  # one period of the rate from the .1 before
    for _ in range(15):
        moving(arm)
    np.testing.assert_array_equal(arm.filter.applied, [-0.3, 0.3, -0.3])


def test_a_speed_beyond_all_reason_is_opposed_as_far_as_the_bound(rig):
    arm = stopped_in_motion(rig, stop_damping=100.0)
    arm.state(velocity=np.array([1e308, -1e308, 0.0]))
    np.testing.assert_array_equal(arm.cycle(), [-3.0, 3.0, 0.0])
    assert not arm.filter.last_reasons & Reason.PROPOSAL_NOT_FINITE


def test_neither_reset_nor_arming_is_possible_before_it_has_ended(rig):
    arm = stopped_in_motion(rig)
    assert "not come to zero" in arm.filter.reset(arm.now)
    for _ in range(25):
        moving(arm)
    assert arm.filter.reset(arm.now) is None
    assert arm.filter.arm(arm.now) is None
    np.testing.assert_array_equal(moving(arm), 0.0)  # armed again, nothing proposed yet


@pytest.mark.parametrize(
    "reason",
    [
        Reason.SHUTDOWN,
        Reason.CLOCK_WENT_BACK,
        Reason.JOINT_STATE_STALE,
        Reason.JOINT_STATE_FROZEN,
        Reason.JOINT_STATE_NOT_FINITE,
        Reason.OPERATOR_STOP | Reason.SHUTDOWN,
    ],
)
def test_a_stop_that_cannot_trust_the_states_or_has_no_time_is_zero(rig, reason):
    arm = stopped_in_motion(rig, reason)
    np.testing.assert_array_equal(arm.filter.applied, 0.0)


def test_a_state_that_is_no_number_ends_it(rig):
    arm = stopped_in_motion(rig)
    arm.state(velocity=np.full(3, np.nan))
    np.testing.assert_array_equal(arm.cycle(), 0.0)


def test_states_that_cease_end_it(rig):
    arm = stopped_in_motion(rig, stop_damping_time_s=10.0)
    arm.wait(50, states=False)
    assert not arm.filter.stopped
    arm.wait(5, states=False)
    assert arm.filter.stopped


def test_states_that_freeze_end_it(rig):
    arm = stopped_in_motion(rig, stop_damping_time_s=10.0)
    still = arm.filter.position.copy()
    for _ in range(40):
        arm.state(position=still, velocity=MOTION)
        arm.cycle()
    assert not arm.filter.stopped
    arm.state(position=still, velocity=MOTION)
    np.testing.assert_array_equal(arm.cycle(), 0.0)


def test_disarming_stops_without_damping(rig):
    arm = rig(stop_damping=2.0).run()
    arm.filter.disarm(arm.now)
    np.testing.assert_array_equal(moving(arm), 0.0)


def test_an_arm_that_no_proposal_moved_is_not_damped(rig):
    arm = rig(stop_damping=2.0)
    for _ in range(200):
        moving(arm)
    arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    np.testing.assert_array_equal(moving(arm), 0.0)


def test_a_clock_that_went_back_does_not_begin_it_anew(rig):
    arm = rig(stop_damping=2.0).run()
    arm.filter.disarm(arm.now)
    arm.cycle()
    arm.now -= 20 * MS
    arm.cycle()
    arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    for _ in range(10):
        np.testing.assert_array_equal(moving(arm), 0.0)


# The stop torque by itself


def stopping(**changes):
    torque = StopTorque(3, FilterSettings(stop_damping=0.1, stop_damping_time_s=0.5, **changes))
    state = JointStateWatch(3, 9.0, 9.0)
    state.observe(1, np.zeros(3), np.ones(3), 0, ordered=True)
    return torque, lambda now: torque.torque(state, Mode.HOLDING, Reason.PROPOSAL_TIMEOUT, now)


def test_it_damps_for_its_time_after_a_proposals_torque_and_not_before_the_first():
    torque, at = stopping()
    assert torque.damping is False and not at(0).any() and torque.damping is False
    torque.passed(0)
    for now, damps in ((0, True), (500 * MS, True), (500 * MS + 1, False)):
        np.testing.assert_array_equal(at(now), -0.1 if damps else 0.0)
        assert torque.damping is damps
    at(500 * MS)
    torque.passed(600 * MS)
    assert torque.damping is False, "a proposal's torque is none"


@pytest.mark.parametrize("now", [0, 700 * MS, 2000 * MS])
def test_after_a_clock_that_went_back_it_does_not_damp_again(now):
    torque, at = stopping()
    torque.passed(1000 * MS)
    torque.expire(now)
    assert not at(now).any() and not at(now + 1).any()


def test_little_damping_is_damping():
    torque = StopTorque(3, FilterSettings(stop_damping=0.005))
    state = JointStateWatch(3, 9.0, 9.0)
    state.observe(1, np.zeros(3), np.ones(3), 0, ordered=True)
    torque.passed(0)
    np.testing.assert_array_equal(torque.torque(state, Mode.TRIPPED, Reason.OPERATOR_STOP, 1), -0.005)


def test_stop_torque_is_no_torque_that_a_frozen_state_is_told_by():
    output = TorqueOutput(np.ones(3), FilterSettings(), None)
    state = (np.zeros(3), np.zeros(3))
    output.apply(np.full(3, 0.1), 1.0, 0, state)
    assert output.since_ns == 0
    output.apply(np.full(3, 0.1), 1.0, MS, state)
    assert output.since_ns == 0
    output.apply(np.full(3, 0.1), 1.0, 2 * MS, None)
    assert output.applied.any() and output.since_ns is None
