# SPDX-License-Identifier: Apache-2.0
"""A function as a policy: only one that this process was told of acts, and what it gives is checked."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.policies.controller import Controller, tell
from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.tensors import WeightsError, write

_NUMBERS = itertools.count()


def about(**changes: str) -> dict[str, str]:
    return {"kind": "controller", "fingerprint": "f", "observation_size": "3", "action_size": "2"} | changes


def policy(controller: Controller) -> Policy:
    name = f"test_{next(_NUMBERS)}"
    tell(name, controller)
    return policy_from_bytes(policy_to_bytes({}, about(fingerprint=name)))[0]


def test_it_acts_as_the_function_without_noise_for_one_observation_or_many() -> None:
    made = policy(lambda seen: 2.0 * seen[:, :2])
    assert (made.observation_size, made.action_size, made.noise_size) == (3, 2, 0)
    act = made.act(np.array([1.0, 2.0, 3.0]), np.empty(0))
    np.testing.assert_array_equal(act.action, [2.0, 4.0])
    assert act.distribution == "deterministic" and act.stddev is None
    np.testing.assert_array_equal(made.act(np.ones((4, 3)), np.empty((4, 0))).action, np.full((4, 2), 2.0))


def test_one_that_nobody_told_of_does_not_act() -> None:
    with pytest.raises(
        WeightsError, match="expected a controller that this process was told of, got one .*'0123456789ab'"
    ):
        policy_from_bytes(write({}, about(fingerprint="0123456789abcdef"), []))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"observation_size": "0"}, "observation_size of a controller as a whole number above 0, got '0'"),
        ({"action_size": "two"}, "action_size of a controller"),
        ({"action_size": "9" * 5000}, "action_size of a controller"),
    ],
)
def test_sizes_are_whole_numbers(changes: dict[str, str], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        policy_to_bytes({}, about(**changes))


def test_a_controller_has_no_tensors() -> None:
    with pytest.raises(WeightsError, match=r"expected no tensors of a controller, got \['mean'\]"):
        policy_to_bytes({"mean": np.zeros(1, np.float32)}, about())


def _raises(seen: np.ndarray) -> Any:
    raise KeyError("gain")


@pytest.mark.parametrize(
    ("controller", "says"),
    [
        (_raises, "the controller raised KeyError: 'gain'"),
        (lambda seen: seen, r"actions of shape \(1, 2\) from the controller, got shape \(1, 3\)"),
        (lambda seen: np.full((len(seen), 2), np.inf), "got some that are not finite"),
    ],
)
def test_what_it_must_not_do_ends_the_episode_and_not_the_node(controller: Controller, says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        policy(controller).act(np.zeros(3), np.empty(0))
