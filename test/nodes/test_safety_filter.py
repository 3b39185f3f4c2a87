# SPDX-License-Identifier: Apache-2.0
"""The filter as a process: what a hostile or broken graph can and cannot make it publish."""

from __future__ import annotations

import signal
import subprocess
import sys

import graph_runs
import pytest
from filter_bench import JOINTS, NAN, Bench, diagnostics, with_parameters
from safe_transfer_msgs.msg import SafetyDecision, TorqueLimit


def test_a_proposal_is_clamped_and_the_reason_recorded(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    command, decision = bench.step(0, [5.0, -5.0, 0.05, 0.0, 0.0, 0.0, 0.0])
    assert list(command) == [0.1, -0.1, 0.05, 0.0, 0.0, 0.0, 0.0]
    assert decision.reasons == SafetyDecision.REASON_CLAMPED_TORQUE_LIMIT
    assert decision.verdict == SafetyDecision.VERDICT_BOUNDED
    assert list(decision.proposed_effort)[:2] == [5.0, -5.0]
    assert decision.applied_effort == command


@with_parameters(clamp="scale")
def test_a_vector_can_be_scaled_as_a_whole(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    command, _ = bench.step(0, [0.4, -0.2, 0.1, 0.0, 0.0, 0.0, 0.0])
    assert list(command) == pytest.approx([0.1, -0.05, 0.025, 0.0, 0.0, 0.0, 0.0])


@with_parameters(soft_limits="always")
def test_soft_limits_hold_in_lockstep_where_asked_for(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    # The bench's arm is faster than any speed limit, and its elbow bent beyond its own.
    command, decision = bench.step(0, [0.05] * 7)
    assert list(command) == [-0.1] * 7
    assert decision.reasons == (
        SafetyDecision.REASON_CLAMPED_SOFT_VELOCITY | SafetyDecision.REASON_CLAMPED_SOFT_POSITION
    )


@with_parameters(mode="realtime", action_timeout=10.0, trip_timeout=60.0, joint_state_timeout=10.0)
def test_soft_limits_hold_in_real_time(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    bench.propose(0, [0.05] * 7)
    bench.state(value=0.2)
    bench.until(lambda: bool(bench.commands) and list(bench.commands[-1]) == [-0.1] * 7, "torque against the motion")


@with_parameters(mode="realtime", action_timeout=2.0, trip_timeout=60.0, joint_state_timeout=10.0, frozen_timeout=10.0)
def test_a_proposal_that_overtook_its_joint_state_waits_for_it(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    bench.propose(0, [0.05] * 7, offset_ns=50_000_000)
    bench.until(lambda: len(bench.commands) > 20, "commands going on meanwhile")  # of the 10 ms watch
    assert not bench.decisions and not any(bench.commands[-1]), "nothing is done blindly"
    bench.state()
    bench.until(lambda: bool(bench.decisions), "its decision")
    assert bench.decisions[0].verdict != SafetyDecision.VERDICT_REJECTED
    assert bench.decisions[0].header.stamp.nanosec == bench.time_ns
    for step in (1, 2):  # neither state ever comes: the second ends the wait of the first, time that of the second
        bench.propose(step, [0.05] * 7, offset_ns=1_000_000_000)

    def refused() -> list[SafetyDecision]:
        return [one for one in bench.decisions if one.verdict == SafetyDecision.VERDICT_REJECTED]

    bench.until(lambda: len(refused()) == 2, "both being refused on record")
    for step, decision in enumerate(refused(), start=1):
        assert decision.step == step and decision.reasons & SafetyDecision.REASON_PROPOSAL_FROM_FUTURE


@pytest.mark.parametrize(
    ("effort", "changes", "reason"),
    [
        ([NAN] + [0.0] * 6, {}, SafetyDecision.REASON_PROPOSAL_NOT_FINITE),
        ([float("inf")] * 7, {}, SafetyDecision.REASON_PROPOSAL_NOT_FINITE),
        ([0.0] * 6, {}, SafetyDecision.REASON_PROPOSAL_WRONG_LENGTH),
        ([0.0] * 7, {"names": [*JOINTS[:6], "r_elbow_flex_joint"]}, SafetyDecision.REASON_PROPOSAL_WRONG_JOINTS),
        ([0.0] * 7, {"names": [*JOINTS[:6], JOINTS[0]]}, SafetyDecision.REASON_PROPOSAL_WRONG_JOINTS),
        ([0.0] * 7, {"offset_ns": -200_000_000}, SafetyDecision.REASON_PROPOSAL_STALE),
    ],
)
def test_a_bad_proposal_is_refused_whole(
    bench: Bench, effort: list[float], changes: dict[str, object], reason: int
) -> None:
    bench.state()
    assert bench.armed().success
    before, _ = bench.step(0, [0.05] * 7)
    command, decision = bench.step(1, effort, **changes)
    assert decision.reasons & reason
    assert decision.verdict == SafetyDecision.VERDICT_REJECTED
    assert command == before, "the proposal before it stands until it is too old; nothing of the bad one is used"


def test_joints_are_matched_by_name(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    shuffled = JOINTS[::-1]
    command, _ = bench.step(0, [0.01 * place for place in range(7)], names=shuffled)
    assert list(command) == pytest.approx([0.01 * place for place in range(6, -1, -1)])


def test_arming_names_the_joint_that_is_missing(bench: Bench) -> None:
    bench.state(names=JOINTS[:-1])
    bench.until(lambda: "l_wrist_roll_joint" in bench.armed().message, "a refusal naming the joint")
    assert not bench.armed().success
    assert not bench.commands


def test_a_limit_that_breaks_a_rule_is_refused_and_the_old_one_stands(bench: Bench) -> None:
    def offer(iteration: int, torque_limit: float) -> None:
        message = TorqueLimit(iteration=iteration, torque_limit=torque_limit)
        message.lease.sec = 5
        bench.limits.publish(message)

    bench.an_iteration()
    offer(1, 0.105)
    bench.until(lambda: bench.status.iteration == 1, "the limit of iteration 1")
    assert bench.status.torque_limit == 0.105
    for iteration, value in ((2, 0.2), (2, NAN), (2, 99.0), (0, 0.1), (2, 0.106)):
        bench.status.message = ""
        offer(iteration, value)
        bench.until(lambda: bench.status.message != "", f"a refusal of {value} for iteration {iteration}")
        assert not bench.status.accepted
        assert (bench.status.iteration, bench.status.torque_limit) == (1, 0.105)


def test_a_lost_lease_falls_back_to_the_lowest_limit(bench: Bench) -> None:
    bench.an_iteration()
    message = TorqueLimit(iteration=1, torque_limit=0.105)
    message.lease.nanosec = 300_000_000
    bench.limits.publish(message)
    bench.until(lambda: bench.status.torque_limit == 0.105, "the limit of iteration 1")
    bench.until(lambda: bench.status.lease_lost, "the lease to run out", seconds=5.0)
    assert bench.status.torque_limit == 0.1


@with_parameters(initial_torque_limit=1.8, d_safe=1.3, allow_unsafe_start=True)
def test_a_start_above_d_safe_falls_to_d_safe_once_its_lease_is_lost(bench: Bench) -> None:
    assert (bench.status.iteration, bench.status.torque_limit) == (0, 1.8)
    message = TorqueLimit(iteration=0, torque_limit=1.8)
    message.lease.nanosec = 300_000_000
    bench.limits.publish(message)
    bench.until(lambda: bench.status.lease_lost, "the lease to run out", seconds=5.0)
    assert bench.status.torque_limit == 1.3


def test_sigterm_publishes_stop_torque_first(bench: Bench, filter_process: subprocess.Popen[str]) -> None:
    bench.state()
    assert bench.armed().success
    command, _ = bench.step(0, [0.05] * 7)
    assert any(command)
    filter_process.send_signal(signal.SIGTERM)
    bench.until(lambda: not any(bench.commands[-1]), "stop torque")
    assert filter_process.wait(timeout=20) == 0


def test_timeouts_may_be_shortened_but_nothing_made_laxer(bench: Bench) -> None:
    assert bench.set(action_timeout=0.08, trip_timeout=0.3).successful
    longer = bench.set(action_timeout=0.09)
    assert not longer.successful and "may only be shortened" in longer.reason
    crossed = bench.set(trip_timeout=0.05)
    assert not crossed.successful and "must not be shorter than action_timeout" in crossed.reason
    half = bench.set(frozen_timeout=0.1, trip_timeout=0.4)
    assert not half.successful, "all or none"
    assert bench.set(frozen_timeout=0.2).successful, "it was not shortened by the call before"
    for name in ("torque_limit_max", "torque_rate_limit"):
        assert not bench.set(**{name: 2.0}).successful, f"{name} is read-only"


def test_diagnostics_tell_ages_latency_and_reasons(bench: Bench) -> None:
    values = diagnostics(bench)
    bench.state()
    assert bench.armed().success
    bench.step(0, [5.0] * 7)
    values.clear()
    bench.until(lambda: bool(values), "diagnostics")
    assert values["mode"] == "ARMED"
    assert values["reason CLAMPED_TORQUE_LIMIT"] == "1"
    assert float(values["latency_p50_us"]) > 0.0
    assert values["external_stop"] == "clear"


def test_a_rate_too_low_to_stop_is_refused_at_start() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", "-p", "torque_rate_limit:=10.0"],
        env=graph_runs.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 2
    assert "would take 0.3 s at torque_rate_limit 10" in finished.stderr
