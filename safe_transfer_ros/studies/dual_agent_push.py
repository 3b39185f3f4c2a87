# SPDX-License-Identifier: Apache-2.0
"""DARL's second comparison: a push that works and ignores the cube in its way, corrected by four methods."""

from __future__ import annotations

from safe_transfer_ros.studies.equal_samples import Line, Size
from safe_transfer_ros.studies.learner_run import LearnerRun
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.methods import METHODS as _ALL
from safe_transfer_ros.transfer.training import NOISELESS

NAME, TASK, SEEDS = "dual_agent_push", "panda_push_obstacle_movable", 3
PRE_TRAINING = "baseline"
"""Named among the methods: the pre-training alone."""
METHODS = ("dual-agent", "safety-layer", "cloned-cpo", "cpo")
CORRECTING = METHODS[:-1]
"""Those that begin with the baseline."""
SIZE = Size(steps=100_000, every=2_500, horizon=50, on_policy_episodes=20)
QUICK = Size(steps=400, every=200, horizon=50, on_policy_episodes=2, evaluation_episodes=2)
PRE_TRAINED = Size(steps=500_000, every=10_000, horizon=50, on_policy_episodes=20)
PRE_TRAINED_QUICK = QUICK
BASELINE = (Line(label="TD3 with hindsight", method="td3"),)
LINES = (
    Line(label="Dual agent, safe agent", method="dual-agent"),
    Line(label="Safety layer on the baseline", method="safety-layer"),
    Line(label="Cloned + CPO", method="cloned-cpo"),
    Line(label="Cloned + CPO, without noise", method="cloned-cpo", part=NOISELESS, drawn=False),
    Line(label="CPO", method="cpo"),
    Line(label="CPO, without noise", method="cpo", part=NOISELESS, drawn=False),
)


def pre_training(seed: int = 0, size: Size = PRE_TRAINED) -> LearnerRun:
    """TD3 with hindsight, which learns to push and nothing of the obstacle; all runs correct the same policy.

    Args:
      seed: Of the run.
      size: Of it.
    """
    return size.planned(LearnerRun(task=TASK, method="td3", seed=seed, settings=_settings()), explores=True)


def planned(method: str, seed: int, baseline: str, size: Size = SIZE) -> LearnerRun:
    """A run that corrects the baseline, or CPO's from scratch.

    Args:
      method: One of `METHODS`.
      seed: Of the run.
      baseline: Policy file or controller.
      size: Of all runs.
    """
    given = baseline if method in CORRECTING else ""
    run = LearnerRun(task=TASK, method=method, seed=seed, baseline=given, settings=_settings())
    return size.planned(run, explores=_ALL[method].explores)


def _settings() -> LearnerSettings:
    limit = TASKS[TASK].cost_limit
    assert limit is not None
    return LearnerSettings(chi=limit)
