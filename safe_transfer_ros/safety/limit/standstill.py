# SPDX-License-Identifier: Apache-2.0
"""Whether an episode shows what a joint does once it moves.

PSPT's prediction starts from states that were visited. While a joint is held by its dry friction they say nothing of
the states it gets into when a higher limit lets it break loose, and then it gets into them all at once: an arm that
stood still is not evidence that it is safe in motion.

Episode by episode, without a memory of earlier iterations: a joint that was loose once may stick again, and a run that
is resumed, or told from its bag, needs nothing but the iteration itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOVED_RAD = 0.02
"""A joint whose positions in an episode span less has stood still, rad.

About a degree: several times the play and the elastic give of a gear that holds (some thousandths of a rad), and as
far as `safe_transfer commission` pushes a joint. MuJoCo's dry friction creeps, as a real one hardly does: on the arm of
a tenth of the mass, wrist joints that are held creep .1 to 1 rad in an episode of 10 s and pass for moving. Its first
joint creeps up to .014 rad, and spans .07 and more once it is loose: in simulation that joint alone tells.
"""

ASKED_SHARE = 0.1
"""A joint that was asked for less torque than this share of the limit, as root mean square, need not move."""


class Travel:
    """Range of the joints between two times, from positions in any order of arrival.

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


def asked_joints(mean: Array, stddev: Array, torque_limit: Array) -> Flags:
    """Joints that an episode asked for torque; see `ASKED_SHARE`.

    Args:
      mean: Policy mean torque of each step, shape (n_steps, n_joints), N·m.
      stddev: Standard deviation, same shape, N·m.
      torque_limit: Limit of each step, shape (n_steps,), N·m, > 0.

    Returns:
      Shape (n_joints,).
    """
    asked = np.mean((np.square(mean) + np.square(stddev)) / np.square(torque_limit)[:, None], axis=0)
    return np.asarray(~(asked < ASKED_SHARE**2))  # a NaN counts as asked


def stood_still(travel: Array, asked: Flags) -> bool:
    """Whether an episode shows nothing of a joint in motion although it was asked for torque.

    Args:
      travel: Span of each joint's positions, shape (n_joints,), rad; shape (0,) where nothing was seen.
      asked: Which joints were asked for torque, shape (n_joints,).
    """
    if len(travel) == 0:
        return True
    return bool((asked & ~(travel >= MOVED_RAD)).any())


def warning(still: int, episodes: int) -> str:
    """Words for an iteration after which joints that stood still could break D_safe.

    Args:
      still: Its episodes in which a joint that was asked for torque stood still.
      episodes: All of its episodes.
    """
    return (
        f"in {still} of {episodes} episodes a joint that was asked for torque stood still. Should it break loose now, "
        "D_safe may be broken; nothing here predicts that (unsafety_monitor.standstill: unsafe would count such "
        "episodes as unsafe)"
    )


def marked(unsafe: Sequence[Flags], still: Sequence[bool]) -> list[Flags]:
    """Flags of unsafe states, one series per episode, with every state of an episode that stood still marked."""
    return [np.asarray(flags | stands) for flags, stands in zip(unsafe, still, strict=True)]
