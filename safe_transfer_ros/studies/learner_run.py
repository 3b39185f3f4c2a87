# SPDX-License-Identifier: Apache-2.0
"""One run of a learner as a pure function of its settings, and the store of finished ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.imitation import imitated
from safe_transfer_ros.policies import weights
from safe_transfer_ros.studies import run_store
from safe_transfer_ros.studies.run_store import Curves, RunStore
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.constrained.learner import COLUMNS, Learner
from safe_transfer_ros.transfer.constrained.method import METHODS, LearnerSettings, method

POLICY_SUFFIX = ".safetensors"
_JUDGED = ("evaluation_return", "evaluation_failures", "evaluation_success")
"""Of the last row: the learned policy, behind its gate, in episodes that it did not learn from."""


@dataclass(frozen=True, kw_only=True)
class LearnerRun:
    """Settings that determine the numbers of a run.

    Attributes:
      method: Name of the learner.
      task: Name of the task.
      seed: Of everything random.
      iterations: Epochs.
      episodes: An epoch.
      evaluation_episodes: After the last epoch.
      warm_start: Begin with the imitation of the task's rule, not with a new policy.
      settings: The same for every method.
    """

    method: str = "csc"
    task: str = "panda_push_topple"
    seed: int = 0
    iterations: int = 40
    episodes: int = 20
    evaluation_episodes: int = 20
    warm_start: bool = False
    settings: LearnerSettings = field(default_factory=LearnerSettings)


LearnerCurves: TypeAlias = Curves[LearnerRun]
"""A finished run: columns of `EpochRecord`, and in the last row how the learned policy was judged."""


def compute(run: LearnerRun, progress: Path | None = None) -> dict[str, list[float]]:
    """Do a run.

    Args:
      run: Its settings; equal ones give equal numbers, but for the times.
      progress: File that is to hold the number of epochs done; the learned policy is kept beside it.

    Raises:
      ValueError: if there is no such method or task, or no rule for a warm start.
    """
    columns: dict[str, list[float]] = {name: [] for name in (*COLUMNS, *_JUDGED)}
    with TaskEnvironment(run.task) as where:
        learner = Learner(
            where,
            method(run.method),
            run.settings,
            episodes=run.episodes,
            seed=run.seed,
            parameters=imitated(run.task, run.seed, hidden=run.settings.hidden) if run.warm_start else None,
        )
        for record in islice(learner.epochs(), run.iterations):
            for name in COLUMNS:
                columns[name].append(float(getattr(record, name)))
            for name in _JUDGED:
                columns[name].append(math.nan)
            if progress is not None:
                progress.write_text(str(record.epoch + 1))
        judged = learner.evaluate(run.evaluation_episodes)
        if progress is not None:
            about = {"task": run.task, "method": run.method, "seed": str(run.seed)}
            weights.save(progress.with_suffix(POLICY_SUFFIX), learner.parameters, about)
    values = (judged.mean_return, judged.mean_cost, judged.success_rate)
    for name, value in zip(_JUDGED, values, strict=True):
        columns[name][-1] = value
    return columns


class LearnerStore(RunStore[LearnerRun]):
    """Finished runs in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder is created when something is stored."""
        super().__init__(folder, key=key, settings=differences, columns=COLUMNS, found_out=_JUDGED, modules=_modules)

    def policy(self, run: LearnerRun) -> Path:
        """Path of a run's trained policy, if it was done on this machine."""
        return (self.folder / key(run)).with_suffix(POLICY_SUFFIX)


def _modules(run: LearnerRun) -> tuple[str, ...]:
    """Origin of a method or task of another package."""
    found = (METHODS.module(run.method), TASKS.module(run.task))
    return tuple(module for module in found if module is not None)


def key(run: LearnerRun) -> str:
    """Hash of everything that decides a run's numbers but the code."""
    return run_store.hashed(differences(run))


def differences(run: LearnerRun) -> dict[str, Any]:
    """Settings that are not the defaults; method and task always."""
    return {"method": run.method, "task": run.task, **run_store.differences(run, LearnerRun())}
