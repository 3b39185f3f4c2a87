# SPDX-License-Identifier: Apache-2.0
"""What the safety filter costs: the same traffic through the filter and through a bare rclpy relay, in turns.

    python benchmarks/filter_latency.py [--rate 1000] [--seconds 10] [--rounds 5] [--busy] [--executors]

state -> command: a joint state goes out, the command that answers it comes back; the relay copies its positions.
proposal -> command: at 20 Hz a proposal goes out and the next joint state right behind it; the relay copies its torque.
`--busy` keeps the other core busy with TRPO updates, as the trainer does. Each process has a core's worth of the
machine at best: on two cores the driver, the filter and a busy trainer share.

`--executors` compares ways to wait for messages instead, each in a relay: rclpy's events executor (what every node of
ours uses), its single-threaded executor, a wait set turned by hand, and subscriptions that leave the message serialised
(what reading it by hand would cost comes on top).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from array import array
from collections import defaultdict
from pathlib import Path

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from safe_transfer_msgs.msg import PolicyAction
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from safe_transfer_ros.interpreter import module_command, program_command
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import dds, qos
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.stamps import set_ns, to_ns
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask

JOINTS = list(make("pr2_cup_swirl", TorqueTask).robot.joint_names)
HOME = np.asarray(make("pr2_cup_swirl", TorqueTask).robot.home)
STATES, PROPOSALS, COMMANDS = "joint_states", "policy_server/action", "effort_controller/commands"
FILTER, RELAY = "filter", "relay"
EXECUTORS = ("events", "single", "waitset", "raw")


class Relay(Node):
    """The least a Python node between two topics can do."""

    def __init__(self, lifetime: Lifetime | None = None, *, raw: bool = False) -> None:
        """Copy positions of joint states, and torques of proposals, into commands; raw: send the same ones always."""
        super().__init__("safety_filter")
        self._command = Float64MultiArray(data=array("d", bytes(8 * len(JOINTS))))
        self._publisher = self.create_publisher(Float64MultiArray, COMMANDS, qos.RECORD)
        on_state, on_proposal = (self._on_raw, lambda _: None) if raw else (self._on_state, self._on_proposal)
        self.create_subscription(JointState, STATES, on_state, qos.STREAM, raw=raw)
        self.create_subscription(PolicyAction, PROPOSALS, on_proposal, qos.STREAM, raw=raw)
        self.create_service(SetBool, "safety_filter/arm", self._on_arm)
        self._efforts = self._command.data

    def close(self) -> None:
        """Nothing to stop."""

    def _on_state(self, message: JointState) -> None:
        self._command.data = message.position if self._efforts is None else self._efforts
        self._efforts = None
        self._publisher.publish(self._command)

    def _on_raw(self, message: bytes) -> None:
        self._publisher.publish(self._command)

    def _on_proposal(self, message: PolicyAction) -> None:
        self._efforts = message.effort

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = True
        return response


class Driver(Node):
    """Robot and policy in one: sends, and times what comes back.

    Attributes:
      lost: States that were never answered by a command of their own.
      state_latencies: From a joint state to the command that answers it, µs.
      proposal_latencies: From a proposal to the first command with its torque, µs.
    """

    def __init__(self, rate: float) -> None:
        """Start at rest; `begin` starts the traffic."""
        super().__init__("driver")
        self._rate = rate
        self._state = JointState(name=JOINTS)
        self._states = self.create_publisher(JointState, STATES, qos.RECORD)
        self._proposals = self.create_publisher(PolicyAction, PROPOSALS, qos.RECORD)
        self.create_subscription(Float64MultiArray, COMMANDS, self._on_command, qos.STREAM)
        self.arm = self.create_client(SetBool, "safety_filter/arm")
        self._proposal = PolicyAction(action_names=JOINTS)
        self._proposal.mean = self._proposal.effort = array("d", bytes(8 * len(JOINTS)))
        self._proposal.stddev = array("d", [0.3] * len(JOINTS))
        self._sent: list[int] = []
        self._proposed: dict[float, tuple[int, int]] = {}
        self._back = self.lost = 0
        self._ticks = self._paused = self._values = 0
        self.state_latencies: list[float] = []
        self.proposal_latencies: list[float] = []
        self.create_timer(1.0 / rate, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def matched(self) -> bool:
        """Whether the other side is there, whole."""
        sizes = (self._states.get_subscription_count(), self._proposals.get_subscription_count())
        return min(sizes) > 0 and self.count_publishers(COMMANDS) == 1 and self.arm.service_is_ready()

    def pause(self) -> None:
        """Let all that is under way come back; counting starts anew with the next joint state."""
        self._paused = round(0.03 * self._rate)

    def _tick(self) -> None:
        self._ticks += 1
        if self._paused:
            self._paused -= 1
            if not self._paused:
                self._sent.clear()
                self._back = self.lost = 0
                self._proposed.clear()
                self.state_latencies.clear()
                self.proposal_latencies.clear()
            return
        state = self._state
        proposing = self._ticks % round(self._rate / 20.0) == 0
        if proposing:  # it answers the joint state before: one that is still to come it would have to wait for
            self._values += 1
            value = 1e-6 * self._values
            set_ns(self._proposal.header.stamp, to_ns(state.header.stamp))
            self._proposal.effort = array("d", [value] * len(JOINTS))
        set_ns(state.header.stamp, time.monotonic_ns())
        state.position = array("d", (HOME + 1e-4 * np.sin(0.01 * self._ticks)).tobytes())
        state.velocity = array("d", np.full(len(JOINTS), 1e-4 * np.cos(0.01 * self._ticks)).tobytes())
        if proposing:
            self._proposed[value] = time.monotonic_ns(), len(self._sent)
            self._proposals.publish(self._proposal)
        self._sent.append(time.monotonic_ns())
        self._states.publish(state)

    def _on_command(self, message: Float64MultiArray) -> None:
        now = time.monotonic_ns()
        since, state = self._proposed.pop(message.data[0], (None, 0))
        if since is not None:
            self.proposal_latencies.append((now - since) / 1e3)
            # The first torque of a proposal answers the state sent right behind it: those before it never were.
            self.lost += max(0, state - self._back)
            self._back = max(state, self._back)
        if self._back < len(self._sent):  # else one command a state, both in order
            self.state_latencies.append((now - self._sent[self._back]) / 1e3)
            self._back += 1


def relay(how: str) -> None:
    """Run a relay by another executor than ours, until it is killed."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Relay(raw=how == "raw")
    if how == "single":
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    elif how == "waitset":
        spin_wait_set(node)
    else:
        events = EventsExecutor()
        events.add_node(node)
        while True:
            events.spin_once(timeout_sec=1.0)


