# SPDX-License-Identifier: Apache-2.0
"""The PR2 swirls a cup: its tool follows a horizontal circle, the cup pointing down (PSPT, section VI).

The circle is as large and as fast as 3 N·m just allows, so a lower torque limit is felt; a smaller one could
be swirled from the wrist alone.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from safe_transfer_ros.tasks.task import Array, register
from safe_transfer_ros.tasks.torque_task import TorqueTask


@register("pr2_cup_swirl")
class CupSwirl(TorqueTask):
    """Follow a circle, counter-clockwise seen from above, without tilting the cup.

    Observation (18): position - start (7, rad), velocity bounded to +-10 (7, rad/s), tool position in the
    torso frame (3, m), torque limit / 3 N·m.

    Attributes:
      centre: Centre of the circle in the torso frame, shape (3,), m.
      radius: m.
      speed: Tool speed asked for, m/s.
      start: Joint position about which episodes start, shape (7,), rad.
    """

    robot_name = "pr2_left_arm"
    observation_size = 18
    unsafety_function = "tilt_from_vertical"
    unsafety_limit = 15.0
    # The paper's .001 with its task reward halved.
    unsafety_penalty = 0.002
    torque_limit_range = (0.1, 3.0)
    limit_input: ClassVar[tuple[int, float] | None] = (17, 3.0)

    def __init__(
        self,
        *,
        centre: tuple[float, float, float] = (0.60, 0.30, -0.30),
        radius: float = 0.10,
        lap_s: float = 4.0,
        start_spread: float = 0.1,
    ) -> None:
        """Set the circle.

        Args:
          centre: Centre of the circle in the torso frame, m.
          radius: m, positive.
          lap_s: Time for one lap, s, positive.
          start_spread: Half-width of the uniform distribution of each joint's start, rad.

        Raises:
          ValueError: if a value is not finite or not in its range.
        """
        super().__init__()
        if (
            not (radius > 0.0 and lap_s > 0.0 and start_spread >= 0.0)
            or not np.isfinite([*centre, radius, lap_s, start_spread]).all()
        ):
            raise ValueError(
                "cup swirl: radius and lap_s must be positive, start_spread not negative, all finite; got "
                f"centre={centre}, radius={radius}, lap_s={lap_s}, start_spread={start_spread}"
            )
        self.centre = np.array(centre, dtype=np.float64)
        self.radius = radius
        self.speed = 2.0 * math.pi * radius / lap_s
        self.start = self.robot.home
        self._start_spread = start_spread

    def observe(self, position: Array, velocity: Array, torque_limit: float | Array) -> Array:
        """Observation of the policy; see the class."""
        observation = np.empty((*position.shape[:-1], CupSwirl.observation_size))
        np.subtract(position, self.start, out=observation[..., 0:7])
        np.minimum(np.maximum(velocity, -10.0), 10.0, out=observation[..., 7:14])
        observation[..., 14:17] = self.chain.tool_position(position)
        observation[..., 17] = torque_limit / 3.0
        return observation

    def task_reward(self, position: Array, velocity: Array, torque: Array) -> Array:
        """Reward for being on the circle and moving along it, less the effort.

        r = .25 g + .75 g f - .02 mean(a^2), where g = exp(-d^2 / (2 .05^2)) falls with the distance d to the
        circle (m) and f = min(v / v*, 1) - max(0, v / v* - 1), at least -1, with the tangential speed v:
        slower and faster than v* both lose. Without the second term of f it swirls at twice v*, and tilts.
        """
        tool, _, motion = self.chain.tool_motion(position, velocity)
        x, y, z = (tool[..., axis] - self.centre[axis] for axis in range(3))
        from_axis = np.hypot(x, y)
        distance_squared = (from_axis - self.radius) ** 2 + z**2
        on_circle = np.exp(-distance_squared / (2.0 * 0.05**2))
        # On the axis of the circle no direction is tangential.
        along = (x * motion[..., 1] - y * motion[..., 0]) / np.maximum(from_axis, 1e-12)
        pace = along / self.speed
        following = np.minimum(np.maximum(pace, -1.0), 1.0) - np.maximum(0.0, pace - 1.0)
        effort = np.mean(np.square(torque), axis=-1)
        return np.asarray(on_circle * (0.25 + 0.75 * following) - 0.02 * effort)

    def initial_state(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Start at rest, each joint within `start_spread` of the start position."""
        position = self.start + rng.uniform(-self._start_spread, self._start_spread, self.start.shape)
        return position, np.zeros_like(position)


@register("fr3_cup_swirl")
class Fr3CupSwirl(CupSwirl):
    """The cup swirl of a Franka Research 3, which holds no cup: the flange follows a circle, pointing down.

    Observation (18): as CupSwirl's, in the frame of the base.
    """

    robot_name = "fr3"

    def __init__(
        self,
        *,
        centre: tuple[float, float, float] = (0.36, 0.0, 0.58),
        radius: float = 0.08,
        lap_s: float = 4.0,
        start_spread: float = 0.05,
    ) -> None:
        """See `CupSwirl`; the circle passes near the flange at home."""
        super().__init__(centre=centre, radius=radius, lap_s=lap_s, start_spread=start_spread)


@register("pr2_cup_swirl_no_limit")
class CupSwirlWithoutLimit(CupSwirl):
    """Cup swirl without the torque limit in the observation, to study the value of knowing it (PSPT).

    Observation (17): as CupSwirl's, but for the limit.
    """

    observation_size = CupSwirl.observation_size - 1
    limit_input = None

    def observe(self, position: Array, velocity: Array, torque_limit: float | Array) -> Array:
        """Observation of the policy; see the class."""
        return np.ascontiguousarray(super().observe(position, velocity, torque_limit)[..., :-1])


@register("pr2_cup_swirl_direction")
class CupSwirlByDirection(CupSwirl):
    """Cup swirl with the paper's own third input: the direction of the tool's axis, not its position (PSPT, VI).

    Observation (18): as CupSwirl's, with the unit vector along the cup's axis in the torso frame, (0, 0, -1) where the
    cup is upright, in place of the tool position.
    """

    def observe(self, position: Array, velocity: Array, torque_limit: float | Array) -> Array:
        """Observation of the policy; see the class."""
        observation = super().observe(position, velocity, torque_limit)
        observation[..., 14:17] = self.chain.tool_rotation(position)[..., :, 0]
        return observation
