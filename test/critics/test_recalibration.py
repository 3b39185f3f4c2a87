# SPDX-License-Identifier: Apache-2.0
"""Platt scaling against outcomes whose probabilities are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from safe_transfer_ros.algorithms.safety_critic import CriticSettings, failure_probability, initial_critic
from safe_transfer_ros.critics.recalibration import PlattScaling, platt_scaling


def drawn(slope: float, offset: float, count: int = 20_000):
    """Risks of a critic, and outcomes that follow the map given."""
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.02, 0.9, count)
    return risk, (rng.random(count) < expit(slope * logit(risk) + offset)).astype(float)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.6, -1.2), (1.5, 0.7)])
def test_the_map_that_the_outcomes_follow_is_found(slope: float, offset: float) -> None:
    risk, outcome = drawn(slope, offset)
    found = platt_scaling(risk, outcome, episodes=len(risk))
    assert (found.slope, found.offset) == (pytest.approx(slope, abs=0.06), pytest.approx(offset, abs=0.08))
    assert float(found(risk).mean()) == pytest.approx(outcome.mean(), abs=5e-3)


def test_an_over_estimate_is_taken_off_and_the_order_of_risks_stays() -> None:
    risk, _ = drawn(1.0, 0.0)
    found = platt_scaling(risk, 0.25 * risk, episodes=2000)
    assert found.offset < -1.0
    assert float(found(risk).mean()) == pytest.approx(0.25 * risk.mean(), abs=0.01)
    np.testing.assert_array_equal(np.argsort(found(risk)), np.argsort(risk))


def test_few_episodes_move_it_little_however_many_steps_they_have() -> None:
    risk, outcome = np.full(5000, 0.1), np.zeros(5000)
    few, many = (float(platt_scaling(risk, outcome, episodes=count)(risk)[0]) for count in (5, 500))
    assert 0.02 < few < 0.1 and many < few / 3.0
    # The prior's own optimum: with a constant risk, n (sigma(z) - y) (1, slope logit) + (offset, log slope) = 0.
    found = platt_scaling(risk, outcome, episodes=5)
    error = 5.0 * expit(found.slope * logit(0.1) + found.offset)
    assert error + found.offset == pytest.approx(0.0, abs=1e-4)
    assert error * found.slope * logit(0.1) + np.log(found.slope) == pytest.approx(0.0, abs=1e-4)
    assert platt_scaling(np.zeros(0), np.zeros(0), episodes=0) == PlattScaling()


def test_it_becomes_part_of_the_last_layer() -> None:
    settings = CriticSettings(members=3, hidden=(8, 4))
    parameters = initial_critic(5, settings, 0)
    inputs = np.random.default_rng(1).standard_normal((20, 5)).astype(np.float32)
    scaling = PlattScaling(slope=1.7, offset=-0.8)

    def risks(of):
        return failure_probability({n: torch.from_numpy(a) for n, a in of.items()}, torch.from_numpy(inputs)).numpy()

    np.testing.assert_allclose(risks(scaling.folded(parameters)), scaling(risks(parameters)), rtol=1e-5)
    np.testing.assert_array_equal(risks(PlattScaling().folded(parameters)), risks(parameters))


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="a risk and an outcome in"):
        platt_scaling(np.zeros(3), np.zeros(2), episodes=1)
    with pytest.raises(ValueError, match="a risk and an outcome in"):
        platt_scaling(np.full(3, 0.5), np.full(3, 1.5), episodes=1)
