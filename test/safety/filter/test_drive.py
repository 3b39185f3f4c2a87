# SPDX-License-Identifier: Apache-2.0
"""A filter whose proposals are not torques: what drives the arm is bounded, stopped and distrusted as they are."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

MS = 1_000_000


class _Drive:
    """The action's two numbers and the time since it came, as torques; remembers what it was told."""

    action_size = 2

    def __init__(self, answer=None):
        self.answer = answer
        self.begun = []

    def begin(self, action, position, *, anew):
        if action[0] == 13.0:
            raise ArithmeticError("no such action")
        self.begun.append((action.tolist(), anew))
        self._action = action.copy()

    def torque(self, position, velocity, elapsed_s):
        if self.answer is not None:
            return self.answer()
        return np.array([*self._action, elapsed_s])


def act(arm, action=(1.0, -2.0), **changes):
    return arm.propose(action, **{"mean": np.zeros(2), "stddev": np.ones(2), **changes})


def test_accepted_action_is_driven_at_every_joint_state(rig):
    drive = _Drive()
    arm = rig(drive=drive).arm()
    assert act(arm) is Reason.NONE
    np.testing.assert_allclose(arm.cycle(), [1.0, -2.0, 0.0])
    assert arm.filter.verdict is Verdict.ACCEPTED
    for _ in range(3):
        arm.state()
    np.testing.assert_allclose(arm.cycle(), [1.0, -2.0, 0.015])  # three joint states, 5 ms each
    act(arm, (2.0, 0.5))
    np.testing.assert_allclose(arm.cycle(), [2.0, 0.5, 0.0])
    assert drive.begun == [([1.0, -2.0], True), ([2.0, 0.5], False)]


def test_driven_torque_is_bounded_like_any_other(rig):
    arm = rig(drive=_Drive(), t_min=0.5).arm()
    act(arm, (9.0, -9.0))
    np.testing.assert_allclose(arm.cycle(), [0.5, -0.5, 0.0])
    assert arm.filter.last_reasons == Reason.CLAMPED_TORQUE_LIMIT and arm.filter.verdict is Verdict.BOUNDED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": np.array([1.0, np.nan])}, Reason.PROPOSAL_NOT_FINITE),
        ({"action": np.array([13.0, 0.0])}, Reason.PROPOSAL_NOT_FINITE),  # the drive raises
        ({"action": np.ones(3), "mean": np.zeros(3), "stddev": np.ones(3)}, Reason.PROPOSAL_WRONG_LENGTH),
        ({"stddev": np.zeros(2)}, Reason.PROPOSAL_NOT_FINITE),
    ],
)
def test_senseless_action_is_refused_whole_and_the_one_before_goes_on(rig, changes, reason):
    drive = _Drive()
    arm = rig(drive=drive).arm()
    act(arm)
    arm.state()
    assert act(arm, **changes) is reason
    np.testing.assert_allclose(arm.cycle(), [1.0, -2.0, 0.005])
    assert arm.filter.verdict is Verdict.REJECTED and drive.begun == [([1.0, -2.0], True)]


def _raise():
    raise ZeroDivisionError


@pytest.mark.parametrize("answer", [_raise, lambda: np.array([1.0, np.nan, 0.0]), lambda: np.ones(2), lambda: None])
def test_drive_that_fails_gives_no_torque(rig, answer):
    drive = _Drive()
    arm = rig(drive=drive).arm()
    act(arm)
    assert arm.cycle().any()
    drive.answer = answer
    arm.state()
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.filter.last_reasons & Reason.PROPOSAL_NOT_FINITE


def test_action_too_old_drives_no_more_and_the_next_begins_anew(rig):
    drive = _Drive()
    arm = rig(drive=drive).arm()
    act(arm)
    arm.cycle()
    while arm.filter.mode is Mode.ARMED:
        arm.state()
        torque = arm.cycle()
    assert arm.filter.mode is Mode.HOLDING and arm.filter.cause & Reason.PROPOSAL_TIMEOUT
    np.testing.assert_array_equal(torque, 0.0)
    act(arm)
    assert arm.filter.mode is Mode.ARMED and drive.begun[-1] == ([1.0, -2.0], True)


def test_gate_judges_the_action_and_motion_under_its_own_limit_is_proposed_in_torques(rig):
    class Gate:
        def judge(self, observation, proposal, torque_limit):
            return proposal.effort / 2.0, 0.3, Verdict.RESAMPLED, Reason.CRITIC_RISK

    drive = _Drive()
    arm = rig(drive=drive, gate=Gate(), observe=lambda *_: np.zeros(1)).arm()
    act(arm)
    np.testing.assert_allclose(arm.cycle(), [0.5, -1.0, 0.0])
    arm.filter.disarm(arm.now)
    arm.state()
    arm.cycle()
    assert arm.filter.arm(arm.now, own_limit=1.0) is None
    arm.state()
    assert arm.propose([0.1, 0.2, 0.3]) is Reason.NONE
    np.testing.assert_allclose(arm.cycle(), [0.1, 0.2, 0.3])
    assert act(arm) is not Reason.NONE


def test_what_was_chosen_is_an_action_of_the_drives_size_and_nothing_before_the_first(rig):
    for arm, size in ((rig(), 3), (rig(drive=_Drive()), 2)):
        np.testing.assert_array_equal(arm.filter.chosen, np.zeros(size))
        assert not arm.filter.chosen.flags.writeable
    act(arm.arm(), (0.5, -0.25))
    arm.cycle()
    np.testing.assert_array_equal(arm.filter.chosen, [0.5, -0.25])
    arm = rig().run((0.3, 0.2, 0.1))
    np.testing.assert_array_equal(arm.filter.chosen, [0.3, 0.2, 0.1])


def test_the_time_since_an_action_is_never_negative(rig):
    arm = rig(drive=_Drive()).arm()
    proposal = arm.proposal((1.0, -2.0), mean=np.zeros(2), stddev=np.ones(2))
    arm.filter.propose(proposal, arm.now, arm.now + 5 * MS)
    np.testing.assert_array_equal(arm.cycle(), [1.0, -2.0, 0.0])


def test_nothing_is_asked_of_the_drive_once_the_arm_is_stopped(rig):
    asked = []
    arm = rig(drive=_Drive(lambda: asked.append(1) or np.zeros(3))).arm()
    act(arm)
    arm.cycle()
    arm.filter.disarm(arm.now)
    before = len(asked)
    arm.wait(20)
    assert before and len(asked) == before
