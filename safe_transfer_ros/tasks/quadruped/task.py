# SPDX-License-Identifier: Apache-2.0
"""Definition of the quadruped's tasks: stand, walk (CSC), keep a speed, on feet of another friction (SQRL).

SQRL has a Minitaur and CSC a Laikago; here all have the body of Unitree's Go1 (scene.py), with the rules of those
papers' code where they are known (NOTICE). All functions take one state or any leading dimensions.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import load
from safe_transfer_ros.tasks.task import Task, register

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HOME = np.tile([0.0, 0.9, -1.8], 4)
"""Joint positions of standing, rad: abduction, hip and knee of FR, FL, RR, RL."""
HOME_HEIGHT = 0.27
"""Of the trunk when it stands, m."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Build:
    """Difference of an episode's quadruped from its description.

    Attributes:
      trunk_mass: Factor of the trunk's mass.
      leg_mass: Factor of the legs' masses.
      trunk_inertia: Factor of the trunk's inertia.
      leg_inertia: Factor of the legs' inertias.
      strength: Factors of the servos' greatest torques, one for all or shape (12,).
      foot_friction: Sliding friction of the feet.
      latency_s: Time until an action reaches the servos, s.
    """

    trunk_mass: float = 1.0
    leg_mass: float = 1.0
    trunk_inertia: float = 1.0
    leg_inertia: float = 1.0
    strength: float | Array = 1.0
    foot_friction: float = 1.0
    latency_s: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QuadrupedState:
    """State of the quadruped as the tasks use it.

    Attributes:
      position: Of the trunk, in the world's frame, shape (..., 3), m.
      up: The world's z axis in the trunk's frame, shape (..., 3).
      velocity: Of the trunk, in the world's frame, shape (..., 3), m/s.
      body_velocity: The same in the trunk's frame, shape (..., 3), m/s.
      angular_velocity: In the trunk's frame, shape (..., 3), rad/s.
      joint_position: Shape (..., 12), rad.
      joint_velocity: Shape (..., 12), rad/s.
    """

    position: Array
    up: Array
    velocity: Array
    body_velocity: Array
    angular_velocity: Array
    joint_position: Array
    joint_velocity: Array


