# SPDX-License-Identifier: Apache-2.0
"""Nodes beside the filter against what anybody may publish or ask for: one process each, real messages."""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import graph_runs
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import (
    FilterStatus,
    PolicyStatus,
    PolicyWeights,
    SafetyDecision,
    TorqueLimit,
    UnsafetyEstimate,
)
from safe_transfer_msgs.srv import ResetEpisode
from sensor_msgs.msg import JointState

from safe_transfer_ros.launching import domain
from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.middleware import qos, reset_refusal
from safe_transfer_ros.policies import weights
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.task import make

JOINTS = make("pr2_cup_swirl", RobotTask).robot.joint_names
_, POLICY = load_for(make("pr2_cup_swirl"), "pr2_cup_swirl")


class Peer(Node):
    """Whom the node under test hears; it bears the filter's name."""

    def __init__(self, context: Context, environment: dict[str, str]) -> None:
        super().__init__("safety_filter", context=context)
        self._environment = environment
        self._turning = SingleThreadedExecutor(context=context)
        self._turning.add_node(self)
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, node: str, **parameters: object) -> subprocess.Popen[str]:
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        command = [sys.executable, "-m", f"safe_transfer_ros.nodes.{node}", "--ros-args", *words]
        self.processes.append(subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True))
        return self.processes[-1]

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
            self._turning.spin_once(timeout_sec=0.01)

    def turn(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._turning.spin_once(timeout_sec=0.01)

    def call(self, client: Any, request: Any) -> Any:
        self.until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.until(future.done, f"an answer of {client.srv_name}")
        return future.result()


@pytest.fixture
def peer() -> Iterator[Peer]:
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    peer = Peer(context, graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)))
    yield peer
    for process in peer.processes:
        process.kill()
        process.communicate()
    peer.destroy_node()
    rclpy.shutdown(context=context)


def update(version: int, **changes: Any) -> PolicyWeights:
    given = {"iteration": version - 1, "steps": 10, "kl": 0.01, "kl_bound": 0.05} | changes
    return PolicyWeights(version=version, data=array("B", POLICY), sha256=weights.sha256_of(POLICY), **given)


def decided(iteration: int, step: int) -> SafetyDecision:
    """One of three decisions of an episode, the last without a proposal."""
    last = step == 2
    message = SafetyDecision(iteration=iteration, episode=iteration, step=step, last=last, torque_limit=0.1)
    message.joint_names = message.action_names = list(JOINTS)
    message.verdict = SafetyDecision.VERDICT_EPISODE_END if last else SafetyDecision.VERDICT_ACCEPTED
    if not last:
        message.proposed_mean, message.proposed_stddev = [0.01] * len(JOINTS), [0.1] * len(JOINTS)
    message.header.stamp.sec = 10 * iteration + step
    return message


def test_no_update_ends_the_monitor_or_moves_its_limit(peer: Peer) -> None:
    limits: list[TorqueLimit] = []
    updates = peer.create_publisher(PolicyWeights, "trainer/policy_weights", qos.LATCHED)
    peer.create_subscription(TorqueLimit, "unsafety_monitor/torque_limit", limits.append, qos.LATCHED)
    monitor = peer.begin("unsafety_monitor", first_iteration=5, first_torque_limit=0.2, data_timeout=0.2, lease=0.4)
    peer.until(lambda: bool(limits) and updates.get_subscription_count() > 0, "the monitor being up")
    for said in (
        update(6),  # no decision came
        update(2**64 - 1, iteration=5),
        update(6, kl=float("nan")),
        update(6, steps=0),
        update(9),
    ):
        updates.publish(said)
        peer.turn(0.5)
    limits.clear()
    peer.until(lambda: len(limits) > 2, "the limit being renewed still")
    assert {(limit.iteration, limit.torque_limit) for limit in limits} == {(5, 0.2)}
    assert monitor.poll() is None


def test_weights_follow_one_another_or_are_refused(peer: Peer) -> None:
    told: list[PolicyStatus] = []
    updates = peer.create_publisher(PolicyWeights, "trainer/policy_weights", qos.LATCHED)
    peer.create_subscription(PolicyStatus, "policy_server/policy_status", told.append, qos.RECORD)
    peer.begin("policy_server")
    peer.until(lambda: updates.get_subscription_count() > 0, "the policy server being up")

    def offered(message: PolicyWeights) -> PolicyStatus:
        told.clear()
        updates.publish(message)
        peer.until(lambda: bool(told), "an answer")
        return told[-1]

    peer.until(lambda: offered(update(5)).accepted, "the first weights")
    assert offered(update(5)).accepted, "the same once more"
    for version in (2, 4, 7, 2**64 - 1):
        refused = offered(update(version))
        assert not refused.accepted and refused.version == 5
        assert "expected version 6, one iteration follows the other" in refused.message
    assert offered(update(6)).version == 6
    second = peer.create_publisher(PolicyWeights, "trainer/policy_weights", qos.LATCHED)
    # The same once more is accepted until the policy server has seen that there are two.
    peer.until(lambda: not offered(update(6)).accepted, "a second trainer being seen")
    refused = offered(update(7))
    assert not refused.accepted and "trainer/policy_weights has 2 publishers, expected one" in refused.message
    peer.destroy_publisher(second)
    peer.until(lambda: offered(update(7)).accepted, "the next once it has gone")


