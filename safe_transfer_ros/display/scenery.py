# SPDX-License-Identifier: Apache-2.0
"""All that is shown of a task and of the filter that guards it."""

from __future__ import annotations

from collections.abc import Iterator

from safe_transfer_ros.display import cup, shape, torque_bars
from safe_transfer_ros.display.push import PushScenery
from safe_transfer_ros.display.shape import Kind, Shape
from safe_transfer_ros.display.situation import Situation, faint
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.torque_task import TorqueTask

FILTER = "safety filter"


class Scenery:
    """Shapes of one task. Of a kind of task that is not known here only what the filter does is shown."""

    def __init__(self, task: RobotTask, seed: int) -> None:
        """Start before the first episode of a run with this seed."""
        self._task = task
        self._push = PushScenery(task, seed) if isinstance(task, PushTask) else None

    def shapes(self, situation: Situation) -> tuple[Shape, ...]:
        """Everything that can be shown of the situation, in the frame of the robot's base link."""
        return tuple(self._shapes(situation))

    def _shapes(self, situation: Situation) -> Iterator[Shape]:
        x, y, z = torque_bars.PLACE
        above = (x, y - 0.2, z + torque_bars.HEIGHT + 0.17)
        yield shape.text(FILTER, situation.words, above, height=0.04, colour=situation.colour)
        yield from torque_bars.bars(situation)
        if situation.position is not None:
            tool = shape.point(self._task.chain.tool_position(situation.position))
            colour = faint(situation.colour, 0.8)
            yield Shape(group=FILTER, kind=Kind.SPHERE, position=tool, size=(0.03, 0.03, 0.03), colour=colour)
        if isinstance(self._task, TorqueTask):
            yield from cup.cone(self._task, situation)
        if self._push is not None:
            yield from self._push.shapes(situation)
