# SPDX-License-Identifier: Apache-2.0
"""The external stop as a topic: heard whatever its publisher offers, each button by itself."""

from __future__ import annotations

import subprocess
import sys

import graph_runs
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from filter_bench import Bench, with_parameters
from rclpy.context import Context
from safe_transfer_msgs.msg import SafetyDecision
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.safety.reasons import Reason


def test_a_pressed_stop_trips_until_it_is_released(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success, "no stop button is required by default"
    button = bench.button()
    bench.step(0, [0.05] * 7)
    assert bench.status.mode == SafetyDecision.MODE_ARMED, "one that joins and is not pressed stops nothing"
    button.publish(Bool(data=True))
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_OPERATOR_STOP
    bench.until(lambda: not any(bench.commands[-1]), "stop torque")
    assert not bench.call(bench.reset, Trigger.Request()).success
    button.publish(Bool(data=False))
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset once it is released")


def test_an_arm_that_says_that_it_takes_no_torque_trips_by_a_reason_of_its_own(bench: Bench) -> None:
    """As franka_robot tells it, by whatever name."""
    arm = bench.create_publisher(DiagnosticStatus, "franka_robot/status", qos.LATCHED)

    def says(standing: str, words: str = "") -> None:
        arm.publish(DiagnosticStatus(message=words, values=[KeyValue(key="standing", value=standing)]))

    bench.state()
    says("NONE")
    bench.until(lambda: bench.armed().success, "arming")
    says("A_CAUSE_OF_A_LATER_VERSION", "something else")
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_ARM_STOPPED == Reason.ARM_STOPPED
    assert "the arm: something else" in bench.status.message
    answer = bench.call(bench.reset, Trigger.Request())
    assert not answer.success and "ARM_STOPPED" in answer.message
    says("NONE")
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset once nothing stands against it")
    # What it says of a filter that has tripped for what came first is named as well; disarmed it trips nothing.
    trip = bench.create_client(Trigger, "safety_filter/trip")
    assert trip.wait_for_service(timeout_sec=10.0) and bench.call(trip, Trigger.Request()).success
    bench.until(lambda: bench.status.cause == SafetyDecision.REASON_OPERATOR_STOP, "a trip")
    says("REFLEX")
    bench.until(lambda: bool(bench.status.cause & SafetyDecision.REASON_ARM_STOPPED), "the arm's word beside it")
    says("NONE")
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset")
    says("GUIDING")
    bench.until(lambda: not bench.armed().success, "arming refused")
    assert bench.status.mode == SafetyDecision.MODE_DISARMED


@pytest.mark.parametrize("reliable", [True, False])
@pytest.mark.parametrize("latched", [True, False])
def test_a_stop_is_heard_whatever_its_publisher_offers(bench: Bench, reliable: bool, latched: bool) -> None:
    bench.state()
    button = bench.button(reliable=reliable, latched=latched)
    bench.until(
        lambda: "1 of 1 publishers of the external stop have not said" in bench.armed().message,
        "arming being refused before it has said how it stands",
    )
    bench.armed(False)
    button.publish(Bool(data=False))
    bench.until(lambda: bench.armed().success, "arming once it has")
    bench.step(0, [0.05] * 7)
    button.publish(Bool(data=True))
    button.publish(Bool(data=False))  # for no longer than it takes to say so
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_OPERATOR_STOP


def test_a_stop_that_was_latched_before_the_filter_started_forbids_arming() -> None:
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    bench = Bench(context)
    button = bench.create_publisher(Bool, "safety_filter/e_stop", qos.LATCHED)
    button.publish(Bool(data=True))
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
    )
    try:
        bench.until(lambda: bench.status.torque_limit > 0, "the filter being up")
        bench.state()
        bench.until(lambda: bench.armed().message == "the external stop is pressed", "a refusal")
        assert bench.status.mode == SafetyDecision.MODE_DISARMED
        button.publish(Bool(data=False))
        bench.until(lambda: bench.armed().success, "arming once it is released")
    finally:
        process.kill()
        process.wait()
        bench.destroy_node()
        rclpy.shutdown(context=context)


def test_a_pressed_stop_is_not_overwritten_by_another_button(bench: Bench) -> None:
    bench.state()
    ours, other = bench.button(), bench.button()
    for _ in range(5):
        other.publish(Bool(data=False))
    ours.publish(Bool(data=False))
    bench.until(lambda: bench.armed().success, "arming with two buttons that are released")
    ours.publish(Bool(data=True))
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    for _ in range(20):
        other.publish(Bool(data=False))
        answer = bench.call(bench.reset, Trigger.Request())
        assert not answer.success and "OPERATOR_STOP" in answer.message
    ours.publish(Bool(data=False))
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset once it is released")
    assert bench.armed().success


def test_a_stop_that_was_pressed_while_nothing_was_armed_is_not_lost(bench: Bench) -> None:
    button = bench.button()

    def heard() -> bool:
        bench.state()
        button.publish(Bool(data=False))
        return bench.armed().success

    # It keeps one message: a press that is followed by its release is gone where the filter does not know it yet.
    bench.until(heard, "arming with a button that is heard")
    assert bench.armed(False).success
    button.publish(Bool(data=True))
    button.publish(Bool(data=False))
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_OPERATOR_STOP
    bench.until(lambda: "reset first" in bench.armed().message, "a refusal to arm until it is reset")


@with_parameters(e_stop_lease=0.3)
def test_the_silence_of_a_required_stop_counts_as_pressed(bench: Bench) -> None:
    bench.state()
    button = bench.button()
    answer = bench.armed()
    assert not answer.success and "has not been heard" in answer.message
    assert bench.status.mode == SafetyDecision.MODE_DISARMED, "nothing moves: there is nothing to trip"

    def heard() -> bool:
        button.publish(Bool(data=False))
        return bench.armed().success

    bench.until(heard, "arming with a button that is heard")
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip once it is silent")
    assert bench.status.cause == SafetyDecision.REASON_OPERATOR_STOP
