# SPDX-License-Identifier: Apache-2.0
"""Messages and rules: a proposal matched by name, whole or with a fault; a decision with what was taken and no more."""

from __future__ import annotations

import numpy as np
import pytest
from safe_transfer_msgs.msg import PolicyAction

from safe_transfer_ros.middleware.filter_messages import DecisionMessage, read_proposal
from safe_transfer_ros.middleware.filter_rules import filter_rules
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.filter.control_loop import Decision
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution, Proposal
from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.reasons import NOT_TAKEN, Reason, Verdict
from safe_transfer_ros.tasks.deployment import in_graph

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


# Decisions

GRAPH = in_graph("pr2_cup_swirl")
VIEW = GRAPH.view(0, lockstep=True)
MS = 1_000_000
PROPOSED = ("proposed_mean", "proposed_stddev", "proposed_effort")


def proposal(**changes: object) -> Proposal:
    given: dict[str, object] = {
        "stamp_ns": 5 * MS,
        "iteration": 4,
        "episode": 5,
        "step": 6,
        "last": False,
        "policy_version": 7,
        "mean": np.linspace(0.1, 0.7, 7),
        "stddev": np.full(7, 0.3),
        "effort": np.linspace(-0.05, 0.05, 7),
        "actor": "safe",
    }
    return Proposal(**given | changes)


@pytest.fixture
def rules() -> SafetyFilter:
    """Armed, with a proposal accepted and a torque applied."""
    made = filter_rules(ExperimentParameters(), FilterParameters(), GRAPH, VIEW, None)
    made.observe_state(5 * MS, GRAPH.task.robot.home, np.linspace(0.0, 0.6, 7), 5 * MS)
    made.cycle(5 * MS)
    assert made.arm(5 * MS) is None
    assert made.propose(proposal(), 5 * MS) is Reason.NONE
    made.cycle(55 * MS)
    assert made.applied.any() and made.chosen.any()
    return made


def decided(verdict: Verdict, given: Proposal | None, reasons: int = 0) -> Decision:
    return Decision(proposal=given, verdict=verdict, reasons=reasons, stamp_ns=3_000_000_009)


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.EPISODE_END])
def test_what_was_not_taken_is_not_recorded_as_chosen(rules: SafetyFilter, verdict: Verdict) -> None:
    """What was proposed is on record all the same; a learner takes `chosen` for what was done."""
    filled = DecisionMessage(GRAPH, VIEW).fill(rules, decided(verdict, proposal(effort=np.full(7, 9.0))), "")
    assert list(filled.proposed_effort) == [9.0] * 7
    assert list(filled.proposed_mean) == list(proposal().mean) and list(filled.proposed_stddev) == [0.3] * 7
    if verdict in NOT_TAKEN:
        assert len(filled.chosen) == 0, "nothing of it was applied"
    else:
        assert list(filled.chosen) == rules.chosen.tolist()
    assert (filled.verdict, filled.last, filled.terminated) == (verdict, False, False)


def test_a_decision_says_what_was_measured_applied_and_why(rules: SafetyFilter) -> None:
    rules.risk = 0.25
    filled = DecisionMessage(GRAPH, VIEW).fill(rules, decided(Verdict.BOUNDED, proposal(), 5), "critic 1")
    assert (filled.header.stamp.sec, filled.header.stamp.nanosec) == (3, 9)
    assert (filled.iteration, filled.episode, filled.step, filled.policy_version) == (4, 5, 6, 7)
    assert (filled.actor, filled.reasons, filled.critic_version, filled.risk) == ("safe", 5, "critic 1", 0.25)
    assert (filled.mode, filled.torque_limit, filled.limit_iteration) == (rules.mode, rules.torque_limit, 0)
    assert list(filled.position) == list(GRAPH.task.robot.home)
    assert list(filled.velocity) == np.linspace(0.0, 0.6, 7).tolist()
    assert list(filled.applied_effort) == rules.applied.tolist()
    assert list(filled.observation) == VIEW.observe(rules.position, rules.velocity, rules.torque_limit).tolist()
    assert list(filled.joint_names) == list(filled.action_names) == list(GRAPH.task.robot.joint_names)
    assert len(filled.object_pose) == 0


def test_a_proposal_with_a_fault_or_none_at_all_leaves_no_numbers_of_the_one_before(rules: SafetyFilter) -> None:
    message = DecisionMessage(GRAPH, VIEW)
    law = Distribution.TANH_GAUSSIAN
    bounded = proposal(distribution=law, bound=np.full(7, 2.0))
    filled = message.fill(rules, decided(Verdict.ACCEPTED, bounded), "")
    assert list(filled.proposed_bound) == [2.0] * 7 and filled.distribution == list(LAWS).index(law)
    for verdict, given in (
        (Verdict.REJECTED, proposal(step=7, fault=Reason.PROPOSAL_WRONG_JOINTS)),
        (Verdict.STOPPED, None),
        (Verdict.EPISODE_END, proposal(step=8, last=True, terminated=True)),
    ):
        assert message.fill(rules, decided(Verdict.ACCEPTED, bounded), "").chosen
        filled = message.fill(rules, decided(verdict, given), "")
        for name in (*PROPOSED, "proposed_bound", "chosen"):
            assert len(getattr(filled, name)) == 0, (verdict, name)
        ends = verdict is Verdict.EPISODE_END
        assert (filled.last, filled.terminated) == (ends, ends)
        assert (filled.iteration, filled.episode, filled.step) == (4, 5, 6 if given is None else given.step)


def test_only_the_end_of_an_episode_terminates_it(rules: SafetyFilter) -> None:
    """A last proposal that was refused ends nothing: the policy says it again."""
    message = DecisionMessage(GRAPH, VIEW)
    refused = message.fill(rules, decided(Verdict.REJECTED, proposal(last=True, terminated=True)), "")
    assert (refused.last, refused.terminated) == (False, False)
    cut = message.fill(rules, decided(Verdict.EPISODE_END, proposal(last=True)), "")
    assert (cut.last, cut.terminated) == (True, False)
