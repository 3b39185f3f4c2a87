# SPDX-License-Identifier: Apache-2.0
"""The slow move to the start of an episode: it waits for an operator, ends when told to, and arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

from arm_bench import ArmBench, bench
from rclpy.task import Future
from safe_transfer_msgs.msg import SafetyDecision
from safe_transfer_msgs.srv import ResetEpisode
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.task import make

pytestmark = pytest.mark.timeout(300)

TASK = make("pr2_cup_swirl")
START, _ = TASK.initial_state(generator(Purpose.INITIAL_STATE, 0, 0))


@pytest.fixture(scope="module")
def arm() -> Iterator[ArmBench]:
    with bench() as arm:
        arm.start("episode_reset", timing="realtime", confirm_each_episode=True, speed=0.5)
        for kind, name in (
            (ResetEpisode, "reset_episode"),
            (Trigger, "episode_reset/confirm"),
            (Trigger, "episode_reset/cancel"),
        ):
            arm.requests[name] = arm.create_client(kind, name)
            arm.until(arm.requests[name].service_is_ready, name)
        yield arm


def asked(arm: ArmBench) -> Future:
    """A reset that waits for its confirmation, the arm away from the start."""
    arm.arm.place(START + 0.2)
    future = arm.requests["reset_episode"].call_async(ResetEpisode.Request(seed=0, episode=0))
    while not arm.call("episode_reset/confirm", Trigger.Request()).success:  # it has not begun to wait yet
        assert not future.done(), future.result()
        assert arm.arm.torque() == 0.0, "no motion without an operator"
        arm.let(0.05)
    return future


def moving(arm: ArmBench) -> Future:
    """A move under way."""
    arm.until(lambda: arm.phase == "inactive" and "ready" in arm.supervisor.message, "an arm that is ready")
    assert arm.activate().success
    future = asked(arm)
    arm.until(lambda: future.done() or arm.arm.torque() > 0.0, "the move")
    assert not future.done(), future.result()
    return future


def failed(arm: ArmBench, future: Future, why: str) -> None:
    """It ended, in stop torque, with that reason."""
    arm.until(future.done, "an answer")
    assert not future.result().success and why in future.result().message, future.result().message
    arm.until(lambda: arm.arm.torque() == 0.0, "stop torque")


def test_a_move_can_be_cancelled_at_any_time(arm: ArmBench) -> None:
    future = moving(arm)
    assert arm.call("episode_reset/cancel", Trigger.Request()).success
    failed(arm, future, "cancelled")
    arm.until(lambda: arm.filter.mode == SafetyDecision.MODE_DISARMED, "a disarmed filter")
    assert arm.activate(False).success


def test_without_activation_it_waits(arm: ArmBench) -> None:
    arm.until(lambda: arm.phase == "inactive", "an inactive controller")
    future = arm.requests["reset_episode"].call_async(ResetEpisode.Request(seed=0, episode=0))
    arm.let(0.5)
    assert not future.done() and arm.arm.torque() == 0.0
    refused = arm.call("safety_filter/arm", SetBool.Request(data=True))
    assert not refused.success
    arm.call("episode_reset/cancel", Trigger.Request())
    failed(arm, future, "cancelled")


def test_a_trip_ends_the_move_and_an_operator_must_activate_again(arm: ArmBench) -> None:
    future = moving(arm)
    assert arm.call("safety_filter/trip", Trigger.Request()).success
    failed(arm, future, "the safety filter has tripped: an operator")
    arm.stopped()
    assert arm.call("safety_filter/reset", Trigger.Request()).success
    arm.let(0.3)
    assert arm.phase == "inactive", "after a trip it does not become active by itself"


def test_it_arrives(arm: ArmBench) -> None:
    future = moving(arm)
    arm.until(future.done, "the start")
    assert future.result().success, future.result().message
    arm.states.clear()
    arm.until(lambda: bool(arm.states), "a joint state")
    assert np.abs(np.asarray(arm.states[-1].position) - START).max() < 0.1
    arm.until(lambda: arm.arm.torque() == 0.0, "no torque behind it")
