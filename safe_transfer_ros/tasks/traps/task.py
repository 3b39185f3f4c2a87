# SPDX-License-Identifier: Apache-2.0
"""Definition of the tasks with traps: reach one goal after another, and do not die of the traps on the way (CSC).

Bodies, layout, reward and observation are those of Safety Gym's Goal1 (NOTICE), which CSC adapted: a trap takes one of
25 points of health at each step spent in it, and an episode ends when none is left. What CSC leaves open is chosen
here: the episode goes on at a goal, with a new one, and the observation has the health, as failures could not be told
ahead without it. All functions take one state or any leading dimensions.
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

BINS = 16
GRAVITY = 9.81
_NORTH = np.array([0.0, 1.0, 0.0])
_TRIES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BodyState:
    """State of a body on the floor. Vectors are in its own frame, x ahead and z up, unless something else is said.

    Attributes:
      position: On the floor, in the world's frame, shape (..., 2), m.
      rotation: From its frame to the world's, shape (..., 3, 3).
      velocity: Shape (..., 3), m/s.
      angular_velocity: Shape (..., 3), rad/s.
      acceleration: Mean of the last control period, gravity's reaction included, shape (..., 3), m/s^2.
      ball: Rotation of the car's ball, row by row, and its angular velocity, rad/s, shape (..., 12); (..., 0) for a
        body without.
    """

    position: Array
    rotation: Array
    velocity: Array
    angular_velocity: Array
    acceleration: Array
    ball: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Start of an episode.

    Attributes:
      position: Of the body, shape (2,), m.
      heading: Of its x axis, rad.
      goal: First goal, shape (2,), m.
      traps: Shape (n_traps, 2), m.
    """

    position: Array
    heading: float
    goal: Array
    traps: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """Goal and traps that the body is among, and its health.

    Attributes:
      goal: Shape (..., 2), m.
      traps: Shape (..., n_traps, 2), m.
      health: Points left, shape (...).
    """

    goal: Array
    traps: Array
    health: Array