class Quadruped(Task):
    """Base of the quadruped's tasks.

    Action (12), in [-1, 1]: targets of the joints' servos as offsets from standing, of .5 rad, at 50 Hz. Observation
    (57): see `observe`. Failure: a fall, see `fallen`; it ends the episode.

    Attributes:
      substeps: Physics steps of a control period.
      timestep_s: Physics step, s.
      reach: Offset of a joint's target at an action of 1, rad.
      least_up: Fallen is whose own z axis has less than this of the world's.
      least_height: Fallen is whose trunk is lower, m.
      start_spread: Joints start within this of standing, rad.
      foot_friction: Sliding friction of the feet.
      randomised: Whether every episode has another build; the friction given then does not count.
    """

    observation_size = 57
    horizon = 500
    gamma = 0.99

    substeps: ClassVar[int] = 5
    timestep_s: ClassVar[float] = 0.004
    control_period_s: ClassVar[float] = 0.02
    reach: ClassVar[float] = 0.5
    least_up: ClassVar[float] = 0.85
    least_height: ClassVar[float] = 0.15
    start_spread: ClassVar[float] = 0.05

    def __init__(self, *, foot_friction: float = 1.0, randomised: bool = False) -> None:
        """Choose the build.

        Raises:
          ValueError: if the friction is not positive.
        """
        if not (math.isfinite(foot_friction) and foot_friction > 0.0):
            raise ValueError(f"foot_friction must be a positive number, got {foot_friction}")
        self.foot_friction, self.randomised = foot_friction, randomised

    @property
    def action_size(self) -> int:
        """Three joints of four legs."""
        return 12

    @classmethod
    def single_environment(cls, *, render_mode: str | None = None, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of the task and of `QuadrupedEnv`."""
        build = load("safe_transfer_ros.tasks.quadruped.environment:QuadrupedEnv")
        made: Env[Array, Array] = build(cls(**settings), render_mode=render_mode)
        return made

    @classmethod
    def vector_environment(
        cls, num_envs: int, *, threads: int | None = None, autoreset: bool = True, **settings: Any
    ) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of the task and of `QuadrupedVectorEnv`."""
        build = load("safe_transfer_ros.tasks.quadruped.environment:QuadrupedVectorEnv")
        made: VectorEnv[Array, Array, Array] = build(cls(**settings), num_envs, threads=threads, autoreset=autoreset)
        return made

    def start(self, rng: np.random.Generator) -> Array:
        """Draw an episode's joint positions, shape (12,), rad, near standing."""
        return HOME + rng.uniform(-self.start_spread, self.start_spread, 12)

    def build(self, rng: np.random.Generator) -> Build:
        """Draw an episode's build; the one described, with the friction chosen, unless randomised.

        What is drawn, and the ranges, are those of SQRL's code: masses (trunk, legs) and each servo .8 to 1.2, inertias
        (trunk, legs) .5 to 1.5, friction .5 to 1.25, latency up to 40 ms.
        """
        if not self.randomised:
            return Build(foot_friction=self.foot_friction)
        return Build(
            trunk_mass=rng.uniform(0.8, 1.2),
            leg_mass=rng.uniform(0.8, 1.2),
            trunk_inertia=rng.uniform(0.5, 1.5),
            leg_inertia=rng.uniform(0.5, 1.5),
            strength=rng.uniform(0.8, 1.2, 12),
            foot_friction=rng.uniform(0.5, 1.25),
            latency_s=rng.uniform(0.0, 0.04),
        )

    def targets(self, actions: Array) -> Array:
        """Targets of the servos, shape (..., 12), rad."""
        return np.asarray(HOME + self.reach * actions)

    def observe(self, state: QuadrupedState, last: Array, before_last: Array) -> Array:
        """Observation of the policy, shape (..., 57).

        In the trunk's frame the world's z axis (3), .25 x angular velocity in rad/s (3) and velocity in m/s (3); the
        joints' offsets from standing, of .5 rad (12), and .05 x their velocities in rad/s (12); the last action (12)
        and the one before (12).

        Args:
          state: Where the quadruped is.
          last: Last action, shape (..., 12), as bounded; zero at the start.
          before_last: The one before it.
        """
        return np.concatenate(
            [
                state.up,
                0.25 * state.angular_velocity,
                state.body_velocity,
                (state.joint_position - HOME) / self.reach,
                0.05 * state.joint_velocity,
                last,
                before_last,
            ],
            axis=-1,
        )

    def fallen(self, state: QuadrupedState) -> Flags:
        """Whether the trunk leans or has sunk too far, shape (...); numbers that are not finite count as fallen."""
        return np.asarray(~((state.up[..., 2] >= self.least_up) & (state.position[..., 2] >= self.least_height)))

    def reward(self, before: QuadrupedState, after: QuadrupedState, actions: tuple[Array, Array, Array]) -> Array:
        """Reward of the step between two states, shape (...).

        Args:
          before: State the action was taken in.
          after: State it led to.
          actions: This one, the last and the one before, shape (..., 12) each, as bounded.
        """
        raise NotImplementedError


@register("quadruped_stand")
class QuadrupedStand(Quadruped):
    """Stand as the reference does: the controller that CSC's walking starts from.

    The reward, in [0, 1], is that of Peng et al. (2020) for a reference that stands, without its term of the feet:
    (.5 exp(-5 |q - q_ref|^2) + .05 exp(-.1 |dq|^2) + .15 exp(-20 dz^2 - 10 lean^2) + .1 exp(-2 |v|^2 - .2 |w|^2)) / .8,
    with the lean in rad. Joints start within .2 rad of standing, so that there is something to do.
    """

    start_spread = 0.2

    def reward(self, before: QuadrupedState, after: QuadrupedState, actions: tuple[Array, Array, Array]) -> Array:
        """See `Quadruped.reward`; the formula is the class's."""
        lean = np.arccos(np.clip(after.up[..., 2], -1.0, 1.0))
        pose = np.exp(-5.0 * np.square(after.joint_position - HOME).sum(axis=-1))
        rest = np.exp(-0.1 * np.square(after.joint_velocity).sum(axis=-1))
        place = np.exp(-20.0 * (after.position[..., 2] - HOME_HEIGHT) ** 2 - 10.0 * lean**2)
        motion = np.exp(
            -2.0 * np.square(after.velocity).sum(axis=-1) - 0.2 * np.square(after.angular_velocity).sum(axis=-1)
        )
        return np.asarray((0.5 * pose + 0.05 * rest + 0.15 * place + 0.1 * motion) / 0.8)


@register("quadruped_walk")
class QuadrupedWalk(Quadruped):
    """Walk ahead without falling (CSC): the reward is the way of a step along x, m."""

    def reward(self, before: QuadrupedState, after: QuadrupedState, actions: tuple[Array, Array, Array]) -> Array:
        """See `Quadruped.reward`; the formula is the class's."""
        return np.asarray(after.position[..., 0] - before.position[..., 0])


class _KeepSpeed(Quadruped):
    """Walk at a speed (SQRL): v* - |v* - clip(v, -.8, .8)| - .01 mean|a_t - 2 a_(t-1) + a_(t-2)|, v along x in m/s.

    Fallen is who leans by more than .3 rad.

    Attributes:
      target_speed: v*, m/s.
    """

    safety_gamma = 0.7
    least_up = math.cos(0.3)
    greatest_speed: ClassVar[float] = 0.8

    def __init__(self, *, target_speed: float = 0.3, foot_friction: float = 1.0, randomised: bool = False) -> None:
        """Choose the speed and the build.

        Raises:
          ValueError: if the friction is not positive, or the speed not finite.
        """
        super().__init__(foot_friction=foot_friction, randomised=randomised)
        if not math.isfinite(target_speed):
            raise ValueError(f"target_speed must be a finite number of m/s, got {target_speed}")
        self.target_speed = target_speed

    def reward(self, before: QuadrupedState, after: QuadrupedState, actions: tuple[Array, Array, Array]) -> Array:
        """See `Quadruped.reward`; the formula is the class's."""
        speed = (after.position[..., 0] - before.position[..., 0]) / self.control_period_s
        off = np.abs(self.target_speed - np.clip(speed, -self.greatest_speed, self.greatest_speed))
        jerk = np.abs(actions[0] - 2.0 * actions[1] + actions[2]).mean(axis=-1)
        return np.asarray(self.target_speed - off - 0.01 * jerk)


@register("quadruped_speed")
class QuadrupedSpeed(_KeepSpeed):
    """Walk at .4 m/s (SQRL's velocity task); a policy is pre-trained for .3 m/s."""

    source_settings = {"target_speed": 0.3}

    def __init__(self, *, target_speed: float = 0.4, foot_friction: float = 1.0, randomised: bool = False) -> None:
        """See `_KeepSpeed`."""
        super().__init__(target_speed=target_speed, foot_friction=foot_friction, randomised=randomised)


@register("quadruped_friction")
class QuadrupedFriction(_KeepSpeed):
    """Walk at .3 m/s on feet of friction 1.25 (SQRL's friction task); a policy is pre-trained on feet of friction 1."""

    source_settings = {"foot_friction": 1.0}

    def __init__(self, *, target_speed: float = 0.3, foot_friction: float = 1.25, randomised: bool = False) -> None:
        """See `_KeepSpeed`."""
        super().__init__(target_speed=target_speed, foot_friction=foot_friction, randomised=randomised)