def test_the_simulated_arm_is_not_reset_while_the_filter_is_armed(peer: Peer) -> None:
    states: list[JointState] = []
    peer.create_subscription(JointState, "joint_states", states.append, qos.RECORD)
    told = peer.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED)
    reset = peer.create_client(ResetEpisode, "reset_episode")
    peer.begin("mujoco_sim", graph="mujoco_sim,safety_filter")

    def answer() -> ResetEpisode.Response:
        return peer.call(reset, ResetEpisode.Request(seed=1, episode=2))

    assert answer().message == reset_refusal.UNHEARD
    for mode in (SafetyDecision.MODE_ARMED, SafetyDecision.MODE_HOLDING):
        told.publish(FilterStatus(mode=mode))
        peer.until(lambda: answer().message == reset_refusal.ARMED, "a refusal")
    assert not states, "and nothing has moved"
    told.publish(FilterStatus(mode=SafetyDecision.MODE_DISARMED))
    peer.until(lambda: answer().success, "a reset once it is disarmed")
    peer.until(lambda: bool(states), "the first joint state")


def test_a_stranger_who_says_that_the_filter_is_disarmed_resets_nothing(peer: Peer) -> None:
    peer.create_subscription(JointState, "joint_states", lambda _: None, qos.RECORD)  # whom the simulator waits for
    told = peer.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED)
    reset = peer.create_client(ResetEpisode, "reset_episode")
    peer.begin("mujoco_sim", graph="mujoco_sim,safety_filter")
    told.publish(FilterStatus(mode=SafetyDecision.MODE_ARMED))

    def answer() -> ResetEpisode.Response:
        return peer.call(reset, ResetEpisode.Request(seed=1, episode=2))

    peer.until(lambda: answer().message == reset_refusal.ARMED, "the filter being heard")
    stranger = peer.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED)
    stranger.publish(FilterStatus(mode=SafetyDecision.MODE_DISARMED))
    peer.until(lambda: "safety_filter/status has 2 publishers" in answer().message, "the stranger being named")
    told.publish(FilterStatus(mode=SafetyDecision.MODE_HOLDING))
    peer.destroy_publisher(stranger)
    peer.until(lambda: answer().message == reset_refusal.ARMED, "the filter's own word once more")
    told.publish(FilterStatus(mode=SafetyDecision.MODE_DISARMED))
    peer.until(lambda: answer().success, "a reset once it is disarmed")


def test_no_limit_comes_of_decisions_that_two_may_have_made(peer: Peer) -> None:
    limits: list[TorqueLimit] = []
    estimates: list[UnsafetyEstimate] = []
    updates = peer.create_publisher(PolicyWeights, "trainer/policy_weights", qos.LATCHED)
    decisions = peer.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
    peer.create_subscription(TorqueLimit, "unsafety_monitor/torque_limit", limits.append, qos.LATCHED)
    peer.create_subscription(UnsafetyEstimate, "unsafety_monitor/estimate", estimates.append, qos.LATCHED)
    monitor = peer.begin("unsafety_monitor", data_timeout=0.2, lease=0.4)
    peer.until(lambda: bool(limits) and decisions.get_subscription_count() > 0, "the monitor being up")

    def an_iteration(iteration: int) -> None:
        for step in range(3):
            decisions.publish(decided(iteration, step))
        updates.publish(update(iteration + 1, iteration=iteration, steps=2))

    an_iteration(0)
    peer.until(lambda: bool(estimates) and limits[-1].iteration == 1, "an iteration of the filter's alone")
    stranger = peer.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
    peer.until(lambda: stranger.get_subscription_count() > 0, "a second filter being heard")
    stranger.publish(decided(1, 0))
    peer.turn(0.3)
    peer.destroy_publisher(stranger)
    peer.turn(0.3)
    an_iteration(1)
    peer.turn(1.0)
    assert len(estimates) == 1 and limits[-1].iteration == 1, "its decisions stay among the filter's when it has gone"
    assert monitor.poll() is None


def test_a_simulator_without_a_filter_in_its_graph_needs_none(peer: Peer) -> None:
    peer.begin("mujoco_sim")
    reset = peer.create_client(ResetEpisode, "reset_episode")
    assert peer.call(reset, ResetEpisode.Request()).success