def spin_wait_set(node: Node) -> None:
    """The loop of an executor for one node, without its generality: wait, take, call."""
    subscriptions, services = list(node.subscriptions), list(node.services)
    while True:
        waiting = _rclpy.WaitSet(len(subscriptions), 0, 0, 0, len(services), 0, node.context.handle)
        with waiting:
            waiting.clear_entities()
            for subscription in subscriptions:
                waiting.add_subscription(subscription.handle)
            for service in services:
                waiting.add_service(service.handle)
            waiting.wait(1_000_000_000)
            ready = set(waiting.get_ready_entities("subscription"))
            asked = set(waiting.get_ready_entities("service"))
        for subscription in subscriptions:
            if subscription.handle.pointer in ready:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None:
                    subscription.callback(taken[0])
        for service in services:
            if service.handle.pointer in asked:
                request, header = service.handle.service_take_request(service.srv_type.Request)
                if request is not None:
                    service.send_response(service.callback(request, service.srv_type.Response()), header)


def measure(what: str, rate: float, seconds: float, number: int) -> tuple[list[float], list[float], float, int]:
    """One round: latencies µs of states and of proposals, share of a core, states unanswered."""
    if what == FILTER:
        command = module_command("safe_transfer_ros.nodes.safety_filter", "--ros-args", "-p", "timing:=realtime")
        # A stall is to be timed, not to trip.
        for timeout in ("joint_state_timeout", "frozen_timeout", "action_timeout", "trip_timeout"):
            command += ["-p", f"{timeout}:=1.0"]
    else:
        command = [sys.executable, __file__, "--as-relay", what]
    environment = os.environ | dds.environment() | {"ROS_DOMAIN_ID": str(number), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    rclpy.init(domain_id=number)
    driver, executor = Driver(rate), EventsExecutor()
    executor.add_node(driver)
    try:
        deadline = time.monotonic() + 20.0
        while not driver.matched:
            executor.spin_once(timeout_sec=0.05)
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} did not come up")
        _spin(executor, 0.5)
        answer = driver.arm.call_async(SetBool.Request(data=True))
        while not answer.done():
            executor.spin_once(timeout_sec=0.05)
        assert answer.result().success, answer.result().message
        _spin(executor, 1.0)
        driver.pause()
        before = _cpu(process.pid)
        _spin(executor, seconds)
        share = (_cpu(process.pid) - before) / seconds
        return driver.state_latencies, driver.proposal_latencies, share, driver.lost
    finally:
        process.terminate()
        process.wait()
        driver.destroy_node()
        executor.shutdown()
        rclpy.shutdown()


