# SPDX-License-Identifier: Apache-2.0
"""SQRL through the ROS graph: its critic and the adaptive torque limit, each alone, together, and neither.

A policy and its critic are pre-trained in simulation, a file for each seed. Every case fine-tunes that same file on an
arm that it was not trained for, in a graph of real processes, in lockstep.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safe_transfer_ros.record.iteration import ROWS, read
from safe_transfer_ros.record.resume import CHECKPOINTS, CONFIG
from safe_transfer_ros.studies.learner_run import LearnerRun
from safe_transfer_ros.transfer.training import PRE_TRAINING

NAME = "sqrl_graph"
SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A task and the arm that it is transferred to.

    Attributes:
      name: In tables and of folders.
      graph: That does it.
      task: Its name.
      epochs: Of pre-training, of twenty episodes each.
      iterations: Of fine-tuning, of five episodes each.
      arguments: Launch arguments of every case.
    """

    name: str
    graph: str
    task: str
    epochs: int
    iterations: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to fine-tune.

    Attributes:
      name: In tables and of folders.
      learner: Of the graph: sqrl, behind its critic, or sac, without one.
      limit_rule: adaptive, or fixed at T_max.
    """

    name: str
    learner: str
    limit_rule: str


SCENES = (
    # The arm and the limits of the study of critics with TRPO, docs/results/critics.md.
    Scene(
        name="swirl",
        graph="pr2_cup_swirl",
        task="pr2_cup_swirl",
        epochs=40,
        iterations=30,
        arguments=(
            *("perturbation:=light_sticky", "d_safe:=0.5", "initial_torque_limit:=0.3", "t_max:=3.0"),
            "unsafety_monitor.benefit:=false",
        ),
    ),
    Scene(
        name="push",
        graph="panda_push",
        task="panda_push_boundary",
        epochs=16,
        iterations=12,
        arguments=("task:=boundary", "perturbation:=tenth", "d_safe:=1.2", "initial_torque_limit:=1.0", "t_max:=10.0"),
    ),
)

CASES = (
    Case(name="SQRL, adaptive limit", learner="sqrl", limit_rule="adaptive"),
    Case(name="SQRL, fixed limit", learner="sqrl", limit_rule="fixed"),
    Case(name="SAC, adaptive limit", learner="sac", limit_rule="adaptive"),
    Case(name="SAC, fixed limit", learner="sac", limit_rule="fixed"),
)


def pre_training(scene: Scene, seed: int, epochs: int | None = None) -> LearnerRun:
    """Run whose policy every case of a scene begins with.

    Args:
      scene: One of `SCENES`.
      seed: Of the run.
      epochs: Where not those of the scene.
    """
    return LearnerRun(task=scene.task, method="sqrl", seed=seed, phase=PRE_TRAINING, iterations=epochs or scene.epochs)


def run_dir(scene: Scene, case: Case, seed: int, folder: Path) -> Path:
    """Directory of a run in the study's folder."""
    return folder / "runs" / f"{scene.name}-{case.learner}-{case.limit_rule}-{seed}"


def arguments(scene: Scene, case: Case, seed: int, policy: Path, folder: Path, iterations: int) -> list[str] | None:
    """Launch arguments that do a run, or go on with it; None where it has all its iterations.

    Args:
      scene: One of `SCENES`.
      case: One of `CASES`.
      seed: Of the run.
      policy: File that it begins with.
      folder: The study's.
      iterations: Of the run.
    """
    place = run_dir(scene, case, seed, folder)
    done = len(read(place / ROWS)) if (place / ROWS).exists() else 0
    if done >= iterations:
        return None
    if (place / CONFIG).exists() and done:
        return [f"resume:={place}", f"iterations:={iterations}"]
    own = [f"learner:={case.learner}", f"limit_rule:={case.limit_rule}", f"seed:={seed}", f"iterations:={iterations}"]
    return [f"run_dir:={place}", *scene.arguments, *own, f"policy:={policy}", "record:=false"]


@dataclass(frozen=True, kw_only=True)
class GraphCurves:
    """Numbers of a run by iteration, each of shape (iterations,).

    Attributes:
      steps: Steps taken.
      unsafe_steps: Those in an unsafe state or without one that was seen: p_u times the steps.
      failures: Episodes with an unsafe state.
      mean_return: Mean return of its episodes.
      torque_limit: In force, N·m.
      expected_damage: p_u d(T_lim).
      kl: Divergence of what is done, see `transfer.sqrl.graph`.
    """

    steps: np.ndarray
    unsafe_steps: np.ndarray
    failures: np.ndarray
    mean_return: np.ndarray
    torque_limit: np.ndarray
    expected_damage: np.ndarray
    kl: np.ndarray


def curves(place: Path, iterations: int) -> GraphCurves:
    """Read a finished run.

    Args:
      place: Its directory.
      iterations: How many of it.

    Raises:
      OSError, ValueError: if it is not complete.
    """
    rows = read(place / ROWS)[:iterations]
    if len(rows) < iterations:
        raise ValueError(f"expected {iterations} iterations in {place}, got {len(rows)}: run the study again")
    failures = []
    for row in rows:
        with np.load(place / CHECKPOINTS / f"off_policy_{row.iteration + 1:05d}.npz") as part:
            failures.append(float((part["cost"] > 0.0).sum()))  # a failure ends what is learned of an episode
    columns = {
        name: np.array([float(getattr(row, name)) for row in rows])
        for name in ("steps", "mean_return", "torque_limit", "expected_damage", "kl", "unsafety_rate")
    }
    unsafe = columns.pop("unsafety_rate") * columns["steps"]
    return GraphCurves(unsafe_steps=unsafe, failures=np.array(failures), **columns)
