# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a learner in a graph, beside its policies, from which it continues exactly.

After each iteration: what the learner is (NAME_NNNNN.pt), and the transitions that the iteration added
(NAME_NNNNN.npz): all that came before stands in the files before.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer

Part = dict[str, NDArray[Any]]


class CheckpointError(ConfigurationError):
    """Raised when a checkpoint of a learner is missing or damaged."""


class LearnerCheckpoints:
    """The states of one run, in the folder of its policies."""

    def __init__(self, folder: Path, name: str, *, first: int = 0, newest: int | None = None) -> None:
        """Prepare; nothing is read or written yet.

        Args:
          folder: Theirs.
          name: Of the files.
          first: Iterations behind the first state.
          newest: How many states are kept; None: all.
        """
        self._folder, self._name, self._first, self._newest = folder, name, first, newest
        self._added = 0

    def keep(self, version: int, state: Mapping[str, Any], buffer: ReplayBuffer) -> None:
        """Keep the state after `version` iterations; both files are complete or absent.

        Args:
          version: In turn, from the first on.
          state: Of the learner, without its transitions.
          buffer: Has them.

        Raises:
          OSError: if they cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh, held = io.BytesIO(), io.BytesIO()
        np.savez(fresh, **buffer.since(self._added))  # type: ignore[arg-type]
        torch.save(dict(state), held)
        write_atomically(self._path(version, "npz"), fresh.getvalue())
        write_atomically(self._path(version, "pt"), held.getvalue())
        self._added = buffer.added
        if self._newest is not None and version >= self._newest:
            self._path(version - self._newest, "pt").unlink(missing_ok=True)

    def restore(self, version: int, go_on: Callable[[dict[str, Any], list[Part]], None]) -> None:
        """Restore a learner to the state after `version` iterations.

        Args:
          version: At least the first.
          go_on: Takes the learner's state and the transitions of each iteration.

        Raises:
          CheckpointError: one line, which file cannot be used.
        """
        parts: list[Part] = []
        path = self._path(version, "pt")
        try:
            state = torch.load(path, weights_only=True)
            for number in range(self._first, version + 1):
                path = self._path(number, "npz")
                with np.load(path, allow_pickle=False) as file:
                    parts.append({name: file[name] for name in file})
            go_on(state, parts)
        except Exception as error:  # torch, pickle, numpy and zipfile raise each its own
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise CheckpointError(f"this run cannot be resumed: {path} cannot be used ({why})") from error
        self._added = sum(len(next(iter(part.values()))) for part in parts)

    def _path(self, version: int, suffix: str) -> Path:
        return self._folder / f"{self._name}_{version:05d}.{suffix}"
