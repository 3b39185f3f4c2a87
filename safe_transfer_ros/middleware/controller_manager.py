# SPDX-License-Identifier: Apache-2.0
"""A client of controller_manager that never waits: `poll` is called every few milliseconds.

What controllers and hardware are doing comes from `~/activity` the moment it changes, where that topic exists; claims
and joints from `list_controllers`, what takes over when ours fails from its parameters: asked for after every change,
and once a second besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.task import Future

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware import clock, qos

try:
    from controller_manager_msgs.msg import ControllerManagerActivity
    from controller_manager_msgs.srv import (
        ConfigureController,
        ListControllers,
        ListHardwareComponents,
        LoadController,
        SwitchController,
    )
except ImportError as error:
    raise ConfigurationError(
        "controller_manager_msgs is not installed, and the arm's controllers cannot be reached without it: "
        "sudo apt install ros-jazzy-controller-manager-msgs, and source that ROS"
    ) from error

RELIST_SECONDS = 1.0


class ControllerManager:
    """Connection to one controller_manager: its state, and requests to it.

    Attributes:
      controllers: As listed last, their states kept up to date by `~/activity`.
      trouble: What went wrong with the last request; empty if nothing.
      unanswered: The last switch got no answer in time.
      fallbacks: Controllers that it activates when ours fails in its update; None: it has not told yet.
    """

    ended = ""  # why a controller ended is not told

    def __init__(self, node: Node, name: str, controller: str, timeout_s: float) -> None:
        """Create clients; nothing is asked yet.

        Args:
          node: Whose clients they are.
          name: Node name of the controller_manager.
          controller: The effort controller.
          timeout_s: How long an answer may take, s.
        """
        self._name, self._timeout_s = name, timeout_s
        self._clients = {
            kind: node.create_client(kind, f"{name}/{service}")
            for kind, service in (
                (ListControllers, "list_controllers"),
                (ListHardwareComponents, "list_hardware_components"),
                (LoadController, "load_controller"),
                (ConfigureController, "configure_controller"),
                (SwitchController, "switch_controller"),
                (GetParameters, "get_parameters"),
            )
        }
        self._questions: dict[type, Any] = {
            ListControllers: ListControllers.Request(),
            ListHardwareComponents: ListHardwareComponents.Request(),
            GetParameters: GetParameters.Request(names=[f"{controller}.fallback_controllers"]),
        }
        self._pending: dict[type, tuple[Future, int, Callable[[Any], None]]] = {}
        self.controllers: list[Any] = []
        self.fallbacks: tuple[str, ...] | None = None
        self._components: list[Any] = []
        self._listed_ns: dict[type, int] = {}  # when the newest answer came
        self._asked_ns: dict[type, int] = {}
        self._changed_ns = 0  # an answer to a question asked before this may be out of date
        self._switched: str | None = None
        self.unanswered = False
        self.trouble = ""
        node.create_subscription(ControllerManagerActivity, f"{name}/activity", self._on_activity, qos.LATCHED)

    # What is known ---------------------------------------------------------------------------------------------------

    @property
    def listed(self) -> bool:
        """Whether controllers and hardware have been listed since the last change."""
        return ListControllers in self._listed_ns and ListHardwareComponents in self._listed_ns

    @property
    def known(self) -> bool:
        """Whether controllers have ever been listed."""
        return bool(self.controllers) or self.listed

    @property
    def busy(self) -> bool:
        """Whether a request that changes something is under way."""
        return any(kind in self._pending for kind in (LoadController, ConfigureController, SwitchController))

    @property
    def switching(self) -> bool:
        """Whether a switch is under way."""
        return SwitchController in self._pending

    @property
    def switched(self) -> str | None:
        """Result of the last switch: empty when done, the reason when not, None while it is under way."""
        return self._switched

    @property
    def reachable(self) -> bool:
        """Whether its services are there."""
        return bool(self._clients[SwitchController].service_is_ready())

    def problem(self, now_ns: int) -> str | None:
        """Reason why the known state cannot be relied upon; None when it can."""
        if not self.reachable:
            return f"{self._name} is not there"
        for kind in (ListControllers, ListHardwareComponents):
            if kind not in self._listed_ns:
                return f"{self._name} has not listed its controllers and hardware yet"
            if (now_ns - self._listed_ns[kind]) * 1e-9 > RELIST_SECONDS + 2.0 * self._timeout_s:
                return f"{self._name} does not answer"
        return None

    def hardware_problem(self, joints: Sequence[str]) -> str | None:
        """Hardware component behind these joints' effort interfaces that is not active; None when all are."""
        wanted = {f"{joint}/effort" for joint in joints}
        for component in self._components:
            mine = wanted & {interface.name for interface in component.command_interfaces}
            wanted -= mine
            if mine and component.state.label != "active":
                return f"hardware {component.name} is {component.state.label}"
        return f"no hardware has {', '.join(sorted(wanted))}" if wanted else None

    # What is asked ---------------------------------------------------------------------------------------------------

    def load(self, name: str) -> None:
        """Load a controller that the manager's parameters name."""
        self._change(LoadController, LoadController.Request(name=name), f"load {name}")

    def configure(self, name: str) -> None:
        """Configure a loaded controller."""
        self._change(ConfigureController, ConfigureController.Request(name=name), f"configure {name}")

    def switch(self, *, activate: Sequence[str] = (), deactivate: Sequence[str] = ()) -> None:
        """Switch controllers, all or none."""
        request = SwitchController.Request(strictness=SwitchController.Request.STRICT)
        request.activate_controllers, request.deactivate_controllers = list(activate), list(deactivate)
        request.timeout.sec = max(1, round(self._timeout_s))
        self._switched, self.unanswered = None, False
        words = f"activate {list(activate)}" * bool(activate) + f" deactivate {list(deactivate)}" * bool(deactivate)
        self._change(SwitchController, request, words.strip())

    def poll(self, now_ns: int) -> None:
        """Process answers, give up on late ones, list again when it is time."""
        for kind, (future, asked_ns, take) in list(self._pending.items()):
            if future.done():
                del self._pending[kind]
                if take != self._take_list or asked_ns >= self._changed_ns:
                    take(future.result())
            elif (now_ns - asked_ns) * 1e-9 > self._timeout_s:
                del self._pending[kind]
                future.cancel()
                if kind is SwitchController:
                    self.unanswered = True
                    self._switched = self.trouble = f"no answer of switch_controller within {self._timeout_s:g} s"
        for kind, question in self._questions.items():
            old = (now_ns - self._asked_ns.get(kind, 0)) * 1e-9 > RELIST_SECONDS
            if (old or kind not in self._listed_ns) and kind not in self._pending:
                self._asked_ns[kind] = now_ns
                self._ask(kind, question, self._take_list)

    def _on_activity(self, message: ControllerManagerActivity) -> None:
        """Process a change of state; claimed interfaces have to be requested."""
        states = {entry.name: entry.state.label for entry in message.controllers}
        for controller in self.controllers:
            controller.state = states.get(controller.name, "unloaded")
        hardware = {entry.name: entry.state.label for entry in message.hardware_components}
        for component in self._components:
            component.state.label = hardware.get(component.name, component.state.label)
        self._asked_ns.clear()
        self._changed_ns = clock.now_ns()

    def _take_list(self, answer: Any) -> None:
        now_ns = clock.now_ns()
        if hasattr(answer, "controller"):
            self.controllers, kind = list(answer.controller), ListControllers
        elif hasattr(answer, "component"):
            self._components, kind = list(answer.component), ListHardwareComponents
        else:  # empty where there is no such parameter
            self.fallbacks = tuple(name for value in answer.values for name in value.string_array_value)
            kind = GetParameters
        self._listed_ns[kind] = now_ns

    def _change(self, kind: type, request: Any, words: str) -> None:
        def take(answer: Any) -> None:
            self.trouble = "" if answer.ok else f"refused: {words} {getattr(answer, 'message', '')}".strip()
            if kind is SwitchController:
                self._switched = self.trouble
            self._listed_ns.clear()
            self._asked_ns.clear()
            self._changed_ns = clock.now_ns()

        self._ask(kind, request, take)

    def _ask(self, kind: type, request: Any, take: Callable[[Any], None]) -> None:
        if self._clients[kind].service_is_ready():
            self._pending[kind] = (self._clients[kind].call_async(request), clock.now_ns(), take)
        elif kind is SwitchController:
            self.unanswered = True
            self._switched = self.trouble = f"{self._name} is not there"
