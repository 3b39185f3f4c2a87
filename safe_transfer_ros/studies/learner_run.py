# SPDX-License-Identifier: Apache-2.0
"""One run of a learner as a pure function of its settings, and the store of finished ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.studies import run_store
from safe_transfer_ros.studies.checkpoint import SUFFIX, Checkpoint
from safe_transfer_ros.studies.run_store import Columns, Curves, RunStore
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.dual_agent.baseline import fingerprint
from safe_transfer_ros.transfer.methods import METHODS, method
from safe_transfer_ros.transfer.training import COLUMNS, TrainingPlan, TrainingRun

POLICY_SUFFIX = ".safetensors"
_JUDGED = ("evaluation_return", "evaluation_failures", "evaluation_success")
"""The learned policy, behind its gate, in episodes that it did not learn from."""


@dataclass(frozen=True, kw_only=True)
class LearnerRun(TrainingPlan):
    """Settings that determine the numbers of a run, beside those of its plan.

    Attributes:
      method: Name of the method.
      iterations: Epochs.
      evaluate_every: Epochs from one evaluation to the next; 0: only after the last, which is evaluated always.
      evaluation_episodes: Of each.
    """

    method: str = "csc"
    iterations: int = 40
    evaluate_every: int = 0
    evaluation_episodes: int = 20


LearnerCurves: TypeAlias = Curves[LearnerRun]
"""A finished run: columns of `EpochRecord`, and how the learned policy was judged, NaN in rows where it was not."""


def compute(run: LearnerRun, progress: Path | None = None) -> dict[str, list[float]]:
    """Do a run, or go on with one that was cut.

    Args:
      run: Its settings; equal ones give equal numbers, but for the times.
      progress: File that is to hold the number of epochs done; the checkpoint of the run, and at its end the learned
        policy, are kept beside it. None keeps nothing.

    Raises:
      ValueError: if there is no such method or task, or the method cannot learn it.
    """
    beside = None if progress is None else _Beside(progress, run)
    with method(run.method).begin(run) as training:
        columns = (beside.restore(training) if beside else None) or {name: [] for name in (*COLUMNS, *_JUDGED)}
        while len(columns["epoch"]) < run.iterations:
            _add_epoch(columns, run, training)
            if beside:
                beside.keep(training, columns)
        if beside:
            beside.finish(training)
    return columns


class _Beside:
    """Files of a run in progress: how far it is, a checkpoint, and at last its policy."""

    def __init__(self, progress: Path, run: LearnerRun) -> None:
        self._progress, self._run = progress, run
        identity = f"{key(run)} {run_store.code_digest(*_modules(run))}"
        self._checkpoint = Checkpoint(progress.with_suffix(SUFFIX), identity)

    def restore(self, training: TrainingRun) -> Columns | None:
        return self._checkpoint.restore(training)

    def keep(self, training: TrainingRun, columns: Columns) -> None:
        self._progress.write_text(str(len(columns["epoch"])))
        self._checkpoint.keep(training, columns)

    def finish(self, training: TrainingRun) -> None:
        about = {"task": self._run.task, "method": self._run.method, "seed": str(self._run.seed)}
        policy = training.policy_file(about)
        if policy is not None:
            write_atomically(self._progress.with_suffix(POLICY_SUFFIX), policy)


def _add_epoch(columns: dict[str, list[float]], run: LearnerRun, training: TrainingRun) -> None:
    """Learn for an epoch, evaluate where it is due, and add a row."""
    record = training.epoch()
    for name in COLUMNS:
        columns[name].append(float(getattr(record, name)))
    done, values = len(columns["epoch"]), (math.nan,) * len(_JUDGED)
    if done == run.iterations or run.evaluate_every and done % run.evaluate_every == 0:
        judged = training.evaluate(run.evaluation_episodes)
        values = (judged.mean_return, judged.mean_cost, judged.success_rate)
    for name, value in zip(_JUDGED, values, strict=True):
        columns[name].append(value)


class LearnerStore(RunStore[LearnerRun]):
    """Finished runs in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder is created when something is stored."""
        super().__init__(folder, key=key, settings=differences, columns=COLUMNS, found_out=_JUDGED, modules=_modules)

    def save(self, run: LearnerRun, columns: Columns) -> LearnerCurves:
        """Keep a finished run, and no checkpoint of it any longer."""
        kept = super().save(run, columns)
        (self.folder / key(run)).with_suffix(SUFFIX).unlink(missing_ok=True)
        return kept

    def policy(self, run: LearnerRun) -> Path:
        """Path of a run's trained policy, if it was done on this machine."""
        return (self.folder / key(run)).with_suffix(POLICY_SUFFIX)


def _modules(run: LearnerRun) -> tuple[str, ...]:
    """Origin of a method or task of another package."""
    found = (METHODS.module(run.method), TASKS.module(run.task))
    return tuple(module for module in found if module is not None)


def key(run: LearnerRun) -> str:
    """Hash of everything that decides a run's numbers but the code; given policies count by their content."""
    given = [fingerprint(name) for name in (run.baseline, run.start) if name]
    return run_store.hashed(differences(run), *given)


def differences(run: LearnerRun) -> dict[str, Any]:
    """Settings that are not the defaults; method and task always."""
    return {"method": run.method, "task": run.task, **run_store.differences(run, LearnerRun())}
