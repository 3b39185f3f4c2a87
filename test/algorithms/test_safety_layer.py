# SPDX-License-Identifier: Apache-2.0
"""The least correction, against a general solver; and what cannot be corrected is not called safe."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from safe_transfer_ros.algorithms.safety_layer import corrected


def test_it_is_the_least_correction_that_keeps_the_constraint() -> None:
    rng = np.random.default_rng([0, 38])
    action, gradient = rng.standard_normal((2, 12, 3))
    cost = rng.normal(0.3, 1.0, 12)
    found, kept = corrected(action, gradient, cost, 0.2)
    assert kept.all() and 2 < (cost > 0.2).sum() < 10
    for row in range(12):
        solved = minimize(
            lambda a, row=row: np.square(a - action[row]).sum(),
            action[row],
            constraints={
                "type": "ineq",
                "fun": lambda a, row=row: 0.2 - cost[row] - gradient[row] @ (a - action[row]),
            },
        )
        np.testing.assert_allclose(found[row], solved.x, atol=1e-5)
    safe = cost <= 0.2
    np.testing.assert_array_equal(found[safe], action[safe])


def test_what_cannot_be_corrected_is_not_called_safe() -> None:
    action, cost = np.zeros((4, 2)), np.array([1.0, 1.0, -1.0, 1.0])
    gradient = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1e-200, 0.0]])
    found, kept = corrected(action, gradient, cost, 0.0, bound=np.array([0.5, 0.5]))
    np.testing.assert_array_equal(found, [[0.0, 0.0], [-0.5, 0.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(kept, [False, False, True, False])
    found, kept = corrected(action, gradient, cost, 0.0)
    np.testing.assert_array_equal(found[1], [-1.0, 0.0])
    assert kept[1]


def test_what_is_not_a_number_is_refused() -> None:
    good = np.zeros((2, 3))
    for action, gradient, cost in (
        (good * np.nan, good, good[:, 0]),
        (good, good + np.inf, good[:, 0]),
        (good, good, good[:, 0] * np.nan),
    ):
        with pytest.raises(ValueError, match="is not finite"):
            corrected(action, gradient, cost, 0.1)
    with pytest.raises(ValueError, match="finite limit"):
        corrected(good, good, good[:, 0], np.nan)
    with pytest.raises(ValueError, match="expected actions"):
        corrected(good, good[:1], good[:, 0], 0.1)
