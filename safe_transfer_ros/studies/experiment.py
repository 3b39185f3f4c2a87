# SPDX-License-Identifier: Apache-2.0
"""An experiment: methods side by side, and the runs they come to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from safe_transfer_ros.studies.study import PAPER, StudyRun

PRE_TRAINED = ("pr2_cup_swirl", "pr2_cup_swirl_1", "pr2_cup_swirl_2")
"""Three seeds of `safe_transfer pretrain`: how a policy was born decides more than what it meets afterwards."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One curve of a figure.

    Attributes:
      label: In legends and tables.
      run: Its settings; the seed is the study's to choose.
      policies: In place of the experiment's, where this method begins with others.
    """

    label: str
    run: StudyRun
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure.

    Attributes:
      name: On the command line, and of its files.
      title: Above the picture.
      methods: Its curves.
      columns: What is drawn, a panel each; columns of `StudyCurves`.
      seeds: Seeds 0, 1, ..., at least as many as the paper has.
      policies: Pre-trained alike from different seeds; a run begins with the one its own seed comes to, in turn.
      of_the_paper: Part of `reproduce all`.
    """

    name: str
    title: str
    methods: tuple[Method, ...]
    columns: tuple[str, ...]
    seeds: int = 10
    policies: tuple[str, ...] = ()
    of_the_paper: bool = True

    def runs(self, seeds: int, iterations: int | None = None) -> list[tuple[str, StudyRun]]:
        """Label and settings of every run.

        Args:
          seeds: Number of seeds.
          iterations: Of each run, where not the experiment's own.
        """

        def run(method: Method, seed: int) -> StudyRun:
            policies = method.policies or self.policies or (method.run.policy,)
            return dataclasses.replace(
                method.run,
                seed=seed,
                iterations=iterations or method.run.iterations,
                policy=policies[seed % len(policies)],
            )

        return [(method.label, run(method, seed)) for seed in range(seeds) for method in self.methods]


def governed(label: str, base: StudyRun | None = None, **governor: object) -> Method:
    """A run with other settings of the governor; PSPT's own simulation by default."""
    settings = dataclasses.replace(PAPER, **governor)  # type: ignore[arg-type]
    return Method(label=label, run=dataclasses.replace(base or StudyRun(), governor=settings))


PSPT = governed("adaptive (PSPT)")
FIXED = governed("fixed at 3 N·m", rule="fixed")
