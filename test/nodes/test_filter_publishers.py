# SPDX-License-Identifier: Apache-2.0
"""Who else publishes what the filter hears: a second one, a gripper's, another arm's."""

from __future__ import annotations

import pytest
from filter_bench import JOINTS, Bench, diagnostics, with_parameters
from rclpy.publisher import Publisher
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.stamps import set_ns


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("policy_server/action", PolicyAction),
        ("effort_controller/commands", Float64MultiArray),
        ("unsafety_monitor/torque_limit", TorqueLimit),
        ("safety_filter/decision", SafetyDecision),
        ("safety_filter/status", FilterStatus),
        ("safety_filter/status_history", FilterStatus),
        ("joint_states", JointState),
        ("controller_supervisor/permission", Bool),
        ("episode_reset/action", PolicyAction),
    ],
)
def test_a_second_publisher_trips_and_forbids_a_reset(bench: Bench, topic: str, kind: type) -> None:
    bench.state()
    assert bench.armed().success
    bench.step(0, [0.05] * 7)
    # On proposals, limits and joint states it is the second with the bench's own, else with the filter's.
    if topic in ("controller_supervisor/permission", "episode_reset/action"):
        bench.create_publisher(kind, topic, qos.STREAM)
    first = bench.create_publisher(kind, topic, qos.STREAM)
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause & SafetyDecision.REASON_SECOND_PUBLISHER
    bench.until(lambda: not any(bench.commands[-1]), "stop torque")
    bench.until(
        lambda: bool(bench.decisions[-1].reasons & SafetyDecision.REASON_SECOND_PUBLISHER), "a decision with the reason"
    )
    answer = bench.call(bench.reset, Trigger.Request())
    assert not answer.success and "SECOND_PUBLISHER" in answer.message
    bench.destroy_publisher(first)
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset once it has gone")


def test_a_limit_that_comes_while_two_publish_limits_is_refused_and_the_old_one_stands(bench: Bench) -> None:
    bench.an_iteration()
    before = bench.status.torque_limit
    second = bench.create_publisher(TorqueLimit, "unsafety_monitor/torque_limit", qos.LATCHED)
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "its being seen")
    limit = TorqueLimit(iteration=1, torque_limit=1.04 * before)
    limit.lease.sec = 5
    bench.limits.publish(limit)
    bench.until(lambda: "unsafety_monitor/torque_limit has 2 publishers" in bench.status.message, "its refusal")
    assert (bench.status.torque_limit, bench.status.iteration, bench.status.accepted) == (before, 0, False)
    bench.destroy_publisher(second)

    def taken() -> bool:
        bench.limits.publish(limit)
        bench.turn(0.05)
        return bool(bench.status.iteration == 1)

    bench.until(taken, "the same once it has gone")
    assert bench.status.torque_limit == limit.torque_limit


def speak(publisher: Publisher, names: list[str], stamp_ns: int) -> None:
    message = JointState(name=names, position=[0.3] * len(names), velocity=[0.0] * len(names))
    set_ns(message.header.stamp, stamp_ns)
    publisher.publish(message)


@with_parameters(
    timing="realtime", joint_state_timeout=10.0, action_timeout=5.0, trip_timeout=60.0, frozen_timeout=10.0
)
def test_a_gripper_on_the_same_topic_is_left_out_and_a_second_driver_of_the_arm_is_not(bench: Bench) -> None:
    gripper = bench.create_publisher(JointState, "joint_states", qos.STREAM)

    def refused() -> str:
        bench.state()
        speak(gripper, ["finger"], 7)
        message: str = bench.armed().message
        return message

    bench.until(lambda: "has 2 publishers" in refused(), "a refusal until it is known what the other speaks of")
    assert bench.status.mode == SafetyDecision.MODE_DISARMED, "nothing moves: there is nothing to trip"
    bench.until(lambda: not refused(), "arming with a gripper on the topic, though its state came last")
    for _ in range(20):
        bench.state()
        speak(gripper, ["finger"], 7)
    bench.propose(0, [0.05] * 7)
    bench.state()
    bench.until(lambda: bool(bench.commands) and any(bench.commands[-1]), "torque")
    speak(gripper, JOINTS, bench.time_ns + 1)
    bench.state()
    # Two arms' states in turn may look like one that jumps, and trip for that first; causes add up.
    bench.until(lambda: bool(bench.status.cause & SafetyDecision.REASON_SECOND_PUBLISHER), "a trip that names them")
    assert bench.status.mode == SafetyDecision.MODE_TRIPPED
    assert "SECOND_PUBLISHER" in bench.call(bench.reset, Trigger.Request()).message
    bench.destroy_publisher(gripper)
    bench.until(lambda: bench.call(bench.reset, Trigger.Request()).success, "a reset once it has gone")


def test_a_joint_state_of_something_else_moves_no_clock_and_does_not_count_as_a_sign_of_life(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    diagnosed = diagnostics(bench)
    for _ in range(5):
        speak(bench.states, ["finger"], 10**18)  # stamped by another clock
    command, decision = bench.step(0, [0.05] * 7)
    assert any(command) and decision.reasons == 0, "the filter has not intervened"
    bench.until(lambda: diagnosed.get("joint_states_of_others") == "5", "its being counted")
    assert "reason JOINT_STATE_WRONG_JOINTS" not in diagnosed
    speak(bench.states, [*JOINTS[:3], "finger"], 10**18)
    command, decision = bench.step(1, [0.05] * 7)
    assert any(command) and decision.reasons == SafetyDecision.REASON_JOINT_STATE_WRONG_JOINTS, "ours, and not whole"
    assert bench.status.mode == SafetyDecision.MODE_ARMED


def test_arming_says_that_only_other_joints_are_told(bench: Bench) -> None:
    """Of an arm whose driver names its joints otherwise, say."""
    speak(bench.states, ["left_finger"], 7)
    bench.until(lambda: "1 joint states name no joint of ours" in bench.armed().message, "the reason")


def test_arming_says_who_is_there_and_cannot_be_heard(bench: Bench) -> None:
    """Many drivers offer their states as sensor data are by custom, with best effort."""
    bench.destroy_publisher(bench.states)
    bench.states = bench.create_publisher(JointState, "joint_states", qos.COMMAND)

    def refusal() -> str:
        bench.state()
        return bench.armed().message

    bench.until(lambda: "joint_states of bench cannot be heard" in refusal(), "why")
    assert refusal().startswith("no joint state has come")
