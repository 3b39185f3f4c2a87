# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node that drives a Franka arm."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.configuration import ConfigurationError, numbers, setting, setting_of
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.robots.description import RobotDescription, load
from safe_transfer_ros.robots.fr3_speed import FR3_SPEED, SpeedByPosition
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits, soft_velocity_bounds
from safe_transfer_ros.safety.motion.torque_cycle import CycleSettings

JOINTS = 7
_POSITIONS = 1001  # of a joint's range, at which its soft limits are looked at
# What libfranka's examples set first (setDefaultBehavior): low, as an arm that learns will touch things.
COLLISION_TORQUE = "20, 20, 18, 18, 16, 14, 12"
COLLISION_FORCE = "20, 20, 20, 25, 25, 25"
# Arm -> how its name reads, and the speed that it bears by position, where that is not the same everywhere.
ARMS = {"fr3": ("an FR3", FR3_SPEED), "panda": ("a Panda", None)}


@dataclass(frozen=True, kw_only=True)
class FrankaParameters:
    """franka_robot, with robot:=franka only."""

    robot_ip: str = setting("", "Address of the arm's control, such as 172.16.0.2")
    arm: str = setting(
        "fr3",
        "Arm whose published limits none of the robot's may be laxer than; panda, also called FER: no wheel of "
        "Franka's reaches one (docs/hardware.md)",
        choices=tuple(ARMS),
    )
    speed_offset: str = setting(
        "",
        "Speed that the arm bears by joint position, min(velocity, sqrt(2 deceleration (end - position)) - offset) "
        "(robots/fr3_speed.py): offset, rad/s, one value for each joint; empty, as the next three: what Franka "
        "publishes of an FR3. A laxer table is refused",
    )
    speed_deceleration: str = setting("", "Of the same: deceleration, rad/s², one value for each joint")
    speed_lower: str = setting("", "Of the same: lower end, rad, one value for each joint")
    speed_upper: str = setting("", "Of the same: upper end, rad, one value for each joint")
    realtime_kernel: str = setting(
        "required",
        "required: libfranka begins no motion on a kernel that is not PREEMPT_RT; not_required, OVERRIDE: it does, and "
        "cycles will be lost",
        choices=("required", "not_required"),
    )
    realtime_priority: int = setting(
        80, "SCHED_FIFO priority of the process that owns the arm, where permitted; 0: none", minimum=0, maximum=98
    )
    node_priority: int = setting(
        0,
        "SCHED_FIFO priority of the node itself, which carries the arm's state to the filter and its commands to the "
        "arm's process, where permitted; 0: normal",
        minimum=0,
        maximum=98,
    )
    joint_state_rate: float = setting(500.0, "Joint states per second; the arm has 1000", minimum=50.0, maximum=1000.0)
    command_timeout: float = setting_of(CycleSettings, "command_timeout_s", minimum=0.005, maximum=0.5)
    state_timeout: float = setting_of(CycleSettings, "state_timeout_s", minimum=0.002, maximum=0.5)
    torque_step: float = setting_of(CycleSettings, "torque_step", minimum=0.001, maximum=1.0)
    permission_lease: float = setting(
        0.1, "Silence of controller_supervisor/permission after which it is withdrawn, s", minimum=0.01, maximum=10.0
    )
    reset_torque_limit: float = setting(
        0.0,
        "The filter's own limit of the slow moves to the start of an episode, N·m (the launcher fills it in): the "
        "arm's bound is T_lim, but not below this, as no message says that such a move is under way",
        minimum=0.0,
        maximum=100.0,
    )
    collision_torque: str = setting(
        COLLISION_TORQUE, "External torque at which the arm stops by a reflex, N·m, one value for each joint"
    )
    collision_force: str = setting(
        COLLISION_FORCE, "External force and torque at the tool at which the arm stops by a reflex: 3 in N, 3 in N·m"
    )
    load_mass: float = setting(
        0.0, "Load beyond the end effector that is set in Desk, kg: the arm carries it", minimum=0.0, maximum=3.0
    )
    load_center: str = setting("0, 0, 0", "Centre of mass of the load in the flange's frame, m")
    load_inertia: str = setting("0, 0, 0, 0, 0, 0, 0, 0, 0", "Inertia of the load about it, kg·m², by columns")
    service_timeout: float = setting(
        3.0, "Longest wait for the arm to carry out an order, s", minimum=0.1, maximum=60.0
    )

    def __post_init__(self) -> None:
        """Refuse lists of another length, and thresholds that protect from nothing."""
        for name, count in (("collision_torque", JOINTS), ("collision_force", 6)):
            if not all(0.0 < value <= 100.0 for value in self.values(name, count)):
                raise ConfigurationError(f"{name}: each value must be above 0 and at most 100: the arm stops by it")
        self.values("load_center", 3)
        self.values("load_inertia", 9)
        self.speed_by_position  # noqa: B018 - refuses a laxer table

    def values(self, name: str, count: int) -> tuple[float, ...]:
        """Numbers of a setting that is a list.

        Raises:
          ConfigurationError: it is not `count` finite numbers separated by commas.
        """
        return numbers(getattr(self, name), name, count)

    @property
    def speed_by_position(self) -> SpeedByPosition | None:
        """Speed that the arm bears by joint position; None where that is its description's at any position.

        Raises:
          ConfigurationError: the table is laxer, somewhere, than what Franka publishes of the arm, or it has none.
        """
        names = [name for name in _TABLE if getattr(self, f"speed_{name}")]
        told, published = ARMS[self.arm]
        if not names:
            return published
        if published is None:
            raise ConfigurationError(
                f"franka_robot.speed_{names[0]}: {told} bears its speed at any position: leave it out, and narrow "
                "velocity_limit"
            )
        table = dataclasses.replace(published, **{name: self.values(f"speed_{name}", JOINTS) for name in names})
        limits = load(self.arm).limits
        positions = np.linspace(limits.lower, limits.upper, _POSITIONS)
        (slowest, fastest), (least, most) = table.bounds(positions), published.bounds(positions)
        for joint in np.flatnonzero(((slowest < least) | (fastest > most)).any(axis=0)):
            at = int(((slowest < least) | (fastest > most))[:, joint].argmax())
            raise ConfigurationError(
                f"franka_robot.speed_{names[0]}: joint {joint + 1} would bear {slowest[at, joint]:.2f} to "
                f"{fastest[at, joint]:.2f} rad/s at {positions[at, joint]:.2f} rad, and {told} bears "
                f"{least[at, joint]:.2f} to {most[at, joint]:.2f} there: expected a table nowhere laxer than the "
                "published one (robots/fr3_speed.py)"
            )
        return table


