# SPDX-License-Identifier: Apache-2.0
"""Every parameter of every node: name, default, range and meaning.

`ExperimentSettings` is shared: each node declares it, so that all of them agree on the task and the bound. The others
belong to one node. `config/*.yaml` holds them in the ROS parameter-file layout, the shared ones under `/**`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from safe_transfer_ros.configuration import ConfigurationError, setting
from safe_transfer_ros.safety.limit.torque_limit import GovernorSettings


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """What all nodes must agree on."""

    task: str = setting("pr2_cup_swirl", "Task: what is to be done and what is unsafe")
    mode: str = setting(
        "lockstep",
        "lockstep: the next joint state comes only after the command for this one; realtime: wall-clock rates",
        choices=("lockstep", "realtime"),
    )
    seed: int = setting(0, "Seed of initial states, action noise and updates", minimum=0, maximum=2**31 - 1)
    limit: str = setting(
        "adaptive",
        "adaptive: the torque limit follows the measured unsafety rate (PSPT); fixed: torque_limit_max from the start "
        "on, the paper's baseline, WITHOUT the damage bound",
        choices=("adaptive", "fixed"),
    )
    d_safe: float = setting(0.5, "D_safe: bound on unsafety rate times torque limit, N·m", minimum=1e-3, maximum=1e3)
    initial_torque_limit: float = setting(0.1, "The limit learning starts from, N·m", minimum=1e-3, maximum=1e3)
    torque_limit_floor: float = setting(
        0.0,
        "Lowest limit, in force where nobody renews another, N·m; at most initial_torque_limit and D_safe; 0: the "
        "smaller of the two",
        minimum=0.0,
        maximum=1e3,
    )
    torque_limit_max: float = setting(3.0, "T_max: the ceiling the limit never passes, N·m", minimum=1e-3, maximum=1e3)
    allow_unsafe_start: bool = setting(
        False,
        "Override, recorded: accept initial_torque_limit > D_safe, so that the first iteration may exceed the bound",
    )
    controller: str = setting("effort_controller", "Effort controller: commands go to <controller>/commands")
    controller_joints: str = setting(
        "", "Joints in the order in which the controller takes their torques, separated by commas; empty: the robot's"
    )
    add_gravity: str = setting(
        "auto",
        "Whether g(q) is added to every command, within the effort limits: auto, where the robot's description says "
        "that its hardware does not carry it; always; never",
        choices=("auto", "always", "never"),
    )
    graph: str = setting(
        "",
        "Nodes of this graph, separated by commas (the launcher fills it in): nothing moves before those of them that "
        "must hear a topic do; empty: a node by itself",
    )
    first_iteration: int = setting(
        0, "Iteration this run starts at (above 0 when a run is resumed)", minimum=0, maximum=10**6
    )
    first_torque_limit: float = setting(
        0.0, "Limit a resumed run goes on with, N·m; 0: initial_torque_limit", minimum=0.0, maximum=1e3
    )

    def __post_init__(self) -> None:
        self.nodes  # noqa: B018 - refuses what is no list
        self.governor()  # the rules between the limits and D_safe live there; the sentence comes from there
        if self.first_torque_limit > 0.0 and self.first_iteration == 0:
            raise ConfigurationError(
                f"first_torque_limit {self.first_torque_limit:g} is for a run that goes on (first_iteration > 0): a "
                "new run starts at initial_torque_limit"
            )
        if self.first_torque_limit > self.torque_limit_max:
            raise ConfigurationError(
                f"first_torque_limit {self.first_torque_limit:g} is above torque_limit_max {self.torque_limit_max:g}"
            )

    @property
    def lockstep(self) -> bool:
        """Whether simulated time is the only clock in the control loop."""
        return self.mode == "lockstep"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the graph's nodes; empty for a node by itself."""
        names = tuple(name.strip() for name in self.graph.split(",")) if self.graph else ()
        if "" in names or len(set(names)) < len(names):
            raise ConfigurationError(f"graph must be different node names separated by commas, got '{self.graph}'")
        return names

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
        if self.limit == "fixed":
            return self.torque_limit_max
        return self.first_torque_limit or self.initial_torque_limit

    @property
    def lowest_limit(self) -> float:
        """The torque limit that the filter falls back to, N·m."""
        return self.torque_limit_max if self.limit == "fixed" else self.governor().floor

    def governor(self, monitor: MonitorSettings | None = None) -> GovernorSettings:
        """The governor's settings for this experiment (PSPT Eq. 16, 32)."""
        return GovernorSettings.of(dataclasses.asdict(self) | dataclasses.asdict(monitor or MonitorSettings()))


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """safety_filter."""

    action_timeout: float = setting(
        0.1,
        "Armed, no fresh proposal for this long: stop torque in the same cycle, s",
        minimum=0.001,
        maximum=10.0,
        live=True,
    )
    trip_timeout: float = setting(
        0.5, "Armed, still no fresh proposal after this long: trip, latched, s", minimum=0.001, maximum=60.0, live=True
    )
    joint_state_timeout: float = setting(
        0.05, "Armed, no joint state for this long: trip, s", minimum=0.001, maximum=10.0, live=True
    )
    frozen_timeout: float = setting(
        0.2,
        "Armed, torque applied, joint states bit-identical for this long: trip, s",
        minimum=0.001,
        maximum=10.0,
        live=True,
    )
    object_timeout: float = setting(
        0.2,
        "Armed, no pose of the task's object for this long, where it has one: trip, s",
        minimum=0.001,
        maximum=10.0,
        live=True,
    )
    object_frozen_timeout: float = setting(
        1.0,
        "Armed, torque applied, poses of the object bit-identical for this long: trip, s",
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    torque_rate_limit: float = setting(1000.0, "Largest change of a published torque, N·m/s", minimum=1.0, maximum=1e5)
    clamp: str = setting(
        "joint",
        "joint: each torque is clamped by itself (PSPT Eq. 11); scale: all by one ratio, so that their direction stays",
        choices=("joint", "scale"),
    )
    soft_limits: str = setting(
        "realtime",
        "When the robot's soft position and velocity limits hold: realtime, but not in lockstep (they are a control "
        "loop, and one turn per control period is too slow for it); always; never",
        choices=("realtime", "always", "never"),
    )
    stop_damping: float = setting(
        0.0,
        "Real time: stop torque is -K_d dq for stop_damping_time, then zero; this is K_d, N·m·s/rad, to be kept below "
        "a joint's inertia times the rate of joint states; 0: zero at once",
        minimum=0.0,
        maximum=1e3,
    )
    stop_damping_time: float = setting(0.5, "Real time: longest damping after a stop, s", minimum=0.001, maximum=10.0)
    e_stop_lease: float = setting(
        0.0,
        "Longest silence of safety_filter/e_stop before it counts as pressed, s; 0: no external stop is required, "
        "though one that is pressed still counts",
        minimum=0.0,
        maximum=60.0,
    )
    critic: str = setting(
        "none",
        "Safety critic that judges every proposal: none; required, the newest of trainer/critic_weights, taken between "
        "episodes: before one has come the filter is not armed",
        choices=("none", "required"),
    )
    critic_epsilon: float = setting(
        0.0, "Largest risk a torque may have that is applied; 0: the model card's", minimum=0.0, maximum=0.999
    )
    critic_schedule: str = setting(
        "fixed",
        "Largest acceptable risk: fixed; or csc: (1 - gamma_safe)(chi - failures an episode), from what was measured "
        "in the iteration before, taken over between episodes, at most the fixed one",
        choices=("fixed", "csc"),
    )
    critic_chi: float = setting(
        0.05, "critic_schedule csc: failures (unsafe steps) an episode that are accepted", minimum=1e-6, maximum=1e6
    )
    critic_floor: float = setting(
        1e-4, "critic_schedule csc: lowest epsilon, and the one without an estimate", minimum=1e-9, maximum=0.999
    )
    critic_uncertified: bool = setting(False, "Override, recorded: use a critic that its training did not certify")
    permission_lease: float = setting(
        0.0,
        "Hardware: longest silence of controller_supervisor/permission before the arm must stop, s; 0: none is needed",
        minimum=0.0,
        maximum=10.0,
    )
    reset_torque_limit: float = setting(
        0.0,
        "Hardware: torque limit of the slow moves to the start of an episode, N·m; 0: no such moves",
        minimum=0.0,
        maximum=1e3,
    )
    critic_timeout: float = setting(
        0.003, "Longest wait for the safety critic's answer; later means unsafe, s", minimum=0.0001, maximum=1.0
    )
    realtime_priority: int = setting(
        0, "SCHED_FIFO priority of every thread of the filter, where permitted; 0: normal", minimum=0, maximum=98
    )
    lock_memory: bool = setting(False, "Keep the filter's memory from being paged out, where permitted")
    lockstep_timeout: float = setting(
        20.0,
        "Lockstep: armed, nothing at all arrived for this long on the wall clock: trip, s",
        minimum=0.1,
        maximum=600.0,
    )

    def __post_init__(self) -> None:
        if self.trip_timeout < self.action_timeout:
            raise ConfigurationError(
                f"trip_timeout ({self.trip_timeout:g} s) must not be shorter than action_timeout "
                f"({self.action_timeout:g} s)"
            )

    def soft_limits_hold(self, lockstep: bool) -> bool:
        """Whether the envelope has the robot's soft limits, in this mode."""
        return self.soft_limits == "always" or (self.soft_limits == "realtime" and not lockstep)


@dataclass(frozen=True, kw_only=True)
class MonitorSettings:
    """unsafety_monitor."""

    joints: str = setting(
        "mean",
        "How P(torque outside the limit) joins over joints (PSPT Eq. 22-23): mean, the paper's scalar reading; any, "
        "the exact union",
        choices=("mean", "any"),
    )
    kl: str = setting(
        "bound",
        "KL divergence in the effect of a policy update (Eq. 24): bound, the TRPO step size; measured, after the line "
        "search",
        choices=("bound", "measured"),
    )
    standstill: str = setting(
        "measured",
        "What an episode is worth in which a joint was asked for torque and stood still: measured, what was measured "
        "(PSPT); unsafe, nothing: it counts as unsafe, so that an arm held by its friction is not driven past D_safe",
        choices=("measured", "unsafe"),
    )
    growth: float = setting(1.05, "Largest factor the limit may rise by per iteration", minimum=1.0, maximum=1.05)
    use_limit_change: bool = setting(True, "Count dp_u1, the effect of the new limit (false: ablation v2)")
    use_policy_change: bool = setting(True, "Count dp_u2, the effect of the policy update (false: ablation v3)")
    lease: float = setting(
        5.0, "Each torque limit is valid this long unless renewed, s of wall clock", minimum=0.2, maximum=60.0
    )
    data_timeout: float = setting(
        10.0, "Wait this long for missing joint states before they count as unsafe, s", minimum=0.1, maximum=60.0
    )


@dataclass(frozen=True, kw_only=True)
class PolicyServerSettings:
    """policy_server."""

    policy: str = setting("", "Policy weights (safetensors) loaded at start; empty: wait for the trainer's")
    peer_timeout: float = setting(
        60.0, "Wait this long for another node's answer (reset, arm, weights, limit), s", minimum=0.1, maximum=600.0
    )

    reset_timeout: float = setting(
        0.0,
        "Hardware: wait this long for the arm to be put into the start of an episode, s; 0: peer_timeout",
        minimum=0.0,
        maximum=86400.0,
    )


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """trainer."""

    policy: str = setting("pr2_cup_swirl", "Pre-trained policy: a file, or the name of a shipped one")
    learner: str = setting(
        "pspt",
        "How the policy learns from an iteration: pspt, TRPO on the rewards; csc, a conservative critic beside it, "
        "which the filter takes between episodes, and a step that minds failures; or one of another package",
    )
    critic: str = setting(
        "",
        "Safety critic (safetensors file) that is sent to the filter; another file put in its place is sent between "
        "iterations; empty: none, or the learner's own",
    )
    iterations: int = setting(60, "Iterations of Algorithm 1 to run", minimum=1, maximum=100_000)
    autostart: bool = setting(True, "Start fine-tuning when the graph is complete; false: wait for a fine_tune goal")
    episodes_per_iteration: int = setting(5, "Episodes rolled out per iteration", minimum=1, maximum=1000)
    max_kl: float = setting(0.05, "TRPO step size delta: KL summed over action dimensions", minimum=1e-6, maximum=10.0)
    stddev_factor: float = setting(
        0.7071,
        "Factor on the pre-trained policy's standard deviation (PSPT's real robot: variance halved)",
        minimum=0.01,
        maximum=10.0,
    )
    leave_one_out: bool = setting(
        False, "Fit each episode's value function to the other episodes only; wants more than a few of them"
    )
    run_dir: str = setting("", "Directory of this run: CSV and checkpoints go there; empty: keep nothing")
    config_file: str = setting("", "File with every node's parameters, copied into the bag; empty: the trainer's own")
    peer_timeout: float = setting(
        60.0, "Wait this long for the other nodes at start and between iterations, s", minimum=0.1, maximum=600.0
    )


@dataclass(frozen=True, kw_only=True)
class RecorderSettings:
    """bag_recorder."""

    bag: str = setting("", "Directory of the rosbag2 to write; it must not exist yet")
    compression: str = setting("none", "Chunk compression of the mcap file", choices=("none", "zstd"))
    split_size: int = setting(0, "Begin a new file at this size, MB; 0: one file", minimum=0, maximum=1_000_000)
    split_time: float = setting(0.0, "Begin a new file after this time, s; 0: one file", minimum=0.0, maximum=1e6)


@dataclass(frozen=True, kw_only=True)
class CriticTrainerSettings:
    """critic_trainer."""

    out: str = setting("", "Folder for the transitions, the critic and its model card; must not hold transitions yet")
    episodes: int = setting(0, "Train after this many episodes; 0: when told to stop", minimum=0, maximum=10**6)
    conservative: bool = setting(False, "CSC instead of SQRL")
    gamma: float = setting(0.7, "gamma_safe: how far ahead the critic sees", minimum=0.0, maximum=0.9999)
    epsilon: float = setting(0.1, "Largest acceptable risk", minimum=1e-6, maximum=0.999)
    members: int = setting(1, "Critics in the ensemble", minimum=1, maximum=100)
    updates: int = setting(20_000, "Updates at most", minimum=1, maximum=10**8)


@dataclass(frozen=True, kw_only=True)
class CriticShadowSettings:
    """critic_shadow."""

    candidate: str = setting("", "Critic (safetensors) that judges every proposal without acting")
    out: str = setting("", "CSV file to write what it would have said to")


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """mujoco_sim."""

    perturbation: str = setting(
        "light_sticky", "Named difference from the nominal robot (robots/simulation.py); the factors below multiply it"
    )
    mass: float = setting(1.0, "Factor on link masses", minimum=1e-3, maximum=1e3)
    inertia: float = setting(1.0, "Factor on link inertias", minimum=1e-3, maximum=1e3)
    damping: float = setting(1.0, "Factor on joint damping", minimum=0.0, maximum=1e3)
    armature: float = setting(1.0, "Factor on rotor inertias", minimum=1e-3, maximum=1e3)
    frictionloss: float = setting(0.0, "Dry friction added to every joint, N·m", minimum=0.0, maximum=100.0)
    joint_state_rate: float = setting(200.0, "Real time: joint states per second", minimum=20.0, maximum=1000.0)
    command_timeout: float = setting(
        0.1, "Real time: no command for this long: zero torque, as hardware should, s", minimum=0.005, maximum=10.0
    )


@dataclass(frozen=True, kw_only=True)
class SupervisorSettings:
    """controller_supervisor, on hardware only."""

    controller_manager: str = setting("controller_manager", "Node name of ros2_control's controller_manager")
    joint_state_broadcaster: str = setting("joint_state_broadcaster", "Controller that publishes joint_states")
    robot_description: str = setting(
        "robot_description", "Topic of the description that controller_manager was given: it decides what a stop leaves"
    )
    fallback_controller: str = setting(
        "", "Controller to activate in the place of ours when that is stopped, where the arm has one; empty: none"
    )
    allow_holding_controller: bool = setting(
        False, "Override: accept a ForwardCommandController, which holds its last torque even when deactivated"
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
        "it; untold, OVERRIDE: nobody sees whether the torque ends with the controller",
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


@dataclass(frozen=True, kw_only=True)
class ResetSettings:
    """episode_reset, on hardware only."""

    speed: float = setting(0.2, "Largest joint speed of the move to the start, rad/s", minimum=0.01, maximum=1.0)
    stiffness: float = setting(
        1.0, "Stiffness of each joint, in its effort limits per rad", minimum=0.01, maximum=100.0
    )
    damping: float = setting(0.04, "Damping of each joint, in its effort limits per rad/s", minimum=0.0, maximum=10.0)
    position_tolerance: float = setting(0.05, "The start is reached this near, rad", minimum=1e-4, maximum=1.0)
    velocity_tolerance: float = setting(0.05, "and this slow, rad/s", minimum=1e-4, maximum=1.0)
    tracking_tolerance: float = setting(
        0.3, "The move ends when a joint is this far behind: something holds it, rad", minimum=0.01, maximum=3.0
    )
    settling_time: float = setting(5.0, "Time to come to rest at the start, s", minimum=0.1, maximum=60.0)
    confirm_each_episode: bool = setting(False, "Wait for episode_reset/confirm before each episode")
    confirmation_timeout: float = setting(
        600.0, "Wait this long for an operator before a reset fails, s", minimum=1.0, maximum=86400.0
    )


@dataclass(frozen=True, kw_only=True)
class CommissionSettings:
    """safe_transfer commission, before a first run on hardware."""

    valid_days: float = setting(
        30.0, "robot:=hardware refuses a report that is older, days", minimum=0.0, maximum=3650.0
    )
    gravity_time: float = setting(2.0, "The arm must stay where it is for this long, s", minimum=0.1, maximum=60.0)
    sag_limit: float = setting(0.02, "and no joint may move further than this, rad", minimum=1e-4, maximum=0.5)
    push_motion: float = setting(
        0.02,
        "A push is to move its joint about this far; a quarter of it counts as moved, rad",
        minimum=1e-4,
        maximum=0.2,
    )
    push_stop: float = setting(0.1, "A push ends when any joint has moved this far, rad", minimum=1e-3, maximum=0.5)
    push_time: float = setting(0.5, "Time of a push forth and back, s", minimum=0.05, maximum=5.0)
    push_settling: float = setting(0.2, "Time for the arm to come to rest after it, s", minimum=0.0, maximum=5.0)
    e_stop_wait: float = setting(
        30.0,
        "Wait this long for the operator to press, and to release, the emergency stop, s",
        minimum=0.1,
        maximum=600.0,
    )
    watchdog_slack: float = setting(
        0.1, "A stop may come this much later than its timeout, s", minimum=0.0, maximum=10.0
    )
    latency_time: float = setting(
        3.0, "Joint states and commands are timed for this long, s", minimum=0.5, maximum=600.0
    )
    latency_limit: float = setting(
        0.01, "Of a hundred commands 99 must follow their joint state within this, s", minimum=1e-4, maximum=1.0
    )


NODE_SETTINGS: dict[str, type] = {
    "policy_server": PolicyServerSettings,
    "safety_filter": FilterSettings,
    "unsafety_monitor": MonitorSettings,
    "trainer": TrainerSettings,
    "bag_recorder": RecorderSettings,
    "mujoco_sim": SimulatorSettings,
    "critic_trainer": CriticTrainerSettings,
    "critic_shadow": CriticShadowSettings,
    "controller_supervisor": SupervisorSettings,
    "episode_reset": ResetSettings,
}

SECTIONS: dict[str, type] = NODE_SETTINGS | {"commission": CommissionSettings}
"""Every section of a configuration file but the shared one: the nodes', and that of `safe_transfer commission`."""


def as_dict(settings: object) -> dict[str, object]:
    """Plain mapping of a settings dataclass, for YAML and ROS parameters."""
    return dataclasses.asdict(settings)  # type: ignore[call-overload]
