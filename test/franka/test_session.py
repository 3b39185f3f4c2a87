# SPDX-License-Identifier: Apache-2.0
"""The arm's process turn by turn, before an arm of the test's own; the real library is in test_franka_robot.py."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.franka.arm import ArmLostError, Measured, MotionAbortedError, RefusedError
from safe_transfer_ros.franka.exchange import Exchange, OrderKind, Reader, Writer
from safe_transfer_ros.franka.session import Session
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, ArmMode, Cause
from safe_transfer_ros.safety.motion.torque_cycle import CycleSettings

MS = 1_000_000
EFFORT = (87.0,) * 4 + (12.0,) * 3


class FakeArm:
    """Does what it is told, unless a test says otherwise."""

    def __init__(self) -> None:
        self.now = 10**12
        self.measured = Measured(mode=ArmMode.IDLE, success_rate=1.0)
        self.written: list[tuple[np.ndarray, bool]] = []
        self.moving = False
        self.fails: dict[str, Exception] = {}
        self.recovered = self.connects = 0

    def _maybe_fail(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    def connect(self) -> None:
        self.connects += 1
        self._maybe_fail("connect")

    def read(self) -> Measured:
        self.now += MS
        self._maybe_fail("read")
        self.measured.arm_ms += 1
        return self.measured

    def start(self) -> None:
        self._maybe_fail("start")
        self.moving, self.measured.mode = True, ArmMode.MOVE

    def write(self, torque: np.ndarray, *, last: bool) -> None:
        assert self.moving, "a torque was written outside of a motion"
        self._maybe_fail("write")
        self.written.append((torque.copy(), last))
        self.measured.accepted[:] = torque
        if last:
            self.moving, self.measured.mode = False, ArmMode.IDLE

    def recover(self) -> None:
        self._maybe_fail("recover")
        self.recovered += 1
        self.measured.mode, self.measured.errors = ArmMode.IDLE, frozenset()


class Bench:
    """The session, its arm, and the ROS side's ends of the memory."""

    def __init__(self) -> None:
        self.arm = FakeArm()
        exchange = Exchange()
        self.commands, self.orders = exchange.commands(Writer), exchange.orders(Writer)
        self.states = exchange.states(Reader)
        self.waited: list[float] = []
        self.session = Session(
            self.arm, exchange, EFFORT, CycleSettings(), clock=lambda: self.arm.now, pause=self.waited.append
        )
        self.torque, self.permitted, self.fresh = 0.0, True, True
        self.number = 0

    def turn(self, count: int = 1) -> np.void:
        for _ in range(count):
            if self.fresh:
                record = self.commands.record[0]
                record["torque"], record["torque_limit"] = self.torque, 20.0
                record["permitted"], record["received_ns"] = self.permitted, self.arm.now
                self.commands.publish()
            self.on = self.session.turn()
        self.states.read()
        return self.states.record[0]

    def order(self, kind: int, *, age_s: float = 0.0) -> str:
        self.number += 1
        record = self.orders.record[0]
        record["number"], record["kind"], record["given_ns"] = self.number, kind, self.arm.now - round(age_s * 1e9)
        self.orders.publish()
        state = self.turn()
        assert state["answered"] == self.number and bool(state["refused"]) == bool(state["words"])
        return state["words"].decode()

    def drive(self) -> None:
        self.turn(2)
        assert self.order(OrderKind.START) == ""
        self.torque = 5.0
        state = self.turn(10)
        assert state["moving"] and (state["sent"] == 5.0).all()

    def zero_within(self, turns: int) -> None:
        for _ in range(turns):
            if not self.arm.moving:
                return
            self.turn()
        assert not self.arm.moving


def test_a_motion_begins_on_an_order_and_follows_the_newest_command() -> None:
    bench = Bench()
    assert not bench.turn(50)["moving"] and not bench.arm.written
    bench.drive()
    assert [torque[0] for torque, _ in bench.arm.written[:6]] == [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]


def test_a_silent_ros_side_ends_it_with_the_last_word_zero() -> None:
    bench = Bench()
    bench.drive()
    bench.fresh = False
    bench.zero_within(60)
    torque, last = bench.arm.written[-1]
    assert last and not torque.any()
    state = bench.turn()
    assert state["ended"] == Cause.COMMAND_STALE and not state["moving"] and not state["sent"].any()
    count = len(bench.arm.written)
    bench.fresh = True
    bench.turn(100)
    assert len(bench.arm.written) == count, "nothing begins by itself"


def test_an_order_to_stop_is_answered_at_zero_torque() -> None:
    bench = Bench()
    bench.drive()
    bench.number += 1
    record = bench.orders.record[0]
    record["number"], record["kind"] = bench.number, OrderKind.STOP  # its age does not count
    bench.orders.publish()
    for _ in range(4):
        assert bench.turn()["answered"] < bench.number
    assert bench.turn()["answered"] == bench.number
    assert not bench.arm.moving and bench.turn()["ended"] == Cause.ORDERED
    assert bench.order(OrderKind.STOP) == "", "stopped is stopped"


@pytest.mark.parametrize(
    ("mode", "errors", "cause"),
    [
        (ArmMode.USER_STOPPED, (), Cause.USER_STOP),
        (ArmMode.GUIDING, (), Cause.GUIDING),
        (ArmMode.REFLEX, ("joint_reflex",), Cause.COLLISION),
        (ArmMode.OTHER, (), Cause.MODE_UNKNOWN),
        (ArmMode.MOVE, (), Cause.STARTED_BY_ANOTHER),
    ],
)
def test_what_stands_against_a_motion_refuses_it_by_name(mode: ArmMode, errors: tuple[str, ...], cause: Cause) -> None:
    bench = Bench()
    bench.arm.measured.mode, bench.arm.measured.errors = mode, frozenset(errors)
    assert bench.turn(2)["standing"] == cause
    assert bench.order(OrderKind.START) == CAUSE_TEXT[cause] and not bench.arm.moving


