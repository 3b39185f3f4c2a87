# SPDX-License-Identifier: Apache-2.0
"""DARL's first comparison: the ant on its avenue, learned from scratch by the dual agent and by its rivals."""

from __future__ import annotations

from safe_transfer_ros.studies.equal_samples import Line, Size
from safe_transfer_ros.studies.learner_run import LearnerRun
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.methods import METHODS as _ALL
from safe_transfer_ros.transfer.training import BASELINE, NOISELESS

NAME, TASK, SEEDS = "dual_agent_ant", "ant_avenue", 3
METHODS = ("dual-agent", "td3", "sac-lagrangian", "ppo-lagrangian", "trpo-lagrangian", "cpo")
SIZE = Size(steps=500_000, every=10_000, horizon=500, on_policy_episodes=10)
QUICK = Size(steps=2_000, every=1_000, horizon=500, on_policy_episodes=2, evaluation_episodes=2)
LINES = (
    Line(label="Dual agent, safe agent", method="dual-agent"),
    Line(label="Dual agent, baseline", method="dual-agent", part=BASELINE),
    Line(label="TD3", method="td3"),
    Line(label="SAC-Lagrangian", method="sac-lagrangian"),
    Line(label="PPO-Lagrangian", method="ppo-lagrangian"),
    Line(label="PPO-Lagrangian, without noise", method="ppo-lagrangian", part=NOISELESS, drawn=False),
    Line(label="TRPO-Lagrangian", method="trpo-lagrangian"),
    Line(label="TRPO-Lagrangian, without noise", method="trpo-lagrangian", part=NOISELESS, drawn=False),
    Line(label="CPO", method="cpo"),
    Line(label="CPO, without noise", method="cpo", part=NOISELESS, drawn=False),
)


def planned(method: str, seed: int, size: Size = SIZE) -> LearnerRun:
    """A run of the comparison.

    Args:
      method: One of `METHODS`.
      seed: Of the run.
      size: Of all runs.
    """
    limit = TASKS[TASK].cost_limit
    assert limit is not None
    run = LearnerRun(task=TASK, method=method, seed=seed, settings=LearnerSettings(chi=limit))
    return size.planned(run, explores=_ALL[method].explores)
