# SPDX-License-Identifier: Apache-2.0
"""A pushing task seen through a robot's topics: joint states and poses of the block."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.push.task import PushScene, PushTask, block_pose, motion_between
from safe_transfer_ros.tasks.view import UnsafetyReader

Array = npt.NDArray[np.float64]

_JITTER_NS = 500_000  # of stamps
_KEPT = 100_000  # joint states that may wait for a pose; what is lost of them counts as unsafe


class PushView:
    """Remembers the poses that tell how the block moves; see `view.View`.

    Goal and obstacle are those that the run's seed and the episode's number fix, as everywhere else.
    """

    def __init__(self, task: PushTask, seed: int, *, exact: bool) -> None:
        """Start having seen nothing.

        Args:
          task: The task.
          seed: The run's.
          exact: A joint state needs the pose of its very stamp, or one since; else the newest of the episode will do.
        """
        self._task, self._seed, self._exact = task, seed, exact
        self._centre = np.array(task.table_centre)
        self._period_ns = round(task.control_period_s * 1e9)
        self._episode, self._began_ns = -1, -1
        self._goal, self._obstacle = np.zeros(2), np.zeros(3)
        self._poses: deque[tuple[int, Array]] = deque(maxlen=500)

    def begin(self, episode: int, stamp_ns: int) -> None:
        """See `View.begin`. What the block did before is forgotten: it has been put somewhere else."""
        if (episode, stamp_ns) == (self._episode, self._began_ns):
            return
        self._episode, self._began_ns = episode, stamp_ns
        start = self._task.start(generator(Purpose.INITIAL_STATE, self._seed, episode))
        self._goal, self._obstacle = start.goal, self._task.obstacle_at(start)

    def see(self, stamp_ns: int, pose: Array) -> None:
        """See `View.see`."""
        if self._poses and stamp_ns <= self._poses[-1][0]:  # a clock that was set back: the past means nothing
            self._poses.clear()
        self._poses.append((stamp_ns, pose.copy()))

    def ready(self, stamp_ns: int) -> bool:
        """See `View.ready`."""
        return bool(self._poses) and self._poses[-1][0] >= (stamp_ns if self._exact else self._began_ns)

    def observe(self, position: Array, velocity: Array, torque_limit: float) -> Array:
        """See `View.observe`."""
        if not self._poses:
            return np.full(self._task.observation_size, np.nan)
        return self._task.observe(self.scene(position, velocity))

    def over(self, position: Array, velocity: Array) -> bool:
        """See `View.over`."""
        return bool(self._task.over(self.scene(position, velocity)))

    def scene(self, position: Array, velocity: Array) -> PushScene:
        """Scene of one joint state (n_joints,) and the newest pose."""
        task = self._task
        stamp_ns, newest = self._poses[-1]
        before_ns, before = self._before(stamp_ns)
        tool, _, tool_velocity = task.chain.tool_motion(position, velocity)
        block, orientation = block_pose(task, newest)
        period_s = (stamp_ns - before_ns) / 1e9 or task.control_period_s
        moved, spun = motion_between(block_pose(task, before), (block, orientation), period_s)
        tool = tool - self._centre
        return PushScene(
            tool=tool,
            tool_velocity=tool_velocity,
            block=block,
            orientation=orientation,
            block_velocity=moved,
            block_spin=spun,
            goal=self._goal,
            obstacle=self._obstacle,
            touched=task.touching(tool, block, orientation, self._obstacle),
        )

    def _before(self, stamp_ns: int) -> tuple[int, Array]:
        """The pose a control period before, or the latest before that; the first of the episode where there is none."""
        found = self._poses[-1]
        for entry in reversed(self._poses):
            if entry[0] < self._began_ns:
                break
            found = entry
            if entry[0] <= stamp_ns - self._period_ns + _JITTER_NS:
                break
        return found


class PushUnsafetyReader(UnsafetyReader):
    """u of a joint state, by the first pose of the block, and the first decision, stamped no earlier than it.

    Poses are fewer than joint states: what a pose shows counts for all states since the one before.
    """

    def __init__(self, task: PushTask, seed: int) -> None:
        """Start having seen nothing."""
        self._task, self._seed = task, seed
        self._waiting: deque[tuple[int, Array]] = deque(maxlen=_KEPT)
        self._poses: deque[tuple[int, Array]] = deque(maxlen=_KEPT)
        self._decisions: deque[tuple[int, int]] = deque(maxlen=_KEPT)
        self._obstacles: dict[int, Array] = {}

    def states(self, stamps_ns: Sequence[int], position: Array) -> list[tuple[int, float]]:
        """See `UnsafetyReader.states`."""
        self._waiting.extend(zip(stamps_ns, position.copy(), strict=True))
        return self._told()

    def pose(self, stamp_ns: int, pose: Array) -> list[tuple[int, float]]:
        """See `UnsafetyReader.pose`."""
        self._poses.append((stamp_ns, pose.copy()))
        return self._told()

    def decision(self, stamp_ns: int, episode: int) -> list[tuple[int, float]]:
        """See `UnsafetyReader.decision`."""
        self._decisions.append((stamp_ns, episode))
        return self._told()

    def _told(self) -> list[tuple[int, float]]:
        told: list[tuple[int, float]] = []
        while self._waiting:
            first_ns = self._waiting[0][0]
            for known in (self._poses, self._decisions):
                while known and known[0][0] < first_ns:
                    known.popleft()
            if not (self._poses and self._decisions):
                break
            (pose_ns, pose), (decided_ns, episode) = self._poses[0], self._decisions[0]
            stamps, positions = [], []
            while self._waiting and self._waiting[0][0] <= min(pose_ns, decided_ns):
                stamp, position = self._waiting.popleft()
                stamps.append(stamp)
                positions.append(position)
            told += zip(stamps, self._seen(np.array(positions), pose, episode).tolist(), strict=True)
        return told

    def _seen(self, position: Array, pose: Array, episode: int) -> npt.NDArray[np.float64]:
        """U of joint states (m, n_joints) that saw the same pose."""
        task, many = self._task, len(position)
        obstacle, nowhere = np.broadcast_to(self._obstacle(episode), (many, 3)), np.zeros((many, 2))
        return task.unsafety(task.scene_at(position, np.broadcast_to(pose, (many, 7)), nowhere, obstacle))

    def _obstacle(self, episode: int) -> Array:
        if episode not in self._obstacles:
            start = self._task.start(generator(Purpose.INITIAL_STATE, self._seed, episode))
            self._obstacles = {episode: self._task.obstacle_at(start)}
        return self._obstacles[episode]
