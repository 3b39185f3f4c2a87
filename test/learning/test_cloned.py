# SPDX-License-Identifier: Apache-2.0
"""A policy that clones a controller it has watched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from point_task import Point

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.learning.imitation import ImitationSettings, cloned
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.tasks import task


@pytest.fixture(autouse=True)
def point() -> Iterator[None]:
    task.register("point")(Point)
    yield
    del task.TASKS._things["point"]


def inward(seen: np.ndarray) -> np.ndarray:
    return np.clip(-0.5 * seen, -0.2, 0.2)


def test_a_clone_acts_as_what_it_has_watched() -> None:
    settings = ImitationSettings(rounds=4, episodes=20, updates=300, stddev=0.01)
    with TaskEnvironment("point") as where:
        parameters = cloned(inward, where, 0, hidden=(32,), settings=settings)
        found = evaluate(GaussianPolicy(parameters), where, episodes=20, seed=0)
        again = cloned(inward, where, 0, hidden=(32,), settings=settings)
    assert found.success_rate == 1.0 and found.mean_cost == 0.0
    asked = np.random.default_rng([0, 4]).uniform(-0.6, 0.6, (50, 2))
    np.testing.assert_allclose(GaussianPolicy(parameters).mean(asked), inward(asked), atol=0.05)
    for name, values in parameters.items():
        np.testing.assert_array_equal(values, again[name])
