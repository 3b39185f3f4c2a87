# SPDX-License-Identifier: Apache-2.0
"""Promise 5: a critic that does anything wrong is taken as "unsafe"."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, SafetyFilter
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict


class Critic:
    """Answers as told; keeps what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = None

    def judge(self, observation, proposal, torque_limit):
        self.asked = (observation, proposal, torque_limit)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def observe(position, velocity, torque_limit):
    return np.concatenate([position, velocity, [torque_limit]])


CHOSEN = np.array([0.01, 0.02, 0.03])
CALM = (CHOSEN, 0.05, Verdict.ACCEPTED, Reason.NONE)


def test_the_critic_sees_the_filters_own_view_of_the_state(rig):
    critic = Critic(CALM)
    arm = rig(gate=critic, observe=observe).arm()
    assert arm.propose([0.1, 0.2, 0.3]) is Reason.NONE
    observation, proposal, torque_limit = critic.asked
    np.testing.assert_array_equal(observation, observe(arm.filter.position, arm.filter.velocity, 3.0))
    np.testing.assert_array_equal(proposal.mean, 0.0)
    np.testing.assert_array_equal(proposal.stddev, 1.0)
    np.testing.assert_array_equal(proposal.effort, [0.1, 0.2, 0.3])
    assert torque_limit == 3.0


@pytest.mark.parametrize("verdict", [Verdict.RESAMPLED, Verdict.LEAST_RISKY])
def test_the_torque_the_critic_chose_is_applied_and_the_reason_told(rig, verdict):
    arm = rig(gate=Critic((CHOSEN, 0.2, verdict, Reason.NONE)), observe=observe).arm()
    assert arm.propose([0.1, 0.2, 0.3]) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), CHOSEN)
    assert (arm.filter.verdict, arm.filter.risk) == (verdict, 0.2)
    assert arm.filter.last_reasons == Reason.CRITIC_RISK


def test_a_refusal_by_the_critic_refuses_the_proposal_whole_and_tells_the_risk(rig):
    critic = Critic(CALM)
    arm = rig(gate=critic, observe=observe).arm()
    law = {"distribution": Distribution.DETERMINISTIC, "stddev": np.zeros(3)}
    assert arm.propose([0.1, 0.1, 0.1], mean=np.full(3, 0.1), **law) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), CHOSEN)
    critic.answer = (CHOSEN, 0.9, Verdict.REJECTED, Reason.NONE)
    arm.state()
    assert arm.propose([0.3, 0.3, 0.3], mean=np.full(3, 0.3), **law) is Reason.CRITIC_RISK
    assert (arm.filter.verdict, arm.filter.risk) == (Verdict.REJECTED, 0.9)
    np.testing.assert_array_equal(arm.cycle(), CHOSEN, err_msg="the one before stands until it is too old")
    assert arm.filter.last_reasons == Reason.CRITIC_RISK
    arm.wait(105)
    assert arm.filter.mode is Mode.HOLDING


def test_the_critic_is_told_the_law_of_the_sample(rig):
    critic = Critic(CALM)
    arm = rig(gate=critic, observe=observe).arm()
    assert arm.propose([0.1, 0.1, 0.1], distribution=Distribution.TANH_GAUSSIAN, bound=np.full(3, 2.0)) is Reason.NONE
    _, proposal, _ = critic.asked
    assert proposal.distribution is Distribution.TANH_GAUSSIAN and list(proposal.bound) == [2.0, 2.0, 2.0]


def test_a_calm_critic_intervenes_in_nothing(rig):
    arm = rig(gate=Critic(CALM), observe=observe).arm()
    arm.propose(CHOSEN)
    np.testing.assert_array_equal(arm.cycle(), CHOSEN)
    assert (arm.filter.verdict, arm.filter.risk, arm.filter.last_reasons) == (
        Verdict.ACCEPTED,
        0.05,
        Reason.NONE,
    )


