# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run of CSC, beside its policy, from which it continues exactly.

After each iteration: the critic with its optimiser and target, lambda and the failures that epsilon follows from
(csc_NNNNN.pt, about 0.1 MB), and the transitions that the iteration added (csc_NNNNN.npz): all that came before
stands in the files before.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.transfer.constrained.learner import Learner


class CheckpointError(ConfigurationError):
    """Raised when a checkpoint of a run of CSC is missing or damaged."""


class CscCheckpoints:
    """The states of one run, in the folder of its policies."""

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is read or written yet."""
        self._folder, self._kept = folder, 0

    def keep(self, learner: Learner, version: int) -> None:
        """Keep the state after `version` iterations; both files are complete or absent.

        Raises:
          OSError: if they cannot be written.
        """
        assert learner.critic is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = learner.critic.buffer
        fresh, state = io.BytesIO(), io.BytesIO()
        np.savez(fresh, **buffer.since(self._kept))  # type: ignore[arg-type]
        torch.save(learner.state(), state)
        write_atomically(self._path(version, "npz"), fresh.getvalue())
        write_atomically(self._path(version, "pt"), state.getvalue())
        self._kept = buffer.added

    def restore(self, learner: Learner, version: int) -> None:
        """Restore a learner to the state after `version` iterations.

        Raises:
          CheckpointError: one line, which file cannot be used.
        """
        parts: list[dict[str, NDArray[Any]]] = []
        path = self._path(version, "pt")
        try:
            state = torch.load(path, weights_only=True)
            for number in range(1, version + 1):
                path = self._path(number, "npz")
                with np.load(path, allow_pickle=False) as file:
                    # Before there was one schema of transitions, s' was called "following".
                    parts.append({"next_observation" if name == "following" else name: file[name] for name in file})
            learner.restore(state, parts)
        except Exception as error:  # torch, pickle, numpy and zipfile raise each its own
            raise CheckpointError(f"a run of CSC cannot be resumed: {path} cannot be used ({_line(error)})") from error
        self._kept = sum(len(part["cost"]) for part in parts)

    def _path(self, version: int, suffix: str) -> Path:
        return self._folder / f"csc_{version:05d}.{suffix}"


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
