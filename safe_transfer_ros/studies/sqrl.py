# SPDX-License-Identifier: Apache-2.0
"""Comparisons of SQRL with its rivals on one task: each is pre-trained at the source, then fine-tuned in the task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.training import FINE_TUNING, PRE_TRAINING


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of a comparison.

    Attributes:
      name: In tables and of files.
      method: That fine-tunes.
      pre_trained: Method that pre-trains for it.
      settings: Of both.
      tuned: Settings of fine-tuning alone, in place of these.
      environment: Of the target's environment, in place of its own.
    """

    name: str
    method: str = "sqrl"
    pre_trained: str = "sqrl"
    settings: LearnerSettings = LearnerSettings()
    tuned: tuple[tuple[str, Any], ...] = ()
    environment: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Task and lengths that all cases have in common.

    Attributes:
      task: Fine-tuned in.
      source: Task whose pre-training it begins with, where that is another's; empty: its own.
      epochs: Of fine-tuning, and of pre-training unless another number is given.
      pre_training_epochs: Of pre-training, by method.
      evaluate_every: Epochs of fine-tuning from one evaluation to the next; of pre-training it is 10.
      episodes: Of an epoch, and of an evaluation.
    """

    task: str
    source: str = ""
    epochs: int
    pre_training_epochs: Mapping[str, int] = field(default_factory=dict)
    evaluate_every: int = 1
    episodes: int = 20

    def pre_training(self, case: Case, seed: int, epochs: int | None = None) -> LearnerRun:
        """Run that a case's fine-tuning begins with; cases that begin with the same share it.

        Args:
          case: One of the comparison's.
          seed: Of the run.
          epochs: In place of the comparison's.
        """
        return LearnerRun(
            task=self.source or self.task,
            method=case.pre_trained,
            seed=seed,
            phase=PRE_TRAINING,
            settings=case.settings,
            episodes=self.episodes,
            evaluation_episodes=self.episodes,
            iterations=epochs or self.pre_training_epochs.get(case.pre_trained, self.epochs),
            evaluate_every=10,
        )

    def fine_tuning(self, case: Case, seed: int, store: LearnerStore, epochs: int | None = None) -> LearnerRun:
        """Run of a case from the policy that its pre-training left in the store.

        Args:
          case: One of the comparison's.
          seed: Of the run.
          store: Where that is finished.
          epochs: Of both runs, in place of the comparison's.

        Raises:
          FileNotFoundError: if the store has the numbers of the pre-training and not its policy.
        """
        path = policy(self.pre_training(case, seed, epochs), store)
        return LearnerRun(
            task=self.task,
            method=case.method,
            seed=seed,
            phase=FINE_TUNING,
            start=str(path),
            settings=dataclasses.replace(case.settings, **dict(case.tuned)),
            environment=case.environment,
            episodes=self.episodes,
            evaluation_episodes=self.episodes,
            iterations=epochs or self.epochs,
            evaluate_every=self.evaluate_every,
        )


def policy(run: LearnerRun, store: LearnerStore) -> Path:
    """Path of a finished run's policy.

    Raises:
      FileNotFoundError: if there is none.
    """
    path = store.policy(run)
    if not path.is_file():
        raise FileNotFoundError(f"the policy of a finished run is gone, {path}: remove its .csv and repeat")
    return path
