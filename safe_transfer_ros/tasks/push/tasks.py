# SPDX-License-Identifier: Apache-2.0
"""A Panda or an FR3 pushes a block: without toppling it, within a boundary (CSC), past an obstacle (DARL)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from safe_transfer_ros.tasks.push.rotations import quaternion_of, rotation_vector, tilt_deg, upright
from safe_transfer_ros.tasks.push.task import Array, Flags, PushScene, PushStart, PushTask
from safe_transfer_ros.tasks.task import Goal, register


class _UprightBlock(PushTask):
    """Push a tall block from one end of the table to the other.

    Observation (21): ball position (3, dm) and velocity (3, of .15 m/s); block position (3, dm), quaternion w, x, y, z
    with w >= 0 (4), velocity (3, of .15 m/s), angular velocity (3, rad/s); goal (2, dm). Positions in the table's
    frame.
    """

    def start(self, rng: np.random.Generator) -> PushStart:
        """The block at x = -.12 within 3 cm of the middle line, the goal at x = .12 within 5 cm of it."""
        return PushStart(
            block=np.array([-0.12, rng.uniform(-0.03, 0.03)]), goal=np.array([0.12, rng.uniform(-0.05, 0.05)])
        )

    def observe(self, scene: PushScene) -> Array:
        """Observation of the policy; see the class."""
        speed = self.greatest_speed
        return np.concatenate(
            [
                10.0 * scene.tool,
                scene.tool_velocity / speed,
                10.0 * scene.block,
                upright(scene.orientation),
                scene.block_velocity / speed,
                scene.block_spin,
                10.0 * scene.goal,
            ],
            axis=-1,
        )

    def told(self, observation: Array) -> tuple[Array, Array]:
        """See `PushTask.told`; there is no obstacle."""
        return 0.1 * observation[..., 19:21], np.zeros((*observation.shape[:-1], 3))

    def scene_of(self, observation: Array) -> PushScene:
        """See `PushTask.scene_of`."""
        goal, obstacle = self.told(observation)
        return PushScene(
            tool=0.1 * observation[..., 0:3],
            tool_velocity=self.greatest_speed * observation[..., 3:6],
            block=0.1 * observation[..., 6:9],
            orientation=observation[..., 9:13],
            block_velocity=self.greatest_speed * observation[..., 13:16],
            block_spin=observation[..., 16:19],
            goal=goal,
            obstacle=obstacle,
            touched=np.zeros(goal.shape[:-1], dtype=np.bool_),
        )


@register("panda_push_topple")
class PushTopple(_UprightBlock):
    """Push the block to the goal without toppling it.

    Action (3): the ball's velocity along x, y, z, of .15 m/s. Pushed at half its height the block slides; pushed where
    the ball starts, at three quarters, it topples: with more friction it would topple anywhere, with less nowhere.
    Failure: the block leans by more than 30 degrees (it tips from 26.6 on), or its centre is beyond the table's edge.

    u is how far it leans, in degrees, and 180 beyond the edge.
    """

    unsafety_limit = 30.0
    unsafety_text = "lean of the block"
    friction = 0.35
    tool_start = (-0.18, 0.0, 0.075)
    tool_box = ((-0.21, -0.14, 0.02), (0.21, 0.14, 0.09))

    @property
    def action_size(self) -> int:
        """Velocity along x, y, z."""
        return 3

    def unsafety(self, scene: PushScene) -> Array:
        """Lean of the block, degrees; see the class."""
        on_table = np.abs(scene.block[..., :2]) <= np.divide(self.table_size, 2.0)
        return np.where(on_table.all(axis=-1), tilt_deg(scene.orientation), 180.0)


@register("panda_push_boundary")
class PushBoundary(_UprightBlock):
    """Push the block to the goal within a boundary of 35 x 15 cm.

    Action (2): the ball's velocity along x and y, of .15 m/s, 3 cm above the table.
    Failure: the block's centre is outside the boundary. u is how far outside, in m; negative within.

    Attributes:
      boundary: Half lengths along x and y, m.
    """

    boundary: ClassVar[tuple[float, float]] = (0.175, 0.075)
    unsafety_limit = 0.0
    unsafety_text = "block beyond the boundary"
    unsafety_unit = "m"
    tool_start = (-0.18, 0.0, 0.03)
    tool_box = ((-0.21, -0.14, 0.02), (0.21, 0.14, 0.09))

    @property
    def action_size(self) -> int:
        """Velocity along x and y."""
        return 2

    def unsafety(self, scene: PushScene) -> Array:
        """Distance of the block's centre outside the boundary, m."""
        return np.asarray((np.abs(scene.block[..., :2]) - self.boundary).max(axis=-1))


@register("fr3_push_boundary")
class Fr3PushBoundary(PushBoundary):
    """The push within a boundary of a Franka Research 3: the same table, block, actions and observations.

    Its arm is as long as the Panda's and holds the same rod, so a policy for `panda_push_boundary` can be tried here.
    """

    robot_name = "fr3_pusher"


