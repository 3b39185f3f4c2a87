# SPDX-License-Identifier: Apache-2.0
"""The masked policy against exact truncated densities; what is judged, and what happens when nothing is safe."""

from __future__ import annotations

import numpy as np
import pytest
from proposed import proposed
from scipy import stats

from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings, csc_threshold
from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.reasons import Reason, Verdict


class Critic:
    """Risk as a function of the applied torque; remembers what it was asked."""

    def __init__(self, of):
        self.of, self.asked = of, []

    def risk(self, observation, torque):
        self.asked.append((observation.copy(), torque.copy()))
        return self.of(torque)


def gate(of, *, effort=100.0, n=1, seed=0, **settings):
    rng = np.random.default_rng(seed)
    critic = Critic(of)
    return MaskedPolicyGate(critic, np.full(n, effort), MaskSettings(**settings), rng.standard_normal), critic


OBSERVATION = np.zeros(3)


def taken(of, mean, stddev, count, limit=50.0, distribution=Distribution.GAUSSIAN, bound=None):
    judge, _ = gate(of)
    bounds = None if bound is None else np.array([bound])
    rng = np.random.default_rng(1)
    answers = []
    for _ in range(count):
        raw = mean + stddev * rng.standard_normal(1)
        sample = raw if distribution is Distribution.GAUSSIAN else bound * np.tanh(raw)
        mean_, stddev_ = np.array([mean]), np.array([stddev])
        answers.append(judge.judge(OBSERVATION, proposed(mean_, stddev_, sample, distribution, bounds), limit))
    return answers


def test_torques_follow_the_exact_truncated_gaussian():
    answers = taken(lambda u: (u[:, 0] > 0.3).astype(float), 0.5, 1.0, 6000)
    torques = np.array([answer[0][0] for answer in answers])
    exact = stats.truncnorm(-np.inf, (0.3 - 0.5) / 1.0, loc=0.5, scale=1.0)
    assert stats.kstest(torques, exact.cdf).pvalue > 1e-3
    assert torques.max() <= 0.3
    share = np.mean([answer[2] is Verdict.ACCEPTED for answer in answers])
    assert share == pytest.approx(stats.norm.cdf(-0.2), abs=0.03)


def test_torques_follow_the_exact_truncated_squashed_gaussian():
    of = lambda u: (np.abs(u[:, 0]) > 1.0).astype(float)  # noqa: E731
    answers = taken(of, 0.4, 0.8, 6000, distribution=Distribution.TANH_GAUSSIAN, bound=2.0)
    torques = np.array([answer[0][0] for answer in answers])
    low, high = np.arctanh(-0.5), np.arctanh(0.5)
    exact = stats.truncnorm((low - 0.4) / 0.8, (high - 0.4) / 0.8, loc=0.4, scale=0.8)
    assert stats.kstest(np.arctanh(torques / 2.0), exact.cdf).pvalue > 1e-3


def test_a_squashed_gaussian_is_not_resampled_without_its_bound():
    judge, _ = gate(lambda u: np.ones(len(u)))
    with pytest.raises(ValueError, match="needs its bound"):
        judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.ones(1), Distribution.TANH_GAUSSIAN), 50.0)


def test_an_action_without_others_of_its_law_is_taken_if_safe_and_else_refused():
    """A deterministic policy: nothing is drawn, so its action itself is judged, and nothing stands in for it."""
    judge, critic = gate(lambda u: (u[:, 0] > 0.3) * 0.7, n=1)
    for stddev in (np.zeros(1), np.empty(0)):
        law = Distribution.DETERMINISTIC
        torque, risk, verdict, reasons = judge.judge(
            OBSERVATION, proposed(np.ones(1), stddev, np.array([0.2]), law), 5.0
        )
        assert (torque[0], risk, verdict, reasons) == (0.2, 0.0, Verdict.ACCEPTED, Reason.NONE)
        _, risk, verdict, reasons = judge.judge(OBSERVATION, proposed(np.ones(1), stddev, np.array([0.4]), law), 5.0)
        assert (risk, verdict, reasons) == (0.7, Verdict.REJECTED, Reason.CRITIC_RISK)
    assert len(critic.asked) == 4, "each action once, and no other"
    for said, risk in ((0.9, 0.9), (1.0, 1.0), (1.1, 1.0)):
        judge, _ = gate(lambda u, said=said: np.full(len(u), said), n=1)
        assert judge.judge(OBSERVATION, proposed(np.ones(1), np.zeros(1), np.ones(1), law), 5.0)[1] == risk
    with pytest.raises(ValueError, match="no further samples"):
        judge.judge_batch(np.zeros((1, 3)), np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.array([5.0]), law)


