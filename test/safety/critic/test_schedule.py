# SPDX-License-Identifier: Apache-2.0
"""CSC's epsilon from what was measured: its formula, its bounds, and the strictest value where nothing is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.critic.schedule import CscSchedule


def schedule(chi: float = 2.0, floor: float = 1e-3, steps: int = 200) -> CscSchedule:
    return CscSchedule(chi=chi, floor=floor, episode_steps=steps)


def test_epsilon_is_the_formula_on_the_failures_of_the_iteration_before():
    one = schedule()
    one.hear(4, 0.008)  # 1.6 unsafe steps per episode
    assert one.epsilon(0.5, 0.7, 5) == pytest.approx(0.3 * (2.0 - 1.6)) and one.failures == pytest.approx(1.6)
    one.hear(5, 0.0)
    assert one.epsilon(0.5, 0.7, 6) == 0.5, "never above what the critic was certified for"
    one.hear(6, 0.5)
    assert one.epsilon(0.5, 0.7, 7) == 1e-3, "chi is used up"
    assert one.epsilon(5e-4, 0.7, 7) == 5e-4, "nor is the floor"


@pytest.mark.parametrize(
    "heard", [[], [(3, 0.0)], [(5, 0.0)], [(4, math.nan)], [(4, -0.1)], [(4, 1.1)], [(4, math.inf)]]
)
def test_without_a_usable_estimate_of_the_iteration_before_it_is_the_strictest(heard):
    one = schedule()
    for iteration, rate in heard:
        one.hear(iteration, rate)
    assert one.epsilon(0.5, 0.7, 5) == 1e-3 and one.failures is None
    assert one.epsilon(0.5, 0.7, None) == 1e-3 == schedule().epsilon(0.5, 0.7, 0)


def test_an_estimate_that_comes_again_late_changes_nothing():
    one = schedule()
    one.hear(4, 0.0)
    one.hear(3, 1.0)
    assert one.epsilon(0.5, 0.7, 5) == 0.5


@given(
    rate=st.floats(allow_nan=True, allow_infinity=True),
    gamma=st.floats(0.01, 0.999),
    highest=st.floats(1e-6, 0.999),
    iteration=st.one_of(st.none(), st.integers(0, 3)),
)
def test_whatever_is_heard_epsilon_is_a_risk_and_never_above_the_highest(rate, gamma, highest, iteration):
    one = schedule()
    one.hear(1, rate)
    epsilon = one.epsilon(highest, gamma, iteration)
    assert 0.0 < epsilon <= highest and epsilon >= min(1e-3, highest)


@pytest.mark.parametrize(
    "wrong",
    [{"chi": 0.0}, {"chi": -1.0}, {"chi": math.nan}, {"floor": 0.0}, {"floor": 1.0}, {"steps": 0}, {"steps": -1}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=r"expected chi > 0, floor in \(0, 1\), a step at least; got"):
        schedule(**wrong)


def test_settings_at_the_edge_will_do():
    for edge in ({"chi": 0.001}, {"floor": 0.001}, {"floor": 0.999}, {"steps": 1}):
        assert schedule(**edge).failures is None


def test_an_episode_of_one_step_fails_at_most_once():
    one = schedule(steps=1)
    one.hear(0, 1.0)
    assert one.epsilon(0.9, 0.7, 1) == pytest.approx(0.3 * (2.0 - 1.0)) and one.failures == 1.0


def test_a_rate_of_one_is_a_rate_and_one_just_beyond_is_none():
    for rate, known in ((0.0, True), (1.0, True), (0.9, True), (-0.001, False), (1.001, False)):
        one = schedule()
        one.hear(4, rate)
        one.epsilon(0.5, 0.7, 5)
        assert (one.failures is not None) == known, rate


def test_nothing_heard_is_no_estimate_of_the_iteration_before_the_first():
    one = schedule()
    for iteration in (0, 1, 2, 3):
        assert one.epsilon(0.5, 0.7, iteration) == 1e-3 and one.failures is None
    one.hear(0, 0.0)
    assert one.epsilon(0.5, 0.7, 1) == 0.5, "iteration 0 is heard"


def test_an_estimate_that_is_corrected_counts_as_corrected():
    one = schedule()
    one.hear(4, 0.0)
    one.hear(4, 0.008)
    one.epsilon(0.5, 0.7, 5)
    assert one.failures == pytest.approx(1.6)
