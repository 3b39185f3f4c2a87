# SPDX-License-Identifier: Apache-2.0
"""The rules are made of the parameters: every one arrives where it acts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware.filter_rules import filter_rules
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.safety.reasons import Mode, Reason
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH = in_graph("pr2_cup_swirl")
ROBOT = GRAPH.task.robot
MS = 1_000_000


@pytest.mark.parametrize("lockstep", [True, False])
def test_the_rules_go_by_the_parameters(lockstep: bool) -> None:
    given = FilterParameters(
        action_timeout=0.11,
        trip_timeout=0.6,
        joint_state_timeout=0.07,
        frozen_timeout=0.3,
        object_timeout=0.25,
        object_frozen_timeout=1.5,
        torque_rate_limit=700.0,
        clamp="scale",
        stop_damping=0.02,
        stop_damping_time=0.3,
    )
    rules = given.rule_settings(lockstep=lockstep, state_period_s=0.004)
    assert (rules.action_timeout_s, rules.trip_timeout_s, rules.joint_state_timeout_s) == (0.11, 0.6, 0.07)
    assert (rules.frozen_timeout_s, rules.object_timeout_s, rules.object_frozen_timeout_s) == (0.3, 0.25, 1.5)
    assert (rules.torque_rate_limit, rules.clamp, rules.state_period_s) == (700.0, "scale", 0.004)
    assert rules.stop_damping == (0.0 if lockstep else 0.02) and rules.stop_damping_time_s == 0.3
    assert given.rule_settings(lockstep=lockstep, state_period_s=0.05).joint_state_timeout_s == 0.125, (
        "two and a half periods"
    )


def rules(settings: dict[str, object] | None = None, **experiment: object):
    chosen = ExperimentParameters(timing=experiment.pop("timing", "realtime"), **experiment)
    view = GRAPH.view(0, lockstep=chosen.lockstep)
    return filter_rules(chosen, FilterParameters(**settings or {}), GRAPH, view, None)


@pytest.mark.parametrize(("timing", "factor"), [("realtime", 10.0), ("lockstep", 100.0)])
def test_what_a_joint_state_can_be_follows_the_robots_limits(timing: str, factor: float) -> None:
    made = rules(timing=timing)
    for joint in range(7):
        for number, (speed, reason) in enumerate([(0.99, Reason.NONE), (1.01, Reason.JOINT_STATE_IMPLAUSIBLE)]):
            velocity = speed * factor * ROBOT.limits.velocity[joint] * np.eye(7)[joint]
            assert made.observe_state(10 * joint + number, ROBOT.home, velocity, 0) is reason
    beyond = np.where(np.isfinite(ROBOT.limits.upper), ROBOT.limits.upper + 1.1, 2e4)
    for joint in range(7):
        position = ROBOT.home.copy()
        position[joint] = beyond[joint]
        assert made.observe_state(1000 + joint, position, np.zeros(7), 0) is Reason.JOINT_STATE_IMPLAUSIBLE


def test_a_fixed_limit_is_the_ceiling_and_an_adaptive_one_starts_at_the_lowest() -> None:
    assert (rules(limit_rule="fixed").guard.floor, rules(limit_rule="fixed").guard.accepted) == (3.0, 3.0)
    made = rules(first_iteration=7, first_torque_limit=0.4).guard
    assert (made.floor, made.ceiling, made.iteration, made.accepted) == (0.1, 3.0, 7, 0.4)


def test_gravity_is_added_where_it_is_asked_for() -> None:
    for carried in ("always", "never"):
        made = rules(add_gravity=carried)
        made.observe_state(1, ROBOT.home, np.zeros(7), MS)
        assert made.cycle(MS).any() == (carried == "always")
        assert not made.applied.any() and made.mode is Mode.DISARMED


def test_soft_limits_hold_when_the_parameter_says_so() -> None:
    cases = (("realtime", "realtime", True), ("realtime", "lockstep", False), ("never", "realtime", False))
    for choice, timing, held in cases:
        made = rules({"soft_limits": choice}, timing=timing)
        fast = 1.2 * ROBOT.limits.velocity
        made.observe_state(1, ROBOT.home, fast, MS)
        made.cycle(MS)
        assert made.arm(MS) is None
        effort = np.full(7, 0.05)
        numbers = {"iteration": 0, "episode": 0, "step": 0, "policy_version": 0}
        proposal = Proposal(stamp_ns=1, last=False, mean=effort, stddev=effort, effort=effort, **numbers)
        assert made.propose(proposal, MS) is Reason.NONE
        made.cycle(6 * MS)
        assert bool(made.last_reasons & Reason.CLAMPED_SOFT_VELOCITY) is held


def test_a_stop_in_lockstep_takes_no_longer_than_a_control_period() -> None:
    with pytest.raises(ConfigurationError, match="raise torque_rate_limit"):
        rules({"torque_rate_limit": 40.0}, timing="lockstep")
    assert dataclasses.asdict(rules({"torque_rate_limit": 40.0}).settings)["torque_rate_limit"] == 40.0


@pytest.mark.parametrize("timing", ["realtime", "lockstep"])
def test_a_rate_too_low_to_stop_at_all_is_told_first(timing: str) -> None:
    with pytest.raises(ValueError, match="would take 0.3 s at torque_rate_limit 10"):
        rules({"torque_rate_limit": 10.0}, timing=timing)