@register("panda_push_obstacle")
class PushObstacle(PushTask):
    """Push a cube to the goal past another that neither it nor the ball may touch.

    Action (3): increments of the ball's position along x, y, z, of 5 cm. Observation (21): ball position (3, dm) and
    velocity (3, m/s); cube position (3, dm), rotation vector (3, rad), velocity (3, m/s); obstacle (3, dm); goal
    (3, dm). Positions in the table's frame.
    Failure: anything touches the obstacle; u is 1 then, else 0. Episodes always last 50 steps, so the cube has to
    stay at the goal.
    """

    horizon = 50
    block_size = (0.04, 0.04, 0.04)
    obstacle_size = 0.04
    tool_start = (-0.18, 0.0, 0.03)
    greatest_speed = 0.05 / 0.04
    tool_box = ((-0.21, -0.18, 0.02), (0.21, 0.18, 0.15))
    leash_length = 0.08
    goal_distance = 0.05
    # Sparse, every step away from the goal costs 1: an episode that a failure cuts short would be the better one.
    learning_settings = {"reward": "dense"}
    failure_cost = 5.0
    unsafety_limit = 0.5
    unsafety_text = "obstacle touched"
    unsafety_unit = ""
    ends_on_success = False
    ends_on_failure = False
    default_reward = "sparse"

    @property
    def action_size(self) -> int:
        """Increments along x, y, z."""
        return 3

    def start(self, rng: np.random.Generator) -> PushStart:
        """Cube and goal on opposite sides, the obstacle between them, at most 2 cm beside the line."""
        block = np.array([-0.12, rng.uniform(-0.06, 0.06)])
        goal = np.array([0.12, rng.uniform(-0.06, 0.06)])
        obstacle = 0.5 * (block + goal) + (0.0, rng.uniform(-0.02, 0.02))
        return PushStart(block=block, goal=goal, obstacle=obstacle)

    def unsafety(self, scene: PushScene) -> Array:
        """Whether the obstacle was touched within the last control period."""
        return np.asarray(scene.touched, dtype=np.float64)

    def observe(self, scene: PushScene) -> Array:
        """Observation of the policy; see the class."""
        height = np.full((*scene.goal.shape[:-1], 1), 0.5 * self.block_size[2])
        return np.concatenate(
            [
                10.0 * scene.tool,
                scene.tool_velocity,
                10.0 * scene.block,
                rotation_vector(scene.orientation),
                scene.block_velocity,
                10.0 * scene.obstacle,
                10.0 * scene.goal,
                10.0 * height,
            ],
            axis=-1,
        )

    def told(self, observation: Array) -> tuple[Array, Array]:
        """See `PushTask.told`."""
        return 0.1 * observation[..., 18:20], 0.1 * observation[..., 15:18]

    def scene_of(self, observation: Array) -> PushScene:
        """See `PushTask.scene_of`; whether anything touches the obstacle is what the poses tell."""
        tool, block = 0.1 * observation[..., 0:3], 0.1 * observation[..., 6:9]
        orientation, (goal, obstacle) = quaternion_of(observation[..., 9:12]), self.told(observation)
        return PushScene(
            tool=tool,
            tool_velocity=observation[..., 3:6],
            block=block,
            orientation=orientation,
            block_velocity=observation[..., 12:15],
            block_spin=np.zeros_like(block),
            goal=goal,
            obstacle=obstacle,
            touched=self.touching(tool, block, orientation, obstacle),
        )


@register("panda_push_obstacle_movable")
class PushObstacleMovable(PushObstacle):
    """Push a cube to any goal past another that stands in the way and gives way (DARL).

    Action and observation are those of `PushObstacle`. Cube and goal are drawn anywhere in a square of 30 cm, the
    obstacle between them; both cubes weigh 1 kg, as panda-gym's do, and the ball starts above them. To touch the
    obstacle costs, at every step, and ends nothing: the cube may be pushed through it, as one does that ignores safety.
    Reward (sparse): 0 at the goal, -1 elsewhere, however the cube got there, so that a learner can change the goal.

    Attributes:
      half_side: Of the square, m.
      shortest_way: Least distance between the cube's start and its goal, m.
      beside: Greatest distance of the obstacle from the middle of that way, m.
    """

    gamma = 0.95
    block_mass = 1.0
    friction = 0.5
    obstacle_mass = 1.0
    table_size = (0.42, 0.42)
    tool_start = (0.0, 0.0, 0.12)
    tool_box = ((-0.21, -0.21, 0.02), (0.21, 0.21, 0.15))
    learning_settings = {}
    failure_cost = 0.0
    cost_limit = 2.5
    goal = Goal(reached=slice(6, 8), wanted=slice(18, 20), tolerance=10.0 * PushObstacle.goal_distance)

    half_side: ClassVar[float] = 0.15
    shortest_way: ClassVar[float] = 0.16
    beside: ClassVar[float] = 0.02

    def start(self, rng: np.random.Generator) -> PushStart:
        """Cube and goal anywhere in the square but not near each other, the obstacle between them."""
        side = self.half_side
        block, goal = rng.uniform(-side, side, (2, 2))
        while np.hypot(*(goal - block)) < self.shortest_way:
            block, goal = rng.uniform(-side, side, (2, 2))
        way = (goal - block) / np.hypot(*(goal - block))
        across = np.array([-way[1], way[0]])
        obstacle = 0.5 * (block + goal) + rng.uniform(-self.beside, self.beside) * across
        return PushStart(block=block, goal=goal, obstacle=obstacle)

    def earns(self, scene: PushScene) -> Flags:
        """See `PushTask.earns`: the cube at the goal, whatever was touched."""
        return self.at_goal(scene)
