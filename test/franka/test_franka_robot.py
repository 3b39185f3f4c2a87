# SPDX-License-Identifier: Apache-2.0
"""Franka's own library and protocol between the real filter and a simulated FR3 that enforces the arm's limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import franka_bench
import numpy as np
import pytest
from franka_bench import MS, STOOD_STILL, Bench, assert_named, largest_step, zero_since
from impedance import SECONDS, SWIRL, Impedance, hold, swirl
from safe_transfer_msgs.msg import SafetyDecision
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.cli import doctor_franka
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, Cause

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(bool(franka_bench.missing()), reason=franka_bench.missing())]

ADDRESS = "127.0.0.19"
JOINT_REFLEX = 6  # place in libfranka's Errors
# Of a machine that others use, on top of what is promised. 60 ms with the timeout of an arm: test_torque_cycle.py.
SLACK_MS = 150.0
PROMISED_MS = 60.0
LATE = 0.04  # s without a state to answer: torques that old are no impedance, and may swing the wrist about
CONNECT = f"""
import pylibfranka as library
library.Robot("{ADDRESS}", library.RealtimeConfig.kIgnore)
"""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@pytest.fixture(scope="module")
def arm() -> Iterator[Bench]:
    with franka_bench.bench(ADDRESS) as bench:
        yield bench


def test_a_step_of_5_newton_metres_arrives_as_at_most_1_a_cycle(arm: Bench) -> None:
    """The arm enforces its limits: one step more at once would be a reflex."""
    arm.at(5.0)
    arm.torque = -arm.torque
    arm.until(lambda: arm.pushed or not arm.moving, "the torque turned round", 10.0)
    arm.torque = 0.0
    arm.let(0.5)
    trace = arm.server.trace()
    assert arm.moving, arm.arm.message
    assert 0.9 < largest_step(trace) <= 1.0 + 1e-6
    assert max(max(map(abs, torque)) for _, torque in trace) == 5.0
    assert len(trace) > 100 and arm.states > 100
    assert len(arm.whole) > 100 and arm.whole[-1].name == arm.joints
    assert arm.whole[-1].moving and max(abs(state.commanded_effort[0]) for state in arm.whole) == 5.0


def test_hold_and_swirl_with_all_limits_of_the_arm_enforced(arm: Bench) -> None:
    """Twenty cycles without an answer included; what a machine that stood still has ended is begun again."""
    for _ in range(4):
        if _held_and_swirled(arm):
            return
    pytest.fail("the machine stood still four times")


def _held_and_swirled(arm: Bench) -> bool:
    arm.torque, arm.driving, arm.policy = 0.0, True, None
    if not arm.moving:
        arm.ready()
        arm.until(lambda: arm.activate().success, "activation")
        arm.until(lambda: arm.call("safety_filter/arm", SetBool.Request(data=True)).success, "arming")
    arm.server.tell("strict")
    arm.server.trace()
    policy = arm.policy = Impedance()
    reached = []
    for path, seconds in ((hold, 1.0), (swirl, SECONDS + 0.5)):
        policy.follow(path)
        seen = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and arm.moving:
            arm.let(0.02)
            seen.append(policy.position - policy.start)
        reached.append(np.array(seen))
    moving, trace = arm.moving, arm.server.trace()
    arm.server.tell("lenient")
    arm.policy = None
    assert 0.0 < largest_step(trace) <= 1.0 + 1e-6, "however late torques are"
    assert moving or arm.told(arm.arm, "ended") in STOOD_STILL, arm.arm.message
    if not moving or policy.latest > LATE:
        return False
    held, swirled = reached
    assert np.abs(held).max() < 0.03, "it holds"
    for joint, size in ((4, SWIRL), (5, 2.0 * SWIRL)):
        assert np.abs(swirled[:, joint]).max() > 0.4 * size, "it swirls"
    return True


@pytest.mark.parametrize(
    ("victim", "fault"),
    [
        ("safety_filter", signal.SIGSTOP),
        ("franka_robot", signal.SIGSTOP),
        ("safety_filter", signal.SIGUSR1),
        ("franka_robot", signal.SIGUSR1),
    ],
    ids=["filter stopped", "ROS side stopped", "filter's executor busy", "ROS side's executor busy"],
)
def test_torque_ends_by_itself_when_a_process_hangs_or_its_executor_is_busy(
    arm: Bench, victim: str, fault: int
) -> None:
    """The filter, and the ROS side itself: the arm's process waits for none of them."""
    arm.at(2.0)
    assert _zero_after(arm, victim, fault)
    arm.nodes[victim].send_signal(signal.SIGCONT)
    arm.stopped()
    arm.until(lambda: arm.told(arm.arm, "ended") == Cause.COMMAND_STALE.name, "the cause being told")
    arm.let(0.2)
    assert not arm.moving, "nothing begins by itself"
    if victim == "safety_filter":
        arm.until(lambda: CAUSE_TEXT[Cause.COMMAND_STALE] in arm.supervisor.message, "the supervisor naming it")
    else:  # joint states, stop button, status: whichever was missed first
        arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping")


