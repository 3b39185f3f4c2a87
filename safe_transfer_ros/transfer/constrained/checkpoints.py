# SPDX-License-Identifier: Apache-2.0
"""What a run of CSC needs, beside its policy, to go on as if it had never stopped.

After each iteration: the critic with its optimiser and target, lambda and the failures that epsilon follows from
(csc_NNNNN.pt, about 0.1 MB), and the transitions that the iteration added (csc_NNNNN.npz): all that came before
stands in the files before.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.transfer.constrained.learner import Learner


class CheckpointError(ConfigurationError):
    """What a run of CSC has kept is missing or damaged."""


class CscCheckpoints:
    """The states of one run, in the folder of its policies."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        self._folder, self._kept = folder, 0

    def keep(self, learner: Learner, version: int) -> None:
        """Keep the state behind `version` iterations; both files are whole or not there.

        Raises:
          OSError: if they cannot be written.
        """
        assert learner.critic is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        seen = learner.critic.seen
        fresh, state = io.BytesIO(), io.BytesIO()
        np.savez(fresh, **{name: column[self._kept :] for name, column in seen.items()})  # type: ignore[arg-type]
        torch.save(learner.state(), state)
        write_atomically(self._path(version, "npz"), fresh.getvalue())
        write_atomically(self._path(version, "pt"), state.getvalue())
        self._kept = len(seen["cost"])

    def restore(self, learner: Learner, version: int) -> None:
        """Bring a learner to where the run was behind `version` iterations.

        Raises:
          CheckpointError: one line, which file cannot be used.
        """
        parts: list[dict[str, NDArray[np.float32]]] = []
        path = self._path(version, "pt")
        try:
            state = torch.load(path, weights_only=True)
            for number in range(1, version + 1):
                path = self._path(number, "npz")
                with np.load(path, allow_pickle=False) as file:
                    parts.append(dict(file))
            seen = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            learner.restore(state, seen)
        except Exception as error:  # torch, pickle, numpy and zipfile raise each its own
            raise CheckpointError(f"a run of CSC cannot be resumed: {path} cannot be used ({_line(error)})") from error
        self._kept = len(seen["cost"])

    def _path(self, version: int, suffix: str) -> Path:
        return self._folder / f"csc_{version:05d}.{suffix}"


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