def test_a_safe_sample_is_taken_as_it_is():
    judge, critic = gate(lambda u: np.full(len(u), 0.1), epsilon=0.1)
    sample = np.array([7.0])
    torque, risk, verdict, reasons = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), sample), 1.0)
    assert torque is sample and risk == 0.1 and verdict is Verdict.ACCEPTED and reasons is Reason.NONE
    assert len(critic.asked) == 1


def test_risk_is_that_of_the_torque_that_would_be_applied():
    judge, critic = gate(lambda u: np.zeros(len(u)), effort=2.0, n=2)
    judge.judge(OBSERVATION, proposed(np.zeros(2), np.ones(2), np.array([9.0, -0.5])), 3.0)
    np.testing.assert_array_equal(critic.asked[-1][1], [[2.0, -0.5]])
    judge.judge(OBSERVATION, proposed(np.zeros(2), np.ones(2), np.array([9.0, -9.0])), 0.7)
    np.testing.assert_array_equal(critic.asked[-1][1], [[0.7, -0.7]])


def test_under_a_low_limit_a_wild_proposal_is_as_safe_as_what_is_left_of_it():
    judge, _ = gate(lambda u: (np.abs(u[:, 0]) > 1.0).astype(float))
    assert judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([50.0])), 0.9)[2] is Verdict.ACCEPTED
    assert judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([50.0])), 5.0)[2] is Verdict.RESAMPLED


def test_with_nothing_safe_the_least_risky_of_all_is_taken_the_sample_included():
    judge, critic = gate(lambda u: 0.5 + 0.1 * np.tanh(np.abs(u[:, 0] - 0.2)), max_samples=37)
    torque, risk, verdict, reasons = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([3.0])), 50.0)
    drawn = np.concatenate([asked[1] for asked in critic.asked])
    assert len(drawn) == 38 and verdict is Verdict.LEAST_RISKY and reasons is Reason.CRITIC_RISK
    assert torque[0] == drawn[np.argmin(np.abs(drawn[:, 0] - 0.2)), 0]
    assert risk == pytest.approx(0.5 + 0.1 * np.tanh(abs(torque[0] - 0.2)))
    kept, _, _, _ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([0.2])), 50.0)
    assert kept[0] == 0.2


def test_without_support_anywhere_the_nearest_to_the_data_is_taken_and_the_risk_is_one():
    judge, _ = gate(lambda u: 1.0 + np.abs(u[:, 0]))
    torque, risk, verdict, _ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([2.0])), 50.0)
    assert abs(torque[0]) < 0.1 and risk == 1.0 and verdict is Verdict.LEAST_RISKY


def test_many_robots_are_judged_as_each_would_be_alone():
    """Rows of their own means, limits and thresholds: safe, resampled, and nothing safe."""
    of = lambda u: np.where(u[:, 0] < 5.0, (u[:, 0] > 0.3).astype(float), 0.6 + 0.01 * u[:, 0])  # noqa: E731
    judge, _ = gate(of, max_samples=60)
    count = 4000
    mean = np.tile([[-1.0], [0.5], [30.0]], (count, 1))
    stddev = np.ones_like(mean)
    sample = mean + np.random.default_rng(3).standard_normal(mean.shape)
    limit = np.tile([50.0, 0.2, 50.0], count)
    chosen, reasons = judge.judge_batch(np.zeros((len(mean), 3)), mean, stddev, sample, limit)
    assert chosen[:, 0][0::3].max() <= 0.3
    kept = reasons == 0
    np.testing.assert_array_equal(chosen[kept], sample[kept])
    assert (reasons[~kept] == Reason.CRITIC_RISK).all()
    exact = stats.truncnorm(-np.inf, 1.3, loc=-1.0, scale=1.0)
    assert stats.kstest(chosen[0::3, 0], exact.cdf).pvalue > 1e-3
    assert kept[1::3].all(), "cut at .2 every torque of the second kind is safe"
    # The least of 61 samples of a standard normal.
    assert chosen[2::3, 0].mean() - 30.0 == pytest.approx(-2.33, abs=0.05) and not kept[2::3].any()


@pytest.mark.parametrize("bad", [np.nan, None])
def test_a_risk_that_is_no_number_is_no_answer(bad):
    judge, _ = gate(lambda u: np.full(len(u), np.nan) if bad is not None else np.zeros(1 + len(u)))
    with pytest.raises(ValueError, match="expected one number per torque"):
        judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.zeros(1)), 1.0)


