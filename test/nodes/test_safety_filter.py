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
from typing import Any

import graph_runs
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue, SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.stamps import set_ns
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
        self.reset = self.create_client(Trigger, "safety_filter/reset")
        self.set_parameters = self.create_client(SetParametersAtomically, "safety_filter/set_parameters_atomically")
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
        count = len(names)
        message = JointState(name=names, position=[value] * count, velocity=[5.0 + 1e-12 * self.time_ns] * count)
        set_ns(message.header.stamp, self.time_ns)
        self.states.publish(message)

    def propose(self, step: int, effort: list[float], names: list[str] | None = None, offset_ns: int = 0) -> None:
        message = PolicyAction(action_names=names or JOINTS, step=step, effort=effort)
        message.mean, message.stddev = [0.0] * len(effort), [0.3] * len(effort)
        set_ns(message.header.stamp, self.time_ns + offset_ns)
        self.actions.publish(message)

    def armed(self, wanted: bool = True) -> SetBool.Response:
        return self.call(self.arm, SetBool.Request(data=wanted))

    def call(self, client: Client, request: Any) -> Any:
        self.until(client.service_is_ready, f"{client.srv_name}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def set(self, **values: float) -> SetParametersResult:
        request = SetParametersAtomically.Request()
        for name, value in values.items():
            kind = ParameterType.PARAMETER_DOUBLE
            request.parameters.append(Parameter(name=name, value=ParameterValue(type=kind, double_value=value)))
        return self.call(self.set_parameters, request).result

    def button(self, *, reliable: bool = True, latched: bool = False) -> Publisher:
        """An external stop that the filter listens to."""
        profile = QoSProfile(
            depth=1,
            reliability=QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
        )
        button = self.create_publisher(Bool, "safety_filter/e_stop", profile)
        self.until(lambda: button.get_subscription_count() >= 2, "the filter listening")
        return button

    def an_iteration(self) -> None:
        """A proposal decided on, and disarmed again: what a higher limit asks for."""
        self.state()
        assert self.armed().success
        self.step(0, [0.01] * 7)
        assert self.armed(False).success

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
def parameters(request: pytest.FixtureRequest) -> list[str]:
    """Parameters of the filter; a test gives its own by `@with_parameters`."""
    return [f"{name}:={value}" for name, value in getattr(request, "param", {}).items()]


def with_parameters(**values: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("parameters", [values], indirect=True, ids=[""])


@pytest.fixture
def filter_process(parameters: list[str]) -> Iterator[subprocess.Popen[str]]:
    claimed = domain.claim()
    os.environ["ROS_DOMAIN_ID"] = str(claimed.number)
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", *arguments],
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


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("policy_server/action", PolicyAction),
        ("effort_controller/commands", Float64MultiArray),
        ("unsafety_monitor/torque_limit", TorqueLimit),
        ("safety_filter/decision", SafetyDecision),
        ("safety_filter/status", FilterStatus),
        ("joint_states", JointState),
    ],
)
def test_a_second_publisher_trips_and_forbids_a_reset(bench: Bench, topic: str, kind: type) -> None:
    bench.state()
    assert bench.armed().success
    bench.step(0, [0.05] * 7)
    # On proposals, limits and joint states it is the second with the bench's own, else with the filter's.
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


def speak(publisher: Publisher, names: list[str], stamp_ns: int) -> None:
    message = JointState(name=names, position=[0.3] * len(names), velocity=[0.0] * len(names))
    set_ns(message.header.stamp, stamp_ns)
    publisher.publish(message)


@with_parameters(mode="realtime", joint_state_timeout=10.0, action_timeout=5.0, trip_timeout=60.0, frozen_timeout=10.0)
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
    bench.until(lambda: bench.status.mode == SafetyDecision.MODE_TRIPPED, "a trip")
    assert bench.status.cause == SafetyDecision.REASON_SECOND_PUBLISHER
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
    bench.state()
    button = bench.button()
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


def diagnostics(bench: Bench) -> dict[str, str]:
    """The newest diagnostics, as they come."""
    values: dict[str, str] = {}

    def heard(message: DiagnosticArray) -> None:
        values.clear()
        values.update({pair.key: pair.value for pair in message.status[0].values})

    bench.create_subscription(DiagnosticArray, "diagnostics", heard, qos.STREAM)
    return values


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
