# SPDX-License-Identifier: Apache-2.0
"""One run of Algorithm 1 as a pure function of its settings; a study is many such runs."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled, with_torque_scaled
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.record.iteration import COLUMNS
from safe_transfer_ros.robots.almond_cup import AlmondCup
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation
from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.safety.limit.unsafety import unsafety_rate
from safe_transfer_ros.studies import run_store
from safe_transfer_ros.studies.run_store import Curves, RunStore
from safe_transfer_ros.studies.spill import carry
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune

_TRUE = ("true_unsafety_rate", "true_damage", "true_return")
_ALMONDS = "almonds_lost"
_FOUND_OUT = (*_TRUE, _ALMONDS)


PAPER = GovernorSettings(damage_budget=False)
"""The governor's settings as PSPT has them: by prediction alone."""


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """Settings that determine the numbers of a run.

    Attributes:
      seed: Of everything random.
      iterations: Of Algorithm 1.
      episodes: Per iteration (PSPT: 5).
      task: Its name.
      policy: The pre-trained policy, a file or the name of a shipped one.
      perturbation: How the robot differs from the one the policy was trained on.
      governor: Of the torque limit.
      learning: Of the policy updates.
      stddev_factor: On the policy's standard deviation; 2^-.5 halves its variance (PSPT's real robot).
      torque_factor: On all torques it proposes, mean and noise (PSPT's real robot: 1.3).
      evaluate_every: Every so many iterations the policy and limit of its rollouts are judged by further
        episodes that nothing is learned from; 0: never.
      evaluation_episodes: How many.
      almonds: In a cup that the tool carries, see `studies.spill`; 0: no cup.
    """

    seed: int = 0
    iterations: int = 400
    episodes: int = 5
    task: str = "pr2_cup_swirl"
    policy: str = "pr2_cup_swirl"
    perturbation: Perturbation = PERTURBATIONS["literal"]
    governor: GovernorSettings = PAPER
    learning: PsptSettings = field(default_factory=PsptSettings)
    stddev_factor: float = 1.0
    torque_factor: float = 1.0
    evaluate_every: int = 0
    evaluation_episodes: int = 100
    almonds: int = 0


StudyCurves: TypeAlias = Curves[StudyRun]
"""A finished run: columns of iterations.csv; true_unsafety_rate, true_damage, true_return by further episodes;
almonds_lost up to the end of the iteration."""


def compute(run: StudyRun, progress: Path | None = None) -> dict[str, list[float]]:
    """Do a run.

    Args:
      run: Its settings; equal ones give equal numbers.
      progress: File that is to hold the number of iterations done.

    Returns:
      Columns of `StudyCurves`.
    """
    task = make(run.task, TorqueTask)
    parameters, _ = load_for(task, run.policy)
    if run.stddev_factor != 1.0:
        parameters = with_stddev_scaled(parameters, run.stddev_factor)
    if run.torque_factor != 1.0:
        parameters = with_torque_scaled(parameters, run.torque_factor)
    columns: dict[str, list[float]] = {name: [] for name in (*COLUMNS, *_FOUND_OUT)}
    cup = AlmondCup(run.almonds, seed=run.seed) if run.almonds else None
    spilled_in_filling = 0 if cup is None else int(cup.lost.sum())
    with VectorTorqueEnv(task, run.perturbation, threads=1) as environment:
        steps = fine_tune(
            environment,
            parameters,
            settings=run.learning,
            governor=run.governor,
            seed=run.seed,
            episodes=run.episodes,
        )
        for step in islice(steps, run.iterations):
            row: dict[str, float] = {**step.record.as_dict(), **dict.fromkeys(_FOUND_OUT, math.nan)}
            if run.evaluate_every and step.record.iteration % run.evaluate_every == 0:
                row |= _evaluate(environment, parameters, step.record.torque_limit, run)
            if cup is not None:
                carry(cup, task, run.perturbation, step.batch)
                row[_ALMONDS] = int(cup.lost.sum()) - spilled_in_filling
            for name, values in columns.items():
                values.append(float(row[name]))
            parameters = step.update.parameters
            if progress is not None:
                progress.write_text(str(step.record.iteration + 1))
    return columns


def _evaluate(
    environment: VectorTorqueEnv, parameters: Parameters, torque_limit: float, run: StudyRun
) -> dict[str, float]:
    """Judge a policy under a limit by episodes that it does not learn from."""
    batch = environment.rollout(
        GaussianPolicy(parameters),
        torque_limits=np.full(run.evaluation_episodes, torque_limit),
        seed=run.seed,
        first_episode=FirstEpisode.EVALUATION,
    )
    rate = unsafety_rate(batch.unsafety[:, 1:], environment.task.unsafety_limit)
    damage = rate * DAMAGE_MODELS[run.governor.damage].damage(torque_limit)
    values = (rate, damage, float(batch.reward.sum(axis=1).mean()))
    return dict(zip(_TRUE, values, strict=True))


class StudyStore(RunStore[StudyRun]):
    """Finished runs in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder is created when something is stored."""
        super().__init__(folder, key=key, settings=differences, columns=COLUMNS, found_out=_FOUND_OUT)


@cache
def key(run: StudyRun) -> str:
    """Hash of everything that decides a run's numbers but the code: settings, policy, versions of what computes."""
    _, policy = load_for(make(run.task, TorqueTask), run.policy)
    return run_store.hashed(differences(run), hashlib.sha256(policy).hexdigest())


def differences(run: StudyRun) -> dict[str, Any]:
    """Settings that are not the defaults."""
    return run_store.differences(run, StudyRun())
