# SPDX-License-Identifier: Apache-2.0
"""PSPT Eq. 22 for one torque, against scipy's own distribution and against counting."""

from __future__ import annotations

import numpy as np
import scipy.stats

from safe_transfer_ros.safety.limit.rules import beyond_limit


def test_it_is_the_mass_outside_the_limit() -> None:
    mean, stddev = np.array([-2.0, 0.0, 0.3, 4.0]), np.array([0.1, 1.0, 0.5, 2.0])
    for limit in (0.2, 1.0, 3.0):
        law = scipy.stats.norm(mean, stddev)
        np.testing.assert_allclose(beyond_limit(mean, stddev, limit), law.sf(limit) + law.cdf(-limit), rtol=1e-12)
    drawn = np.random.default_rng(0).normal(0.3, 0.5, 200_000)
    counted = np.mean(np.abs(drawn) > 1.0)
    assert abs(beyond_limit(np.array(0.3), np.array(0.5), 1.0) - counted) < 4.0 * np.sqrt(counted / 200_000)


def test_a_limit_far_away_keeps_its_digits() -> None:
    far = beyond_limit(np.array(0.0), np.array(0.1), 1.0)
    np.testing.assert_allclose(far, 2.0 * scipy.stats.norm.sf(10.0), rtol=1e-10)
