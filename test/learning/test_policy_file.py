# SPDX-License-Identifier: Apache-2.0
"""The shipped policy, and policies that do not fit."""

import hashlib

import numpy as np
import pytest
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.learning.policy_file import find, load_for, with_stddev_scaled
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import WeightsError
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.task import make

TASK = make("pr2_cup_swirl")


@pytest.mark.parametrize("name", ["pr2_cup_swirl", "panda_push_boundary", "panda_push_topple", "panda_push_obstacle"])
def test_a_shipped_policy_is_the_one_its_record_describes(name: str) -> None:
    record = yaml.safe_load(resources.path(f"weights/{name}.yaml").read_text())
    assert hashlib.sha256(find(name).read_bytes()).hexdigest() == record["sha256"]
    assert record["task"] == name
    load_for(in_graph(name).task, name)


def test_a_name_that_is_neither_file_nor_shipped_is_refused_with_the_nearest() -> None:
    with pytest.raises(WeightsError, match="did you mean 'pr2_cup_swirl'"):
        load_for(TASK, "pr2_cup_swrl")


def test_scaling_touches_the_standard_deviation_alone() -> None:
    parameters, _ = load_for(TASK, "pr2_cup_swirl")
    observation = TASK.observe(*TASK.initial_state(np.random.default_rng(0)), 0.1)
    mean, stddev = GaussianPolicy(parameters).distribution(observation)
    scaled_mean, scaled = GaussianPolicy(with_stddev_scaled(parameters, 0.5)).distribution(observation)
    np.testing.assert_array_equal(scaled_mean, mean)
    np.testing.assert_allclose(scaled, 0.5 * stddev, rtol=1e-6)
