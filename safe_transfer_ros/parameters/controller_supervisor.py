# SPDX-License-Identifier: Apache-2.0
"""The controller supervisor's parameters, on hardware only."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import OFF, ConfigurationError, Lease, seconds, setting
from safe_transfer_ros.safety.supervisor.torque_end import TorqueEnd
from safe_transfer_ros.topic_names import ROBOT_DESCRIPTION

ANY_DESCRIPTION = "any"
COMMISSIONED_DESCRIPTION = "commissioned_description"


@dataclass(frozen=True, kw_only=True)
class SupervisorParameters:
    """controller_supervisor, on hardware only."""

    hardware: str = setting(
        "ros2_control",
        "What drives the arm: ros2_control, through controller_manager; franka: node franka_robot",
        choices=("ros2_control", "franka"),
    )
    controller_manager: str = setting("controller_manager", "Node name of ros2_control's controller_manager")
    joint_state_broadcaster: str = setting("joint_state_broadcaster", "Controller that publishes joint_states")
    robot_description: str = setting(
        ROBOT_DESCRIPTION, "Topic of the description that controller_manager was given: it decides what a stop leaves"
    )
    commissioned_description: str = setting(
        ANY_DESCRIPTION,
        "Fingerprint (sha256:...) of the robot_description that the arm was commissioned with: under another the "
        "controller is not activated (the launcher fills it in from the report); any, OVERRIDE: it is not compared",
    )
    fallback_controller: str = setting(
        "",
        "Controller that takes over from ours when that is stopped, where the arm has one: activated in its place, or "
        "active below it in a chain; empty: none",
    )
    hardware_timeout: Lease = setting(
        OFF,
        "The arm's own hardware ends a torque that a deactivated controller has left within this, which commissioning "
        "measures: for a controller that holds its last torque (ForwardCommandController), s; off: it is not known to",
        minimum=0.001,
        maximum=60.0,
    )
    allow_holding_controller: bool = setting(
        False,
        "OVERRIDE: accept a controller that holds its last torque even when deactivated, with nothing that ends it",
    )
    command_timeout: float = setting(
        0.05, "No command of the filter for this long: deactivate the controller, s", minimum=0.005, maximum=1.0
    )
    zero_timeout: float = setting(
        0.2,
        "On a trip, wait this long for the filter's commands to be zero before deactivation; longer than its "
        "stop_damping_time where it damps, s",
        minimum=0.0,
        maximum=10.0,
    )
    service_timeout: float = setting(
        1.0, "Wait this long for an answer of controller_manager, s", minimum=0.05, maximum=60.0
    )
    steady_time: float = setting(
        2.0,
        "Commands must have come without a pause of command_timeout for this long before the controller may become "
        "active: a graph that still starts keeps the machine busy, s",
        minimum=0.0,
        maximum=60.0,
    )
    rest_effort: str = setting(
        "zero",
        "What joint_states tell as effort of an arm at rest: zero; gravity, g(q), where the arm measures what carries "
        "it; untold, OVERRIDE: nothing checks whether the torque ends with the controller",
        choices=("zero", "gravity", "untold"),
    )
    rest_tolerance: float = setting(
        0.1,
        "An effort this near to that of rest is rest, N·m: above the measurement's noise, below what moves a joint",
        minimum=1e-3,
        maximum=100.0,
    )
    rest_timeout: float = setting(
        0.5,
        "The measured effort must be that of rest this long after deactivation, and not be older, s",
        minimum=0.01,
        maximum=60.0,
    )
    activation_timeout: float = setting(
        5.0, "An operator's request to activate is refused when not done within this, s", minimum=0.1, maximum=60.0
    )
    realtime_priority: int = setting(
        0, "SCHED_FIFO priority of every thread of the supervisor, where permitted; 0: normal", minimum=0, maximum=98
    )

    def __post_init__(self) -> None:
        """Refuse a timeout of the hardware that nobody could see, or that would be told as a held torque."""
        if self.hardware_timeout == OFF:
            return
        if self.rest_effort == "untold":
            raise ConfigurationError(
                "hardware_timeout: with rest_effort:=untold nobody sees whether the hardware ends a torque; tell what "
                "the arm measures at rest, or leave it off"
            )
        if seconds(self.hardware_timeout) > self.rest_timeout:
            raise ConfigurationError(
                f"hardware_timeout: expected at most rest_timeout ({self.rest_timeout:g} s), after which a torque is "
                f"told as held, got {self.hardware_timeout}: raise rest_timeout"
            )

    @property
    def torque_end(self) -> TorqueEnd:
        """Configured end of a torque that our controller does not end itself."""
        return TorqueEnd(
            fallback=self.fallback_controller,
            hardware=self.hardware_timeout != OFF,
            nothing=self.allow_holding_controller,
        )
