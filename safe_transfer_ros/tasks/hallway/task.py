# SPDX-License-Identifier: Apache-2.0
"""Definition of the hallway: go along it, seeing by a depth camera, and touch nothing (CST).

The paper has low stakes, walls, and high ones, poles and figures that move, and the bodies of Safety Gym (NOTICE). Its
hallways, rewards and cameras beyond that are not public; what is chosen here is in docs/environments.md. All
functions take one state or any leading dimensions.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import load
from safe_transfer_ros.tasks.hallway.body import Body, DoggoBody, Motion, PointBody
from safe_transfer_ros.tasks.hallway.course import Course, Hall, Obstacles, Poles, Walls
from safe_transfer_ros.tasks.hallway.humanoids import Humanoids
from safe_transfer_ros.tasks.orientation import in_frame
from safe_transfer_ros.tasks.task import Task, register

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]

IMAGE_SIDE = 50
"""Pixels of a row and of a column of the image."""
PIXELS = IMAGE_SIDE * IMAGE_SIDE
DEPTH_RANGE_M = 5.0
"""Depth that what is farther away is taken for."""
DEPTH_LEVELS = 255
"""Steps of the image's values above 0: an image is that of eight bits, and is kept in as many without loss."""

_GRAVITY = 9.81


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Start of an episode.

    Attributes:
      position: Of the body on the floor, shape (2,), m.
      heading: Of its x axis, rad.
      obstacles: Those of the episode.
    """

    position: Array
    heading: float
    obstacles: Obstacles


class Hallway(Task):
    """Go along the hallway; see the classes of its obstacles for what costs.

    Observation, all in one row: depth image (2500), see `image`, row by row from the top left; proprioception, see
    `proprioception`; the last step's reward and the last step's cost, 0 at the start (2). `parts` takes it apart.
    Reward: mean speed of the step along the hallway, m/s. Episodes end at the horizon only.

    Attributes:
      body: What goes along it.
      course: What stands in the way.
    """

    horizon = 1000
    gamma = 0.99
    cost_limit = 10.0  # .01 per step

    body: ClassVar[Body]
    course: ClassVar[Course]
    start_spread: ClassVar[float] = 0.3  # m to either side
    heading_spread: ClassVar[float] = 0.2  # rad

    @property
    def action_size(self) -> int:
        """One for each motor."""
        return self.body.actions

    @property
    def substeps(self) -> int:
        """Physics steps of a control period."""
        return self.body.substeps

    @property
    def control_period_s(self) -> float:
        """Time of an action, s."""
        return self.body.substeps * self.body.timestep_s

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of `HallwayEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.hallway.environment:HallwayEnv")(cls(), **settings)
        return made

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of `HallwayVectorEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.hallway.environment:HallwayVectorEnv")(
            cls(), num_envs, **settings
        )
        return made

    def start(self, rng: np.random.Generator) -> Start:
        """Draw an episode: the body looks nearly along the hallway from near its middle."""
        y, heading = rng.uniform(-1.0, 1.0, 2) * (self.start_spread, self.heading_spread)
        return Start(position=np.array([0.0, y]), heading=float(heading), obstacles=self.course.draw(rng))

    def observe(self, image: Array, motion: Motion, acceleration: Array, last: tuple[Array, Array]) -> Array:
        """Observation of the policy, shape (..., observation_size); see the class.

        Args:
          image: See `image`, shape (..., 2500).
          motion: Of the body.
          acceleration: Mean of the last control period, world's frame, shape (..., 3), m/s^2; 0 at the start.
          last: Reward and cost of the last step, shape (...) each.
        """
        felt = self.proprioception(motion, acceleration)
        return np.concatenate([image, felt, np.stack(last, axis=-1)], axis=-1)

    def image(self, depth: Array) -> Array:
        """Image of depths along the camera's axis: depth / 5 m, 1 beyond, in steps of 1 / 255.

        Args:
          depth: Any shape, m; what is not finite or below 0 counts as beyond.
        """
        seen = np.isfinite(depth) & (depth >= 0.0)
        levels = np.rint(np.minimum(np.where(seen, depth, DEPTH_RANGE_M) / DEPTH_RANGE_M, 1.0) * DEPTH_LEVELS)
        return np.asarray(levels / DEPTH_LEVELS)

    def proprioception(self, motion: Motion, acceleration: Array) -> Array:
        """Measurements of the body about itself, shape (..., 12 + 2 joints), in its own frame.

        Acceleration with gravity's reaction, of 9.81 m/s^2 (3); velocity, m/s (3); angular velocity, rad/s (3); the
        hallway's direction (3); joint by joint its angle, scaled to [-1, 1] by its range; .1 x their velocities, rad/s.
        """
        turned = motion.rotation
        low, high = self.body.joint_range.T
        angles = (2.0 * motion.joint_position - (low + high)) / (high - low)
        return np.concatenate(
            [
                in_frame(turned, acceleration + (0.0, 0.0, _GRAVITY)) / _GRAVITY,
                in_frame(turned, motion.velocity),
                motion.angular_velocity,
                turned[..., 0, :],
                angles,
                0.1 * motion.joint_velocity,
            ],
            axis=-1,
        )

    def reward(self, before: Motion, after: Motion) -> Array:
        """Mean speed of the step along the hallway, shape (...), m/s."""
        return np.asarray((after.position[..., 0] - before.position[..., 0]) / self.control_period_s)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Parts of an observation.

    Attributes:
      image: Shape (..., 50, 50), top row first, in [0, 1].
      proprioception: Shape (..., p).
      last_reward: Shape (...).
      last_cost: Shape (...).
    """

    image: Array
    proprioception: Array
    last_reward: Array
    last_cost: Array


