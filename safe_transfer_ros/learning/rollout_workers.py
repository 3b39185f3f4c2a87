# SPDX-License-Identifier: Apache-2.0
"""One batch of episodes rolled out by many workers.

An episode's start and noise are drawn from streams named by the seed and the episode's number, so a batch is
the same numbers however it is cut up, wherever its pieces are rolled out, and however often one is repeated
because its worker was lost.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.learning.workers import Workers
from safe_transfer_ros.robots.simulation import NOMINAL, Perturbation
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import Policy, VectorTorqueEnv


@dataclass(frozen=True)
class _Piece:
    """Successive episodes of a batch."""

    task: str
    perturbation: Perturbation
    policy: Policy
    torque_limits: npt.NDArray[np.float64]
    seed: int
    first_episode: int


class WorkerRollouts:
    """Drop-in replacement for a `VectorTorqueEnv`, with the same numbers.

    Attributes:
      task: The task.
    """

    def __init__(
        self,
        task: str,
        perturbation: Perturbation = NOMINAL,
        *,
        workers: Workers,
        episodes_per_piece: int | None = None,
    ) -> None:
        """Set the simulated task and the workers.

        Args:
          task: Name of a task with its default settings: every worker makes its own.
          perturbation: How the robots differ from their description.
          workers: Do the work; they are the caller's to close.
          episodes_per_piece: Episodes a worker is given at a time; None cuts a batch in two pieces per worker,
            so that a slow one does not keep all waiting.

        Raises:
          ValueError: if the task is unknown, or episodes_per_piece not positive.
        """
        if episodes_per_piece is not None and episodes_per_piece < 1:
            raise ValueError(f"episodes_per_piece must be at least 1, got {episodes_per_piece}")
        self.task = make(task, TorqueTask)
        self._perturbation, self._workers, self._size = perturbation, workers, episodes_per_piece

    def rollout(
        self, policy: Policy, *, torque_limits: npt.ArrayLike, seed: int, first_episode: int = 0
    ) -> SimulatedRollouts:
        """See `VectorTorqueEnv.rollout`; the policy is pickled.

        Raises:
          WorkError: if a worker's rollout failed.
        """
        limits = np.asarray(torque_limits, dtype=np.float64)
        size = self._size or max(1, -(-limits.size // (2 * self._workers.count)))
        pieces = [
            _Piece(self.task.name, self._perturbation, policy, limits[at : at + size], seed, first_episode + at)
            for at in range(0, max(limits.size, 1), size)
        ]
        return _joined(self._workers.map(_roll_out, pieces), first_episode)


def _roll_out(piece: _Piece) -> SimulatedRollouts:
    environment = _environment(piece.task, piece.perturbation)
    return environment.rollout(
        piece.policy, torque_limits=piece.torque_limits, seed=piece.seed, first_episode=piece.first_episode
    )


@lru_cache(maxsize=4)
def _environment(task: str, perturbation: Perturbation) -> VectorTorqueEnv:
    """A worker's own simulated robots, built once."""
    return VectorTorqueEnv(make(task, TorqueTask), perturbation, threads=1)


def _joined(parts: list[SimulatedRollouts], first_episode: int) -> SimulatedRollouts:
    arrays = [field.name for field in dataclasses.fields(SimulatedRollouts) if field.name != "first_episode"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
    return SimulatedRollouts(first_episode=first_episode, **joined)
