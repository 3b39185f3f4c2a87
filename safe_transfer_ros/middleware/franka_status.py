# SPDX-License-Identifier: Apache-2.0
"""Status of franka_robot's arm, and the use that controller_supervisor makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.task import Future
from safe_transfer_msgs.msg import FrankaState
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware import clock, topics
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, ArmMode, Cause
from safe_transfer_ros.safety.supervisor.torque_end import EFFORT_CONTROLLER
from safe_transfer_ros.untrusted import printable

_MODES = frozenset(int(mode) for mode in ArmMode)
ACTIVATE = "franka_robot/activate"
RECOVER = "franka_robot/recover"
SILENT_SECONDS = 0.5
"""A status older than this tells nothing: it is published ten times a second."""

ARM_SILENT_SECONDS = 0.1
"""States of the arm older than this: it cannot be reached, whatever they say."""


def text_of(cause: int) -> str:
    """Words for a cause as it travels."""
    return CAUSE_TEXT[Cause(cause)]


def silent(state: Any, now_ns: int) -> bool:
    """Whether the newest state is too old to tell anything, as before the first."""
    return not 0 <= now_ns - int(state["stamp_ns"]) <= ARM_SILENT_SECONDS * 1e9


def standing_now(state: Any, now_ns: int) -> Cause:
    """Cause that stands against a motion: what the arm says, or that it says nothing any more."""
    return Cause.COMMUNICATION_LOST if silent(state, now_ns) else Cause(int(state["standing"]))


def status_message(state: Any, now_ns: int, *, hardware: str) -> DiagnosticStatus:
    """Status of the arm, from its newest state.

    Args:
      state: Record of `franka.exchange.STATE`.
      now_ns: Steady time.
      hardware: Name of the robot.
    """
    standing, ended = standing_now(state, now_ns), Cause(int(state["ended"]))
    moving = bool(state["moving"]) and standing is not Cause.COMMUNICATION_LOST
    mode = int(state["mode"])
    words = state["words"].decode("utf-8", "replace")
    told = text_of(standing) if standing is not Cause.NONE else "in motion" if moving else "no motion"
    if not moving and ended is not Cause.NONE:
        told += f"; the last motion ended: {text_of(ended)}"
    if silent(state, now_ns):
        told += f": no state of it is newer than {ARM_SILENT_SECONDS:g} s"
    if words and standing is not Cause.NONE:
        told += f" ({printable(words)})"
    values = {
        "motion": "active" if moving else "inactive",
        "standing": standing.name,
        "ended": ended.name,
        "mode": ArmMode(mode).name if mode in set(ArmMode) else str(mode),
        "said": words,
    }
    return DiagnosticStatus(
        level=DiagnosticStatus.OK if standing is Cause.NONE else DiagnosticStatus.ERROR,
        name="franka_robot",
        hardware_id=hardware,
        message=told,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def fill_state(message: FrankaState, state: Any) -> None:
    """Fill in a message, but for its stamp and the names of joints.

    Args:
      message: Used again for the next.
      state: Record of `franka.exchange.STATE`.
    """
    message.cycle, message.arm_time = int(state["cycle"]), int(state["arm_ms"])
    message.position[:] = state["position"]
    message.velocity[:] = state["velocity"]
    message.effort[:] = state["effort"]
    message.external_effort[:] = state["external"]
    message.commanded_effort[:] = state["sent"]
    mode = int(state["mode"])
    message.robot_mode = mode if mode in _MODES else FrankaState.MODE_OTHER
    message.moving = bool(state["moving"])
    message.standing, message.ended = Cause(int(state["standing"])).name, Cause(int(state["ended"])).name
    message.success_rate = float(state["success_rate"])
    message.lost_cycles = int(state["lost"])
    message.read_to_write = int(state["read_to_write_ns"]) * 1e-9


@dataclass(kw_only=True)
class _Controller:
    """The arm's torque control, as ros2_control would list a controller."""

    name: str
    state: str
    type: str = EFFORT_CONTROLLER
    claimed_interfaces: Sequence[str] = ()
    required_command_interfaces: Sequence[str] = ()


