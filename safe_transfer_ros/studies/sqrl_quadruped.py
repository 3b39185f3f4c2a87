# SPDX-License-Identifier: Apache-2.0
"""SQRL and its rivals on the quadruped: which runs there are, and what each begins with.

Both tasks, another speed and another friction, are pre-trained in the same one, so that they share it.
"""

from __future__ import annotations

from collections.abc import Sequence

from safe_transfer_ros.studies.learner_run import LearnerCurves, LearnerRun, LearnerStore
from safe_transfer_ros.studies.sqrl import Case, Comparison

SEEDS = 3

CASES = (
    Case(name="SQRL"),
    Case(name="SAC", method="sac", pre_trained="sac"),
    Case(name="Ensemble SAC", method="ensemble-sac", pre_trained="ensemble-sac"),
    Case(name="WCPG", method="wcpg", pre_trained="wcpg"),
    Case(name="Risk-sensitive", method="risk-sensitive"),
)

# 5e5 steps, as the paper has: an epoch is 10,000, and in SQRL's pre-training at most 2,500 on-policy ones besides.
_EPOCHS, _PRE_TRAINING = 50, {"sqrl": 40}
COMPARISONS = {
    task: Comparison(
        task=task, source="quadruped_speed", epochs=_EPOCHS, pre_training_epochs=_PRE_TRAINING, evaluate_every=5
    )
    for task in ("quadruped_speed", "quadruped_friction")
}
"""By the task that is fine-tuned in."""


def cases(methods: Sequence[str] = ()) -> list[Case]:
    """Cases of these methods, in the order of the comparison; all of them by default.

    Raises:
      ValueError: if there is no case of a method.
    """
    known = [case.method for case in CASES]
    for method in methods:
        if method not in known:
            raise ValueError(f"sqrl_quadruped has no method '{method}': expected some of {', '.join(known)}")
    return [case for case in CASES if not methods or case.method in methods]


def pre_training(case: Case, seed: int, epochs: int | None = None) -> LearnerRun:
    """Run that a case begins with in either task; see `Comparison.pre_training`."""
    return COMPARISONS["quadruped_speed"].pre_training(case, seed, epochs)


def finished(
    task: str, seeds: Sequence[int], store: LearnerStore, epochs: int | None = None
) -> dict[str, list[LearnerCurves]]:
    """Fine-tuning runs that the store has, by case; cases without any are left out.

    Args:
      task: Fine-tuned in.
      seeds: That are looked for.
      store: Of the runs.
      epochs: Of the runs, in place of the comparison's.
    """
    found: dict[str, list[LearnerCurves]] = {}
    for case in CASES:
        for seed in seeds:
            if not store.policy(pre_training(case, seed, epochs)).is_file():
                continue
            curves = store.load(COMPARISONS[task].fine_tuning(case, seed, store, epochs))
            if curves is not None:
                found.setdefault(case.name, []).append(curves)
    return found
