# SPDX-License-Identifier: Apache-2.0
"""SQRL and its rivals on the drunk spider at the paper's budget: which runs there are, and what each begins with."""

from __future__ import annotations

from safe_transfer_ros.studies.sqrl import Case, Comparison, policy
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings

__all__ = ["CASES", "NAME", "SEEDS", "Case", "fine_tuning", "policy", "pre_training"]

NAME = "sqrl_spider"
SEEDS = 5

_NOISY = (("noise", 0.2),)

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

# SQRL's pre-training has on-policy episodes on top of each epoch's 600 steps; the others reach 5e4 steps in 84.
_COMPARISON = Comparison(task="drunk_spider", epochs=84, pre_training_epochs={"sqrl": 67})
pre_training, fine_tuning = _COMPARISON.pre_training, _COMPARISON.fine_tuning
