# SPDX-License-Identifier: Apache-2.0
"""The filter as a process: one message of a stranger, a full pipe and a lifecycle cannot hold it up or make it two."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator

import graph_runs
import numpy as np
import pytest
import rclpy
from filter_bench import JOINTS, Bench, with_parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.publisher import Publisher
from safe_transfer_msgs.msg import PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.safety.reasons import Reason

REALTIME = {"timing": "realtime", "action_timeout": 2.0, "trip_timeout": 60.0, "joint_state_timeout": 10.0}
PATIENT = REALTIME | {"frozen_timeout": 10.0}
MANY = [*JOINTS, *(f"j{number:06d}" for number in range(40_000))]


def torque(bench: Bench) -> bool:
    return bool(bench.commands) and any(bench.commands[-1])


def moving(bench: Bench) -> Publisher:
    """Armed, with torque, and a stop button that has said that it is not pressed."""
    button = bench.button(latched=True)
    button.publish(Bool(data=False))
    bench.state()
    bench.until(lambda: bench.armed().success, "the filter being armed")
    bench.propose(0, [0.05] * 7)
    bench.state()
    bench.until(lambda: torque(bench), "torque")
    return button


def stopped_after(
    bench: Bench,
    button: Publisher,
    publish: Callable[[], None],
    seconds: float = 2.0,
) -> None:
    """Publish, then press the stop: heard within a time that no quadratic work would leave."""
    publish()
    time.sleep(0.02)
    button.publish(Bool(data=True))
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip", seconds)
    assert bench.status.cause & SafetyDecision.REASON_OPERATOR_STOP
    bench.until(lambda: not torque(bench), "zero torque", 1.0)


@with_parameters(**PATIENT)
def test_a_joint_state_of_very_many_names_does_not_keep_the_stop_from_being_heard(bench: Bench) -> None:
    button = moving(bench)
    numbers = array("d", bytes(8 * len(MANY)))
    stopped_after(
        bench, button, lambda: bench.states.publish(JointState(name=MANY, position=numbers, velocity=numbers))
    )


@with_parameters(**PATIENT)
def test_a_proposal_of_very_many_names_does_not_either(bench: Bench) -> None:
    button = moving(bench)
    ones = array("d", np.ones(len(MANY)))
    message = PolicyAction(action_names=MANY, mean=ones, stddev=ones, effort=ones)
    set_ns(message.header.stamp, bench.time_ns)
    turns = itertools.count()

    def told() -> bool:
        bench.state()
        if next(turns) % 10:  # the next proposal takes the place of one that is still on its way
            bench.propose(len(bench.decisions), [0.05] * 7)
        else:
            bench.actions.publish(message)
            time.sleep(0.1)
        refused = SafetyDecision.REASON_PROPOSAL_WRONG_LENGTH
        return any(decision.reasons & refused for decision in bench.decisions)

    bench.until(told, "its refusal on record")
    assert torque(bench), "the one before stood"
    stopped_after(bench, button, lambda: bench.actions.publish(message))


@with_parameters(**PATIENT)
def test_nor_does_one_of_24_megabytes(bench: Bench) -> None:
    button = moving(bench)
    large = array("d", bytes(24_000_000))
    message = PolicyAction(action_names=JOINTS, mean=large, stddev=large[:7], effort=large[:7])
    stopped_after(bench, button, lambda: bench.actions.publish(message), seconds=5.0)


@with_parameters(**PATIENT)
def test_a_wrap_by_a_turn_between_two_joint_states_trips(bench: Bench) -> None:
    moving(bench)
    bench.time_ns -= 45_000_000
    bench.state(value=0.1 + 2.0 * np.pi)
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == Reason.JOINT_STATE_IMPLAUSIBLE
    bench.until(lambda: not torque(bench), "zero torque")


@with_parameters(**PATIENT)
def test_an_absurd_position_is_not_believed_and_forbids_arming(bench: Bench) -> None:
    bench.state(value=1e308)
    bench.until(lambda: "cannot be" in bench.armed().message, "a refusal with the reason")


@with_parameters(**PATIENT)
def test_a_second_publisher_trips_a_filter_that_is_not_armed_too(bench: Bench) -> None:
    bench.state()
    assert bench.status.mode == SafetyDecision.MODE_DISARMED
    bench.create_publisher(PolicyAction, "policy_server/action", qos.STREAM)
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_SECOND_PUBLISHER


@with_parameters(**PATIENT | {"joint_state_timeout": 0.4})
def test_joint_states_are_missed_after_their_timeout_and_no_later(bench: Bench) -> None:
    moving(bench)
    began = time.monotonic()
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip", 5.0)
    assert bench.status.cause == SafetyDecision.REASON_JOINT_STATE_STALE
    assert 0.3 < time.monotonic() - began < 4.0


@with_parameters(lockstep_timeout=1.0)
def test_lockstep_ends_when_nothing_comes_any_more(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    bench.step(0, [0.05] * 7)
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip", 10.0)
    assert bench.status.cause == SafetyDecision.REASON_PROPOSAL_TIMEOUT | SafetyDecision.REASON_JOINT_STATE_STALE


# A log that nobody reads


@pytest.fixture
def unread(parameters: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Bench]]:
    """A filter whose output goes to a pipe of which nobody reads, and that is almost full."""
    claimed = domain.claim()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    os.read(reading, 8192)
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", *arguments],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
        stdout=writing,
        stderr=writing,
    )
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    beside = Bench(context)
    beside.until(lambda: beside.status.torque_limit > 0 and beside.arm.service_is_ready(), "the filter being up")
    yield process, beside
    beside.destroy_node()
    rclpy.shutdown(context=context)
    process.kill()
    process.wait()
    os.close(reading)
    os.close(writing)


@with_parameters(**PATIENT)
def test_a_filter_whose_log_nobody_reads_goes_on(unread: tuple[subprocess.Popen[bytes], Bench]) -> None:
    process, bench = unread
    button = moving(bench)
    for number in range(2000):  # each is a line of 100 bytes and more, were it not throttled
        bench.limits.publish(TorqueLimit(iteration=0, torque_limit=99.0 + number))
        bench.states.publish(JointState(name=JOINTS[:3]))
    bench.until(lambda: not bench.status.accepted, "a refusal")
    stopped_after(bench, button, lambda: None, 5.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


# Lifecycle


def change(bench: Bench, *transitions: int) -> None:
    client = bench.create_client(ChangeState, "safety_filter/change_state")
    for transition in transitions:
        request = ChangeState.Request()
        request.transition.id = transition
        assert bench.call(client, request).success, transition
    bench.destroy_client(client)


def present(bench: Bench) -> dict[str, int]:
    """How many publishers and subscribers there are of what `configure` makes."""
    commands, actions = "effort_controller/commands", "policy_server/action"
    counts = {f"publishers of {topic}": bench.count_publishers(topic) for topic in (commands, "safety_filter/decision")}
    counts |= {f"listeners to {topic}": bench.count_subscribers(topic) for topic in (actions, "joint_states")}
    # A node of its own, as numbered messages are heard by one that no executor turns.
    counts["listeners to the stop"] = bench.get_node_names().count("safety_filter_e_stop")
    names = ("arm", "arm_reset", "reset", "trip")
    return counts | {name: bench.count_services(f"safety_filter/{name}") for name in names}


def test_cleanup_undoes_what_configure_did(bench: Bench) -> None:
    bench.until(lambda: set(present(bench).values()) == {1}, "all of it being there once")
    before = present(bench)
    away = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
    back = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    change(bench, *away)
    bench.until(lambda: set(present(bench).values()) == {0}, "nothing of it being left in the graph")
    for _ in range(2):
        change(bench, *back)
        bench.until(lambda: present(bench) == before, "all of it being there once")
        bench.state()
        assert bench.call(bench.reset, Trigger.Request()).success, "its own shutdown had tripped it"
        bench.state()
        bench.until(lambda: bench.armed().success, "arming: it is not its own second publisher")
        command, _ = bench.step(0, [0.05] * 7)
        assert any(command)
        change(bench, *away)
