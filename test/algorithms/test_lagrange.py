# SPDX-License-Identifier: Apache-2.0
"""The multiplier's sign, its gradient, and the Lagrangian on a problem with a known saddle point."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.algorithms.lagrange import csc_violation, next_multiplier, penalised_advantages, required_safety


def test_it_grows_while_violated_and_falls_to_zero_while_satisfied() -> None:
    multiplier = 0.0
    for _ in range(5):
        after = next_multiplier(multiplier, 0.2, 0.1)
        assert after > multiplier
        multiplier = after
    assert multiplier == pytest.approx(0.1)
    for _ in range(20):
        multiplier = next_multiplier(multiplier, -0.2, 0.1)
    assert multiplier == 0.0


def test_the_step_is_ascent_on_the_dual() -> None:
    """L(lambda) = R - lambda * violation is minimised over lambda: minus its derivative, by finite differences."""
    violation, rate, at, small = 0.37, 0.04, 1.3, 1e-6
    lagrangian = lambda multiplier: 2.0 - multiplier * violation  # noqa: E731
    slope = (lagrangian(at + small) - lagrangian(at - small)) / (2.0 * small)
    assert next_multiplier(at, violation, rate) == pytest.approx(at - rate * slope)


def test_cscs_violation_by_hand() -> None:
    advantages = np.array([[0.01, -0.02], [0.03, 0.0]])  # mean .005, over 1 - gamma = .1: .05
    assert csc_violation(advantages, failure_rate=0.2, chi=0.05, gamma=0.9) == pytest.approx(0.05 - (0.05 - 0.2))
    assert csc_violation(advantages * 0.0, failure_rate=0.0, chi=0.05, gamma=0.9) == pytest.approx(-0.05)


def test_the_saddle_point_of_a_small_problem() -> None:
    """max x - x^2 / 2 with x <= .25: x = .25, lambda = 1 - .25; reached by turns."""
    x, multiplier = 0.0, 0.0
    for _ in range(4000):
        x += 0.01 * penalised_advantages(np.array(1.0 - x), np.array(1.0), multiplier, gamma=0.0).item()
        multiplier = next_multiplier(multiplier, x - 0.25, 0.02)
    assert (x, multiplier) == (pytest.approx(0.25, abs=1e-3), pytest.approx(0.75, abs=1e-3))


def test_the_penalty_carries_the_horizon() -> None:
    made = penalised_advantages(np.array([1.0, 2.0]), np.array([0.1, -0.1]), 0.5, gamma=0.99)
    np.testing.assert_allclose(made, [1.0 - 5.0, 2.0 + 5.0])


@pytest.mark.parametrize("broken", [(-0.1, 0.0, 0.1), (0.0, np.nan, 0.1), (0.0, 0.0, 0.0)])
def test_senseless_numbers_are_refused(broken) -> None:
    with pytest.raises(ValueError, match="expected multiplier"):
        next_multiplier(*broken)


def test_darls_gamma_is_the_mean_of_the_discounted_steps_that_are_left() -> None:
    assert required_safety(500, 0.9, 0.05) == pytest.approx(9.329, abs=5e-4)
    for horizon, gamma, tolerance in ((500, 0.9, 0.05), (50, 0.99, 0.0), (7, 0.0, 0.3), (1, 0.5, 0.0)):
        left = [sum(gamma**step for step in range(horizon - at)) for at in range(horizon)]
        assert required_safety(horizon, gamma, tolerance) == pytest.approx((1.0 - tolerance) * np.mean(left))


def test_darls_multiplier_grows_while_the_safe_critic_is_below_gamma() -> None:
    wanted = required_safety(500, 0.9, 0.05)
    assert next_multiplier(1.0, wanted - (wanted - 2.0), 0.001) == pytest.approx(1.002)
    assert next_multiplier(1.0, wanted - (wanted + 2.0), 0.001) == pytest.approx(0.998)
    assert next_multiplier(0.001, wanted - (wanted + 2.0), 0.001) == 0.0


@pytest.mark.parametrize("wrong", [(0, 0.9, 0.05), (500, 1.0, 0.05), (500, 0.9, 1.5), (500, -0.1, 0.05)])
def test_darls_gamma_refuses_what_is_out_of_range(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="expected horizon >= 1"):
        required_safety(*wrong)
