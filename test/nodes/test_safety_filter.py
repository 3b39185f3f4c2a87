# SPDX-License-Identifier: Apache-2.0
"""The filter as a process: what a hostile or broken graph can and cannot make it publish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator

import graph_runs
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from safe_transfer_ros.launching import domain
from safe_transfer_ros.nodes import qos
from safe_transfer_ros.nodes.stamps import set_ns
from safe_transfer_ros.tasks.task import make

JOINTS = list(make("pr2_cup_swirl").robot.joint_names)
NAN = float("nan")


class Bench(Node):
    """Everything around the filter, driven by the test."""

    def __init__(self, context: Context) -> None:
        super().__init__("bench", context=context)
        self.states = self.create_publisher(JointState, "joint_states", qos.STREAM)
        self.actions = self.create_publisher(PolicyAction, "policy_server/action", qos.STREAM)
        self.limits = self.create_publisher(TorqueLimit, "unsafety_monitor/torque_limit", qos.LATCHED)
        self.arm = self.create_client(SetBool, "safety_filter/arm")
        self.commands: list[array[float]] = []
        self.decisions: list[SafetyDecision] = []
        self.status = FilterStatus()
        self.create_subscription(Float64MultiArray, "effort_controller/commands", self._on_command, qos.STREAM)
        self.create_subscription(SafetyDecision, "safety_filter/decision", self.decisions.append, qos.RECORD)
        self.create_subscription(FilterStatus, "safety_filter/status", self._on_status, qos.LATCHED)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.time_ns = 0

    def _on_command(self, message: Float64MultiArray) -> None:
        self.commands.append(message.data)

    def _on_status(self, message: FilterStatus) -> None:
        self.status = message

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
            self.executor_.spin_once(timeout_sec=0.01)

    def state(self, names: list[str] | None = None, value: float = 0.1) -> None:
        self.time_ns += 50_000_000
        names = names or JOINTS
        message = JointState(name=names, position=[value] * len(names), velocity=[0.01 * self.time_ns] * len(names))
        set_ns(message.header.stamp, self.time_ns)
        self.states.publish(message)

    def propose(self, step: int, effort: list[float], names: list[str] | None = None, offset_ns: int = 0) -> None:
        message = PolicyAction(joint_names=names or JOINTS, step=step, effort=effort)
        message.mean, message.stddev = [0.0] * len(effort), [0.3] * len(effort)
        set_ns(message.header.stamp, self.time_ns + offset_ns)
        self.actions.publish(message)

    def armed(self, wanted: bool = True) -> SetBool.Response:
        future = self.arm.call_async(SetBool.Request(data=wanted))
        self.until(future.done, "an answer of safety_filter/arm")
        return future.result()

    def step(self, step: int, effort: list[float], **changes: object) -> tuple[array[float], SafetyDecision]:
        """One lockstep exchange: state and proposal in, command and decision out."""
        commands, decisions = len(self.commands), len(self.decisions)
        self.state(value=0.1 + 0.001 * step)
        self.propose(step, effort, **changes)  # type: ignore[arg-type]
        self.until(
            lambda: len(self.commands) > commands and len(self.decisions) > decisions, "a command and a decision"
        )
        return self.commands[-1], self.decisions[-1]


@pytest.fixture
def filter_process() -> Iterator[subprocess.Popen[str]]:
    claimed = domain.claim()
    os.environ["ROS_DOMAIN_ID"] = str(claimed.number)
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()
    del os.environ["ROS_DOMAIN_ID"]


@pytest.fixture
def bench(filter_process: subprocess.Popen[str]) -> Iterator[Bench]:
    context = Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    bench = Bench(context)
    bench.until(
        lambda: (
            bench.status.torque_limit > 0
            and bench.arm.service_is_ready()
            and bench.actions.get_subscription_count() > 0
        ),
        "the filter being up",
    )
    yield bench
    bench.destroy_node()
    rclpy.shutdown(context=context)


def test_a_proposal_is_clamped_and_the_reason_recorded(bench: Bench) -> None:
    bench.state()
    assert bench.armed().success
    command, decision = bench.step(0, [5.0, -5.0, 0.05, 0.0, 0.0, 0.0, 0.0])
    assert list(command) == [0.1, -0.1, 0.05, 0.0, 0.0, 0.0, 0.0]
    assert decision.reasons == SafetyDecision.REASON_CLAMPED_TORQUE_LIMIT
    assert decision.verdict == SafetyDecision.VERDICT_BOUNDED
    assert list(decision.proposed_effort)[:2] == [5.0, -5.0]
    assert decision.applied_effort == command


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

    offer(1, 0.105)
    bench.until(lambda: bench.status.iteration == 1, "the limit of iteration 1")
    assert bench.status.torque_limit == 0.105
    for iteration, value in ((2, 0.2), (2, NAN), (2, 99.0), (0, 0.1)):
        bench.status.message = ""
        offer(iteration, value)
        bench.until(lambda: bench.status.message != "", f"a refusal of {value} for iteration {iteration}")
        assert not bench.status.accepted
        assert (bench.status.iteration, bench.status.torque_limit) == (1, 0.105)


def test_a_lost_lease_falls_back_to_the_lowest_limit(bench: Bench) -> None:
    message = TorqueLimit(iteration=1, torque_limit=0.105)
    message.lease.nanosec = 300_000_000
    bench.limits.publish(message)
    bench.until(lambda: bench.status.torque_limit == 0.105, "the limit of iteration 1")
    bench.until(lambda: bench.status.lease_lost, "the lease to run out", seconds=5.0)
    assert bench.status.torque_limit == 0.1


def test_sigterm_publishes_stop_torque_first(bench: Bench, filter_process: subprocess.Popen[str]) -> None:
    bench.state()
    assert bench.armed().success
    command, _ = bench.step(0, [0.05] * 7)
    assert any(command)
    filter_process.send_signal(signal.SIGTERM)
    bench.until(lambda: not any(bench.commands[-1]), "stop torque")
    assert filter_process.wait(timeout=20) == 0
