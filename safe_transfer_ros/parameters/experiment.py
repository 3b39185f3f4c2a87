# SPDX-License-Identifier: Apache-2.0
"""Parameters that all nodes must agree on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from safe_transfer_ros.configuration import ConfigurationError, setting, setting_of
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.randomness import SCHEME
from safe_transfer_ros.robots.overrides import RobotOverrides
from safe_transfer_ros.safety.limit.governor import GovernorSettings


@dataclass(frozen=True, kw_only=True)
class ExperimentParameters:
    """Parameters that all nodes must agree on."""

    task: str = setting("pr2_cup_swirl", "Task: what is to be done and what is unsafe")
    timing: str = setting(
        "lockstep",
        "lockstep: the next joint state comes only after the command for this one; realtime: wall-clock rates",
        choices=("lockstep", "realtime"),
    )
    seed: int = setting(0, "Seed of initial states, action noise and updates", minimum=0, maximum=2**31 - 1)
    limit_rule: str = setting(
        "adaptive",
        "adaptive: the torque limit follows the measured unsafety rate (PSPT); fixed: torque_limit_max from the start "
        "on, the paper's baseline, WITHOUT the damage bound",
        choices=("adaptive", "fixed"),
    )
    d_safe: float = setting_of(GovernorSettings, "d_safe", minimum=1e-3, maximum=1e3)
    initial_torque_limit: float = setting_of(GovernorSettings, "initial_torque_limit", minimum=1e-3, maximum=1e3)
    torque_limit_floor: float = setting_of(GovernorSettings, "torque_limit_floor", minimum=0.0, maximum=1e3)
    torque_limit_max: float = setting_of(GovernorSettings, "t_max", minimum=1e-3, maximum=1e3)
    damage_budget: bool = setting_of(GovernorSettings, "damage_budget")
    allow_unsafe_start: bool = setting_of(GovernorSettings, "allow_unsafe_start")
    controller: str = setting("effort_controller", "Effort controller: commands go to CONTROLLER/commands")
    controller_joints: str = setting(
        "", "Joints in the order in which the controller takes their torques, separated by commas; empty: the robot's"
    )
    joint_names: str = setting(
        "",
        "Names of the robot's joints in ROS, base to tool, separated by commas; empty: those of its description. They "
        "and the next five are for the file of one arm (robot_config:=)",
    )
    name_prefix: str = setting(
        "", "Put before the name of every joint and link of the robot, such as left_ (left_fr3_joint1)"
    )
    position_lower: str = setting(
        "", "Lower position limit of each joint, rad, separated by commas, none laxer than the robot's; empty: those"
    )
    position_upper: str = setting("", "Upper position limit of each joint, rad, likewise; the soft limits move along")
    velocity_limit: str = setting("", "Speed limit of each joint, rad/s, likewise")
    effort_limit: str = setting("", "Torque limit of each joint, N·m, likewise")
    add_gravity: str = setting(
        "auto",
        "Whether g(q) is added to every command, within the effort limits: auto, where the robot's description says "
        "that its hardware does not carry it; always; never",
        choices=("auto", "always", "never"),
    )
    graph: str = setting(
        "",
        "Nodes of this graph, separated by commas (the launcher fills it in): nothing moves before the required "
        "subscribers of each topic are connected; empty: a single node",
    )
    namespace: str = setting(
        "", "ROS namespace of this graph (the launcher fills it in from namespace:=); empty: the root"
    )
    random_streams: int = setting(
        SCHEME,
        "Version of how the random numbers follow from the seed (the launcher fills it in): a run continues with the "
        "version it began with, or not at all",
        minimum=1,
        maximum=10**6,
    )
    first_iteration: int = setting(
        0, "Iteration this run starts at (above 0 when a run is resumed)", minimum=0, maximum=10**6
    )
    first_torque_limit: float = setting(
        0.0, "Limit with which a resumed run continues, N·m; 0: initial_torque_limit", minimum=0.0, maximum=1e3
    )

    def __post_init__(self) -> None:
        self.nodes, self.robot_overrides  # noqa: B018 - refuse what is not a list
        self.governor()  # the rules between the limits and D_safe live there; the sentence comes from there
        if self.first_torque_limit > 0.0 and self.first_iteration == 0:
            raise ConfigurationError(
                f"first_torque_limit {self.first_torque_limit:g} is for a resumed run (first_iteration > 0): a "
                "new run starts at initial_torque_limit"
            )
        if self.first_torque_limit > self.torque_limit_max:
            raise ConfigurationError(
                f"first_torque_limit {self.first_torque_limit:g} is above torque_limit_max {self.torque_limit_max:g}"
            )

    @property
    def lockstep(self) -> bool:
        """Whether simulated time is the only clock in the control loop."""
        return self.timing == "lockstep"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the graph's nodes; empty for a node by itself."""
        names = tuple(name.strip() for name in self.graph.split(",")) if self.graph else ()
        if "" in names or len(set(names)) < len(names):
            raise ConfigurationError(f"graph must be different node names separated by commas, got '{self.graph}'")
        return names

    @property
    def robot_overrides(self) -> RobotOverrides:
        """Names and limits of the arm that is there, where they differ from its robot's description."""
        return RobotOverrides.of(dataclasses.asdict(self))

    def adds_gravity(self, gravity_compensated: bool) -> bool:
        """Whether g(q) is added to commands, for a robot whose hardware carries it or does not."""
        return self.add_gravity == "always" or (self.add_gravity == "auto" and not gravity_compensated)

    def command_joints(self, joint_names: tuple[str, ...]) -> tuple[str, ...]:
        """The robot's joints in the order of the controller's commands.

        Raises:
          ConfigurationError: controller_joints names others than the robot's, or leaves some out.
        """
        if not self.controller_joints:
            return joint_names
        given = tuple(name.strip() for name in self.controller_joints.split(","))
        if sorted(given) != sorted(joint_names):
            raise ConfigurationError(f"controller_joints must be {', '.join(joint_names)} in any order, got {given}")
        return given

    @property
    def starting_limit(self) -> float:
        """The torque limit in force when the run starts, N·m."""
        if self.limit_rule == "fixed":
            return self.torque_limit_max
        return self.first_torque_limit or self.initial_torque_limit

    @property
    def lowest_limit(self) -> float:
        """The torque limit that the filter falls back to, N·m."""
        return self.torque_limit_max if self.limit_rule == "fixed" else self.governor().floor

    def governor(self, monitor: MonitorParameters | None = None) -> GovernorSettings:
        """The governor's settings for this experiment (PSPT Eq. 16, 32)."""
        return GovernorSettings.of(dataclasses.asdict(self) | dataclasses.asdict(monitor or MonitorParameters()))