def parts(observation: Array) -> Seen:
    """Take observations apart, shape (..., observation_size); views."""
    return Seen(
        image=observation[..., :PIXELS].reshape(*observation.shape[:-1], IMAGE_SIDE, IMAGE_SIDE),
        proprioception=observation[..., PIXELS:-2],
        last_reward=observation[..., -2],
        last_cost=observation[..., -1],
    )


_POINT_HALL = Hall(half_width=1.0, length=34.0, passage=0.5)
"""At its greatest speed, 1.5 m/s, the point goes less than 30 m per episode."""


class _Point(Hallway):
    """The point, 50 Hz.

    Action (2), in [-1, 1]: force ahead, of .015 N, and angular velocity, of 3.2 rad/s.
    """

    observation_size = PIXELS + 12 + 2
    body = PointBody()


@register("hallway_point_walls")
class HallwayPointWalls(_Point):
    """The point among walls, the low stakes: every step in touch with one, or with a side, costs 1."""

    course = Walls(_POINT_HALL)


@register("hallway_point_poles")
class HallwayPointPoles(_Point):
    """The point among poles: every step in touch with one, or with a side, costs 1."""

    course = Poles(_POINT_HALL)


@register("hallway_point_humanoids")
class HallwayPointHumanoids(_Point):
    """The point among figures that move: each costs 1, at its first touch only."""

    course = Humanoids(_POINT_HALL)


_DOGGO_HALL = Hall(half_width=1.5, length=200.0, passage=1.0)
"""Wider, as Doggo is. It would have to keep 2 m/s to see the end."""


class _Doggo(Hallway):
    """Doggo, 10 Hz.

    Action (12), in [-1, 1]: torques of the hips' two joints and of the ankle, legs front left, front right, rear left,
    rear right, of .0125 N·m.
    """

    observation_size = PIXELS + 12 + 2 * len(DoggoBody.joints) + 2
    body = DoggoBody()


@register("hallway_doggo_walls")
class HallwayDoggoWalls(_Doggo):
    """Doggo among walls; see `HallwayPointWalls`."""

    course = Walls(_DOGGO_HALL)


@register("hallway_doggo_poles")
class HallwayDoggoPoles(_Doggo):
    """Doggo among poles; see `HallwayPointPoles`."""

    course = Poles(_DOGGO_HALL)


@register("hallway_doggo_humanoids")
class HallwayDoggoHumanoids(_Doggo):
    """Doggo among figures that move; see `HallwayPointHumanoids`."""

    course = Humanoids(_DOGGO_HALL)