def test_the_envelope_stands_behind_the_critic(rig):
    critic = Critic((CHOSEN, 0.2, Verdict.RESAMPLED, Reason.NONE))
    arm = rig(t_min=0.02, gate=critic, observe=observe).arm()
    arm.propose()
    np.testing.assert_array_equal(arm.cycle(), [0.01, 0.02, 0.02])
    assert arm.filter.last_reasons == Reason.CRITIC_RISK | Reason.CLAMPED_TORQUE_LIMIT
    assert arm.filter.verdict is Verdict.RESAMPLED


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("weights not loaded"),
        MemoryError(),
        None,
        (CHOSEN, 0.1),
        (np.array([0.1, math.nan, 0.1]), 0.1, Verdict.ACCEPTED, Reason.NONE),
        (np.array([0.1, math.inf, 0.1]), 0.1, Verdict.RESAMPLED, Reason.CRITIC_RISK),
        (np.zeros(2), 0.1, Verdict.ACCEPTED, Reason.NONE),
        ([0.1, 0.1, 0.1], 0.1, Verdict.ACCEPTED, Reason.NONE),
        (CHOSEN, math.nan, Verdict.ACCEPTED, Reason.NONE),
        (CHOSEN, math.inf, Verdict.ACCEPTED, Reason.NONE),
        (CHOSEN, None, Verdict.ACCEPTED, Reason.NONE),
        (CHOSEN, 0.1, Verdict.STOPPED, Reason.NONE),
        (CHOSEN, 0.1, Verdict.EPISODE_END, Reason.NONE),
        (CHOSEN, 0.1, None, Reason.NONE),
        (CHOSEN, 0.1, Verdict.ACCEPTED, "why"),
    ],
)
def test_anything_else_refuses_the_proposal(rig, answer):
    critic = Critic(CALM)
    arm = rig(gate=critic, observe=observe).run(CHOSEN)
    critic.answer = answer
    arm.state()
    assert arm.propose([0.4, 0.4, 0.4]) is Reason.CRITIC_FAILED
    assert arm.filter.verdict is Verdict.REJECTED
    assert math.isnan(arm.filter.risk)
    assert arm.filter.critic_error
    np.testing.assert_array_equal(arm.cycle(), CHOSEN)  # the judged one before stands, until it is too old
    assert arm.filter.last_reasons == Reason.CRITIC_FAILED
    for _ in range(21):
        arm.state()
        arm.propose([0.4, 0.4, 0.4])
        arm.cycle()
    assert arm.filter.mode is Mode.HOLDING
    np.testing.assert_array_equal(arm.filter.applied, 0.0)


def test_an_observation_that_raises_fails_closed_too(rig):
    def broken(position, velocity, torque_limit):
        raise ValueError("no camera")

    arm = rig(gate=Critic(CALM), observe=broken).arm()
    assert arm.propose() is Reason.CRITIC_FAILED
    assert arm.filter.critic_error == "ValueError: no camera"


def test_a_gate_needs_a_view_of_its_own():
    with pytest.raises(ValueError, match="a gate needs observe"):
        SafetyFilter(("a",), np.ones(1), FilterSettings(), TorqueLimitGuard(0.1, 3.0), Critic(CALM))


def test_a_limit_that_has_just_come_is_the_one_the_critic_judges_by(rig):
    critic = Critic(CALM)
    arm = rig(gate=critic, observe=observe, t_min=0.1)
    arm.filter.guard.decide(0)
    assert arm.filter.offer_limit(1, 0.105, 30.0, arm.now) is None
    arm.arm().propose([0.2, 0.2, 0.2])
    observation, *_, limit = critic.asked
    arm.cycle()
    assert limit == observation[-1] == arm.filter.torque_limit == 0.105


def test_the_end_of_an_episode_carries_no_risk(rig):
    arm = rig(gate=Critic(CALM), observe=observe).run()
    assert arm.filter.risk == 0.05
    arm.state()
    assert arm.propose(last=True) is Reason.NONE
    arm.cycle()
    assert arm.filter.verdict is Verdict.EPISODE_END and math.isnan(arm.filter.risk)
