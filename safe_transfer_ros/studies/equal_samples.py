# SPDX-License-Identifier: Apache-2.0
"""Sizes of a comparison of methods at equal numbers of samples, and what of its runs is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from safe_transfer_ros.studies.learner_run import EVALUATION, LearnerCurves, LearnerRun, LearnerStore


@dataclass(frozen=True, kw_only=True)
class Size:
    """Length of a comparison's runs.

    Attributes:
      steps: Of each run.
      every: Steps from one evaluation to the next; an on-policy run is evaluated after the epoch that reaches them.
      horizon: Steps of the task's episodes.
      on_policy_episodes: Of an epoch of an on-policy method, which is an update of its policy. An epoch of an
        off-policy one has as many as take `every` steps.
      evaluation_episodes: Of each evaluation.
    """

    steps: int
    every: int
    horizon: int
    on_policy_episodes: int
    evaluation_episodes: int = 20

    def __post_init__(self) -> None:
        if self.every < 1 or self.every % self.horizon or self.steps < self.every or self.steps % self.every:
            raise ValueError(
                f"expected a positive multiple of {self.every:,} steps, the distance of evaluations, got {self.steps:,}"
            )

    def planned(self, run: LearnerRun, *, explores: bool) -> LearnerRun:
        """The run in this size.

        Args:
          run: Its task, method, seed and settings.
          explores: Whether its method is off-policy; see `TrainingMethod`.
        """
        return dataclasses.replace(
            run,
            episodes=self.every // self.horizon if explores else self.on_policy_episodes,
            iterations=self.steps // self.every,
            iteration_steps=self.every,
            evaluate_every=1,
            evaluation_episodes=self.evaluation_episodes,
            evaluate_parts=True,
        )

    def marks(self, most: int = 5) -> list[int]:
        """Numbers of steps at which methods are held against each other, the last of them `steps`."""
        evaluations = self.steps // self.every
        count = min(most, evaluations)
        return [self.every * round(evaluations * number / count) for number in range(1, count + 1)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the comparison: who is evaluated in the runs of which method.

    Attributes:
      label: In tables and legends.
      method: Of the runs.
      part: Who: what was learned, or one of `transfer.training.PARTS`.
      drawn: Whether it is in the picture.
    """

    label: str
    method: str
    part: str = EVALUATION
    drawn: bool = True


def found(runs: Iterable[LearnerRun], store: LearnerStore) -> list[LearnerCurves]:
    """Planned runs that are finished, and of the others what there is: as far as their checkpoints have come."""
    curves = ((store.load(run) or store.unfinished(run)) for run in runs)
    return [one for one in curves if one is not None]