_TABLE = ("offset", "deceleration", "lower", "upper")


def check_arm(robot: RobotDescription, experiment: ExperimentParameters, settings: FrankaParameters) -> None:
    """Refuse a robot, or a graph, that a Franka arm cannot be.

    Args:
      robot: That the task is for, with the names and limits of the parameter file.
      experiment: Parameters of all nodes.
      settings: The arm that is there.

    Raises:
      ConfigurationError: what was expected, what came, and the fix.
    """
    expected = [f"joint{number}" for number in range(1, JOINTS + 1)]
    found = [name[-len("joint1") :] for name in robot.joint_names]
    if found != expected:
        raise ConfigurationError(
            f"robot:=franka drives joints 1 to {JOINTS} of a Franka arm, base to tool, got those of {robot.name} "
            f"({', '.join(robot.joint_names)}): choose a task whose robot is one"
        )
    told, published = ARMS[settings.arm][0], load(settings.arm).limits
    laxer = (
        (robot.limits.lower < published.lower)
        | (robot.limits.upper > published.upper)
        | (robot.limits.velocity > published.velocity)
        | (robot.limits.effort > published.effort)
    )
    for joint in np.flatnonzero(laxer):
        raise ConfigurationError(
            f"robot:=franka: the limits of {robot.joint_names[joint]} of {robot.name} are laxer than {told}'s "
            f"({published.lower[joint]:g} to {published.upper[joint]:g} rad, {published.velocity[joint]:g} rad/s, "
            f"{published.effort[joint]:g} N·m): describe the arm that is there, or narrow them in robot_config:= "
            "(position_lower, position_upper, velocity_limit, effort_limit)"
        )
    _check_soft_limits(robot, told, settings.speed_by_position)
    if not robot.gravity_compensated or experiment.adds_gravity(robot.gravity_compensated):
        raise ConfigurationError(
            "robot:=franka: the arm adds gravity itself, and g(q) would be added twice: leave out add_gravity: always, "
            f"and have {robot.name} described as gravity_compensated"
        )
    if experiment.lockstep:
        raise ConfigurationError("robot:=franka cannot wait for us: leave out timing:=lockstep")


def _check_soft_limits(robot: RobotDescription, told: str, speed: SpeedByPosition | None) -> None:
    """Refuse soft limits that let a joint go faster, somewhere, than the arm bears: it stops by a reflex there.

    Raises:
      ConfigurationError: see `check_arm`.
    """
    if speed is None:
        return
    limits = robot.limits
    soft = SoftLimits(
        soft_lower=limits.soft_lower,
        soft_upper=limits.soft_upper,
        velocity=limits.velocity,
        k_position=limits.k_position,
        k_velocity=limits.k_velocity,
    )
    positions = np.linspace(limits.lower, limits.upper, _POSITIONS)
    (slowest, fastest), (least, most) = soft_velocity_bounds(soft, positions), speed.bounds(positions)
    beyond = (slowest < least) | (fastest > most)
    for joint in np.flatnonzero(beyond.any(axis=0)):
        at = int(beyond[:, joint].argmax())
        raise ConfigurationError(
            f"robot:=franka: at {positions[at, joint]:.2f} rad the soft limits of {robot.joint_names[joint]} of "
            f"{robot.name} allow {slowest[at, joint]:.2f} to {fastest[at, joint]:.2f} rad/s, where {told} stops by a "
            f"reflex outside {least[at, joint]:.2f} to {most[at, joint]:.2f}: a lower k_position, as in robots/fr3.py"
        )
