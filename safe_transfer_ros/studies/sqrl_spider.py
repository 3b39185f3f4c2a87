# SPDX-License-Identifier: Apache-2.0
"""SQRL and its rivals on the drunk spider at the paper's budget: which runs there are, and what each begins with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.training import FINE_TUNING, PRE_TRAINING

NAME = "sqrl_spider"
SEEDS = 5
EPOCHS = {"sqrl": 67}
"""Epochs of pre-training where on-policy episodes come on top of each epoch's 600 steps; others have 84 (5e4 steps)."""

_EPOCHS, _NOISY = 84, (("noise", 0.2),)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the comparison.

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


CASES = (
    Case(name="SQRL"),
    Case(name="SQRL, code's settings", settings=LearnerSettings(epsilon=0.4, safety_gamma=0.4)),
    Case(name="SAC", method="sac", pre_trained="sac"),
    Case(name="Ensemble SAC", method="ensemble-sac", pre_trained="ensemble-sac"),
    Case(name="WCPG", method="wcpg", pre_trained="wcpg"),
    Case(name="Risk-sensitive", method="risk-sensitive"),
    Case(name="CPO", method="cpo", pre_trained="cpo"),
    Case(name="SQRL, online critic", tuned=(("online_critic", True),)),
    Case(name="SQRL, no entropy", settings=LearnerSettings(max_entropy=False)),
    Case(name="SQRL, noise .2, ε .05", tuned=(("epsilon", 0.05),), environment=_NOISY),
    Case(name="SQRL, noise .2, ε .2", tuned=(("epsilon", 0.2),), environment=_NOISY),
)


def pre_training(case: Case, seed: int, epochs: int | None = None) -> LearnerRun:
    """Run that a case's fine-tuning begins with; cases that begin with the same share it.

    Args:
      case: One of `CASES`.
      seed: Of the run.
      epochs: Where not those of the paper's budget.
    """
    return LearnerRun(
        task="drunk_spider",
        method=case.pre_trained,
        seed=seed,
        phase=PRE_TRAINING,
        settings=case.settings,
        iterations=epochs or EPOCHS.get(case.pre_trained, _EPOCHS),
        evaluate_every=10,
    )


def fine_tuning(case: Case, seed: int, store: LearnerStore, epochs: int | None = None) -> LearnerRun:
    """Run of a case from the policy that its pre-training left in the store.

    Args:
      case: One of `CASES`.
      seed: Of the run.
      store: Where that is finished.
      epochs: Of both runs, where not those of the paper's budget.

    Raises:
      FileNotFoundError: if the store has the numbers of the pre-training and not its policy.
    """
    path = policy(pre_training(case, seed, epochs), store)
    return LearnerRun(
        task="drunk_spider",
        method=case.method,
        seed=seed,
        phase=FINE_TUNING,
        start=str(path),
        settings=dataclasses.replace(case.settings, **dict(case.tuned)),
        environment=case.environment,
        iterations=epochs or _EPOCHS,
        evaluate_every=1,
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
