# SPDX-License-Identifier: Apache-2.0
"""Checkpoint of a run in progress: one file, whole at every moment, from which the run is resumed exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from safe_transfer_ros.files import replaced
from safe_transfer_ros.studies.run_store import Columns
from safe_transfer_ros.transfer.training import TrainingRun

SUFFIX = ".checkpoint"
_ARRAY = "__array__"


class Checkpoint:
    """The newest state of one run, in a file; whoever keeps finished runs removes it."""

    def __init__(
        self, path: Path, identity: str, *, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
          path: The file.
          identity: Of the run and of the code that does it: a checkpoint of another is not gone on with.
          every_s: Least time between two writings, s: an old run's transitions take a second or more.
          clock: Time, s.
        """
        self._path, self._identity, self._every_s, self._clock = path, identity, every_s, clock
        self._kept = clock()

    def keep(self, training: TrainingRun, columns: Columns) -> None:
        """Keep where a run is, unless that was done a moment ago.

        Args:
          training: Between two epochs.
          columns: Numbers of its epochs so far.

        Raises:
          OSError: if it cannot be written; the old file is then as it was.
        """
        if self._clock() - self._kept < self._every_s:
            return
        held = {"identity": self._identity, "columns": columns, "state": _packed(training.state())}
        with replaced(self._path) as beside:
            torch.save(held, beside)
        self._kept = self._clock()

    def restore(self, training: TrainingRun) -> Columns | None:
        """Restore a run that has just begun.

        Returns:
          Numbers of its epochs; None where there is nothing to go on from: no file, a damaged one or that of another
          run. The run is then as it was.
        """
        try:
            held = torch.load(self._path, weights_only=True)
            if held["identity"] != self._identity:
                return None
            columns, state = dict(held["columns"]), _unpacked(held["state"])
        except Exception:  # torch, pickle and zipfile raise each its own: whatever it is, the run begins again
            return None
        training.restore(state)
        return columns


def _packed(value: Any) -> Any:
    """The same with tensors for arrays, marked: torch reads those without running what a file says."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _packed(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(part) for part in value]
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return value[_ARRAY].numpy()
        return {name: _unpacked(part) for name, part in value.items()}
    return [_unpacked(part) for part in value] if isinstance(value, list) else value
