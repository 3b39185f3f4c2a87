# SPDX-License-Identifier: Apache-2.0
"""Faults of the cable between libfranka and the arm: what is lost or late ends in zero torque, and is named.

The arm's rule, 20 of its cycles in a row without an answer and it stops by a reflex, is enforced from a fault on:
before, a machine that others use stands still for longer now and then.

The arm has a Panda's names and limits here, by parameters alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import franka_bench
import numpy as np
import pytest
import yaml
from franka_bench import MS, ROBOT, Bench, Server, Wire, assert_named, largest_step, zero_since
from safe_transfer_msgs.msg import SafetyDecision

from safe_transfer_ros import resources
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, Cause

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(bool(franka_bench.missing()), reason=franka_bench.missing())]

SERVER, CABLE = "127.0.0.25", "127.0.0.26"
PROMISED_MS = 60.0
SLACK_MS = 150.0  # of a machine that others use
SHORT_STATE_TIMEOUT = 0.008


def _panda() -> dict[str, object]:
    """A Panda's names and limits, as far as franka-sim's FR3 bears them: the tighter of the two arms'."""
    file = yaml.safe_load(resources.path("config/franka_panda.yaml").read_text())["/**"]["ros__parameters"]
    panda, fr3 = load("panda").limits, load("fr3").limits
    tighter = {
        "position_lower": np.maximum(panda.lower, fr3.lower),
        "position_upper": np.minimum(panda.upper, fr3.upper),
        "velocity_limit": np.minimum(panda.velocity, fr3.velocity),
    }
    return {"joint_names": file["joint_names"]} | {
        name: ", ".join(map(str, values)) for name, values in tighter.items()
    }


PANDA = _panda()


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[Bench, Wire]]:
    wire = Wire(CABLE, Server(SERVER))
    try:
        with franka_bench.bench(SERVER, wire=wire, shared=PANDA, robot=ROBOT | {"arm": "panda"}) as bench:
            yield bench, wire
    finally:
        wire.close()


@pytest.fixture
def arm(wired: tuple[Bench, Wire]) -> Bench:
    """In a motion, with torque."""
    wired[0].server.tell("lenient")
    wired[0].at(2.0)
    return wired[0]


@pytest.fixture
def wire(wired: tuple[Bench, Wire]) -> Wire:
    return wired[1]


def test_the_arm_has_the_names_of_its_parameter_file(arm: Bench) -> None:
    """In what it publishes and in what it takes: it is in a motion, under torque."""
    assert arm.joints == list(load("panda").joint_names) == list(arm.whole[-1].name)
    assert arm.pushed


def ended(arm: Bench, wire: Wire, fault: str) -> float:
    """Time from a fault to zero torque at the arm, ms."""
    arm.server.tell("strict")
    arm.server.trace()
    began = wire.tell(fault)
    arm.let(0.4)
    trace = arm.server.trace()
    assert not any(trace[-1][1]), f"torque was held: {arm.arm.message}"
    return (zero_since(trace) - began) / MS


def wait_until_told(arm: Bench, cause: Cause) -> None:
    arm.until(lambda: arm.told(arm.arm, "standing") == arm.told(arm.arm, "ended") == cause.name, "the cause being told")
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_TRIPPED, "the filter tripping")


def assert_it_does_not_go_on_by_itself(arm: Bench, wire: Wire) -> None:
    """When the cable is whole again: an operator's word is needed."""
    arm.server.trace()
    wire.tell("pass")
    arm.until(lambda: arm.told(arm.arm, "standing") != Cause.COMMUNICATION_LOST.name, "the arm being there again")
    arm.let(0.2)
    assert not arm.moving and not any(any(torque) for _, torque in arm.server.trace())


@pytest.mark.parametrize("fault", ["lose commands 1 3", "lose commands 15 500", "lose states 1 4"])
def test_packets_lost_now_and_then_end_no_motion_and_make_no_step_at_the_arm(
    arm: Bench, wire: Wire, fault: str
) -> None:
    """A torque that is lost on a ramp leaves the arm at the one before: the next counts from there."""
    arm.server.trace()
    wire.tell(fault)
    for _ in range(4):
        arm.torque = -arm.torque
        arm.let(0.1)
    wire.tell("pass")
    arm.until(lambda: arm.pushed or not arm.moving, "the torque that is proposed", 5.0)
    assert arm.moving, arm.arm.message
    assert 0.9 < largest_step(arm.server.trace()) <= 1.0 + 1e-6


@pytest.mark.parametrize("fault", ["lose commands 1 1", "delay 3"])
def test_answers_that_do_not_come_in_time_are_a_reflex_of_the_arm(arm: Bench, wire: Wire, fault: str) -> None:
    assert ended(arm, wire, fault) < PROMISED_MS + SLACK_MS
    wait_until_told(arm, Cause.COMMUNICATION_CONSTRAINTS)
    wire.tell("pass")
    assert_named(arm, Cause.COMMUNICATION_CONSTRAINTS)
    assert_it_does_not_go_on_by_itself(arm, wire)


@pytest.mark.parametrize("fault", ["lose states 1 1", "cut"])
def test_an_arm_that_is_not_heard_stops_by_itself_and_its_silence_is_told(arm: Bench, wire: Wire, fault: str) -> None:
    assert ended(arm, wire, fault) < PROMISED_MS + SLACK_MS
    wait_until_told(arm, Cause.COMMUNICATION_LOST)
    assert_named(arm, Cause.COMMUNICATION_LOST)
    answer = arm.activate()
    assert not answer.success and CAUSE_TEXT[Cause.COMMUNICATION_LOST] in answer.message
    assert_it_does_not_go_on_by_itself(arm, wire)


def test_a_late_state_ends_the_motion_before_the_arm_has_to(arm: Bench, wire: Wire) -> None:
    """The arm bears 20 ms; the process that drives it is told to bear 8 here."""
    arm.end("franka_robot", 15)
    arm.start("franka_robot", **(ROBOT | {"arm": "panda", "state_timeout": SHORT_STATE_TIMEOUT}), robot_ip=CABLE)
    arm.at(2.0)
    assert ended(arm, wire, "hold 13") < PROMISED_MS + SLACK_MS
    arm.until(lambda: arm.told(arm.arm, "ended") == Cause.STATE_STALE.name, "the cause being told")
    arm.until(lambda: CAUSE_TEXT[Cause.STATE_STALE] in arm.supervisor.message, "the supervisor naming it")
    assert_it_does_not_go_on_by_itself(arm, wire)