def test_csc_threshold_follows_its_schedule_and_keeps_a_floor():
    assert csc_threshold(0.01, gamma=0.99, chi=0.05) == pytest.approx(0.01 * 0.04)
    assert csc_threshold(0.05, gamma=0.99, chi=0.05) == 1e-4
    assert csc_threshold(9.0, gamma=0.99, chi=0.05, floor=1e-3) == 1e-3
    with pytest.raises(ValueError, match="failure_rate"):
        csc_threshold(float("nan"), gamma=0.99, chi=0.05)


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"epsilon": 0.0}, "epsilon must be in"),
        ({"epsilon": 1.0}, "epsilon must be in"),
        ({"epsilon": np.nan}, "epsilon must be in"),
        ({"max_samples": 0}, "max_samples must be >= 1"),
    ],
)
def test_settings_are_checked(wrong, text):
    with pytest.raises(ValueError, match=text):
        MaskSettings(**wrong)


def test_settings_at_the_edge_will_do_and_what_is_built_in_is_the_papers():
    MaskSettings(epsilon=0.001, max_samples=1)
    MaskSettings(epsilon=0.999)
    assert (MaskSettings().epsilon, MaskSettings().max_samples) == (0.1, 100)


@pytest.mark.parametrize("samples", [1, 5, 10, 15, 16, 17, 40, 100])
def test_no_more_candidates_are_drawn_than_allowed_and_none_after_the_first_safe_one(samples):
    judge, critic = gate(lambda u: np.full(len(u), 0.5), max_samples=samples)
    judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.zeros(1)), 50.0)
    assert [len(asked[1]) for asked in critic.asked] == [1, min(16, samples), *([samples - 16] if samples > 16 else [])]
    critic.asked.clear()
    judge.judge_batch(np.zeros((2, 3)), np.zeros((2, 1)), np.ones((2, 1)), np.zeros((2, 1)), np.full(2, 50.0))
    assert sum(len(asked[1]) for asked in critic.asked) == 2 + 2 * samples
    blocks = [len(asked[1]) // 2 for asked in critic.asked[1:]]
    growing = [min(10, samples), min(30, samples - 10), samples - 40]
    assert blocks == [size for size in growing if size > 0], "small ones first where asking is shared"


def test_candidates_after_the_block_that_held_a_safe_one_are_not_drawn():
    judge, critic = gate(lambda u: (np.abs(u[:, 0]) > 0.5).astype(float))
    assert judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([3.0])), 50.0)[2] is Verdict.RESAMPLED
    assert [len(asked[1]) for asked in critic.asked] == [1, 16]
    drawn = critic.asked[1][1][:, 0]
    chosen, *_ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([3.0])), 50.0)
    drawn = critic.asked[3][1][:, 0]
    assert chosen[0] == drawn[np.abs(drawn) <= 0.5][0], "the first safe one, not the safest"


def test_a_risk_of_epsilon_is_accepted_alone_among_many_and_when_drawn():
    judge, _ = gate(lambda u: np.where(u[:, 0] == 9.0, 0.6, 0.2), epsilon=0.2)
    assert judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.zeros(1)), 50.0)[2:] == (
        Verdict.ACCEPTED,
        Reason.NONE,
    )
    _, risk, verdict, _ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([9.0])), 50.0)
    assert (risk, verdict) == (0.2, Verdict.RESAMPLED)
    sample = np.array([[0.0], [9.0]])
    chosen, reasons = judge.judge_batch(np.zeros((2, 3)), np.zeros((2, 1)), np.ones((2, 1)), sample, np.full(2, 50.0))
    assert chosen[0] == 0.0 and chosen[1] != 9.0
    np.testing.assert_array_equal(reasons, [0, Reason.CRITIC_RISK])
    assert sample[1] == 9.0, "what was handed in stays as it was"


def test_candidates_are_the_mean_and_so_many_standard_deviations_squashed_where_the_policy_is():
    for law, bound, expected in (
        (Distribution.GAUSSIAN, None, 0.5 + 0.3 * 2.0),
        (Distribution.TANH_GAUSSIAN, np.array([1.5]), 1.5 * np.tanh(0.5 + 0.3 * 2.0)),
    ):
        critic = Critic(lambda u: np.where(u[:, 0] == 0.0, 0.6, 0.0))
        judge = MaskedPolicyGate(critic, np.ones(1) * 9.0, MaskSettings(), lambda shape: np.full(shape, 2.0))
        chosen, *_ = judge.judge(OBSERVATION, proposed(np.array([0.5]), np.array([0.3]), np.zeros(1), law, bound), 50.0)
        assert chosen[0] == pytest.approx(expected)


def test_the_first_candidate_at_epsilon_is_taken_before_a_safer_one():
    noise = iter([np.array([[1.0], [-1.0], [2.0]])])
    critic = Critic(lambda u: np.select([u[:, 0] == 9.0, u[:, 0] == 1.0], [0.6, 0.2], 0.1))
    judge = MaskedPolicyGate(critic, np.ones(1) * 99.0, MaskSettings(epsilon=0.2, max_samples=3), lambda _: next(noise))
    chosen, risk, verdict, _ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([9.0])), 50.0)
    assert (chosen[0], risk, verdict) == (1.0, 0.2, Verdict.RESAMPLED)