def _zero_after(arm: Bench, victim: str, number: int) -> bool:
    """Whether torque ended in time, and by steps, after a signal to one of the processes."""
    arm.server.trace()
    began = now_ns()
    arm.nodes[victim].send_signal(number)
    arm.let(0.6)
    trace = arm.server.trace()
    assert not any(trace[-1][1]), "torque was held"
    assert largest_step(trace) <= 1.0 + 1e-6
    return (zero_since(trace) - began) / MS < 1e3 * franka_bench.ROBOT["command_timeout"] + 10.0 + SLACK_MS


def _zero_ms(arm: Bench, line: str) -> float:
    """Time, ms, from a line to the server to zero torque at the arm."""
    arm.server.trace()
    began = now_ns()
    arm.server.tell(line)
    arm.let(0.3)
    trace = arm.server.trace()
    assert not any(trace[-1][1]), "torque was held"
    return (zero_since(trace) - began) / MS


@pytest.fixture
def released(arm: Bench) -> Iterator[None]:
    """Let go of the arm afterwards: the tests that follow move it."""
    yield
    arm.server.tell("release")


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize(("line", "cause"), [("stop", Cause.USER_STOP), ("guide", Cause.GUIDING)])
def test_whoever_holds_the_arm_trips_the_filter_and_no_reset_helps_until_he_lets_go(
    arm: Bench, line: str, cause: Cause
) -> None:
    arm.at(1.0)
    assert _zero_ms(arm, line) < PROMISED_MS + SLACK_MS
    arm.until(lambda: arm.told(arm.arm, "ended") == cause.name, "its being told")
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping")
    # The supervisor may withdraw its permission first: the cause that it reports then is followed by these.
    both = SafetyDecision.REASON_OPERATOR_STOP | SafetyDecision.REASON_ARM_STOPPED
    arm.until(lambda: arm.filter.cause & both == both, "the arm's word, and its button")
    assert_named(arm, cause)
    answer = arm.activate()
    assert not answer.success and CAUSE_TEXT[cause] in answer.message
    answer = arm.call("franka_robot/recover", Trigger.Request())
    assert not answer.success and "nothing to recover from" in answer.message
    arm.server.tell("release")
    arm.until(lambda: arm.call("safety_filter/reset", Trigger.Request()).success, "a reset, now that it is released")
    assert not arm.moving


def test_a_reflex_is_named_and_recovered_from_on_a_word_only(arm: Bench) -> None:
    arm.at(1.0)
    assert _zero_ms(arm, f"reflex {JOINT_REFLEX}") < PROMISED_MS + SLACK_MS
    arm.until(lambda: arm.told(arm.arm, "standing") == Cause.COLLISION.name, "the collision being told")
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping")
    arm.let(0.3)
    assert arm.told(arm.arm, "standing") == Cause.COLLISION.name, "it recovered by itself"
    assert_named(arm, Cause.COLLISION)
    assert arm.call("franka_robot/recover", Trigger.Request()).success
    arm.at(1.0)


def test_the_doctor_tells_how_an_arm_stands_that_answers_and_that_a_panda_is_none() -> None:
    server = franka_bench.Server("127.0.0.27")
    server.start()
    try:
        answers, stands = doctor_franka.connect(server.address)
        server.tell("version 5")
        [panda] = doctor_franka.connect(server.address)
    finally:
        server.kill()
    assert answers.verdict == "ok" and f"FCI) at {server.address} answers, in this library's version" in answers.what
    assert stands.verdict == "ok" and "mode Idle, no errors" in stands.what
    assert panda.verdict == "FAIL" and "in version 5 of the network protocol" in panda.what and "a Panda" in panda.what