def _spin(executor: EventsExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_until_future_complete(rclpy.Future(), timeout_sec=left)


def _cpu(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="joint states per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, in turns")
    parser.add_argument("--busy", action="store_true", help="TRPO updates beside it")
    parser.add_argument("--executors", action="store_true", help="compare executors, not the filter")
    parser.add_argument("--as-relay", default="", help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    if options.as_relay:
        if options.as_relay != RELAY:
            relay(options.as_relay)
        raise SystemExit(run("safety_filter", Relay))
    competitors = EXECUTORS if options.executors else (RELAY, FILTER)
    dds.set_defaults()
    claimed = domain.claim()
    busy = None
    if options.busy:
        program = "import torch; torch.set_num_threads(1); a = torch.randn(400, 400)\nwhile True: a = torch.tanh(a @ a)"
        busy = subprocess.Popen(["chrt", "--other", "0", "nice", "-n", "5", *program_command(program)])
    results: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
    shares: dict[str, list[float]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    try:
        for number in range(options.rounds):
            for what in competitors if number % 2 == 0 else competitors[::-1]:
                states, proposals, share, missing = measure(what, options.rate, options.seconds, claimed.number)
                results[what][0] += states
                results[what][1] += proposals
                shares[what].append(share)
                lost[what] += missing
                print(f"  round {number + 1}: {what:7} median {np.median(states):.0f} µs", flush=True)
    finally:
        if busy:
            busy.kill()
    print(f"{options.rate:g} joint states a second, {options.rounds} rounds of {options.seconds:g} s each", end="")
    print(", a trainer beside it" if busy else "", f"; load now {os.getloadavg()[0]:.1f}", sep="")
    print("                               µs:    p50     p99   p99.9     max       n   share of a core  unanswered")
    for place, path in ((0, "state -> command"), (1, "proposal -> command")):
        for what in competitors:
            values = np.asarray(results[what][place])
            if not len(values):  # a relay of serialised messages passes no torque on
                continue
            p50, p99, p999 = np.percentile(values, [50, 99, 99.9])
            print(
                f"  {path:20} {what:7} {p50:11.0f} {p99:7.0f} {p999:7.0f} {values.max():7.0f} {len(values):7d}", end=""
            )
            print(f"   {np.median(shares[what]):15.1%}  {lost[what]:10d}")
        if options.executors:
            continue
        pair = [np.percentile(results[what][place], [50, 99.9]) for what in (FILTER, RELAY)]
        print(f"    filter / relay: median {pair[0][0] / pair[1][0]:.2f}; p99.9 {pair[0][1] - pair[1][1]:+.0f} µs")


if __name__ == "__main__":
    main()