class FrankaManager:
    """A Franka arm in the place of `controller_manager.ControllerManager`: its motion is the controller.

    Attributes:
      controllers: The arm's torque control, active in a motion, and its joint states.
      trouble: Failure of the last request; empty if none.
      unanswered: The last switch got no answer in time.
    """

    busy = False  # there is nothing to load or to configure
    fallbacks: Sequence[str] = ()  # a motion that ends leaves the arm to itself

    def __init__(self, node: Node, controller: str, broadcaster: str, joints: Sequence[str], timeout_s: float) -> None:
        """Listen; nothing is asked yet.

        Args:
          node: The supervisor.
          controller: Name that stands for the arm's torque control.
          broadcaster: Name that stands for its joint states.
          joints: In the order of commands.
          timeout_s: Longest wait for an answer, s.
        """
        self._timeout_s = timeout_s
        self._interfaces = tuple(f"{joint}/effort" for joint in joints)
        self._torque = _Controller(name=controller, state="inactive", required_command_interfaces=self._interfaces)
        self.controllers: list[Any] = [self._torque, _Controller(name=broadcaster, state="active", type="")]
        self._client = node.create_client(SetBool, ACTIVATE)
        self._status: SoleState[DiagnosticStatus] = SoleState(node, topics.FRANKA_STATUS, self._hear)
        self._told: dict[str, str] = {}
        self._heard_ns = 0
        self._pending: tuple[Future, int] | None = None
        self._answered_ns = 0  # what is known from before the newest answer may be out of date
        self.switched: str | None = None
        self.unanswered = False
        self.trouble = ""

    def _hear(self, message: DiagnosticStatus) -> None:
        self._told = {entry.key: entry.value for entry in message.values} | {"message": message.message}
        self._heard_ns = clock.now_ns()
        active = self._told.get("motion") == "active"
        self._torque.state = "active" if active else "inactive"
        self._torque.claimed_interfaces = self._interfaces if active else ()

    @property
    def known(self) -> bool:
        """Whether the arm's status has ever been heard."""
        return self._heard_ns > 0

    @property
    def listed(self) -> bool:
        """Whether the arm's status has been heard since the last change."""
        return self._heard_ns > self._answered_ns and not self._pending

    @property
    def switching(self) -> bool:
        """Whether an order is under way."""
        return self._pending is not None

    @property
    def reachable(self) -> bool:
        """Whether franka_robot is there."""
        return bool(self._client.service_is_ready())

    def problem(self, now_ns: int) -> str | None:
        """Reason why the known state cannot be relied upon; None when it can."""
        if not self.reachable:
            return "franka_robot is not there"
        if self._status.doubt:
            return self._status.doubt
        if not self.known:
            return "franka_robot has not told its arm's status yet"
        return None if 0 <= now_ns - self._heard_ns <= SILENT_SECONDS * 1e9 else "franka_robot does not answer"

    def hardware_problem(self, joints: Sequence[str]) -> str | None:
        """Reason why the arm takes no torque; None when it does."""
        standing = self._told.get("standing", Cause.COMMUNICATION_LOST.name)
        return None if standing == Cause.NONE.name else f"the arm: {self._told.get('message', 'no status')}"

    @property
    def ended(self) -> str:
        """Reason why the last motion ended by itself, empty where it did not."""
        cause = self._told.get("ended", "")
        return text_of(Cause[cause]) if cause in Cause.__members__ and cause != Cause.NONE.name else ""

    def load(self, name: str) -> None:
        """Do nothing: an arm has no controllers to load."""

    def configure(self, name: str) -> None:
        """Do nothing, as there is nothing to configure."""

    def switch(self, *, activate: Sequence[str] = (), deactivate: Sequence[str] = ()) -> None:
        """Begin a motion, or end it; what the arm does then is its own (it holds its position)."""
        self.switched, self.unanswered = None, False
        if not self.reachable:
            self.unanswered = True
            self.switched = self.trouble = "franka_robot is not there"
            return
        request = SetBool.Request(data=self._torque.name in activate)
        self._pending = (self._client.call_async(request), clock.now_ns())

    def poll(self, now_ns: int) -> None:
        """Process an answer, or give one up that is late."""
        if self._pending is None:
            return
        future, asked_ns = self._pending
        if future.done():
            answer = future.result()
            self.switched = self.trouble = "" if answer.success else f"refused: {answer.message}"
        elif (now_ns - asked_ns) * 1e-9 > self._timeout_s:
            future.cancel()
            self.unanswered = True
            self.switched = self.trouble = f"no answer of {ACTIVATE} within {self._timeout_s:g} s"
        else:
            return
        self._pending, self._answered_ns = None, now_ns
