# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of an off-policy learner in a graph, beside its policies, from which it continues exactly.

After each iteration: the agent and the count of its updates (off_policy_NNNNN.pt, the newest few are kept), and the
transitions that the iteration added (off_policy_NNNNN.npz): all that came before stands in the files before.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning.off_policy import ReplayLearner

_KEPT = 3  # states: a run is cut at most one iteration behind the newest


class OffPolicyCheckpointError(ConfigurationError):
    """Raised when a checkpoint of an off-policy learner is missing or damaged."""


class OffPolicyCheckpoints:
    """The states of one run, in the folder of its policies."""

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is read or written yet."""
        self._folder, self._added = folder, 0

    def keep(self, learner: ReplayLearner, version: int) -> None:
        """Keep the state after `version` iterations; both files are complete or absent.

        Raises:
          OSError: if they cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh, held = io.BytesIO(), io.BytesIO()
        np.savez(fresh, **learner.buffer.since(self._added))  # type: ignore[arg-type]
        torch.save({name: part for name, part in learner.state().items() if name != "buffer"}, held)
        write_atomically(self._path(version, "npz"), fresh.getvalue())
        write_atomically(self._path(version, "pt"), held.getvalue())
        self._added = learner.buffer.added
        if version >= _KEPT:
            self._path(version - _KEPT, "pt").unlink(missing_ok=True)

    def restore(self, learner: ReplayLearner, version: int) -> None:
        """Restore a learner, whose buffer is empty, to the state after `version` iterations.

        Raises:
          OffPolicyCheckpointError: one line, which file cannot be used.
        """
        path = self._path(version, "pt")
        try:
            state = torch.load(path, weights_only=True)
            for number in range(version + 1):
                path = self._path(number, "npz")
                with np.load(path, allow_pickle=False) as file:
                    learner.buffer.add({name: file[name] for name in file})
            learner.restore(state)
        except Exception as error:  # torch, pickle, numpy and zipfile raise each its own
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise OffPolicyCheckpointError(f"this run cannot be resumed: {path} cannot be used ({why})") from error
        self._added = learner.buffer.added

    def _path(self, version: int, suffix: str) -> Path:
        return self._folder / f"off_policy_{version:05d}.{suffix}"