def test_a_candidate_that_is_as_risky_as_the_sample_does_not_replace_it():
    judge, _ = gate(lambda u: np.full(len(u), 0.5))
    chosen, _, verdict, _ = judge.judge(OBSERVATION, proposed(np.zeros(1), np.ones(1), np.array([3.0])), 50.0)
    assert chosen[0] == 3.0 and verdict is Verdict.LEAST_RISKY


def test_every_torque_is_judged_in_its_own_state_and_under_its_own_bounds():
    judge, critic = gate(lambda u: np.zeros(len(u)), effort=2.0, n=2)
    torque = np.array([[9.0, -9.0], [1.0, -1.0]])
    seen = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    judge.risks(seen, torque, np.array([3.0, 0.5]))
    np.testing.assert_array_equal(critic.asked[-1][0], seen)
    np.testing.assert_array_equal(critic.asked[-1][1], [[2.0, -2.0], [0.5, -0.5]])
    judge.risks(seen[0], torque, 3.0)
    np.testing.assert_array_equal(critic.asked[-1][0], seen[[0, 0]])


def test_one_risk_that_is_no_number_among_many_is_no_answer():
    judge, _ = gate(lambda u: np.array([0.1, np.nan, 0.1]))
    with pytest.raises(ValueError, match="expected one number per torque"):
        judge.risks(OBSERVATION, np.zeros((3, 1)), 1.0)


@pytest.mark.parametrize(
    "changes", [{"failure_rate": -0.001}, {"gamma": 0.0}, {"gamma": 1.0}, {"floor": 0.0}, {"floor": 1.0}]
)
def test_csc_threshold_refuses_what_cannot_be(changes):
    arguments = {"failure_rate": 0.0, "gamma": 0.9, "chi": 0.05, "floor": 1e-3} | changes
    with pytest.raises(ValueError, match=r"expected failure_rate >= 0, gamma and floor in \(0, 1\)"):
        csc_threshold(**arguments)


def test_csc_threshold_at_the_edge():
    assert csc_threshold(0.0, gamma=0.001, chi=0.5, floor=0.001) == pytest.approx(0.999 * 0.5)
    assert csc_threshold(0.0, gamma=0.999, chi=0.5, floor=0.999) == 0.999


def test_csc_threshold_with_a_factor_of_its_own_follows_the_failures_and_stays_below_1():
    assert csc_threshold(0.01, gamma=0.99, chi=0.05, scale=2.0) == pytest.approx(0.08)
    assert csc_threshold(0.2, gamma=0.99, chi=0.05, floor=0.01, scale=2.0) == 0.01
    assert csc_threshold(0.0, gamma=0.99, chi=5.0, scale=2.0) == 0.999
    with pytest.raises(ValueError, match="expected scale > 0, got 0.0"):
        csc_threshold(0.0, gamma=0.99, chi=0.05, scale=0.0)


def test_many_robots_are_judged_as_one_is():
    rng = np.random.default_rng(3)
    mean, stddev = rng.standard_normal((40, 2)), np.full((40, 2), 0.5)
    sample, limit = mean + stddev * rng.standard_normal((40, 2)), np.linspace(0.5, 3.0, 40)
    rare = lambda u: np.clip(0.5 - 0.4 * u[:, 0], 0.0, 1.0)  # noqa: E731
    seen = np.zeros((40, 3))
    verdicts = set()
    for row in range(40):
        one, _ = gate(rare, n=2, seed=row, epsilon=0.15)
        batch, _ = gate(rare, n=2, seed=row, epsilon=0.15)
        torque, risk, verdict, reason = one.judge(seen[row], proposed(mean[row], stddev[row], sample[row]), limit[row])
        several = slice(row, row + 1)
        chosen, reasons = batch.judge_batch(
            seen[several], mean[several], stddev[several], sample[several], limit[several]
        )
        np.testing.assert_array_equal(chosen[0], torque)
        assert reasons[0] == int(reason)
        verdicts.add(verdict)
    assert verdicts == {Verdict.ACCEPTED, Verdict.RESAMPLED, Verdict.LEAST_RISKY}
    # All at once: everyone's torque is safe, or the least risky; nobody gets another one's.
    chosen, reasons = batch.judge_batch(seen, mean, stddev, sample, limit)
    risks = batch.risks(seen, chosen, limit)
    assert (np.abs(chosen - mean) < 6.0 * stddev).all()
    assert (risks <= batch.risks(seen, sample, limit)).all()
    np.testing.assert_array_equal(chosen[reasons == 0], sample[reasons == 0])
    reachable = batch.risks(seen, mean + 1.0 * stddev, limit) <= 0.15
    assert (risks[reachable] <= 0.15).all() and reachable.sum() > 5
