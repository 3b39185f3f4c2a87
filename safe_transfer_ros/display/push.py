# SPDX-License-Identifier: Apache-2.0
"""A push seen from above: table, boundary, goal, obstacle, and the block in the colour of its safety."""

from __future__ import annotations

from collections.abc import Iterator

from safe_transfer_ros.display import shape
from safe_transfer_ros.display.shape import Kind, Point, Shape
from safe_transfer_ros.display.situation import AMBER, GREEN, GREY, RED, Situation, faint
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.push.task import PushStart, PushTask

SCENE, BLOCK = "push", "block"


class PushScenery:
    """Shapes of one pushing task; goal and obstacle are those that the run's seed and the episode's number fix."""

    def __init__(self, task: PushTask, seed: int) -> None:
        """Start before the first episode."""
        self._task, self._seed = task, seed
        self._episode, self._start = -1, self._drawn(0)

    def shapes(self, situation: Situation) -> Iterator[Shape]:
        """Table, goal and obstacle, then the block."""
        if situation.episode != self._episode:
            self._episode, self._start = situation.episode, self._drawn(situation.episode)
        yield from self._standing()
        if situation.position is not None and situation.pose is not None:
            yield from self._block(situation.position, situation.pose)

    def _drawn(self, episode: int) -> PushStart:
        return self._task.start(generator(Purpose.INITIAL_STATE, self._seed, episode))

    def _standing(self) -> Iterator[Shape]:
        task, centre = self._task, self._task.table_centre
        half_x, half_y = (length / 2 for length in task.table_size)
        yield shape.outline(SCENE, centre, half_x, half_y, width=0.003, colour=GREY)
        boundary = getattr(task, "boundary", None)
        if boundary is not None:
            yield shape.outline(SCENE, centre, *boundary, width=0.006, colour=RED)
        reach = 2.0 * task.goal_distance
        yield Shape(
            group=SCENE,
            kind=Kind.CYLINDER,
            position=self._on_table(self._start.goal, 0.0),
            size=(reach, reach, 0.001),
            colour=faint(GREEN, 0.7),
        )
        edge, obstacle = task.obstacle_size, self._start.obstacle
        if edge is not None and obstacle is not None:
            at = self._on_table(obstacle, edge / 2)
            yield Shape(group=SCENE, kind=Kind.BOX, position=at, size=(edge, edge, edge), colour=faint(RED, 0.6))

    def _block(self, position: shape.Array, pose: shape.Array) -> Iterator[Shape]:
        task, start = self._task, self._start
        u = float(task.unsafety(task.scene_at(position, pose, start.goal, task.obstacle_at(start))))
        colour = AMBER if u <= task.unsafety_limit else RED  # not a number is unsafe
        x, y, z, w = (float(value) for value in pose[3:])
        yield Shape(
            group=BLOCK,
            kind=Kind.BOX,
            position=shape.point(pose[:3]),
            orientation=(x, y, z, w),
            size=task.block_size,
            colour=colour,
        )
        words = f"{task.unsafety_text}: {u:.3g} {task.unsafety_unit}".rstrip()
        above: Point = (float(pose[0]), float(pose[1]), float(pose[2]) + task.block_size[2])
        yield shape.text(BLOCK, words, above, height=0.025, colour=colour)

    def _on_table(self, place: shape.Array, height: float) -> Point:
        x, y, z = self._task.table_centre
        return x + float(place[0]), y + float(place[1]), z + height
