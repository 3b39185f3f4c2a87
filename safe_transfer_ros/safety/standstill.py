# SPDX-License-Identifier: Apache-2.0
"""Whether an episode shows what a joint does once it moves.

PSPT's prediction starts from states that were visited. While a joint is held by its dry friction they say nothing of
the states it gets into when a higher limit lets it break loose, and then it gets into them all at once: an arm that
stood still is no evidence that it is safe in motion.

Episode by episode, without a memory of earlier iterations: a joint that was loose once may stick again, and a run that
is resumed, or told from its bag, needs nothing but the iteration itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.limit_rules import beyond_limit

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOVED_RAD = 0.02
"""A joint whose positions in an episode span less has stood still, rad.

About a degree: several times the play and the elastic give of a gear that holds (some thousandths of a rad), and as
far as `safe_transfer commission` pushes a joint. MuJoCo's dry friction creeps: on the arm of a tenth of the mass the
slowest joint that is held creeps up to .014 rad in an episode of 10 s, and spans .07 and more once it is loose. On a
much lighter simulated arm creep passes for motion.
"""


class Travel:
    """How far the joints came between two times, from positions in any order of arrival.

    Memory is bounded: the older half is dropped when there is no more room. What is dropped can only make a joint look
    stiller than it was.
    """

    def __init__(self, capacity: int) -> None:
        """Start empty, with room for that many positions."""
        self._capacity = capacity
        self._positions: dict[int, Array] = {}

    def add(self, stamp_ns: int, position: Array) -> None:
        """Record joint positions, shape (n_joints,), rad; copied. Angles must not wrap around."""
        self._positions[stamp_ns] = np.array(position, dtype=np.float64)
        if len(self._positions) > self._capacity:
            self.forget(sorted(self._positions)[len(self._positions) // 2])

    def between(self, first_ns: int, last_ns: int) -> Array:
        """Span of each joint's positions in [first, last], rad; NaN where one was; shape (0,) where none was seen."""
        inside = [position for stamp, position in self._positions.items() if first_ns <= stamp <= last_ns]
        return np.ptp(np.stack(inside), axis=0) if inside else np.empty(0)

    def forget(self, through_ns: int) -> None:
        """Forget positions up to a time."""
        self._positions = {stamp: position for stamp, position in self._positions.items() if stamp > through_ns}


def driven(mean: Array, stddev: Array, torque_limit: Array) -> Flags:
    """Joints whose torque the limit is expected to cut at least once in an episode: a higher one drives them harder.

    Args:
      mean: Policy mean torque of each step, shape (n_steps, n_joints), N·m.
      stddev: Standard deviation, same shape, N·m, > 0.
      torque_limit: Limit of each step, shape (n_steps,), N·m.

    Returns:
      Shape (n_joints,).
    """
    cuts = beyond_limit(mean, stddev, np.asarray(torque_limit)[:, None]).sum(axis=0)
    return np.asarray(~(cuts < 1.0))  # a NaN counts as driven


def stood_still(travel: Array, asked: Flags) -> bool:
    """Whether an episode shows nothing of a joint in motion although it was driven.

    Args:
      travel: Span of each joint's positions, shape (n_joints,), rad; shape (0,) where nothing was seen.
      asked: Which joints were driven, shape (n_joints,).
    """
    if len(travel) == 0:
        return True
    return bool((asked & ~(travel >= MOVED_RAD)).any())


def marked(unsafe: Sequence[Flags], still: Sequence[bool]) -> list[Flags]:
    """Flags of unsafe states, one series per episode, with every state of an episode that stood still marked."""
    return [np.asarray(flags | stands) for flags, stands in zip(unsafe, still, strict=True)]
