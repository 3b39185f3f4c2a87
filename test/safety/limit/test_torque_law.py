# SPDX-License-Identifier: Apache-2.0
"""The Gaussian that stands in for another law is outside the limit as often, by counting."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.limit.rules import beyond_limit
from safe_transfer_ros.safety.limit.torque_law import gaussian_stand_in

MEAN, STDDEV, BOUND = np.array([0.3, -1.0, 0.0]), np.array([0.5, 0.7, 1.0]), np.array([2.0, 3.0, 0.4])


@pytest.mark.parametrize("limit", [0.1, 0.5, 1.5])
def test_a_tanh_gaussian_is_outside_as_often_as_its_stand_in(limit: float) -> None:
    stand_in = gaussian_stand_in(Distribution.TANH_GAUSSIAN, MEAN, STDDEV, BOUND, limit)
    torques = BOUND * np.tanh(MEAN + STDDEV * np.random.default_rng(0).standard_normal((200_000, 3)))
    counted = np.mean(np.abs(torques) > limit, axis=0)
    np.testing.assert_allclose(beyond_limit(*stand_in, limit), counted, atol=5e-3)
    assert beyond_limit(*stand_in, limit)[2] == 0.0 or limit < 0.4, "a bound within the limit is never outside"


def test_a_deterministic_torque_is_outside_or_it_is_not() -> None:
    stand_in = gaussian_stand_in(Distribution.DETERMINISTIC, MEAN, np.empty(0), np.empty(0), 0.5)
    np.testing.assert_array_equal(beyond_limit(*stand_in, 0.5), [0.0, 1.0, 0.0])


def test_a_gaussian_stands_for_itself() -> None:
    assert gaussian_stand_in(Distribution.GAUSSIAN, MEAN, STDDEV, np.empty(0), 0.5) == (MEAN, STDDEV)


def test_a_tanh_gaussian_whose_bound_is_the_limit_is_never_outside() -> None:
    for bound in (0.5, 0.4999, 0.1):
        mean, stddev = gaussian_stand_in(
            Distribution.TANH_GAUSSIAN, np.array([9.0]), np.array([9.0]), np.array([bound]), 0.5
        )
        assert (mean[0], stddev[0]) == (0.0, 1e-9)
