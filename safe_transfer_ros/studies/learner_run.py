# SPDX-License-Identifier: Apache-2.0
"""One run of a learner as a pure function of its settings, and the store of finished ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning.evaluation import Evaluation
from safe_transfer_ros.studies import checkpoint, run_store
from safe_transfer_ros.studies.checkpoint import SUFFIX, Checkpoint, Kept
from safe_transfer_ros.studies.run_store import Columns, Curves, RunStore
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.dual_agent.baseline import fingerprint
from safe_transfer_ros.transfer.methods import METHODS, method
from safe_transfer_ros.transfer.training import COLUMNS, PARTS, EpochRecord, TrainingPlan, TrainingRun

POLICY_SUFFIX = ".safetensors"
EVALUATION = "evaluation"
_FOUND = ("return", "failures", "success")
_JUDGED = tuple(f"{EVALUATION}_{found}" for found in _FOUND)
"""The learned policy, behind its gate, in episodes that it did not learn from."""
_PARTS = tuple(f"{part}_{found}" for part in PARTS for found in _FOUND)
"""The same of what else a run has to show."""


@dataclass(frozen=True, kw_only=True)
class LearnerRun(TrainingPlan):
    """Settings that determine the numbers of a run, beside those of its plan.

    Attributes:
      method: Name of the method.
      iterations: Epochs.
      iteration_steps: Steps of an iteration, so that methods are held against each other at equal numbers of steps: an
        iteration is then as many epochs as bring the run to the next multiple, or beyond it. 0: it is an epoch.
      evaluate_every: Iterations from one evaluation to the next; 0: only after the last, which is evaluated always.
      evaluation_episodes: Of each.
      evaluate_parts: Whether the same is found out of `transfer.training.PARTS`.
    """

    method: str = "csc"
    iterations: int = 40
    iteration_steps: int = 0
    evaluate_every: int = 0
    evaluation_episodes: int = 20
    evaluate_parts: bool = False


LearnerCurves: TypeAlias = Curves[LearnerRun]
"""A finished run: columns of `EpochRecord`, and how the learned policy was judged, NaN in rows where it was not."""


def compute(run: LearnerRun, progress: Path | None = None, *, any_code: bool = False) -> dict[str, list[float]]:
    """Do a run, or go on with one that was cut.

    Args:
      run: Its settings; equal ones give equal numbers, but for the times.
      progress: File that is to hold the number of epochs done; the checkpoint of the run, and at its end the learned
        policy, are kept beside it. None keeps nothing.
      any_code: Whether one is gone on with, too, that was cut when the code was another: its numbers are then not those
        of either.

    Raises:
      ValueError: if there is no such method or task, or the method cannot learn it.
      CheckpointError: if what other code has kept cannot be gone on with.
    """
    beside = None if progress is None else _Beside(progress, run, any_code=any_code)
    names = (*COLUMNS, *_JUDGED, *(_PARTS if run.evaluate_parts else ()))
    with method(run.method).begin(run) as training:
        columns = (beside.restore(training) if beside else None) or {name: [] for name in names}
        while len(columns["epoch"]) < run.iterations:
            _add_iteration(columns, run, training)
            if beside:
                beside.keep(training, columns)
        if beside:
            beside.finish(training)
    return columns


class _Beside:
    """Files of a run in progress: how far it is, a checkpoint, and at last its policy."""

    def __init__(self, progress: Path, run: LearnerRun, *, any_code: bool) -> None:
        self._progress, self._run = progress, run
        code = run_store.code_digest(*_modules(run))
        self._checkpoint = Checkpoint(progress.with_suffix(SUFFIX), key(run), code=code, any_code=any_code)

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


def _add_iteration(columns: dict[str, list[float]], run: LearnerRun, training: TrainingRun) -> None:
    """Learn for an iteration, evaluate where it is due, and add a row."""
    done = len(columns["epoch"]) + 1
    records = [training.epoch()]
    while records[-1].steps < done * run.iteration_steps:
        records.append(training.epoch())
    before = columns["episodes"][-1] if columns["episodes"] else 0.0
    record = _together(records, int(before))
    for name in COLUMNS:
        columns[name].append(float(getattr(record, name)))
    due = done == run.iterations or run.evaluate_every and done % run.evaluate_every == 0
    found = {EVALUATION: training.evaluate(run.evaluation_episodes)} if due else {}
    if due and run.evaluate_parts:
        found |= training.evaluate_parts(run.evaluation_episodes)
    for judged in (EVALUATION, *(PARTS if run.evaluate_parts else ())):
        for name, value in zip(_FOUND, _results(found.get(judged)), strict=True):
            columns[f"{judged}_{name}"].append(value)


def _results(found: Evaluation | None) -> tuple[float, ...]:
    return (math.nan,) * 3 if found is None else (found.mean_return, found.mean_cost, found.success_rate)


def _together(records: Sequence[EpochRecord], before: int) -> EpochRecord:
    """Epochs as one: counts are those of the last, what is a mean over episodes stays one.

    Args:
      records: Of the epochs.
      before: Episodes of the run before them.
    """
    if len(records) == 1:
        return records[0]
    weights = np.diff([before, *(record.episodes for record in records)])

    def mean(name: str) -> float:
        values = np.array([getattr(record, name) for record in records], dtype=np.float64)
        known = np.isfinite(values) & (weights > 0)
        return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan

    return dataclasses.replace(
        records[-1],
        mean_return=mean("mean_return"),
        failures_per_episode=mean("failures_per_episode"),
        success_rate=mean("success_rate"),
        gated=mean("gated"),
    )


class LearnerStore(RunStore[LearnerRun]):
    """Finished runs in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder is created when something is stored."""
        super().__init__(
            folder, key=key, settings=differences, columns=COLUMNS, found_out=(*_JUDGED, *_PARTS), modules=_modules
        )

    def save(self, run: LearnerRun, columns: Columns, *, earlier: Sequence[str] = ()) -> LearnerCurves:
        """Keep a finished run, and no checkpoint of it any longer; other code that has done a part of it is named."""
        cut, now = self._kept(run), run_store.code_digest(*_modules(run))
        if cut is not None and _goes_on(cut.columns, columns):
            earlier = [*earlier, *(code for code in cut.codes if code != now)]
        kept = super().save(run, columns, earlier=earlier)
        self._checkpoint(run).unlink(missing_ok=True)
        return kept

    def unfinished(self, run: LearnerRun) -> LearnerCurves | None:
        """A run in progress as far as its checkpoint has it; None where there is none."""
        cut = self._kept(run)
        if cut is None:
            return None
        same = cut.codes == (run_store.code_digest(*_modules(run)),)
        return Curves(run=run, columns={name: np.array(of) for name, of in cut.columns.items()}, same_code=same)

    def _kept(self, run: LearnerRun) -> Kept | None:
        found = checkpoint.kept(self._checkpoint(run))
        return None if found is None or found.identity != key(run) else found

    def _checkpoint(self, run: LearnerRun) -> Path:
        return (self.folder / key(run)).with_suffix(SUFFIX)

    def policy(self, run: LearnerRun) -> Path:
        """Path of a run's trained policy, if it was done on this machine."""
        return (self.folder / key(run)).with_suffix(POLICY_SUFFIX)


def _goes_on(cut: Columns, columns: Columns) -> bool:
    """Whether a run is that which was cut there, and did not begin again: no two take the same times."""
    times = cut["wall_time_s"]
    return columns["wall_time_s"][: len(times)] == times


def _modules(run: LearnerRun) -> tuple[str, ...]:
    """Origin of a method or task of another package."""
    found = (METHODS.module(run.method), TASKS.module(run.task))
    return tuple(module for module in found if module is not None)


def key(run: LearnerRun) -> str:
    """Hash of everything that decides a run's numbers but the code; given policies count by their content.

    A baseline does so wherever it lies, so that a folder of runs may be moved.
    """
    settings = differences(run)
    if run.baseline:
        settings["baseline"] = fingerprint(run.baseline)
    return run_store.hashed(settings, *([fingerprint(run.start)] if run.start else []))


def differences(run: LearnerRun) -> dict[str, Any]:
    """Settings that are not the defaults; method and task always."""
    return {"method": run.method, "task": run.task, **run_store.differences(run, LearnerRun())}
