# SPDX-License-Identifier: Apache-2.0
"""What a controller_manager with effort controllers does, as seen from outside; a process of its own.

Reads the same YAML as ros2_control_node. Each rule below was measured on ros2_control 4.46 with a seven-joint arm; the
tests beside this file name them one by one. Faults are asked for on the topic `stand_in/fault`.

  python manager.py FOLDER CONFIG.yaml --ros-args ...
"""

from __future__ import annotations

import dataclasses
import math
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from controller_manager_msgs.msg import (
    ControllerManagerActivity,
    ControllerState,
    HardwareComponentState,
    HardwareInterface,
    NamedLifecycleState,
)
from controller_manager_msgs.srv import (
    ConfigureController,
    ListControllers,
    ListHardwareComponents,
    LoadController,
    SetHardwareComponentState,
    SwitchController,
)
from descriptions import with_blocks
from lifecycle_msgs.msg import State
from plant import EFFORT
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

from safe_transfer_ros.robots import description
from safe_transfer_ros.robots.description import JointLimits, RobotDescription, load
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits, soft_effort_bounds, soft_velocity_bounds

LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
COMMANDS = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
BROADCASTER = "joint_state_broadcaster/JointStateBroadcaster"
EFFORT_CONTROLLER = "effort_controllers/JointGroupEffortController"
HOLD_CONTROLLER = "stand_in/HoldController"  # a controller of somebody's own: holds the arm where it takes it over
STIFFNESS, DAMPING = 20.0, 2.0  # N·m/rad, N·m·s/rad
STATES = {"unconfigured": 1, "inactive": 2, "active": 3, "finalized": 4}
HARDWARE = "arm"


class Controller:
    """One loaded controller: a node, a state, the newest command."""

    def __init__(self, name: str, parameters: dict[str, Any], kind: str) -> None:
        self.node = Node(name)
        self.name, self.kind = name, kind
        self.joints: list[str] = parameters.get("joints", [])
        self.parameters = parameters
        self.state = "unconfigured"
        self.command = array("d")  # empty: none since activation
        self.failing = False
        self.below: str = parameters.get("through", "")  # the next in a chain, whose references it writes
        self.held: np.ndarray | None = None  # where it holds the arm; None: it does not yet

    @property
    def interfaces(self) -> list[str]:
        through = f"{self.below}/" if self.below else ""
        return [] if self.kind == BROADCASTER else [f"{through}{joint}/effort" for joint in self.joints]

    def configure(self) -> None:
        self.state = "inactive"
        if self.kind == BROADCASTER:
            self.states = self.node.create_publisher(JointState, "/joint_states", LATCHED)
        else:
            self.node.create_subscription(Float64MultiArray, "~/commands", self._on_command, COMMANDS)

    def _on_command(self, message: Float64MultiArray) -> None:
        if not all(math.isfinite(value) for value in message.data):
            return  # dropped; what was commanded before goes on
        self.command = message.data

    def message(self) -> ControllerState:
        active = self.state == "active"
        return ControllerState(
            name=self.name,
            state=self.state,
            type=self.kind,
            claimed_interfaces=self.interfaces if active else [],
            required_command_interfaces=self.interfaces if self.state != "unconfigured" else [],
        )


class CommandLimits:
    """What `enforce_command_limits` does: a soft limiter where the URDF has <safety_controller>, effort limits else."""

    def __init__(self, robot: RobotDescription, urdf: str) -> None:
        self._joints = list(robot.joint_names)
        facts = dataclasses.replace(description.ROBOTS[robot.name], soft_limits={})
        try:
            limits: JointLimits = description.describe(facts, urdf).limits
        except ValueError:  # tests publish descriptions that no manager would have started with
            limits = dataclasses.replace(robot.limits, k_velocity=np.full(len(self._joints), np.inf))
        self._effort = limits.effort
        self._softened = np.isfinite(limits.k_velocity)
        names = ("soft_lower", "soft_upper", "velocity", "k_position", "k_velocity")
        self._soft = SoftLimits(**{name: getattr(limits, name) for name in names})

    def bound(self, efforts: dict[str, float], state: np.ndarray) -> dict[str, float]:
        """Efforts as the hardware gets them, with the state as it is now."""
        position, velocity, _ = state.reshape(3, len(self._joints))
        lower, upper = soft_effort_bounds(self._soft, velocity, *soft_velocity_bounds(self._soft, position))
        lower = np.where(self._softened, np.clip(lower, -self._effort, self._effort), -self._effort)
        upper = np.where(self._softened, np.clip(upper, -self._effort, self._effort), self._effort)
        places = {joint: self._joints.index(joint) for joint in efforts}
        return {joint: float(np.clip(efforts[joint], lower[at], upper[at])) for joint, at in places.items()}


