# SPDX-License-Identifier: Apache-2.0
"""The episode under way: how far it is, and when its next proposal is due, in the robot's own time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rclpy.task import Future

JITTER_NS = 500_000  # of a real robot's stamps


@dataclass(kw_only=True)
class RunningEpisode:
    """An episode under way. Proposals are due at multiples of the control period after its reset.

    Attributes:
      index: Its number in the run.
      noise: Stream of its actions' noise.
      due_ns: Stamp of the joint state that the next proposal is to answer, ns.
      done: Its end; an exception where it ended early.
      step: Proposals made.
      over: It ended by the task's own rule.
      ended: Its end was proposed.
      ended_ns: Stamp of the state that it ended with, ns.
    """

    index: int
    noise: np.random.Generator
    due_ns: int
    done: Future
    step: int = 0
    over: bool = False
    ended: bool = False
    ended_ns: int = 0

    def oldest_ns(self, horizon: int, early_ns: int) -> int:
        """Stamp of the oldest joint state that may be answered now, ns.

        An episode's first action answers no state before it, and its end comes no earlier than it is due.

        Args:
          horizon: Steps of an episode.
          early_ns: How much earlier than due the others may be answered, ns.
        """
        return self.due_ns - (early_ns if 0 < self.step < horizon else JITTER_NS)

    def answered(self, stamp_ns: int, *, period_ns: int, early_ns: int) -> None:
        """Set when the next one is due, after an answer to the state of that stamp.

        After a stall, what it missed is not made up for in a burst: half a period lies between two at least.
        """
        soonest_ns = stamp_ns + period_ns // 2 + early_ns - JITTER_NS
        self.due_ns = max(self.due_ns + period_ns, soonest_ns)
