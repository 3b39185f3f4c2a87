# SPDX-License-Identifier: Apache-2.0
"""One run of Algorithm 1 as a pure function of its settings, and a store of finished runs.

A study is many such runs. Each is kept under the hash of its settings, so a study that was stopped goes on
where it was, and figures that share a run share its numbers.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import safe_transfer_ros
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.robots.almond_cup import AlmondCup
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation
from safe_transfer_ros.safety.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.torque_limit import GovernorSettings
from safe_transfer_ros.safety.unsafety import unsafety_rate
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.iteration import COLUMNS
from safe_transfer_ros.transfer.policy_file import load_for, with_stddev_scaled, with_torque_scaled
from safe_transfer_ros.transfer.pspt import PsptSettings, fine_tune
from safe_transfer_ros.transfer.spill import carry

Array = NDArray[np.float64]

# Episodes that judge a policy must be none it learned from.
_FIRST_EVALUATION_EPISODE = 1_000_000
_TRUE = ("true_unsafety_rate", "true_damage", "true_return")
_ALMONDS = "almonds_lost"
_FOUND_OUT = (*_TRUE, _ALMONDS)
_ROOMS = ("safety", "robots", "policies", "algorithms", "tasks", "transfer")


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """What decides the numbers of a run.

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
      torque_factor: On its mean torques (PSPT's real robot: 1.3).
      evaluate_every: Every so many iterations the policy and limit of its rollouts are judged by further
        episodes that nothing is learned from; 0: never.
      evaluation_episodes: How many.
      almonds: In a cup that the tool carries, see `transfer.spill`; 0: no cup.
      almonds_from: Iteration from which on it carries it.
    """

    seed: int = 0
    iterations: int = 120
    episodes: int = 5
    task: str = "pr2_cup_swirl"
    policy: str = "pr2_cup_swirl"
    perturbation: Perturbation = PERTURBATIONS["light_sticky"]
    governor: GovernorSettings = field(default_factory=GovernorSettings)
    learning: PsptSettings = field(default_factory=PsptSettings)
    stddev_factor: float = 1.0
    torque_factor: float = 1.0
    evaluate_every: int = 0
    evaluation_episodes: int = 100
    almonds: int = 0
    almonds_from: int = 0


@dataclass(frozen=True, kw_only=True)
class StudyCurves:
    """A finished run.

    Attributes:
      run: Its settings.
      columns: Of iterations.csv; true_unsafety_rate, true_damage, true_return by further episodes; almonds_lost up
        to the end of the iteration; NaN where it was not found out. Each of shape (iterations,).
      same_code: Whether it was made by the code as it is now.
    """

    run: StudyRun
    columns: dict[str, Array]
    same_code: bool = True


def compute(run: StudyRun, progress: Path | None = None) -> dict[str, list[float]]:
    """Do a run.

    Args:
      run: Its settings; equal ones give equal numbers.
      progress: File that is to hold the number of iterations done.

    Returns:
      Columns of `StudyCurves`.
    """
    task = make(run.task)
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
            if cup is not None and step.record.iteration >= run.almonds_from:
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
        first_episode=_FIRST_EVALUATION_EPISODE,
    )
    rate = unsafety_rate(batch.unsafety[:, 1:], environment.task.unsafety_limit)
    damage = rate * DAMAGE_MODELS[run.governor.damage].damage(torque_limit)
    values = (rate, damage, float(batch.reward.sum(axis=1).mean()))
    return dict(zip(_TRUE, values, strict=True))


class StudyStore:
    """Finished runs in a folder: <key>.csv with the numbers, <key>.json with what made them."""

    def __init__(self, folder: Path) -> None:
        """The folder is created when something is stored."""
        self.folder = folder

    def load(self, run: StudyRun) -> StudyCurves | None:
        """A finished run, or None."""
        table, about = self._paths(run)
        try:
            with table.open(newline="") as file:
                rows = list(csv.DictReader(file))
            made = json.loads(about.read_text())
            columns = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}
            for name in _FOUND_OUT:
                columns[name] = np.array([float(row.get(name, "nan")) for row in rows])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never finished, or damaged: it is computed again
        if len(rows) != run.iterations:
            return None
        return StudyCurves(run=run, columns=columns, same_code=made.get("code") == code_digest())

    def save(self, run: StudyRun, columns: dict[str, list[float]]) -> StudyCurves:
        """Keep a finished run; whatever ends the process, it is there whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        table, about = self._paths(run)
        made = {"settings": differences(run), "code": code_digest(), "versions": _versions()}
        _write_whole(about, json.dumps(made, indent=1) + "\n")
        rows = [",".join(columns), *(",".join(map(repr, row)) for row in zip(*columns.values(), strict=True))]
        _write_whole(table, "\n".join(rows) + "\n")
        return StudyCurves(run=run, columns={name: np.array(values) for name, values in columns.items()})

    def progress_file(self, run: StudyRun) -> Path:
        """Where a run at work tells how far it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{key(run)}.progress"

    def _paths(self, run: StudyRun) -> tuple[Path, Path]:
        return self.folder / f"{key(run)}.csv", self.folder / f"{key(run)}.json"


@cache
def key(run: StudyRun) -> str:
    """Hash of everything that decides a run's numbers but the code: settings, policy, versions of what computes."""
    _, policy = load_for(make(run.task), run.policy)
    text = json.dumps([differences(run), hashlib.sha256(policy).hexdigest(), _versions()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def differences(run: StudyRun) -> dict[str, Any]:
    """Settings that are not the defaults: a setting that is added later leaves the keys of earlier runs alone."""
    return _differences(run, StudyRun())


def _differences(given: Any, default: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in dataclasses.fields(given):
        value, usual = getattr(given, part.name), getattr(default, part.name)
        if dataclasses.is_dataclass(value):
            nested = _differences(value, usual)
            if nested:
                found[part.name] = nested
        elif value != usual:
            found[part.name] = value
    return found


@lru_cache
def code_digest() -> str:
    """Hash of the code that decides a run's numbers."""
    package = Path(safe_transfer_ros.__file__).parent
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((package / room).glob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:20]


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("mujoco", "numpy", "torch")}


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text)
    partial.replace(path)


@dataclass(frozen=True)
class _Work:
    run: StudyRun
    progress: Path | None


def work(item: _Work) -> tuple[dict[str, list[float]], float]:
    """A run as an item of work: its columns, and the seconds it took."""
    started = time.monotonic()
    return compute(item.run, item.progress), time.monotonic() - started


def items(runs: list[StudyRun], store: StudyStore | None) -> list[_Work]:
    """Runs as items of work; with a store on the same machine they tell there how far they are."""
    return [_Work(run, None if store is None else store.progress_file(run)) for run in runs]
