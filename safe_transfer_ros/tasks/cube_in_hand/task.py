# SPDX-License-Identifier: Apache-2.0
"""Definition of the cube's tasks: a hand turns it to one orientation after another and must not drop it (SQRL).

Numbers are those of the code of SQRL's authors and of PDDM's, which it builds on (NOTICE), but for the angle of a turn,
which is the paper's. All functions take one state or any leading dimensions.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import load
from safe_transfer_ros.tasks.cube_in_hand.hand import HIGH, JOINTS, LOW, START
from safe_transfer_ros.tasks.task import Task, register

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

QUARTER = 0.5 * math.pi
"""A quarter of a turn, rad."""
EIGHTH = 0.25 * math.pi
"""An eighth of a turn, rad."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandState:
    """State of the hand and the cube as the tasks use it; the cube's in the world's frame.

    Attributes:
      joint_position: Of the hand, in the order of the motors, shape (..., 24), rad.
      position: Of the cube's centre, from where it starts, shape (..., 3), m.
      orientation: Of the cube, a unit quaternion w, x, y, z, shape (..., 4).
      velocity: Of the cube, shape (..., 3), m/s.
      angular_velocity: Of the cube, shape (..., 3), rad/s.
    """

    joint_position: Array
    position: Array
    orientation: Array
    velocity: Array
    angular_velocity: Array


