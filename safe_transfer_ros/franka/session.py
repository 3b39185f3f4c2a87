# SPDX-License-Identifier: Apache-2.0
"""The arm's process, turn by turn: a state comes, the newest command is bounded, a torque goes out.

Nothing here waits for the ROS side, or knows that there is one: there is the newest command with its time of receipt,
the newest order, and a place to leave the newest state.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from safe_transfer_ros.franka.arm import Arm, ArmLostError, Measured, MotionAbortedError, RefusedError
from safe_transfer_ros.franka.exchange import WORDS, Exchange, OrderKind, Reader, Writer
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, RECOVERABLE, Cause, standing_cause
from safe_transfer_ros.safety.motion.torque_cycle import Command, CycleSettings, TorqueCycle

ORDER_SECONDS = 1.0
"""An order that was not looked at by then never is: an arm that comes back must not begin to move for an old one."""


class Session:
    """Reads, bounds, writes, and carries out orders between motions."""

    def __init__(
        self,
        arm: Arm,
        exchange: Exchange,
        effort_limit: tuple[float, ...],
        settings: CycleSettings,
        *,
        clock: Callable[[], int],
        pause: Callable[[float], None],
    ) -> None:
        """Start without a connection.

        Args:
          arm: The arm.
          exchange: Memory shared with the ROS side.
          effort_limit: Of each joint, N·m.
          settings: Of the cycle.
          clock: Steady time, ns, the same as the ROS side's.
          pause: Waits, s; between two attempts to reach the arm.
        """
        self._arm, self._clock, self._pause = arm, clock, pause
        self._cycle = TorqueCycle(np.array(effort_limit), settings)
        self._command_timeout_s = settings.command_timeout_s
        self._commands = exchange.commands(Reader)
        self._orders = exchange.orders(Reader)
        self._states = exchange.states(Writer)
        self._command = Command(torque=self._commands.record["torque"][0])
        self._state = self._states.record[0]
        self._connected = self._moving = self._ending = False
        self._stop_order = 0  # number of an order to stop that waits for zero torque
        self._stand(Cause.COMMUNICATION_LOST)

    def end(self) -> None:
        """Come to zero torque, end the motion, and have `turn` answer False."""
        self._ending = True

    def turn(self) -> bool:
        """One cycle of the arm, or one attempt to reach it; False when all is done."""
        if self._ending and not self._moving:
            return False
        try:
            if not self._connected:
                self._arm.connect()
                self._connected = True
            self._turn(self._arm.read())
        except MotionAbortedError as error:
            self._motion_over(Cause.REFLEX)  # the next state says which
            self._say(str(error))
            self._states.publish()
        except ArmLostError as error:
            self._connected = False
            self._motion_over(Cause.COMMUNICATION_LOST)
            self._stand(Cause.COMMUNICATION_LOST)
            self._say(str(error))
            self._obey(None)
            self._states.publish()
            if not self._ending:
                self._pause(ORDER_SECONDS)
        return True

    def _turn(self, measured: Measured) -> None:
        now_ns = self._clock()
        standing = standing_cause(measured.mode, measured.errors, moving=self._moving)
        self._stand(standing)
        if self._moving:
            self._drive(measured, standing, now_ns)
        else:
            if self._state["ended"] == Cause.REFLEX and standing is not Cause.NONE:
                self._state["ended"] = standing
            self._obey(measured)
        self._note(measured, now_ns)
        self._states.publish()

    def _drive(self, measured: Measured, standing: Cause, read_ns: int) -> None:
        """Answer a state of a motion."""
        if self._ending:
            self._cycle.stop(Cause.SHUTDOWN)
        if standing is not Cause.NONE:
            self._cycle.stop(standing)
        self._obey(measured)
        self._take_command()
        self._cycle.step(
            self._command,
            measured.arm_ms,
            measured.position,
            measured.velocity,
            measured.accepted,
            now_ns=self._clock(),
        )
        over = self._cycle.ended
        self._arm.write(self._cycle.torque, last=over)
        self._state["sent"] = self._cycle.torque
        spent = self._clock() - read_ns
        self._state["read_to_write_ns"] = spent
        self._state["slowest_ns"] = max(spent, int(self._state["slowest_ns"]))
        self._state["lost"] += max(0, measured.period_ms - 1)
        if over:
            self._motion_over(self._cycle.cause)

    def _take_command(self) -> None:
        """Read the newest command; where none can be read whole, the one before stands, and gets older."""
        self._commands.read()
        record = self._commands.record[0]
        self._command.torque_limit = float(record["torque_limit"])
        self._command.received_ns = int(record["received_ns"])
        self._command.permitted = bool(record["permitted"] == 1)

    # Orders ----------------------------------------------------------------------------------------------------------

    def _obey(self, measured: Measured | None) -> None:
        """Carry out a new order; without a state of the arm each is refused."""
        if not self._orders.read():
            return
        order = self._orders.record[0]
        number, kind = int(order["number"]), int(order["kind"])
        age_s = (self._clock() - int(order["given_ns"])) * 1e-9
        if kind == OrderKind.STOP:  # however old
            self._cycle.stop(Cause.ORDERED)
            if self._moving:
                self._stop_order = number
            else:
                self._answer(number)
        elif measured is None:
            self._answer(number, CAUSE_TEXT[Cause.COMMUNICATION_LOST])
        elif not 0.0 <= age_s <= ORDER_SECONDS:
            self._answer(number, f"the order came {age_s:.1f} s late")
        elif self._moving:
            self._answer(number, "a motion is under way")
        else:
            self._answer(number, self._start() if kind == OrderKind.START else self._recover(kind))

    def _start(self) -> str:
        """Begin a motion; why not, or nothing."""
        refusal = self._unready()
        if refusal:
            return refusal
        try:
            self._arm.start()
        except RefusedError as error:
            return str(error)
        self._cycle.begin(self._clock())
        self._moving = True
        self._state["ended"] = Cause.NONE
        self._state["lost"] = self._state["slowest_ns"] = 0
        return ""

    def _unready(self) -> str:
        """Reason why a motion would not begin at zero torque, or end at once; empty for none."""
        if self._ending:
            return CAUSE_TEXT[Cause.SHUTDOWN]
        if self._state["standing"] != Cause.NONE:
            return CAUSE_TEXT[Cause(int(self._state["standing"]))]
        self._take_command()
        age_s = (self._clock() - self._command.received_ns) * 1e-9
        if not 0.0 <= age_s <= self._command_timeout_s:
            return CAUSE_TEXT[Cause.COMMAND_STALE]
        if not np.array_equal(self._command.torque, np.zeros_like(self._command.torque)):
            return "the filter must be disarmed and command zero, so that the motion begins with it"
        return ""

    def _recover(self, kind: int) -> str:
        """Have the arm clear its errors; why not, or nothing."""
        if kind != OrderKind.RECOVER:
            return f"there is no order {kind}"
        standing = Cause(int(self._state["standing"]))
        if standing not in RECOVERABLE:
            return f"there is nothing to recover from: {CAUSE_TEXT[standing]}"
        try:
            self._arm.recover()
        except RefusedError as error:
            return str(error)
        return ""

    def _answer(self, number: int, refusal: str = "") -> None:
        self._say(refusal)
        self._state["refused"] = bool(refusal)
        self._state["answered"] = number

    # What is told ----------------------------------------------------------------------------------------------------

    def _motion_over(self, cause: Cause) -> None:
        if self._moving:
            self._cycle.abandon(cause)
            self._moving = False
            self._state["ended"] = self._cycle.cause
            self._state["sent"] = 0.0
            self._state["moving"] = False
        if self._stop_order:
            self._answer(self._stop_order)
            self._stop_order = 0

    def _stand(self, cause: Cause) -> None:
        self._state["standing"] = cause

    def _say(self, words: str) -> None:
        self._state["words"] = words.encode("utf-8", "replace")[:WORDS]

    def _note(self, measured: Measured, now_ns: int) -> None:
        """Put a state down for the ROS side."""
        state = self._state
        state["cycle"] += 1
        state["stamp_ns"] = now_ns
        state["arm_ms"] = measured.arm_ms
        state["position"] = measured.position
        state["velocity"] = measured.velocity
        state["effort"] = measured.effort
        state["external"] = measured.external
        state["mode"] = measured.mode
        state["moving"] = self._moving
        state["success_rate"] = measured.success_rate if math.isfinite(measured.success_rate) else 0.0