def test_a_second_client_does_not_disturb_the_motion(arm: Bench) -> None:
    arm.at(1.0)
    stranger = subprocess.Popen([sys.executable, "-c", CONNECT], stderr=subprocess.DEVNULL)
    arm.let(0.7)
    assert stranger.poll() != 0, "it got the arm"
    stranger.kill()
    stranger.wait()
    assert arm.moving and arm.pushed, arm.arm.message


def test_told_to_end_it_comes_to_zero_and_finishes_the_motion(arm: Bench) -> None:
    arm.at(2.0)
    arm.server.trace()
    arm.end("franka_robot", signal.SIGTERM)
    trace = arm.server.trace()
    assert not any(trace[-1][1]) and largest_step(trace) <= 1.0 + 1e-6
    assert arm.nodes["franka_robot"].returncode == 0
    arm.start_robot()


def test_without_its_process_the_node_ends_and_the_arm_is_let_go(arm: Bench) -> None:
    arm.at(2.0)
    os.kill(arm.arm_process(), signal.SIGKILL)
    arm.until(lambda: not any(arm.server.newest), "the arm letting go of a client that is gone", 10.0)
    assert arm.nodes["franka_robot"].wait(10.0) != 0
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping")
    arm.start_robot()


def test_an_arm_that_is_gone_is_told_and_does_not_move_when_it_comes_back(arm: Bench) -> None:
    arm.at(1.0)
    arm.server.kill()
    arm.until(lambda: arm.told(arm.arm, "standing") == Cause.COMMUNICATION_LOST.name, "the loss being told", 10.0)
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping", 10.0)
    assert not arm.moving
    arm.server.start()
    arm.until(lambda: arm.told(arm.arm, "standing") == Cause.NONE.name, "the arm being back", 20.0)
    arm.let(0.3)
    assert not arm.moving and not any(any(torque) for _, torque in arm.server.trace())


def test_an_arm_that_falls_silent_at_rest_trips_nothing_and_forbids_arming_until_it_speaks(arm: Bench) -> None:
    """As on a machine that is busy while a graph starts: how its button stands nobody knows, so it is not pressed."""
    arm.ready()
    arm.until(lambda: not arm.moving and arm.filter.mode == SafetyDecision.MODE_DISARMED, "an arm at rest")
    process = arm.arm_process()
    os.kill(process, signal.SIGSTOP)
    try:
        arm.until(lambda: arm.told(arm.arm, "standing") == Cause.COMMUNICATION_LOST.name, "the silence being told")
        arm.let(0.5)
        assert arm.filter.mode == SafetyDecision.MODE_DISARMED, arm.filter
        answer = arm.call("safety_filter/arm", SetBool.Request(data=True))
        assert not answer.success
        assert "no state of it is newer than 0.1 s" in arm.arm.message
    finally:
        os.kill(process, signal.SIGCONT)
    arm.until(lambda: arm.told(arm.arm, "standing") == Cause.NONE.name, "its speaking again")
    assert arm.filter.mode == SafetyDecision.MODE_DISARMED


def test_torque_ends_by_itself_when_the_filter_is_killed(arm: Bench) -> None:
    """The last: who was killed stays in the graph for half a minute, and no other filter is believed beside it."""
    arm.at(2.0)
    assert _zero_after(arm, "safety_filter", signal.SIGKILL)
    arm.stopped()
    arm.until(lambda: arm.told(arm.arm, "ended") == Cause.COMMAND_STALE.name, "the cause being told")
    arm.until(lambda: CAUSE_TEXT[Cause.COMMAND_STALE] in arm.supervisor.message, "the supervisor naming it")
    answer = arm.activate()
    assert not answer.success and not arm.moving, "without a filter nothing begins, on an operator's word neither"


def test_torque_ends_and_the_arm_is_let_go_when_the_node_is_killed() -> None:
    """Its process comes to zero, ends the motion and goes: nobody may own the arm without a ROS side."""
    with franka_bench.bench("127.0.0.23") as arm:
        arm.at(2.0)
        process = arm.arm_process()
        assert _zero_after(arm, "franka_robot", signal.SIGKILL)
        arm.until(lambda: not Path(f"/proc/{process}").exists(), "the arm's process going", 10.0)
