# SPDX-License-Identifier: Apache-2.0
"""Definition of a pushing task: a tool led through space, a block on a table, a goal, and a failure to avoid.

Lengths are in the table's frame: its origin in the middle of the table's top, axes parallel to the robot's base frame.
All functions take one scene or any leading dimensions.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import load
from safe_transfer_ros.robots.task_space import Leash
from safe_transfer_ros.tasks.push.contact import ball_gap, box_gap
from safe_transfer_ros.tasks.push.rotations import turned_by
from safe_transfer_ros.tasks.robot_task import Outcome, RobotTask, Seen

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

REWARDS = ("dense", "sparse")
TOUCH_MARGIN = 0.001  # m: a touch between two poses is seen if it came so near at one of them


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PushStart:
    """Start of an episode: what differs from episode to episode.

    Attributes:
      block: Where the block stands, shape (2,), m.
      goal: Where it shall be pushed, shape (2,), m.
      obstacle: Where the obstacle stands, shape (2,), m; None where there is none.
    """

    block: Array
    goal: Array
    obstacle: Array | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PushScene:
    """Input of a pushing task: joint states by way of kinematics, and the block's pose.

    Attributes:
      tool: Position of the pushing ball's centre, shape (..., 3), m.
      tool_velocity: Shape (..., 3), m/s.
      block: Position of the block's centre, shape (..., 3), m.
      orientation: The block's, a unit quaternion w, x, y, z, shape (..., 4).
      block_velocity: Mean over the last control period, shape (..., 3), m/s: what two poses tell.
      block_spin: Mean angular velocity, the same way, shape (..., 3), rad/s.
      goal: Shape (..., 2), m.
      obstacle: Position of the obstacle's centre, shape (..., 3), m; zero where there is none.
      touched: Whether anything touched the obstacle within the last control period, shape (...).
    """

    tool: Array
    tool_velocity: Array
    block: Array
    orientation: Array
    block_velocity: Array
    block_spin: Array
    goal: Array
    obstacle: Array
    touched: Flags


def block_pose(task: PushTask, pose: Array) -> tuple[Array, Array]:
    """The block's centre, m, table frame, and its quaternion w, x, y, z, from poses (..., 7) as ROS has them."""
    return pose[..., :3] - np.array(task.table_centre), pose[..., [6, 3, 4, 5]]


def motion_between(before: tuple[Array, Array], after: tuple[Array, Array], period_s: float) -> tuple[Array, Array]:
    """Mean velocity and angular velocity of a body, from its pose before and after a period.

    Args:
      before: Position (..., 3), m, and unit quaternion w, x, y, z (..., 4).
      after: The same, later.
      period_s: Time between, s.

    Returns:
      Velocity (..., 3), m/s, and angular velocity (..., 3), rad/s.
    """
    return (after[0] - before[0]) / period_s, turned_by(before[1], after[1]) / period_s


