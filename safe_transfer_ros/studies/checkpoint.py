# SPDX-License-Identifier: Apache-2.0
"""Checkpoint of a run in progress: one file, whole at every moment, from which the run is resumed exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from safe_transfer_ros.files import replaced
from safe_transfer_ros.studies.run_store import Columns
from safe_transfer_ros.transfer.checkpoints import CheckpointError
from safe_transfer_ros.transfer.training import TrainingRun

SUFFIX = ".checkpoint"
_ARRAY = "__array__"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Content of a checkpoint without its state.

    Attributes:
      identity: Of the run.
      codes: Digests of the code that has done it so far, in turn.
      columns: Numbers of its epochs.
    """

    identity: str
    codes: tuple[str, ...]
    columns: Columns


def kept(path: Path) -> Kept | None:
    """Look at a checkpoint; None where there is none, or a damaged one."""
    found = _read(path, mmap=True)
    return None if found is None else found[0]


class Checkpoint:
    """The newest state of one run, in a file; whoever keeps finished runs removes it."""

    def __init__(
        self,
        path: Path,
        identity: str,
        *,
        code: str = "",
        any_code: bool = False,
        every_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
          path: The file.
          identity: Of the run: a checkpoint of another is not gone on with.
          code: Digest of the code that does it from here on.
          any_code: Whether one that other code has kept is gone on with, too.
          every_s: Least time between two writings, s: an old run's transitions take a second or more.
          clock: Time, s.
        """
        self._path, self._identity, self._every_s, self._clock = path, identity, every_s, clock
        self._codes, self._any_code = (code,), any_code
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
        about = {"identity": self._identity, "codes": list(self._codes), "columns": columns}
        with replaced(self._path) as beside:
            torch.save({**about, "state": _packed(training.state())}, beside)
        self._kept = self._clock()

    def restore(self, training: TrainingRun) -> Columns | None:
        """Restore a run that has just begun.

        Returns:
          Numbers of its epochs; None where there is nothing to go on from: no file, a damaged one or that of another
          run or of other code. The run is then as it was.

        Raises:
          CheckpointError: if other code has kept what this code cannot read.
        """
        found = _read(self._path)
        if found is None or found[0].identity != self._identity:
            return None
        about, state = found
        others = about.codes != self._codes
        if others and not self._any_code:
            return None
        try:
            training.restore(state)
        except Exception as error:  # a state of other code: what is missing or of another shape raises its own
            if not others:
                raise
            raise CheckpointError(
                f"{self._path} was kept by other code and cannot be gone on with ({type(error).__name__}: {error}): "
                "--fresh begins this run again"
            ) from error
        self._codes = (*about.codes, *(() if about.codes[-1:] == self._codes else self._codes))
        return dict(about.columns)


def _read(path: Path, *, mmap: bool = False) -> tuple[Kept, Any] | None:
    """Content of a file, and its state; with `mmap` it is left where it is."""
    try:
        held = torch.load(path, weights_only=True, mmap=mmap)
        codes = tuple(str(code) for code in held["codes"])
        about = Kept(identity=held["identity"], codes=codes, columns=dict(held["columns"]))
        return about, None if mmap else _unpacked(held["state"])
    except Exception:  # torch, pickle and zipfile raise each its own: whatever it is, the run begins again
        return None


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
