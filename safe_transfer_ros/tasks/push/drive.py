# SPDX-License-Identifier: Apache-2.0
"""A push's actions as joint torques: what the safety filter asks at every joint state (`safety.filter.drive.Drive`)."""

from __future__ import annotations

from safe_transfer_ros.robots.task_space import TaskSpaceController
from safe_transfer_ros.tasks.push.task import Array, PushTask


class PushDrive:
    """Leads the tool by one action per control period, as the environments do, from joint states alone.

    Between two actions the set-point goes at an even speed to where the last one sends it, and waits there.

    Attributes:
      action_size: Length of an action.
      set_point: Where it is sent, shape (3,), m, robot's base frame.
    """

    def __init__(self, task: PushTask) -> None:
        """Read the robot and the leash from the task."""
        self.action_size = task.action_size
        self._task, self._leash = task, task.leash
        self._controller = TaskSpaceController(task.robot)
        self.set_point = self._from = self._controller.chain.tool_position(task.robot.home)
        self._share = 1.0  # of the way from `_from` to `set_point` that is behind it

    def begin(self, action: Array, position: Array, *, anew: bool) -> None:
        """Advance the set-point; from the tool if anew, else from where it is. See Drive.

        The action is added to where it was sent, so what is left of the way before is not lost.
        """
        tool = self._controller.chain.tool_position(position)
        self._from, sent = (tool, tool) if anew else (self._now(), self.set_point)
        self.set_point = self._leash.advanced(sent, self._task.increment(action, sent), tool)
        self._share = 0.0

    def torque(self, position: Array, velocity: Array, elapsed_s: float) -> Array:
        """Torque that draws the tool after the set-point. See Drive."""
        period = self._task.control_period_s
        self._share = min(elapsed_s / period, 1.0)
        way = self.set_point - self._from
        speed = way / period if self._share < 1.0 else 0.0 * way
        return self._controller.torque(position, velocity, self._now(), speed)

    def _now(self) -> Array:
        return self._from + self._share * (self.set_point - self._from)