class PushTask(RobotTask):
    """One pushing task: sizes, start, observation, reward, success and failure.

    An action is a fraction of the greatest speed along each axis, in [-1, 1]; what is beyond is taken as the bound.

    Attributes:
      table_centre: Origin of the table's frame in the robot's base frame, m.
      table_size: Length along x and width along y, m.
      block_size: Edge lengths along x, y, z, m.
      block_mass: kg.
      friction: Sliding, block on table and ball on block.
      obstacle_size: Edge length of the obstacle's cube, m; None where there is none.
      obstacle_mass: kg; None where nothing moves it.
      ball_radius: Of the pushing ball, as in the URDF, m.
      tool_start: Where the ball is when an episode starts, m.
      greatest_speed: m/s per unit of action.
      tool_box: Where the set-point may be: lower and upper corner, m.
      leash_length: How far it may be from the tool, m.
      goal_distance: The block is at the goal when nearer than this, m.
      ends_on_success: Whether an episode ends when the block is at the goal.
      ends_on_failure: Whether it ends with a failure.
      reward_kind: "dense" or "sparse".
    """

    robot_name = "panda"
    control_period_s = 0.04
    timestep_s = 0.004
    horizon = 500
    gamma = 0.99
    observation_size = 21
    has_goal = True

    # Nearer to the base joint 4 comes to its limit, farther away the arm to its length.
    table_centre: ClassVar[tuple[float, float, float]] = (0.55, 0.0, 0.0)
    table_size: ClassVar[tuple[float, float]] = (0.40, 0.20)
    block_size: ClassVar[tuple[float, float, float]] = (0.05, 0.05, 0.10)
    block_mass: ClassVar[float] = 0.3
    friction: ClassVar[float] = 0.3
    obstacle_size: ClassVar[float | None] = None
    obstacle_mass: ClassVar[float | None] = None
    ball_radius: ClassVar[float] = 0.011
    tool_start: ClassVar[tuple[float, float, float]]
    greatest_speed: ClassVar[float] = 0.15
    tool_box: ClassVar[tuple[tuple[float, float, float], tuple[float, float, float]]]
    leash_length: ClassVar[float] = 0.05
    goal_distance: ClassVar[float] = 0.03
    ends_on_success: ClassVar[bool] = True
    ends_on_failure: ClassVar[bool] = True
    default_reward: ClassVar[str] = "dense"

    def __init__(self, *, reward: str | None = None) -> None:
        """Choose the reward.

        Raises:
          ValueError: if the reward is neither "dense" nor "sparse".
        """
        super().__init__()
        self.reward_kind = self.default_reward if reward is None else reward
        if self.reward_kind not in REWARDS:
            raise ValueError(f"reward must be one of {REWARDS}, got {self.reward_kind!r}")

    @classmethod
    def single_environment(cls, *, reward: str | None = None, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the other settings are those of `PushEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.push.environment:PushEnv")(
            cls(reward=reward), **settings
        )
        return made

    @classmethod
    def vector_environment(
        cls, num_envs: int, *, reward: str | None = None, **settings: Any
    ) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the other settings are those of `PushVectorEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.push.environment:PushVectorEnv")(
            cls(reward=reward), num_envs, **settings
        )
        return made

    @property
    def leash(self) -> Leash:
        """Bounds of the set-point, in the robot's base frame."""
        lower, upper = (np.add(corner, self.table_centre) for corner in self.tool_box)
        return Leash(lower=lower, upper=upper, length=self.leash_length)

    def increment(self, action: Array, set_point: Array) -> Array:
        """Motion of the set-point by an action in a control period.

        Args:
          action: Shape (..., action_size).
          set_point: Where it is, shape (..., 3), m, base frame.

        Returns:
          Shape (..., 3), m.
        """
        step = np.minimum(np.maximum(action, -1.0), 1.0) * (self.greatest_speed * self.control_period_s)
        if self.action_size == 3:
            return np.asarray(step)
        # Two axes are the policy's; the third stays where episodes start.
        height = self.tool_start[2] + self.table_centre[2] - set_point[..., 2:]
        return np.concatenate([step, height], axis=-1)

    @abc.abstractmethod
    def start(self, rng: np.random.Generator) -> PushStart:
        """Draw an episode."""

    def obstacle_at(self, start: PushStart) -> Array:
        """Centre of the obstacle at the start of an episode, shape (3,), m; zero where there is none."""
        if start.obstacle is None or self.obstacle_size is None:
            return np.zeros(3)
        return np.array([*start.obstacle, 0.5 * self.obstacle_size])

    @abc.abstractmethod
    def unsafety(self, scene: PushScene) -> Array:
        """U of the scene, shape (...); beyond `unsafety_limit`, or not a number, it is a failure."""

    def failed(self, scene: PushScene) -> Flags:
        """Whether the scene is a failure, shape (...); not finite counts as one."""
        return np.asarray(~(self.unsafety(scene) <= self.unsafety_limit))

    def touching(self, tool: Array, block: Array, orientation: Array, obstacle: Array) -> Flags:
        """Whether anything touches the obstacle, as far as poses tell, shape (...); False where there is none.

        Args:
          tool: The ball's centre, shape (..., 3), m.
          block: The block's centre, shape (..., 3), m.
          orientation: The block's, a unit quaternion w, x, y, z, shape (..., 4).
          obstacle: The obstacle's centre, shape (..., 3), m; it is taken for upright.
        """
        if self.obstacle_size is None:
            return np.zeros(block.shape[:-1], dtype=np.bool_)
        half = np.full(3, 0.5 * self.obstacle_size)
        near = np.minimum(
            ball_gap(tool, self.ball_radius, obstacle, half),
            box_gap(block, orientation, 0.5 * np.array(self.block_size), obstacle, half),
        )
        return np.asarray(~(near > TOUCH_MARGIN))

    def over(self, scene: PushScene) -> Flags:
        """Whether an episode ends here by failure or success, shape (...)."""
        failed = self.failed(scene)
        return np.asarray((failed & self.ends_on_failure) | (self.succeeded(scene) & self.ends_on_success))

    def succeeded(self, scene: PushScene) -> Flags:
        """Whether the block is at the goal and nothing has failed, shape (...)."""
        return np.asarray(self.at_goal(scene) & ~self.failed(scene))

    def at_goal(self, scene: PushScene) -> Flags:
        """Whether the block is at the goal, shape (...)."""
        return np.asarray(self.distance_to_goal(scene) < self.goal_distance)

    def earns(self, scene: PushScene) -> Flags:
        """Whether the scene has the reward of the goal, shape (...): as long as nothing has failed."""
        return self.succeeded(scene)

    def distance_to_goal(self, scene: PushScene) -> Array:
        """Horizontal distance of the block's centre from the goal, shape (...), m."""
        return np.asarray(np.hypot(*np.moveaxis(scene.block[..., :2] - scene.goal, -1, 0)))

    @abc.abstractmethod
    def observe(self, scene: PushScene) -> Array:
        """Observation of the policy, shape (..., observation_size), numbers of order one."""

    @abc.abstractmethod
    def told(self, observation: Array) -> tuple[Array, Array]:
        """Goal, shape (..., 2), and obstacle, shape (..., 3), m, that observations (..., observation_size) name."""

    @abc.abstractmethod
    def scene_of(self, observation: Array) -> PushScene:
        """The scene that `observe` saw, from observations of shape (..., observation_size).

        For recordings without the block's pose; an observation that is an image does not tell it.
        """

    def scene_at(self, position: Array, pose: Array, goal: Array, obstacle: Array) -> PushScene:
        """The scene at rest that joint positions and a pose show, for what does not go by velocities.

        Args:
          position: Joint positions, shape (..., n_joints), rad.
          pose: The block's, shape (..., 7), as ROS has it, in the base frame.
          goal: Shape (..., 2), m.
          obstacle: Shape (..., 3), m.
        """
        tool = self.chain.tool_position(position) - self.table_centre
        block, orientation = block_pose(self, pose)
        still = np.zeros_like(block)
        return PushScene(
            tool=tool,
            tool_velocity=still,
            block=block,
            orientation=orientation,
            block_velocity=still,
            block_spin=still,
            goal=goal,
            obstacle=obstacle,
            touched=self.touching(tool, block, orientation, obstacle),
        )

    def outcome_of_steps(self, before: Seen, after: Seen, action: Array) -> Outcome:
        """See `RobotTask.outcome_of_steps`: reward and failure go by the tool and the block, as they were measured."""
        scene = self._seen(after)
        reward = self.reward(self._seen(before), scene)
        return Outcome(task_reward=reward, unsafety=self.unsafety(scene), reward=reward)

    def _seen(self, seen: Seen) -> PushScene:
        pose = seen.object_pose
        if pose is None or np.isnan(pose).all():  # recorded without: what was observed has to do
            return self.scene_of(seen.observation)
        return self.scene_at(seen.position, pose, *self.told(seen.observation))

    def reward(self, before: PushScene, after: PushScene) -> Array:
        """Reward of the step between two scenes, shape (...).

        Dense: by how many decimetres the block came nearer to the goal, a quarter of the decimetres by which the ball
        came nearer to the block, and 1 when the block is at the goal. The sum over an episode depends on its
        ends only, so neither to go to and fro nor to fail early pays. Sparse: 1 when the block is at the goal where
        that ends the episode; otherwise 0 at the goal and -1 elsewhere.
        """
        reached = self.earns(after)
        if self.reward_kind == "sparse":
            return np.asarray(reached * 1.0 if self.ends_on_success else reached - 1.0)
        nearer = self.distance_to_goal(before) - self.distance_to_goal(after)
        closer = _reach(before) - _reach(after)
        return np.asarray(10.0 * nearer + 2.5 * closer + reached)


def _reach(scene: PushScene) -> Array:
    """Horizontal distance between the ball's centre and the block's, shape (...), m."""
    return np.asarray(np.hypot(*np.moveaxis(scene.tool[..., :2] - scene.block[..., :2], -1, 0)))