@register("cube_in_hand")
class CubeInHand(Task):
    """Turn the cube by three eighths of a turn; a policy is pre-trained for quarters.

    Goals are orientations: turned left, right, up or down from that of the start. One holds for `goal_steps`, then the
    next is drawn. Action (24), in [-1, 1]: see `targets`. Observation (207): see `observe`. Failure: the cube has
    fallen by `drop_height`; it ends the episode. Every episode starts alike, but for its goals.

    Attributes:
      substeps: Physics steps of a control period.
      timestep_s: Physics step, s.
      goal_steps: How long a goal holds, steps.
      drop_height: The cube is dropped when it is lower than at the start by more than this, m.
      drop_reward: Of a drop, beside that of the orientation.
      history: Actions in the observation.
      turn: Angle of the goals, rad.
    """

    observation_size = 207
    horizon = 100
    gamma = 0.99
    source_settings = {"turn": QUARTER}
    safety_gamma = 0.7

    substeps: ClassVar[int] = 40
    timestep_s: ClassVar[float] = 0.0025
    control_period_s: ClassVar[float] = 0.1
    goal_steps: ClassVar[int] = 35
    drop_height: ClassVar[float] = 0.1
    drop_reward: ClassVar[float] = -500.0
    history: ClassVar[int] = 7

    def __init__(self, *, turn: float = QUARTER + EIGHTH) -> None:
        """Choose the goals.

        Raises:
          ValueError: if the angle is not between 0 and pi.
        """
        if not 0.0 < turn < math.pi:
            raise ValueError(f"turn must be an angle between 0 and pi, rad, got {turn}")
        self.turn = turn

    @property
    def action_size(self) -> int:
        """Every joint of the hand."""
        return len(JOINTS)

    @property
    def n_goals(self) -> int:
        """Number of goals of an episode."""
        return math.ceil(self.horizon / self.goal_steps)

    @classmethod
    def single_environment(cls, *, render_mode: str | None = None, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of the task and of `CubeInHandEnv`."""
        build = load("safe_transfer_ros.tasks.cube_in_hand.environment:CubeInHandEnv")
        made: Env[Array, Array] = build(cls(**settings), render_mode=render_mode)
        return made

    @classmethod
    def vector_environment(
        cls, num_envs: int, *, threads: int | None = None, autoreset: bool = True, **settings: Any
    ) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of the task and of `CubeInHandVectorEnv`."""
        build = load("safe_transfer_ros.tasks.cube_in_hand.environment:CubeInHandVectorEnv")
        made: VectorEnv[Array, Array, Array] = build(cls(**settings), num_envs, threads=threads, autoreset=autoreset)
        return made

    def goals(self, rng: np.random.Generator) -> Array:
        """Draw an episode's goals in their order, Euler angles, shape (3, 3), rad: about z or x, to either side."""
        left, up = np.array([0.0, 0.0, -self.turn]), np.array([self.turn, 0.0, 0.0])
        return np.stack([left, -left, up, -up])[rng.integers(4, size=self.n_goals)]

    def goal_number(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of the goal that the step after so many is rewarded for, shape (...)."""
        return np.minimum(steps, self.horizon - 1) // self.goal_steps

    def targets(self, actions: Array) -> Array:
        """Targets of the servos, shape (..., 24), rad.

        0 is the pose of the start, -1 and 1 the ends of a joint's range; linear on either side of 0.
        """
        return np.asarray(START + np.where(actions > 0.0, actions * (HIGH - START), actions * (START - LOW)))

    def observe(self, state: HandState, goal: Array, actions: Array) -> Array:
        """Observation of the policy, shape (..., 207).

        The hand's joints in rad (24); of the cube the position from where it started, of 10 cm (3), Euler angles in rad
        (3), velocity in m/s (3) and .1 x angular velocity in rad/s (3); the goal's Euler angles in rad (3); the last
        seven actions, newest first (168).

        Args:
          state: Where hand and cube are.
          goal: In force, Euler angles, shape (..., 3), rad.
          actions: Last seven, as bounded, newest first, zero before the start, shape (..., 7, 24).
        """
        return np.concatenate(
            [
                state.joint_position,
                state.position / self.drop_height,
                euler_angles(state.orientation),
                state.velocity,
                0.1 * state.angular_velocity,
                goal,
                actions.reshape(*actions.shape[:-2], self.history * self.action_size),
            ],
            axis=-1,
        )

    def error(self, state: HandState, goal: Array) -> Array:
        """Euclidean norm of the three differences of Euler angles, each at most pi; shape (...), rad."""
        off = euler_angles(state.orientation) - goal
        return np.asarray(np.sqrt(np.square((off + math.pi) % (2.0 * math.pi) - math.pi).sum(axis=-1)))

    def dropped(self, state: HandState) -> Flags:
        """Whether the cube has fallen too low, shape (...); a height that is not finite counts as dropped."""
        return np.asarray(~(state.position[..., 2] >= -self.drop_height))

    def reward(self, state: HandState, goal: Array) -> Array:
        """Reward of a step, shape (...): -7 x `error`, and `drop_reward` where the cube is dropped.

        Args:
          state: Reached.
          goal: That the step was made for, Euler angles, shape (..., 3), rad.
        """
        return np.asarray(-7.0 * self.error(state, goal) + self.drop_reward * self.dropped(state))


@register("cube_in_hand_quarter")
class CubeInHandQuarter(CubeInHand):
    """Turn the cube by quarters: what `cube_in_hand` is pre-trained with, as a task of its own."""

    source_settings = {}

    def __init__(self, *, turn: float = QUARTER) -> None:
        """See `CubeInHand`."""
        super().__init__(turn=turn)


def euler_angles(orientation: Array) -> Array:
    """Angles about x, then about the turned y, then about the z turned twice, shape (..., 3), rad.

    As of three hinges in series. The second is in [-pi/2, pi/2], the others in [-pi, pi].

    Args:
      orientation: Unit quaternions w, x, y, z, shape (..., 4).
    """
    w, x, y, z = np.moveaxis(orientation, -1, 0)
    about_x = np.arctan2(2.0 * (w * x - y * z), 1.0 - 2.0 * (x * x + y * y))
    about_y = np.arcsin(np.clip(2.0 * (x * z + w * y), -1.0, 1.0))
    about_z = np.arctan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (y * y + z * z))
    return np.stack([about_x, about_y, about_z], axis=-1)
