# SPDX-License-Identifier: Apache-2.0
"""One process's view of the robot, and the unsafety of its states: the plain case of joint states alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.torque_task import TorqueTask

Array = npt.NDArray[np.float64]


class View(Protocol):
    """One process's view of the robot; it receives object poses, joint states are handed in."""

    def begin(self, episode: int, stamp_ns: int) -> None:
        """Begin an episode with the state of that stamp; a second call changes nothing."""
        ...

    def see(self, stamp_ns: int, pose: Array) -> None:
        """Process a pose of the object: x y z, m, and quaternion x y z w, shape (7,), finite."""
        ...

    def ready(self, stamp_ns: int) -> bool:
        """Whether all that is needed beside the joint state of that stamp is there."""
        ...

    def observe(self, position: Array, velocity: Array, torque_limit: float) -> Array:
        """The task's observation, shape (observation_size,); NaN while something is missing."""
        ...

    def over(self, position: Array, velocity: Array) -> bool:
        """Whether the task's own rule ends the episode here, by failure or success."""
        ...


class TorqueView:
    """Of a task of joint torques; see `View`."""

    def __init__(self, task: TorqueTask) -> None:
        """Start; there is nothing to remember."""
        self._task = task

    def begin(self, episode: int, stamp_ns: int) -> None:
        """See `View.begin`."""

    def see(self, stamp_ns: int, pose: Array) -> None:
        """See `View.see`: there is no object."""

    def ready(self, stamp_ns: int) -> bool:
        """Always: a joint state is all."""
        return True

    def observe(self, position: Array, velocity: Array, torque_limit: float) -> Array:
        """See `View.observe`."""
        return self._task.observe(position, velocity, torque_limit)

    def over(self, position: Array, velocity: Array) -> bool:
        """Never before the horizon."""
        return False


class UnsafetyReader:
    """Reader of u(s) for every joint state; states that cannot be judged yet are kept until they can.

    What comes out does not depend on how messages of different topics overtook each other.
    """

    def __init__(self, unsafety: Callable[[Array], Array]) -> None:
        """Set u as a function of joint positions (m, n_joints)."""
        self._unsafety = unsafety

    def states(self, stamps_ns: Sequence[int], position: Array) -> list[tuple[int, float]]:
        """Process joint states in the order of their stamps.

        Args:
          stamps_ns: m of them.
          position: Shape (m, n_joints), rad.

        Returns:
          Stamp and u of every state that can be told now.
        """
        return list(zip(stamps_ns, self._unsafety(position).tolist(), strict=True))

    def pose(self, stamp_ns: int, pose: Array) -> list[tuple[int, float]]:
        """Process a pose of the object, x y z, m, and quaternion x y z w, shape (7,); returns as `states`."""
        return []

    def decision(self, stamp_ns: int, episode: int) -> list[tuple[int, float]]:
        """Process a decision of an episode made on the state of that stamp; returns as `states`."""
        return []
