# SPDX-License-Identifier: Apache-2.0
"""franka_robot: a Franka arm by Franka's own client library, in the place of ros2_control.

The arm belongs to a process of its own (`franka/process.py`), which holds the last rules before the motors at the arm's
1 kHz. This node is its ROS side: it hands down the newest command with the torque limit and the permission in force,
publishes joint states and what the arm says, and carries an operator's words. When it hangs or dies, the other comes to
zero torque by itself.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, FrankaState
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros import realtime
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.franka import library
from safe_transfer_ros.franka.exchange import JOINTS, OrderKind
from safe_transfer_ros.franka.settings import ArmSettings
from safe_transfer_ros.middleware import bounded, clock, qos, topics
from safe_transfer_ros.middleware.arm_process import ArmProcess
from safe_transfer_ros.middleware.franka_status import ACTIVATE, RECOVER, fill_state, standing_now, status_message
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.service_thread import ServiceThread
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.middleware.state_publisher import StatePublisher
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.franka_robot import FrankaParameters, check_arm
from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.safety.filter.permission import Permission
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.motion.causes import PRESSED, Cause
from safe_transfer_ros.tasks.deployment import in_graph

TICK_SECONDS = 0.01
TELL_EVERY = 10  # ticks between two statuses that say the same


class FrankaRobot(Node):
    """ROS side of the arm."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Declare parameters, start the arm's process, create topics and services."""
        super().__init__("franka_robot")
        self._lifetime = lifetime
        experiment, self._settings = declare(self, ExperimentParameters, FrankaParameters)
        self._robot = in_graph(experiment.task, experiment.robot_overrides).task.robot
        check_arm(self._robot, experiment, self._settings)
        missing = library.missing()
        if missing:
            raise ConfigurationError(f"robot:=franka: {missing}")
        self._arm = ArmProcess(arm_settings(self._settings, self._robot))
        self._command = self._arm.commands.record[0]
        self._order = JointOrder(experiment.command_joints(self._robot.joint_names)).indices(self._robot.joint_names)
        self._reader = self._arm.states()
        self._state = self._reader.record[0]
        self._permission = Permission(self._settings.permission_lease)
        self._told: tuple[object, ...] = ()
        self._ticks = 0
        self._doubt = ""  # whose commands, or whose permission, these are

        self._states = topics.JOINT_STATES.advertise(self)
        self._message = JointState(name=list(self._robot.joint_names))
        self._message.header.frame_id = self._robot.base_link
        self._whole_states = topics.FRANKA_JOINT_STATES.advertise(self)
        self._whole = FrankaState(name=list(self._robot.joint_names))
        self._whole.header.frame_id = self._robot.base_link
        self._button = topics.EXTERNAL_STOP.advertise(self)
        self._status = StatePublisher(self, topics.FRANKA_STATUS)
        self._diagnostics = topics.DIAGNOSTICS.advertise(self)
        self._description = topics.ROBOT_DESCRIPTION.advertise(self)
        self._description.publish(String(data=self._robot.urdf))
        self._commands = topics.commands(experiment.controller)
        bounded.listen(self, self._commands, self._on_command, refused=self._on_unread_command, profile=qos.COMMAND)
        bounded.listen(self, topics.PERMISSION, self._on_permission)
        self._filter: SoleState[FilterStatus] = SoleState(self, topics.FILTER_STATUS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._settings.joint_state_rate, self._publish_state, clock=steady)
        self.create_timer(TICK_SECONDS, self._tick, clock=steady)
        self.create_timer(1.0, self._diagnose, clock=steady)
        self._orders = ServiceThread(
            self, {ACTIVATE: (SetBool, self._on_activate), RECOVER: (Trigger, self._on_recover)}
        )
        for refusal in realtime.request(self._settings.node_priority):
            self.get_logger().warning(refusal)

    def close(self) -> None:
        """Bring the arm to zero torque and end its process."""
        self._arm.close()
        self._orders.close()

    # What goes to the arm --------------------------------------------------------------------------------------------

    def _on_command(self, message: Float64MultiArray) -> None:
        torque = np.frombuffer(message.data)
        self._command["torque"] = torque[self._order] if len(torque) == JOINTS else np.nan  # nan ends the motion
        self._command["received_ns"] = clock.now_ns()
        self._hand_down()

    def _on_unread_command(self, error: bounded.MessageError) -> None:
        self.get_logger().error(f"a command was not read: {error}", throttle_duration_sec=1.0)
        self._command["torque"] = np.nan
        self._hand_down()

    def _on_permission(self, message: Bool) -> None:
        self._permission.hear(bool(message.data), clock.now_ns())
        if not message.data:
            self._hand_down()

    def _hand_down(self) -> None:
        """Give the arm's process the newest command; a later look at the limit does not make a command newer."""
        self._command["permitted"] = self._forbidden() is None
        self._command["torque_limit"] = self._torque_limit()
        self._arm.commands.publish()

    def _torque_limit(self) -> float:
        """T_lim in force, N·m; zero while it is not known."""
        status = self._filter.newest
        return max(float(status.torque_limit), self._settings.reset_torque_limit) if status is not None else 0.0

    def _forbidden(self) -> str | None:
        """Reason why there may be no torque; None when there may."""
        return self._doubt or self._permission.problem(clock.now_ns())

    def _on_activate(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._carry_out(OrderKind.START if request.data else OrderKind.STOP, response)

    def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._carry_out(OrderKind.RECOVER, response)

    def _carry_out(self, kind: OrderKind, response: Any) -> Any:
        """In the services' thread."""
        refusal = self._arm.order(kind, self._settings.service_timeout)
        response.success, response.message = refusal is None, refusal or ""
        return response

    # What comes from it ----------------------------------------------------------------------------------------------

    def _publish_state(self) -> None:
        """Publish the newest state, once; an arm that is silent has none, and is missed."""
        if not self._reader.read():
            return
        state, now_ns = self._state, clock.now_ns()
        if standing_now(state, now_ns) is Cause.COMMUNICATION_LOST:
            return
        age_ns = now_ns - int(state["stamp_ns"])
        message, whole = self._message, self._whole
        stamp_ns = self.get_clock().now().nanoseconds - age_ns
        set_ns(message.header.stamp, stamp_ns)
        message.position = array("d", state["position"].tobytes())
        message.velocity = array("d", state["velocity"].tobytes())
        message.effort = array("d", state["effort"].tobytes())
        self._states.publish(message)  # first: the filter waits for it
        set_ns(whole.header.stamp, stamp_ns)
        fill_state(whole, state)
        self._whole_states.publish(whole)

    def _tick(self) -> None:
        exit_code = self._arm.process.poll()
        if exit_code is not None:
            self._lifetime.end(exit_code or 1, f"franka_robot: the process that owns the arm ended ({exit_code})")
            return
        self._reader.read()
        several = (second_publisher(self, topic) for topic in (self._commands.name, topics.PERMISSION.name))
        self._doubt = next(filter(None, several), "")
        self._hand_down()
        self._ticks += 1
        now_ns = clock.now_ns()
        standing = standing_now(self._state, now_ns)
        new = (standing, bool(self._state["moving"]), int(self._state["ended"]), int(self._state["answered"]))
        if new != self._told or self._ticks % TELL_EVERY == 0:
            message = status_message(self._state, now_ns, hardware=self._robot.name)
            self._status.publish(message)
            if standing is not Cause.COMMUNICATION_LOST:  # then nobody knows how its button stands: it is silent, too
                self._button.publish(Bool(data=standing in PRESSED))
            if new[:3] != self._told[:3]:
                if message.level == DiagnosticStatus.OK:  # two calls: a logger's line keeps its severity
                    self.get_logger().info(message.message)
                else:
                    self.get_logger().error(message.message)
            self._told = new

    def _diagnose(self) -> None:
        """Publish what an operator's dashboard shows, once per second."""
        state, now_ns = self._state, clock.now_ns()
        message = status_message(state, now_ns, hardware=self._robot.name)
        beside = {
            "success_rate": f"{state['success_rate']:.3f}",
            "lost_cycles": str(state["lost"]),
            "read_to_write_us": f"{state['read_to_write_ns'] * 1e-3:.0f}",
            "read_to_write_max_us": f"{state['slowest_ns'] * 1e-3:.0f}",
            "external_torque_nm": ", ".join(f"{value:.2f}" for value in state["external"]),
            "torque_sent_nm": ", ".join(f"{value:.2f}" for value in state["sent"]),
            "torque_limit_nm": f"{self._torque_limit():g}",
            "permission": self._forbidden() or "given",
        }
        message.values = [*message.values, *(KeyValue(key=key, value=value) for key, value in beside.items())]
        diagnostics = DiagnosticArray(status=[message])
        diagnostics.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics)


def arm_settings(settings: FrankaParameters, robot: RobotDescription) -> ArmSettings:
    """Settings of the arm's process.

    Raises:
      ConfigurationError: there is no address, or an effort limit is missing.
    """
    if not settings.robot_ip:
        raise ConfigurationError("franka_robot.robot_ip is empty, expected the arm's address: robot_ip:=172.16.0.2")
    return ArmSettings(
        robot_ip=settings.robot_ip,
        realtime_kernel=settings.realtime_kernel,
        realtime_priority=settings.realtime_priority,
        effort_limit=tuple(float(value) for value in robot.limits.effort),
        command_timeout_s=settings.command_timeout,
        state_timeout_s=settings.state_timeout,
        torque_step=settings.torque_step,
        collision_torque=settings.values("collision_torque", JOINTS),
        collision_force=settings.values("collision_force", 6),
        load_mass=settings.load_mass,
        load_center=settings.values("load_center", 3),
        load_inertia=settings.values("load_inertia", 9),
    )


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("franka_robot", FrankaRobot))


if __name__ == "__main__":
    main()