def test_a_user_stop_in_a_motion_ends_it_by_name() -> None:
    bench = Bench()
    bench.drive()
    bench.arm.measured.mode = ArmMode.USER_STOPPED
    bench.zero_within(6)
    assert bench.turn()["ended"] == Cause.USER_STOP


@pytest.mark.parametrize("call", ["read", "write"])
def test_a_reflex_takes_the_motors_and_is_named_from_the_next_state(call: str) -> None:
    bench = Bench()
    bench.drive()
    bench.arm.fails[call] = MotionAbortedError("libfranka: Move command aborted: motion aborted by reflex!")
    state = bench.turn()
    assert not state["moving"] and not state["sent"].any() and b"motion aborted by reflex" in state["words"]
    bench.arm.fails.clear()
    bench.arm.moving = False
    bench.arm.measured.mode, bench.arm.measured.errors = ArmMode.REFLEX, frozenset({"cartesian_reflex"})
    state = bench.turn()
    assert (state["ended"], state["standing"]) == (Cause.COLLISION, Cause.COLLISION)
    assert bench.order(OrderKind.START) == CAUSE_TEXT[Cause.COLLISION]
    assert bench.arm.recovered == 0, "only on an operator's word"
    assert bench.order(OrderKind.RECOVER) == "" and bench.arm.recovered == 1
    bench.torque = 0.0
    assert bench.turn(2)["standing"] == Cause.NONE and bench.order(OrderKind.START) == ""


@pytest.mark.parametrize("mode", [ArmMode.IDLE, ArmMode.USER_STOPPED, ArmMode.GUIDING])
def test_recovery_is_refused_where_there_is_no_reflex(mode: ArmMode) -> None:
    bench = Bench()
    bench.arm.measured.mode = mode
    bench.turn(2)
    assert "nothing to recover from" in bench.order(OrderKind.RECOVER) and bench.arm.recovered == 0


def test_a_recovery_that_the_arm_refuses_is_told() -> None:
    bench = Bench()
    bench.arm.measured.mode = ArmMode.REFLEX
    bench.turn(2)
    bench.arm.fails["recover"] = RefusedError("not now")
    assert bench.order(OrderKind.RECOVER) == "not now"


def test_an_arm_that_is_gone_ends_the_motion_and_is_sought_again_without_a_motion() -> None:
    bench = Bench()
    bench.drive()
    bench.arm.fails["read"] = ArmLostError("UDP receive: Timeout")
    bench.arm.moving = False
    state = bench.turn()
    assert (state["moving"], state["standing"], state["ended"]) == (
        0,
        Cause.COMMUNICATION_LOST,
        Cause.COMMUNICATION_LOST,
    )
    assert not state["sent"].any() and state["words"] == b"UDP receive: Timeout"
    bench.arm.fails["connect"] = ArmLostError("refused")
    assert bench.order(OrderKind.START) == CAUSE_TEXT[Cause.COMMUNICATION_LOST]
    assert bench.waited == [1.0, 1.0]
    bench.arm.fails.clear()
    bench.arm.measured.mode = ArmMode.IDLE
    assert bench.turn(2)["standing"] == Cause.NONE and not bench.arm.moving and bench.arm.connects == 3


@pytest.mark.parametrize("age_s", [1.1, -0.1])
def test_an_old_order_to_start_does_nothing(age_s: float) -> None:
    bench = Bench()
    bench.turn(2)
    assert "late" in bench.order(OrderKind.START, age_s=age_s) and not bench.arm.moving


def test_a_motion_is_not_begun_under_torque_or_a_silent_filter() -> None:
    bench = Bench()
    bench.torque = 0.1
    bench.turn(2)
    assert "must be disarmed and command zero" in bench.order(OrderKind.START)
    bench.torque = float("nan")
    bench.turn(2)
    assert "must be disarmed and command zero" in bench.order(OrderKind.START)
    bench.torque = 0.0
    bench.turn()
    bench.fresh = False
    bench.turn(51)
    assert bench.order(OrderKind.START) == CAUSE_TEXT[Cause.COMMAND_STALE] and not bench.arm.moving


def test_a_start_that_the_arm_refuses_is_told() -> None:
    bench = Bench()
    bench.turn(2)
    bench.arm.fails["start"] = RefusedError("Move command rejected")
    assert bench.order(OrderKind.START) == "Move command rejected" and not bench.turn()["moving"]


def test_unknown_and_doubled_orders_do_nothing() -> None:
    bench = Bench()
    bench.turn(2)
    assert "no order 9" in bench.order(9)
    bench.drive()
    assert bench.order(OrderKind.START) == "a motion is under way"
    assert bench.order(OrderKind.RECOVER) == "a motion is under way" and bench.arm.recovered == 0


def test_told_to_end_it_comes_to_zero_first() -> None:
    bench = Bench()
    bench.drive()
    bench.session.end()
    turns = 0
    while bench.turn() is not None and bench.on:
        turns += 1
    assert turns == 5 and not bench.arm.moving
    torque, last = bench.arm.written[-1]
    assert last and not torque.any() and bench.states.record[0]["ended"] == Cause.SHUTDOWN


def test_lost_cycles_and_the_slowest_are_counted_per_motion() -> None:
    bench = Bench()
    bench.drive()
    bench.arm.measured.period_ms = 4
    assert bench.turn()["lost"] == 3
    bench.arm.measured.period_ms = 1
    bench.torque = 0.0
    bench.turn(10)
    bench.order(OrderKind.STOP)
    assert bench.order(OrderKind.START) == "" and bench.turn()["lost"] == 0
