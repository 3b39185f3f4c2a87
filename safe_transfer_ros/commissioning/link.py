# SPDX-License-Identifier: Apache-2.0
"""The arm as `safe_transfer commission` sees it: through the supervisor and the safety filter, as any run does.

It takes the place of episode_reset: the filter is armed for a motion under `reset_torque_limit`, and nothing of it is
part of a policy's record. Everything runs on the caller's thread, in `wait` and `until`.
"""

from __future__ import annotations

import os
import signal
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.middleware import clock, dds, qos, topics
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.supervisor.rest_effort import Rest
from safe_transfer_ros.tasks.deployment import in_graph

Array = npt.NDArray[np.float64]

ANSWER_SECONDS = 5.0
LOOK_SECONDS = 0.1
ASK_AGAIN_SECONDS = 1.0  # what is sent before two processes have found each other is lost
_SPIN_SECONDS = 0.005
_KEPT = 100_000
_QUIET = ["--ros-args", "--disable-external-lib-logs", "--disable-stdout-logs", "--disable-rosout-logs"]


class CommissioningLink:
    """See `commissioning.step.Arm`."""

    def __init__(
        self,
        experiment: ExperimentParameters,
        supervisor: SupervisorParameters,
        *,
        domain: int,
        namespace: str = "",
        process_ids: Mapping[str, int],
        alive: Callable[[], object] = lambda: None,
    ) -> None:
        """Join the graph of a filter and a supervisor that are already started.

        Args:
          experiment: What they were started with.
          supervisor: Likewise.
          domain: ROS domain.
          namespace: Of the graph; empty: the root.
          process_ids: Of both, by node name.
          alive: Called now and then; raises when one of them has ended.
        """
        self.robot = in_graph(experiment.task, experiment.robot_overrides).task.robot
        n = self.robot.joint_count
        self.names: tuple[str, ...] = ()
        self.position: Array = np.full(n, np.nan)
        self.effort: Array = np.full(n, np.nan)
        self.stamps: list[float] = []
        self.delays: list[float] = []
        self.phase, self.says, self.urdf, self._rest = "", "", "", ""
        self._unended = self._doubt = ""
        self._process_ids, self._alive = process_ids, alive
        self._fallback = supervisor.fallback_controller
        self._torque: Callable[[float], Array] | None = None
        self._since = 0.0
        self._unanswered: float | None = None  # when the newest joint state came, if no command has followed yet

        self._context = Context()
        dds.set_defaults()
        rclpy.init(args=_QUIET, context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        node = self._node = Node("commission", context=self._context, namespace=namespace, enable_rosout=False)
        self._action = PolicyAction(action_names=list(self.robot.joint_names), mean=[0.0] * n, stddev=[1e-3] * n)
        self._actions = topics.RESET_PROPOSALS.advertise(node)
        topics.JOINT_STATES.listen(node, self._on_joint_state)
        topics.commands(experiment.controller).listen(node, self._on_command, qos.COMMAND)
        self._status: SoleState[FilterStatus] = SoleState(node, topics.FILTER_STATUS, doubted=self._on_doubt)
        SoleState(node, topics.SUPERVISOR_STATUS, self._on_supervisor, self._on_doubt)
        node.create_subscription(String, supervisor.robot_description, self._on_description, qos.LATCHED)
        self._arm = node.create_client(SetBool, "safety_filter/arm_reset")
        self._reset = node.create_client(Trigger, "safety_filter/reset")
        self._trip = node.create_client(Trigger, "safety_filter/trip")
        self._activate = node.create_client(SetBool, "controller_supervisor/activate")
        self.enforcer = "the arm's process" if supervisor.hardware == "franka" else "controller_manager"
        self._parameters = node.create_client(GetParameters, f"{supervisor.controller_manager}/get_parameters")
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(node)
        self._never = Future(executor=self._executor)

    def close(self) -> None:
        """Stop proposing and leave the graph; the filter stops the arm for lack of proposals, if nothing else has."""
        self._torque = None
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    # What arrives ----------------------------------------------------------------------------------------------------

    def _on_joint_state(self, message: JointState) -> None:
        places = self._places(message)
        if places is None:  # a gripper's, or another arm's: left out
            return
        now = clock.now_s()
        if len(self.stamps) < _KEPT:
            self.stamps.append(now)
        self.names = tuple(message.name)
        self.position, self.effort = _picked(message.position, places), _picked(message.effort, places)
        self._unanswered = now
        if self._torque is None:
            return
        action = self._action
        action.header.stamp = message.header.stamp
        action.step += 1
        action.effort = array("d", self._torque(now - self._since).tobytes())
        self._actions.publish(action)

    def _places(self, message: JointState) -> list[int] | None:
        """Indices of our joints in a message, -1 for a missing one; None where it has none, or too many names."""
        if len(message.name) > JointOrder.MAX_NAMES:
            return None
        found = {name: place for place, name in enumerate(message.name)}
        places = [found.get(name, -1) for name in self.robot.joint_names]
        return None if all(place < 0 for place in places) and self.names else places

    def _on_command(self, message: Float64MultiArray) -> None:
        if self._unanswered is not None and len(self.delays) < _KEPT:
            self.delays.append(clock.now_s() - self._unanswered)
            self._unanswered = None

    def _on_doubt(self, why: str) -> None:
        """Remember for good: what was heard before, and is judged now, may have been somebody else's too."""
        self._doubt = self._doubt or why

    @property
    def _filter(self) -> FilterStatus:
        """The filter's newest status; one that says nothing while none is believed."""
        return self._status.newest or FilterStatus()

    def _on_supervisor(self, message: DiagnosticStatus) -> None:
        values = {entry.key: entry.value for entry in message.values}
        self.phase, self._rest = values.get("phase", ""), values.get("torque", "")
        self.says = message.message

    def _on_description(self, message: String) -> None:
        self.urdf = message.data

    @property
    def up(self) -> bool:
        """Whether messages of filter and supervisor have arrived."""
        return bool(self.phase) and not self._doubt and self._filter.torque_limit > 0.0

    @property
    def held(self) -> str:
        """Cause for doubt that the torque ended with the controller at the last `rest`; empty where it did."""
        held = self.says if self._rest in (Rest.TORQUE_HELD.value, Rest.EFFORT_UNKNOWN.value) else ""
        return self._doubt or held or self._unended

    @property
    def taken_over(self) -> bool:
        """Whether our controller is inactive and another drives the arm."""
        return self.phase == "inactive" and self._rest == Rest.UNWATCHED.value

    @property
    def tripped(self) -> bool:
        """Whether the filter is TRIPPED."""
        return bool(self._filter.mode == SafetyDecision.MODE_TRIPPED)

    @property
    def holding(self) -> bool:
        """Whether the filter is HOLDING."""
        return bool(self._filter.mode == SafetyDecision.MODE_HOLDING)

    @property
    def cause(self) -> int:
        """Reason why the filter is HOLDING or TRIPPED."""
        return int(self._filter.cause)

    # Time ------------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Process messages for `seconds`."""
        self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Process messages until `condition()`, `seconds` at most; return whether it became true."""
        deadline = clock.now_s() + seconds
        while not condition():
            if clock.now_s() >= deadline:
                return False
            self._alive()
            # On a future that never comes, and never without a timeout: see middleware/process.py.
            self._executor.spin_until_future_complete(self._never, timeout_sec=_SPIN_SECONDS)
        return True

    def forget(self) -> None:
        """Clear `stamps` and `delays`."""
        self.stamps, self.delays = [], []

    # What is asked ---------------------------------------------------------------------------------------------------

    def manager_parameter(self, name: str) -> bool | None:
        """A yes-or-no parameter of controller_manager; None when it has no such, or does not answer."""
        answer = self._ask(self._parameters, GetParameters.Request(names=[name]))
        kinds = [value for value in answer.values if value.type == 1] if answer is not None else []
        return bool(kinds[0].bool_value) if kinds else None

    def free(self) -> str:
        """Activate the controller, at zero torque; why not, or empty."""
        self.wait(4 * _SPIN_SECONDS)  # what came while a person was thinking
        if self._doubt:
            return self._doubt
        refusal = ""

        def active() -> bool:
            nonlocal refusal
            if self.tripped:
                refusal = self.reset()
            elif self.phase == "inactive" and "ready" in self.says:
                refusal = self._set(self._activate, True)
            return self.phase == "active" and not self.tripped

        if self.until(active, ANSWER_SECONDS):
            return ""
        return refusal or self.says or "controller_supervisor is silent"

    def push(self, torque: Callable[[float], Array] | None) -> str:
        """Arm the filter and propose torques; None: cease to propose. Why not, or empty."""
        self._torque = None
        if torque is None or self._doubt:
            return self._doubt if torque is not None else ""
        refusal = "it is not there"

        def armed() -> bool:
            nonlocal refusal
            refusal = self._set(self._arm, True)
            return not refusal

        if not self.until(armed, ANSWER_SECONDS):
            return refusal
        self._since = clock.now_s()
        self._torque = torque
        return ""

    def ease(self) -> None:
        """Stop torque, the controller still active."""
        self._torque = None
        self._set(self._arm, False)

    def rest(self) -> None:
        """Stop torque, the controller deactivated, and the torque at the arm seen to have ended, or not."""
        self.ease()
        self._set(self._activate, False)
        pending = {Rest.PENDING.value, Rest.UNWATCHED.value}
        if self._fallback and self.until(lambda: self.phase == "inactive", ANSWER_SECONDS):
            self.wait(LOOK_SECONDS)  # it is told whether the fallback drives
            pending = {Rest.PENDING.value}
        self.until(lambda: self.phase == "inactive" and self._rest not in pending, ANSWER_SECONDS)
        ended = self.phase == "inactive" and self._rest != Rest.PENDING.value  # UNWATCHED: a fallback controller drives
        self._unended = "" if ended else f"the controller is not known to be inactive and without torque: {self.says}"

    def reset(self) -> str:
        """Bring the filter out of TRIPPED; why not, or empty."""
        answer = self._ask(self._reset, Trigger.Request())
        if answer is None:
            return "the safety filter does not answer"
        if answer.success:
            self.until(lambda: not self.tripped, ANSWER_SECONDS)
        return "" if answer.success else str(answer.message)

    def trip(self) -> None:
        """Stop torque at once, latched; no answer is waited for."""
        self._torque = None
        if self._trip.service_is_ready():
            self._trip.call_async(Trigger.Request())

    def stall(self, node: str, stalled: bool) -> None:
        """Suspend one of our processes, or let it continue."""
        os.kill(self._process_ids[node], signal.SIGSTOP if stalled else signal.SIGCONT)

    def _set(self, client: Client, wanted: bool) -> str:
        answer = self._ask(client, SetBool.Request(data=wanted))
        if answer is None:
            return f"{client.srv_name} does not answer"
        return "" if answer.success else str(answer.message)

    def _ask(self, client: Client, request: Any) -> Any:
        """The answer of a service that may be asked twice; None when there is none."""
        futures: list[Future] = []
        deadline = clock.now_s() + ANSWER_SECONDS
        while (left := deadline - clock.now_s()) > 0.0 and self.until(client.service_is_ready, left):
            futures.append(client.call_async(request))
            asked = futures[-1]
            self.until(asked.done, min(ASK_AGAIN_SECONDS, deadline - clock.now_s()))
            for future in futures:
                if future.done():
                    return future.result()
        return None


def _picked(values: Sequence[float], places: Sequence[int]) -> Array:
    """Values of our joints; NaN where a message has none."""
    return np.array([values[place] if 0 <= place < len(values) else np.nan for place in places])
