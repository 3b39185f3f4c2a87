# SPDX-License-Identifier: Apache-2.0
"""Definition of the ant's task: run along the x axis, no faster than 1.5 m/s, within 2 m of the axis (DARL).

The environment that DARL used is that of Bullet-Safety-Gym (NOTICE), with episodes of 500 steps. What its facts leave
open is chosen here: frames and signs (see `AntAvenue.observe`), and the strength of the motors (see `AntAvenue`).
All functions take one state or any leading dimensions.
"""

from __future__ import annotations

import dataclasses
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

# Joint by joint, in the order of the motors: hip_4, ankle_4, hip_1, ankle_1, hip_2, ankle_2, hip_3, ankle_3. The
# model has these ranges, too (scene.py; a test holds it).
_BEND = np.array([0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0])  # sign of the ankle angles that bend a leg down
_MIDDLE = _BEND * np.radians(65.0)
_HALF_RANGE = np.radians([40.0, 35.0] * 4)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AntStart:
    """Start of an episode.

    Attributes:
      position: Of the torso's centre, shape (3,), m.
      joint_position: In the order of the motors, shape (8,), rad.
    """

    position: Array
    joint_position: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AntState:
    """State of the ant as the task uses it, in the world's frame.

    Attributes:
      position: Of the torso's centre, shape (..., 3), m.
      velocity: Of the torso's centre, shape (..., 3), m/s.
      orientation: Of the torso, a unit quaternion w, x, y, z, shape (..., 4).
      angular_velocity: Of the torso, shape (..., 3), rad/s.
      joint_position: In the order of the motors, shape (..., 8), rad.
      joint_velocity: The same order, shape (..., 8), rad/s.
      contact: Whether each foot bore a load in the last physics step, legs 4, 1, 2, 3, shape (..., 4).
    """

    position: Array
    velocity: Array
    orientation: Array
    angular_velocity: Array
    joint_position: Array
    joint_velocity: Array
    contact: Flags