class Manager(Node):
    """Controllers, one hardware component, and the update loop."""

    def __init__(self, folder: Path, config: Path) -> None:
        super().__init__("controller_manager")
        document = yaml.safe_load(config.read_text())
        self._sections = {name: section["ros__parameters"] for name, section in document.items()}
        own = self._sections["controller_manager"]
        self._types = {name: value["type"] for name, value in own.items() if isinstance(value, dict)}
        self._own = own
        self._robot = load(self._sections.get("stand_in", {}).get("robot", "pr2_left_arm"))
        self._joints = list(self._robot.joint_names)
        urdf = self._sections.get("stand_in", {}).get("urdf", with_blocks(self._robot))
        self._limits = CommandLimits(self._robot, urdf) if own.get("enforce_command_limits", False) else None
        self._controllers: dict[str, Controller] = {}
        self._hardware = "active"
        self._effort = dict.fromkeys(self._joints, math.nan)  # what the hardware is sent
        self._state = np.concatenate([np.asarray(self._robot.home), np.zeros(2 * len(self._joints))])
        self._hardware_timeout = self._sections.get("stand_in", {}).get("hardware_timeout", math.inf)
        self._driven = time.monotonic()  # when a controller had the arm last
        self._paused = False
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "manager").unlink(missing_ok=True)  # of one that was killed
        self._link.bind(str(folder / "manager"))
        self._link.setblocking(False)
        self._plant = str(folder / "plant")
        self._message = JointState()
        self._message.header.frame_id = "base_link"

        self._services_: list[Any] = []
        self.declare_parameter("enforce_command_limits", bool(own.get("enforce_command_limits", False)))
        self._activity = self.create_publisher(ControllerManagerActivity, "~/activity", LATCHED)
        self._mute = False
        # Robot_state_publisher's, which a real controller_manager waits for.
        self._description = self.create_publisher(String, "/robot_description", LATCHED)
        if self._sections.get("stand_in", {}).get("describe", True):
            self._description.publish(String(data=urdf))
        for kind, name, answer in (
            (ListControllers, "list_controllers", self._list),
            (ListHardwareComponents, "list_hardware_components", self._list_hardware),
            (LoadController, "load_controller", self._load),
            (ConfigureController, "configure_controller", self._configure),
            (SwitchController, "switch_controller", self._switch),
            (SetHardwareComponentState, "set_hardware_component_state", self._set_hardware),
        ):
            self._services_.append(self.create_service(kind, f"~/{name}", answer))
        self.create_subscription(String, "/stand_in/fault", self._on_fault, LATCHED)
        self.executor_ = EventsExecutor()
        self.executor_.add_node(self)
        for name in self._sections.get("stand_in", {}).get("start", []):
            self._add(name)
            self._controllers[name].configure()
            if self._types[name] == BROADCASTER:
                self._controllers[name].state = "active"
        self._tell()
        self.create_timer(1.0 / own["update_rate"], self._update, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # Services --------------------------------------------------------------------------------------------------------

    def _add(self, name: str) -> None:
        self._controllers[name] = Controller(name, self._sections.get(name, {}), self._types[name])
        if "fallback_controllers" in self._own[name]:
            self.declare_parameter(f"{name}.fallback_controllers", self._own[name]["fallback_controllers"])
        self.executor_.add_node(self._controllers[name].node)

    def _list(self, request: Any, response: ListControllers.Response) -> ListControllers.Response:
        response.controller = [controller.message() for controller in self._controllers.values()]
        return response

    def _list_hardware(self, request: Any, response: ListHardwareComponents.Response) -> Any:
        owners = {i for c in self._controllers.values() if c.state == "active" for i in c.interfaces}
        interfaces = [
            HardwareInterface(name=f"{joint}/effort", is_available=True, is_claimed=f"{joint}/effort" in owners)
            for joint in self._joints
        ]
        state = State(id=STATES[self._hardware], label=self._hardware)
        response.component = [
            HardwareComponentState(name=HARDWARE, type="system", state=state, command_interfaces=interfaces)
        ]
        return response

    def _load(self, request: LoadController.Request, response: LoadController.Response) -> LoadController.Response:
        response.ok = request.name in self._types and request.name not in self._controllers
        if response.ok:
            self._add(request.name)
            self._tell()
        return response

    def _configure(self, request: ConfigureController.Request, response: ConfigureController.Response) -> Any:
        controller = self._controllers.get(request.name)
        response.ok = controller is not None and controller.state in ("unconfigured", "inactive")
        if controller is not None and response.ok:
            controller.configure()
            self._tell()
        return response

    def _switch(self, request: SwitchController.Request, response: SwitchController.Response) -> Any:
        strict = request.strictness != SwitchController.Request.BEST_EFFORT
        stop, problem = self._changeable(request.deactivate_controllers, "active")
        start, problem_ = self._changeable(request.activate_controllers, "inactive")
        taken = {i for c in self._controllers.values() if c.state == "active" and c not in stop for i in c.interfaces}
        for controller in list(start):
            if taken & set(controller.interfaces):
                start.remove(controller)
                problem_ = problem_ or f"{controller.name}: interfaces are claimed already"
            taken |= set(controller.interfaces)
        problem = problem or problem_
        if request.strictness == SwitchController.Request.AUTO:
            problem = "AUTO is not implemented"
        response.ok, response.message = not (strict and problem), problem
        if response.ok:
            for controller in stop:
                self._deactivate(controller)
            for controller in start:
                controller.state, controller.command = "active", array("d")  # nothing sent before counts
            self._tell()
        return response

    def _changeable(self, names: list[str], state: str) -> tuple[list[Controller], str]:
        known = [self._controllers[name] for name in names if name in self._controllers]
        right = [controller for controller in known if controller.state == state]
        wrong = [name for name in names if name not in {controller.name for controller in right}]
        return right, f"not {state}: {', '.join(wrong)}" if wrong else ""

    def _set_hardware(self, request: SetHardwareComponentState.Request, response: Any) -> Any:
        """Told by its label only. Controllers stay active, and commands still go through."""
        self._hardware = request.target_state.label or self._hardware
        response.ok = True
        response.state = State(id=STATES[self._hardware], label=self._hardware)
        self._tell()
        return response

    def _tell(self) -> None:
        if self._mute:
            return
        activity = ControllerManagerActivity()
        activity.header.stamp = self.get_clock().now().to_msg()
        for states, named in (
            (activity.controllers, {c.name: c.state for c in self._controllers.values()}),
            (activity.hardware_components, {HARDWARE: self._hardware}),
        ):
            for name, label in named.items():
                states.append(NamedLifecycleState(name=name, state=State(id=STATES[label], label=label)))
        self._activity.publish(activity)

    # The update loop -------------------------------------------------------------------------------------------------

    def _update(self) -> None:
        n = len(self._joints)
        try:
            while True:
                self._state = np.frombuffer(self._link.recv(4096))
        except BlockingIOError:
            pass  # the plant is silent: the last state stands, and nobody notices
        for controller in list(self._controllers.values()):
            if controller.state == "active" and controller.kind != BROADCASTER:
                self._driven = time.monotonic()
                self._run(controller)
        if time.monotonic() - self._driven > self._hardware_timeout:
            self._effort = dict.fromkeys(self._joints, 0.0)
        if self._hardware != "unconfigured":
            sent = [self._effort[joint] for joint in self._joints]
            try:
                self._link.sendto(EFFORT + np.array(sent).tobytes(), self._plant)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                pass
        for controller in self._controllers.values():
            if controller.state == "active" and controller.kind == BROADCASTER and not self._paused:
                extra = controller.parameters.get("extra_joints", [])
                message = self._message
                order = -1 if controller.parameters.get("reversed", False) else 1
                message.name = [*extra, *self._joints][::order]
                zeros = np.zeros(len(extra))
                for field, values in zip(("position", "velocity", "effort"), self._state.reshape(3, n), strict=True):
                    setattr(message, field, array("d", np.concatenate([zeros, values])[::order].tobytes()))
                if not controller.parameters.get("tells_effort", True):
                    message.effort = array("d")
                message.header.stamp = self.get_clock().now().to_msg()
                controller.states.publish(message)

    def _run(self, controller: Controller) -> None:
        if controller.failing or (controller.command and len(controller.command) != len(controller.joints)):
            controller.failing = False
            self._deactivate(controller)
            for name in self._own.get(controller.name, {}).get("fallback_controllers", []):
                self._controllers[name].state = "active"
            self._tell()
            return
        if controller.kind == HOLD_CONTROLLER:
            self._hold(controller)
        elif not controller.below:
            self._write(dict(zip(controller.joints, controller.command, strict=False)))

    def _hold(self, controller: Controller) -> None:
        """Whoever is above it in a chain drives the arm through it; without, it holds the arm where it is then."""
        position, velocity, _ = self._state.reshape(3, len(self._joints))
        above = [c for c in self._controllers.values() if c.below == controller.name and c.state == "active"]
        if above:
            controller.held = None
            adds = controller.parameters.get("adds", 0.0)  # torque of its own, beyond its references, N·m
            references = dict.fromkeys(self._joints, 0.0) | dict(zip(above[0].joints, above[0].command, strict=False))
            self._write({joint: value + adds for joint, value in references.items()})
            return
        if controller.held is None:
            controller.held = position.copy()
        efforts = STIFFNESS * (controller.held - position) - DAMPING * velocity + controller.parameters.get("adds", 0.0)
        self._write(dict(zip(self._joints, efforts, strict=True)))

    def _write(self, efforts: dict[str, float]) -> None:
        """`set_value` of command interfaces: limits are applied here, once, to what is written; to nothing later."""
        limited = self._limits.bound(efforts, self._state) if self._limits is not None else efforts
        self._effort.update(limited)

    def _deactivate(self, controller: Controller) -> None:
        controller.state, controller.command, controller.held = "inactive", array("d"), None
        if controller.kind == EFFORT_CONTROLLER:  # a ForwardCommandController leaves the last effort
            self._write(dict.fromkeys(controller.joints, 0.0))  # which the limits may change, and nobody writes again

    # Faults ----------------------------------------------------------------------------------------------------------

    def _on_fault(self, message: String) -> None:
        fault, _, name = message.data.partition(" ")
        if fault in ("pause", "play"):
            self._paused = fault == "pause"
        elif fault in ("deaf", "mute"):
            self._mute = fault == "mute"  # what has changed is not told of its own accord either
            for service in self._services_:
                service.send_response = lambda *_: None  # requests are done, answers never sent
        elif fault == "hear":
            for service in self._services_:
                del service.send_response
            self._mute = False
            self._tell()
        elif fault == "controller_error":
            self._controllers[name].failing = True
        elif fault == "no_timeout":
            self._hardware_timeout = math.inf
        elif fault == "hardware_error":
            self._hardware = "unconfigured"
            for controller in self._controllers.values():
                if controller.state == "active":
                    self._deactivate(controller)
            self._tell()


def main() -> None:
    rclpy.init(args=sys.argv)
    manager = Manager(Path(sys.argv[1]), Path(sys.argv[2]))
    try:
        while rclpy.ok():
            manager.executor_.spin_until_future_complete(Future(), timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # no zero command: the plant keeps what it was sent last


if __name__ == "__main__":
    main()