class Traps(Task):
    """Drive to the goal, and to the next; every step in a trap takes a point of health, the 25th life.

    Observation: acceleration (3, of 9.81 m/s^2), velocity (3, m/s), angular velocity (3, rad/s), the world's y axis
    (3), all in the body's frame; the car's ball (12); lidar of the goal (16) and of the traps (16), see `lidar`;
    health / 25 (1).
    Failure: no health left; it ends the episode. Success: a goal was reached in this episode.

    Attributes:
      substeps: Physics steps of a control period.
      timestep_s: Physics step, s.
      greatest_health: At the start.
      n_traps: Number of traps.
      half_side: Of the square in which goals, traps and starts lie, m; nothing keeps the body in it.
      trap_radius: m. In a trap is the body whose centre is.
      goal_radius: m. At the goal is the body whose centre is.
      lidar_range: m.
    """

    horizon = 500
    gamma = 0.99
    has_goal = True

    substeps: ClassVar[int] = 10
    timestep_s: ClassVar[float]
    greatest_health: ClassVar[int] = 25
    n_traps: ClassVar[int] = 8
    half_side: ClassVar[float] = 1.5
    trap_radius: ClassVar[float] = 0.2
    goal_radius: ClassVar[float] = 0.3
    lidar_range: ClassVar[float] = 3.0
    # Two things drawn are farther apart than the sum of these, m.
    trap_keep_out: ClassVar[float] = 0.18
    goal_keep_out: ClassVar[float] = 0.305
    body_keep_out: ClassVar[float] = 0.4

    @property
    def action_size(self) -> int:
        """Two motors."""
        return 2

    @property
    def control_period_s(self) -> float:
        """Time of an action, s."""
        return self.substeps * self.timestep_s

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of `TrapsEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.traps.environment:TrapsEnv")(cls(), **settings)
        return made

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of `TrapsVectorEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.traps.environment:TrapsVectorEnv")(
            cls(), num_envs, **settings
        )
        return made

    def start(self, rng: np.random.Generator) -> Layout:
        """Draw an episode: body, goal and traps anywhere in the square, but apart from each other."""
        while True:
            position = self._somewhere(rng, self.body_keep_out)
            goal = self.next_goal(rng, position, np.empty((0, 2)))
            traps = np.empty((0, 2))
            while len(traps) < self.n_traps:
                found = self._apart(
                    rng,
                    self.trap_keep_out,
                    np.vstack([position, goal, traps]),
                    np.array([self.body_keep_out, self.goal_keep_out, *[self.trap_keep_out] * len(traps)]),
                )
                if found is None:
                    break
                traps = np.vstack([traps, found])
            else:
                heading = float(rng.uniform(-np.pi, np.pi))
                return Layout(position=position, heading=heading, goal=goal, traps=traps)

    def next_goal(self, rng: np.random.Generator, position: Array, traps: Array) -> Array:
        """Draw a goal apart from the body at `position`, shape (2,), and from traps, shape (n, 2)."""
        keep_out = np.array([self.body_keep_out, *[self.trap_keep_out] * len(traps)])
        found = self._apart(rng, self.goal_keep_out, np.vstack([position, traps]), keep_out)
        # Traps leave room: never seen to fail. A goal that is a little near a trap is better than an episode without.
        return self._somewhere(rng, self.goal_keep_out) if found is None else found

    def observe(self, body: BodyState, around: Surroundings) -> Array:
        """Observation of the policy, shape (..., observation_size); see the class."""
        return np.concatenate(
            [
                body.acceleration / GRAVITY,
                body.velocity,
                body.angular_velocity,
                np.matmul(_NORTH, body.rotation),
                body.ball,
                self.lidar(body, around.goal[..., None, :]),
                self.lidar(body, around.traps),
                around.health[..., None] / self.greatest_health,
            ],
            axis=-1,
        )

    def lidar(self, body: BodyState, places: Array) -> Array:
        """Nearness of the nearest of some places, direction by direction, shape (..., 16).

        max(0, 1 - distance / 3 m), in sixteen sectors counter-clockwise from straight ahead. A sector's neighbours see
        the place too, the more the nearer to them it lies in the sector, so that nothing jumps when it changes sectors.

        Args:
          body: Where it is seen from.
          places: Shape (..., n, 2), m.
        """
        way = places - body.position[..., None, :]
        ahead, left = ((way * body.rotation[..., None, :2, axis]).sum(axis=-1) for axis in (0, 1))
        value = np.maximum(0.0, 1.0 - np.hypot(ahead, left) / self.lidar_range)
        sector = np.arctan2(left, ahead) / (2.0 * np.pi) * BINS
        into = np.mod(sector[..., None] - np.arange(BINS) + BINS / 2, BINS) - BINS / 2  # 0 to 1: in this sector
        weight = np.clip(np.minimum(1.0 + into, 2.0 - into), 0.0, 1.0)
        return np.asarray((value[..., None] * weight).max(axis=-2))

    def distance_to_goal(self, body: BodyState, around: Surroundings) -> Array:
        """Of the body's centre from the goal's, shape (...), m."""
        return np.asarray(np.hypot(*np.moveaxis(body.position - around.goal, -1, 0)))

    def at_goal(self, body: BodyState, around: Surroundings) -> Flags:
        """Whether the body is at the goal, shape (...)."""
        return np.asarray(self.distance_to_goal(body, around) <= self.goal_radius)

    def in_trap(self, body: BodyState, around: Surroundings) -> Flags:
        """Whether the body is in a trap, shape (...); a position that is not finite counts as in one."""
        way = around.traps - body.position[..., None, :]
        return np.asarray(~(np.hypot(way[..., 0], way[..., 1]) > self.trap_radius).all(axis=-1))

    @classmethod
    def labels(cls, observation: Array) -> Flags:
        """Whether the body is in a trap (CSC, Fig. 8), as its lidar tells; deaths come too late to learn from."""
        nearest = observation[..., -1 - BINS : -1].max(axis=-1)
        return np.asarray(nearest >= 1.0 - cls.trap_radius / cls.lidar_range)

    def reward(self, before: BodyState, after: BodyState, around: Surroundings) -> Array:
        """By how many metres the body came nearer to the goal, plus 1 at the goal, shape (...).

        Args:
          before: Before the step.
          after: After it.
          around: What the step was made among: the goal is the one before a new one is drawn.
        """
        nearer = self.distance_to_goal(before, around) - self.distance_to_goal(after, around)
        return np.asarray(nearer + self.at_goal(after, around))

    def _somewhere(self, rng: np.random.Generator, keep_out: float) -> Array:
        return rng.uniform(keep_out - self.half_side, self.half_side - keep_out, 2)

    def _apart(self, rng: np.random.Generator, keep_out: float, others: Array, their_keep_out: Array) -> Array | None:
        """A place far enough from others; None where none is found."""
        for _ in range(_TRIES):
            place = self._somewhere(rng, keep_out)
            if (np.hypot(*(others - place).T) > keep_out + their_keep_out).all():
                return place
        return None


@register("point_traps")
class PointTraps(Traps):
    """The point among traps, 50 Hz.

    Action (2): force ahead, of .015 N, and angular velocity, of 3.2 rad/s. Safety Gym's point reaches the same force at
    a twentieth of the action's range.
    """

    observation_size = 12 + 2 * BINS + 1
    timestep_s = 0.002


@register("car_traps")
class CarTraps(Traps):
    """The car among traps, 25 Hz.

    Action (2): torque of the left and of the right front wheel, of .02 N·m. Safety Gym's car reaches the same torque at
    a fiftieth of the action's range.
    """

    observation_size = 24 + 2 * BINS + 1
    timestep_s = 0.004
