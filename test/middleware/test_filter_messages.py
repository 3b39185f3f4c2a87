# SPDX-License-Identifier: Apache-2.0
"""A policy's message as the rules want it: matched by name, whole, or with a fault and nothing in it."""

from __future__ import annotations

import numpy as np
import pytest
from safe_transfer_msgs.msg import PolicyAction

from safe_transfer_ros.middleware.filter_messages import read_proposal
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.reasons import Reason

ORDER = JointOrder(["shoulder", "elbow", "wrist"])


def message(**changes: object) -> PolicyAction:
    given: dict[str, object] = {
        "action_names": ["wrist", "shoulder", "elbow"],
        "mean": [3.0, 1.0, 2.0],
        "stddev": [0.3, 0.1, 0.2],
        "effort": [30.0, 10.0, 20.0],
        "iteration": 4,
        "episode": 5,
        "step": 6,
        "policy_version": 7,
    }
    made = PolicyAction(**given | changes)
    made.header.stamp.sec, made.header.stamp.nanosec = 8, 9
    return made


def test_joints_are_matched_by_name_and_the_rest_is_copied() -> None:
    read = read_proposal(message(), ORDER)
    np.testing.assert_array_equal(read.mean, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(read.stddev, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(read.effort, [10.0, 20.0, 30.0])
    numbers = (read.stamp_ns, read.iteration, read.episode, read.step, read.policy_version)
    assert numbers == (8_000_000_009, 4, 5, 6, 7)
    assert (read.fault, read.last, read.terminated) == (Reason.NONE, False, False)
    assert read.distribution is Distribution.GAUSSIAN


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"action_names": ["wrist", "shoulder"]}, Reason.PROPOSAL_WRONG_JOINTS),
        ({"action_names": ["wrist", "shoulder", "shoulder"]}, Reason.PROPOSAL_WRONG_JOINTS),
        ({"action_names": [f"j{number}" for number in range(2000)]}, Reason.PROPOSAL_WRONG_JOINTS),
        ({"mean": [1.0, 2.0]}, Reason.PROPOSAL_WRONG_LENGTH),
        ({"effort": [1.0] * 4}, Reason.PROPOSAL_WRONG_LENGTH),
        ({"stddev": [1.0] * 2}, Reason.PROPOSAL_WRONG_LENGTH),
        ({"mean": [], "effort": []}, Reason.PROPOSAL_WRONG_LENGTH),
    ],
)
def test_what_cannot_be_matched_has_a_fault_and_nothing_in_it(changes: dict[str, object], fault: Reason) -> None:
    read = read_proposal(message(**changes), ORDER)
    assert read.fault is fault and (read.episode, read.step) == (5, 6)
    assert len(read.mean) == len(read.stddev) == len(read.effort) == 0


def test_the_end_of_an_episode_needs_no_numbers() -> None:
    read = read_proposal(message(last=True, terminated=True, mean=[], stddev=[], effort=[]), ORDER)
    assert (read.fault, read.last, read.terminated) == (Reason.NONE, True, True)


def test_a_policy_without_noise_needs_no_spread() -> None:
    read = read_proposal(message(distribution=PolicyAction.DISTRIBUTION_DETERMINISTIC, stddev=[]), ORDER)
    assert read.distribution is Distribution.DETERMINISTIC and not read.fault
    np.testing.assert_array_equal(read.stddev, np.zeros(3), err_msg="the record has one value a joint")
    assert read_proposal(message(stddev=[]), ORDER).stddev.shape == (0,), "a Gaussian's is missing: the rules refuse it"


def test_a_bound_is_matched_by_name_as_the_rest_is_and_so_is_who_acted() -> None:
    law = PolicyAction.DISTRIBUTION_TANH_GAUSSIAN
    read = read_proposal(message(distribution=law, bound=[33.0, 11.0, 22.0], actor="safe"), ORDER)
    assert read.bound is not None and read.actor == "safe"
    np.testing.assert_array_equal(read.bound, [11.0, 22.0, 33.0])
    assert read_proposal(message(distribution=law, bound=[1.0]), ORDER).fault is Reason.PROPOSAL_WRONG_LENGTH


@pytest.mark.parametrize(("number", "law"), list(enumerate(LAWS)))
def test_a_message_is_taken_at_its_word_about_its_law(number: int, law: Distribution) -> None:
    for stddev in ([], [0.0] * 3, [0.1] * 3):
        assert read_proposal(message(distribution=number, stddev=stddev), ORDER).distribution is law


@pytest.mark.parametrize("number", [3, 255])
def test_a_law_nobody_knows_is_refused(number: int) -> None:
    assert read_proposal(message(distribution=number), ORDER).fault is Reason.PROPOSAL_NOT_FINITE