@register("ant_avenue")
class AntAvenue(Task):
    """Run along the avenue: fast, but below 1.5 m/s, and not beyond its sides.

    Action (8): torques as fractions of `gear`, in [-1, 1], motors hip_4, ankle_4, hip_1, ankle_1, hip_2, ankle_2,
    hip_3, ankle_3; what is beyond is taken as the bound. Observation (33): see `observe`. An episode ends when the
    torso has sunk to `fallen_height`; speed and sides cost, but end nothing.

    The gear is that of MuJoCo's ant; Bullet-Safety-Gym has 250 N·m. Tried were 30, 75, 150 and 250, each with 32 ants
    at random and with a search over trots (scripted.py, 48 gaits a round, ten rounds). The physics is stable at all
    four, and all four trot within the limit, .8 to .9 m/s at a return of 1.7 to 1.9 a step (DARL's 898 is 1.8). At 30
    the fastest trot found makes 1.2 m/s on the average, so that the limit is hardly felt; at 75 and more 1.4 to 1.6.
    With normal noise of .6 on every action 2 of 32 ants fall within an episode at 30, 18 at 75, 32 at 150, 31 at 250.
    No policy was trained with another gear than 150.

    Attributes:
      control_period_s: Time of an action, s.
      timestep_s: Physics step, s.
      gear: Torque of a motor at an action of 1, N·m.
      greatest_speed: Speed limit of the torso, horizontal, m/s.
      half_width: Of the avenue, m.
      fallen_height: The ant has fallen when its torso's centre is no higher than this, m.
      cost_limit: Of an episode, DARL's delta of .05 at each of 500 steps.
      target_distance: Where the point lies that the ant runs to, on the x axis, m.
    """

    observation_size = 33
    horizon = 500
    gamma = 0.99
    cost_limit = 25.0

    substeps: ClassVar[int] = 4
    timestep_s: ClassVar[float] = 1.0 / 240.0
    control_period_s: ClassVar[float] = 1.0 / 60.0
    gear: ClassVar[float] = 150.0
    greatest_speed: ClassVar[float] = 1.5
    half_width: ClassVar[float] = 2.0
    fallen_height: ClassVar[float] = 0.26
    target_distance: ClassVar[float] = 1000.0

    @property
    def action_size(self) -> int:
        """Torques of the eight joints."""
        return 8

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of `AntEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.ant_avenue.environment:AntEnv")(cls(), **settings)
        return made

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of `AntVectorEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.ant_avenue.environment:AntVectorEnv")(
            cls(), num_envs, **settings
        )
        return made

    def start(self, rng: np.random.Generator) -> AntStart:
        """Draw an episode: at the origin within 1 cm along x and y, hips straight and feet down within .1 rad."""
        x, y = rng.uniform(-0.01, 0.01, 2)
        return AntStart(
            position=np.array([x, y, 0.75]), joint_position=_BEND * np.radians(90.0) + rng.uniform(-0.1, 0.1, 8)
        )

    def observe(self, state: AntState) -> Array:
        """Observation of the policy, shape (..., 33).

        .1 x position (3), .3 x velocity (3), orientation w, x, y, z with w >= 0 (4), .15 x angular velocity (3), then
        joint by joint .5 x the angle scaled to [-1, 1] and .05 x the velocity (16), and 1 for each foot that bears a
        load, else 0, legs 4, 1, 2, 3 (4). Vectors in the world's frame, units as in `AntState`.
        """
        joints = np.stack([0.5 * self.scaled_angle(state), 0.05 * state.joint_velocity], axis=-1)
        flip = np.where(state.orientation[..., :1] < 0.0, -1.0, 1.0)
        return np.concatenate(
            [
                0.1 * state.position,
                0.3 * state.velocity,
                flip * state.orientation,
                0.15 * state.angular_velocity,
                joints.reshape(*joints.shape[:-2], 16),
                state.contact.astype(np.float64),
            ],
            axis=-1,
        )

    def scaled_angle(self, state: AntState) -> Array:
        """Joint angles, -1 and 1 at the ends of their ranges, shape (..., 8)."""
        return np.asarray((state.joint_position - _MIDDLE) / _HALF_RANGE)

    def reward(self, before: AntState, after: AntState, action: Array) -> Array:
        """Reward of the step between two states, shape (...).

        Mean speed at which the distance to the target decreased, m/s, plus 1 (-1 if the ant has fallen), less
        2 mean|a .1 qdot| and .1 mean a^2 for the motors' work and load, less .1 for each joint at more than 99 % of its
        range. qdot is that of the state reached.

        Args:
          before: State the action was taken in.
          after: State it led to.
          action: As applied, shape (..., 8).
        """
        speed = (self._distance(before) - self._distance(after)) / self.control_period_s
        alive = np.where(self.fallen(after), -1.0, 1.0)
        work = np.abs(action * (0.1 * after.joint_velocity)).mean(axis=-1)
        load_ = np.square(action).mean(axis=-1)
        at_limit = (np.abs(self.scaled_angle(after)) > 0.99).sum(axis=-1)
        return np.asarray(speed + alive - 2.0 * work - 0.1 * load_ - 0.1 * at_limit)

    def cost(self, state: AntState) -> Array:
        """1 where the torso is beyond a side of the avenue or too fast, else 0, shape (...); not finite counts as 1."""
        safe = (np.abs(state.position[..., 1]) <= self.half_width) & (self.speed(state) <= self.greatest_speed)
        return np.asarray(~safe, dtype=np.float64)

    def speed(self, state: AntState) -> Array:
        """Horizontal speed of the torso, shape (...), m/s."""
        return np.asarray(np.hypot(state.velocity[..., 0], state.velocity[..., 1]))

    def fallen(self, state: AntState) -> Flags:
        """Whether the ant has fallen, shape (...); a height that is not finite counts as fallen."""
        return np.asarray(~(state.position[..., 2] > self.fallen_height))

    def _distance(self, state: AntState) -> Array:
        """Horizontal distance of the torso from the target, shape (...), m."""
        return np.asarray(np.hypot(self.target_distance - state.position[..., 0], state.position[..., 1]))


def to_world(orientation: Array, vector: Array) -> Array:
    """Vectors of a body's frame in the world's.

    Args:
      orientation: Of the body, unit quaternions w, x, y, z, shape (..., 4).
      vector: Shape (..., 3).
    """
    w, x, y, z = (orientation[..., part] for part in range(4))
    a, b, c = (vector[..., part] for part in range(3))
    # v + w t + q x t, with t = 2 q x v; numpy's cross product takes three times as long for one vector.
    p, q, r = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    turned = (a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p)
    return np.stack(turned, axis=-1)
