# SPDX-License-Identifier: Apache-2.0
"""The directory of a pre-training run: configuration, learning curve, checkpoint, final policy.

Each file is at every moment either whole or absent, and the checkpoint is one file: whatever kills the
process, the directory can be resumed, and the resumed run gives the numbers that the uninterrupted one would
have given.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.files import CsvTable, FolderLock, write_atomically
from safe_transfer_ros.policies import weights
from safe_transfer_ros.randomness import SCHEME
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.transfer.pspt.pretraining import (
    BatchRecord,
    PretrainSettings,
    Progress,
    architecture,
    start,
)
from safe_transfer_ros.untrusted import UntrustedError, read_yaml

CONFIG = "config.yaml"
CURVE = "learning_curve.csv"
CHECKPOINT = "checkpoint.safetensors"
POLICY = "policy.safetensors"
_LOCK = ".lock"
NOT_SETTINGS = ("task", "random_streams")
"""What the configuration holds beside the settings."""


class PretrainRunError(ValueError):
    """Raised when the directory cannot be used for this run. The message says why and what to do."""


_TABLE = CsvTable(BatchRecord, PretrainRunError)


class PretrainRun:
    """An open run directory, this process's alone; a context manager.

    Attributes:
      folder: The directory.
      progress: Where the run stands.
      records: The learning curve so far.
    """

    def __init__(self, folder: Path, task: TorqueTask, settings: PretrainSettings, *, resume: bool) -> None:
        """Create the directory, or take up an earlier run.

        Args:
          folder: The directory.
          task: What is learned.
          settings: Must be those of the earlier run when resuming.
          resume: Go on with what is there. Without it, a directory with a run in it is refused.

        Raises:
          PretrainRunError: if there is a run and `resume` is not set, or none and it is, its settings
            differ, its files are damaged, or another process is at it.
          OSError: if the directory cannot be written.
        """
        self.folder = folder
        self._task, self._settings = task, settings
        config = folder / CONFIG
        if resume and not config.exists():
            raise PretrainRunError(f"nothing to resume: {config} does not exist; start the run without --resume")
        if not resume and config.exists():
            raise PretrainRunError(f"{folder} holds a run already: continue it with --resume, or choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        try:
            if resume:
                _check_same(config, task, settings)
            else:
                write_atomically(config, yaml.safe_dump(_configuration(task, settings), sort_keys=False))
            self.progress = self._read_checkpoint()
            self.records = read_curve(folder / CURVE)[: self.progress.batches] if resume else []
            if len(self.records) != self.progress.batches:
                raise PretrainRunError(
                    f"{folder / CURVE} has {len(self.records)} batches, "
                    f"the checkpoint {self.progress.batches}: "
                    "the learning curve was damaged; start again in another --out"
                )
            # Rows after the checkpoint, or half a row, are made again.
            _TABLE.write(folder / CURVE, self.records)
            self._curve = (folder / CURVE).open("a", encoding="utf-8")
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> PretrainRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._curve.close()
        self._lock.close()

    def add(self, progress: Progress, record: BatchRecord) -> None:
        """Add a batch: its row is written at once, the parameters with the next checkpoint."""
        self.progress = progress
        self.records.append(record)
        self._curve.write(_TABLE.line(record))
        self._curve.flush()

    def checkpoint(self) -> None:
        """Make what was done so far survive: rows first, so that there is never a checkpoint without them."""
        os.fsync(self._curve.fileno())
        weights.save(self.folder / CHECKPOINT, self.progress.parameters, {"batches": str(self.progress.batches)})

    def finish(self, metadata: dict[str, str]) -> str:
        """Write the current policy, for use.

        Args:
          metadata: Stored in the file.

        Returns:
          The file's sha256.
        """
        return weights.save(self.folder / POLICY, self.progress.parameters, metadata)

    def _read_checkpoint(self) -> Progress:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return start(self._task, self._settings)
        try:
            parameters, metadata = weights.load(path, architecture=architecture(self._task, self._settings))
            return Progress(batches=int(metadata["batches"]), parameters=parameters)
        except (weights.WeightsError, KeyError, ValueError) as error:
            raise PretrainRunError(f"cannot resume from {path}: {error}; start again in another --out") from error


def read_curve(path: Path) -> list[BatchRecord]:
    """Rows of a learning curve, none if there is no file; half a row at its end is left out.

    Raises:
      PretrainRunError: if the file has other columns, or a row cannot be read or is out of order.
    """
    records = _TABLE.read(path) if path.exists() else []
    for number, record in enumerate(records):
        if record.batch != number:
            raise PretrainRunError(f"{path}, line {number + 2}: expected batch {number}, got {record.batch}")
    return records


def _configuration(task: TorqueTask, settings: PretrainSettings) -> dict[str, Any]:
    return {"task": task.name, "random_streams": SCHEME, **dataclasses.asdict(settings)}


def _check_same(config: Path, task: TorqueTask, settings: PretrainSettings) -> None:
    """Refuse to resume under other settings than the run began with."""
    try:
        earlier = read_yaml(config)
        build(
            PretrainSettings,
            {key: value for key, value in earlier.items() if key not in NOT_SETTINGS},
            where=str(config),
        )
    except (UntrustedError, AttributeError, ConfigurationError) as error:
        raise PretrainRunError(f"{config} is damaged ({error}); start again in another --out") from error
    now = _configuration(task, settings)
    if earlier.get("random_streams") != SCHEME:
        raise PretrainRunError(
            f"the run in {config.parent} draws from random streams of another version of this package "
            f"({earlier.get('random_streams', 1)}, now {SCHEME}): it cannot continue with the same numbers; "
            "start a new run in another --out"
        )
    for name in now:
        if earlier.get(name) != now[name]:
            raise PretrainRunError(
                f"the run in {config.parent} has {name} {earlier.get(name)}, you gave {now[name]}: "
                "resume with its own settings, or start a new run in another --out"
            )


def _lock(folder: Path) -> FolderLock:
    try:
        return FolderLock(folder, _LOCK)
    except BlockingIOError:
        why = f"another process is training in {folder}: wait for it, or choose another --out"
        raise PretrainRunError(why) from None
