# SPDX-License-Identifier: Apache-2.0
"""controller_supervisor: the only one that activates the arm's effort controller, and the one that deactivates it.

A process of its own, so that it outlives whatever may happen to the filter. The two hold each other:

- The filter may be armed only while this node gives its permission, renewed every few milliseconds and given only
  while the controller is known to be active, to drive exactly our joints, and to be fed. No permission: stop torque.
- The controller is active only while the filter's commands come. Silence: the controller is deactivated, which zeroes.

Nothing is ever commanded from here: a second publisher of commands would be one more thing to go wrong.

It never activates by itself: an operator says so, before the first motion and after every trip.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence

from rclpy.clock import Clock, ClockType
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision
from std_msgs.msg import Bool, Float64MultiArray

from safe_transfer_ros import realtime
from safe_transfer_ros.middleware import bounded, clock, qos, topics
from safe_transfer_ros.middleware.arm_manager import arm_manager
from safe_transfer_ros.middleware.joint_state_publishers import JointStatePublishers
from safe_transfer_ros.middleware.lifecycle import ManagedNode
from safe_transfer_ros.middleware.measured_effort import MeasuredEffort
from safe_transfer_ros.middleware.operator_orders import OperatorOrders
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.published_description import PublishedDescription
from safe_transfer_ros.middleware.publishers import name_of
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.supervisor_report import Phase, SupervisorReport, Told
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.safety.supervisor.command_stream import CommandStream
from safe_transfer_ros.safety.supervisor.controller_check import drivers, unfit, wrong_feeders
from safe_transfer_ros.safety.supervisor.rest_effort import Rest, RestEffort
from safe_transfer_ros.safety.supervisor.torque_end import find, giving_way, stands_below, taking_over
from safe_transfer_ros.tasks.deployment import in_graph

TICK_SECONDS = 0.01
ZERO_COMMANDS = 3  # in a row, before the controller may become active
_UNTRIPPED = (SafetyDecision.MODE_DISARMED, SafetyDecision.MODE_ARMED, SafetyDecision.MODE_HOLDING)
_UNHEARD = FilterStatus(mode=SafetyDecision.MODE_TRIPPED, message="the filter has not been heard")
CONFIRM = "ros2 service call /controller_supervisor/activate std_srvs/srv/SetBool '{data: true}'"


class ControllerSupervisor(ManagedNode):
    """Watches the filter and the controller; a small machine that is turned every ten milliseconds."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("controller_supervisor")
        self._experiment, self._settings = declare(self, ExperimentParameters, SupervisorParameters)
        self._robot = in_graph(self._experiment.task, self._experiment.robot_overrides).task.robot
        self._joints = self._experiment.command_joints(self._robot.joint_names)
        self._rests: Callable[[Sequence[float]], bool] | None = None  # None: all zeros
        self._stream = CommandStream(len(self._joints), self._settings.command_timeout)
        self._rest = RestEffort(self._robot.joint_names, self._settings.rest_tolerance, self._settings.rest_timeout)
        self._phase = Phase.STOPPING
        self._why = "at the start"
        self._since_ns = clock.now_ns()  # when the phase began
        self._fallback = ""  # to be activated with the next deactivation
        self._asked = False  # for deactivation, since the last stop
        self._enabled = False  # by the lifecycle
        self._leaving = False
        self._last_stop = ""  # why, until it is active again

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Create topics, clients and the operator's service."""
        settings = self._settings
        self._manager = arm_manager(self, settings, self._experiment.controller, self._joints)
        # Best effort: a reliable writer waits for a listener that was killed, and this loop must not wait.
        self._permission = topics.PERMISSION.advertise(self)
        self._report = SupervisorReport(
            self,
            self._robot.name,
            {"controller": self._experiment.controller, "joints": ", ".join(self._joints)},
        )
        self._description = PublishedDescription(
            self, settings.robot_description, self._joints, commissioned=settings.commissioned_description
        )
        self._effort = MeasuredEffort(self, self._robot, with_gravity=settings.rest_effort == "gravity")
        self._speakers = self.keep(JointStatePublishers(self, self._robot.joint_names))
        if self._experiment.adds_gravity(self._robot.gravity_compensated):
            resting = importlib.import_module("safe_transfer_ros.middleware.resting_torque")  # brings mujoco
            self._rests = resting.RestingTorque(self, self._robot, self._joints)
        self._commands = self.resolve_topic_name(f"{self._experiment.controller}/commands")
        self._feeder = f"{self.get_namespace().rstrip('/')}/safety_filter"
        commands = topics.commands(self._experiment.controller)
        bounded.listen(self, commands, self._on_command, refused=self._on_unread_command, profile=qos.COMMAND)
        self._status: SoleState[FilterStatus] = SoleState(self, topics.FILTER_STATUS, self._on_filter, self._on_doubt)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK_SECONDS, self._tick, clock=steady)
        self.create_timer(1.0, self._diagnose, clock=steady)
        self._orders = self.keep(
            OperatorOrders(self, "controller_supervisor/activate", settings.activation_timeout, lambda: self._why)
        )
        for refusal in realtime.request(settings.realtime_priority):
            self.get_logger().warning(refusal)

    def activate(self) -> None:
        """From now on an operator may activate the controller."""
        self._enabled = True

    def deactivate(self) -> None:
        """The controller is taken from the filter; permission ends at once."""
        self._enabled = False
        if self._phase in (Phase.ACTIVE, Phase.ACTIVATING):
            self._stop("the supervisor was deactivated")

    def leave(self) -> bool:
        """Asked again and again before the process ends: whether the controller is known to be inactive."""
        if not self._leaving:
            self._leaving = True
            self.deactivate()
        return self._phase is Phase.INACTIVE or not self._manager.reachable

    def close(self) -> None:
        """Serve no more; the rest is done by `leave`."""
        self.release()

    # What arrives ----------------------------------------------------------------------------------------------------

    def _on_command(self, message: Float64MultiArray) -> None:
        rests = self._rests(message.data) if self._rests is not None else None
        self._stream.hear(message.data, clock.now_ns(), rests)

    def _on_unread_command(self, error: bounded.MessageError) -> None:
        self._stream.refuse(f"a command was not read: {error}", clock.now_ns())

    def _on_filter(self, message: FilterStatus) -> None:
        if message.mode == SafetyDecision.MODE_TRIPPED:
            self._tick()

    def _on_doubt(self, why: str) -> None:
        self._tick()

    @property
    def _filter(self) -> FilterStatus:
        """The filter's newest status; one that permits nothing while none is believed."""
        return self._status.newest or _UNHEARD

    # The machine -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = clock.now_ns()
        self._manager.poll(now)
        self._measure(now)
        {
            Phase.INACTIVE: self._while_inactive,
            Phase.ACTIVATING: self._while_activating,
            Phase.ACTIVE: self._while_active,
            Phase.STOPPING: self._while_stopping,
        }[self._phase](now)
        self._permission.publish(Bool(data=self._phase is Phase.ACTIVE))
        self._tell()

    def _enter(self, phase: Phase, why: str = "") -> None:
        self._phase, self._why, self._since_ns = phase, why, clock.now_ns()

    def _measure(self, now: int) -> None:
        """Compare the arm's effort with rest while no controller drives its joints; otherwise read nothing."""
        manager = self._manager
        self._speakers.look(now)
        # Without knowing who drives them, what is watched stays watched: a manager may die and leave a torque.
        if manager.listed and drivers(manager.controllers, self._joints):
            self._rest.unwatch()
        elif self._phase is Phase.INACTIVE:
            self._rest.watch(now)
        if self._phase in (Phase.INACTIVE, Phase.ACTIVATING) and self._settings.rest_effort != "untold":
            doubt = self._speakers.doubt(now) or ""  # another's zeros would hide a torque that is held
            self._rest.hear(self._effort.beyond_rest(), self._effort.heard_ns, doubt)

    def _obstacle(self, now: int) -> str | None:
        """Reason why torques must not reach the arm, from any sender."""
        settings = self._settings
        manager = self._manager
        return (
            self._silence(now)
            or manager.hardware_problem(self._joints)
            or unfit(
                manager.controllers,
                self._experiment.controller,
                self._joints,
                settings.joint_state_broadcaster,
                end=settings.torque_end,
                manager_fallbacks=manager.fallbacks,
            )
            or self._stream.problem(now)
            or self._wrong_feeders()
            or self._status.doubt
            or self._stopped_by_filter()
        )

    def _stopped_by_filter(self) -> str | None:
        """Reason, by the filter's own word, why it lets nothing through and never will by itself."""
        if self._tripped:
            return f"the filter has tripped: {self._filter.message}"
        mode = self._filter.mode
        return None if mode in _UNTRIPPED else f"the filter's mode is {mode}, which stands for nothing"

    def _silence(self, now: int) -> str | None:
        """Reason why controller_manager cannot be relied upon, and the fix where it is missing."""
        problem = self._manager.problem(now)
        if problem is None or self._manager.reachable:
            return problem
        domain, missing = os.environ.get("ROS_DOMAIN_ID") or "0", self._settings.hardware
        return f"{problem} (ROS_DOMAIN_ID={domain}): start {missing}, or export the domain that the robot is in"

    def _wrong_feeders(self) -> str | None:
        """Publishers of commands other than our filter, from the graph."""
        found = self.get_publishers_info_by_topic(self._commands)
        names = [name_of(entry) for entry in found]
        return wrong_feeders(self._commands, names, self._feeder)

    def _unready(self, now: int) -> str | None:
        """Reason why the controller would not begin with zero torque, or be stopped at once, or not stop at zero."""
        settings = self._settings
        if self._filter.mode != SafetyDecision.MODE_DISARMED or self._stream.zero_count < ZERO_COMMANDS:
            return "the filter must be disarmed and command zero, so that the controller begins with it"
        if not self._filter.connected:
            return f"the graph is still connecting: {self._filter.message or 'the filter waits for its listeners'}"
        if self._stream.steady_s(now) < settings.steady_time:
            return f"the filter's commands must come without a pause for {settings.steady_time:g} s first"
        unsure = self._description.problem() or self._speakers.doubt(now)
        if unsure:
            return unsure
        if settings.rest_effort == "untold":
            return None
        return {
            Rest.PENDING: "the torque at the arm is given time to end",
            Rest.EFFORT_UNKNOWN: "without it no stop could be seen to end in zero torque; an arm that cannot tell it "
            "needs controller_supervisor.rest_effort:=untold",
        }.get(self._rest.verdict(now))

    @property
    def _tripped(self) -> bool:
        return bool(self._filter.mode == SafetyDecision.MODE_TRIPPED)

    def _active(self) -> bool:
        """Whether the manager says that our controller is active."""
        controller = find(self._manager.controllers, self._experiment.controller)
        return controller is not None and controller.state == "active"

    def _while_inactive(self, now: int) -> None:
        if self._active():
            self._stop(f"{self._experiment.controller} was activated by another program")
            return
        self._prepare()
        obstacle = self._obstacle(now) or self._unready(now)
        self._why = self._explain(obstacle)
        self._orders.deactivated()
        order = self._orders.take_activation()
        if order is None:
            return
        if not self._enabled or order.done.is_set():
            order.answer("the supervisor is not active")
        elif obstacle:
            order.answer(obstacle)
        else:
            self._activating = order
            name = self._experiment.controller
            aside = giving_way(self._manager.controllers, name, self._settings.fallback_controller)
            self._manager.switch(activate=[name], deactivate=aside)
            self._enter(Phase.ACTIVATING, "switching")

    def _explain(self, obstacle: str | None) -> str:
        """Explanation for an operator. That our stop tripped the filter is not its cause."""
        if obstacle is None:
            return f"ready; an operator must see that the cell is clear, then: {CONFIRM}"
        if not self._last_stop:
            return obstacle
        if self._tripped and self._filter.cause == Reason.NO_PERMISSION and obstacle.startswith("the filter has trip"):
            return f"{self._last_stop}; the filter was tripped by that, and waits for its reset"
        return obstacle if self._last_stop in obstacle else f"{obstacle}; stopped before: {self._last_stop}"

    def _prepare(self) -> None:
        """Load and configure our controller if the manager has not."""
        manager, name = self._manager, self._experiment.controller
        if manager.busy or not manager.listed:
            return
        controller = find(manager.controllers, name)
        if controller is None:
            manager.load(name)
        elif controller.state == "unconfigured":
            manager.configure(name)

    def _while_activating(self, now: int) -> None:
        answer = self._manager.switched
        known = answer == "" and self._manager.listed
        problem = self._obstacle(now) if known else answer
        if self._orders.to_deactivate:
            problem = "an operator asked for it"
        elif self._activating.done.is_set():
            problem = "it was not done in time"
        if known and not problem and self._active() and self._stream.zero_count and self._begins_at_rest():
            if self._activating.answer(None):
                self._last_stop = ""
                self._enter(Phase.ACTIVE)
            else:
                self._stop("activation failed: it was not done in time")
        elif problem or self._age(now) > 2.0 * self._settings.service_timeout:
            # Whatever the answer was, the controller may be active now.
            if known and not problem and self._active():
                problem = "under commands of zero the arm still measures torque, or tells none"
            self._stop(f"activation failed: {problem or 'controller_manager did not answer in time'}")
            self._activating.answer(self._why)

    def _begins_at_rest(self) -> bool:
        """Whether the arm measures what is commanded, which is rest. Where we carry the arm, that is not zero."""
        settings = self._settings
        carried = self._rests is not None or settings.rest_effort == "untold"
        carried |= stands_below(self._manager.controllers, self._experiment.controller, settings.fallback_controller)
        return carried or self._rest.settled(self._since_ns)

    def _while_active(self, now: int) -> None:
        problem = self._obstacle(now)
        if problem is None and not self._active():
            ended = self._manager.ended or "was deactivated by another program"
            problem = f"{self._experiment.controller}: {ended}"
        if problem is None and self._orders.to_deactivate:
            problem = "an operator asked for it"
        self._orders.answer_activation(problem)
        if problem:
            self._stop(problem)

    def _stop(self, why: str) -> None:
        """End permission now; the controller follows, once its torque is zero or no commands come."""
        self.get_logger().error(f"stopping: {why}")
        self._last_stop = why
        self._enter(Phase.STOPPING, why)
        self._fallback, self._asked = self._settings.fallback_controller, False
        self._while_stopping(clock.now_ns())

    def _while_stopping(self, now: int) -> None:
        manager, settings = self._manager, self._settings
        if manager.listed and not self._active() and not manager.switching:
            self._enter(Phase.INACTIVE, self._why)
            return
        self._orders.answer_activation(f"stopping: {self._why}")
        # Who else feeds it will not send zero because we withdraw our permission.
        fed = self._stream.problem(now) is None and self._wrong_feeders() is None
        if fed and not self._stream.zero_count and self._age(now) < settings.zero_timeout:
            return  # zero first: the filter, without permission, is on its way there
        # Again only when it is known that the first did not do it, or when nobody answered.
        if manager.known and not manager.switching and (not self._asked or manager.listed or manager.unanswered):
            self._asked = True
            # All or none: a fallback that cannot be activated must not keep ours active, so it is tried once only.
            instead = taking_over(manager.controllers, self._fallback)
            manager.switch(activate=instead, deactivate=[self._experiment.controller])
            self._fallback = ""

    def _age(self, now: int) -> float:
        return (now - self._since_ns) * 1e-9

    # What is told ----------------------------------------------------------------------------------------------------

    def _told(self) -> Told:
        now = clock.now_ns()
        why = self._why
        if self._phase is Phase.STOPPING and self._age(now) > 1.0:
            silence = self._silence(now) or self._manager.trouble or "no answer yet"
            why += f"; the controller is still not known to be inactive: {silence}"
        watched = self._settings.rest_effort != "untold"
        return Told(
            phase=self._phase,
            why=why,
            rest=self._rest.verdict(now) if watched else Rest.UNTOLD,
            held=self._rest.describe(now) if watched else "",
            last_stop=self._last_stop,
        )

    def _tell(self) -> None:
        """Publish the status when it has changed."""
        self._report.tell(self._told())

    def _diagnose(self) -> None:
        """Once a second, the rhythm of the commands."""
        rhythm = self._stream.rhythm()
        beside = {}
        if rhythm is not None:
            beside = {
                "command_rate_hz": f"{rhythm[0]:.1f}",
                "command_jitter_ms": f"{1e3 * rhythm[1]:.2f}",
                "command_gap_max_ms": f"{1e3 * rhythm[2]:.2f}",
            }
        self._report.diagnose(self._told(), beside)


def main() -> None:
    """Console entry point."""

    def create(lifetime: Lifetime) -> ControllerSupervisor:
        node = ControllerSupervisor()
        node.bring_up()
        return node

    raise SystemExit(run("controller_supervisor", create))


if __name__ == "__main__":
    main()
