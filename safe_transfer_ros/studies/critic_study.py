# SPDX-License-Identifier: Apache-2.0
"""Cup swirl on an arm the policy was not trained for: critics as gates, the adaptive limit, and both together.

Each run: a critic is pre-trained in simulation, at torque limits over the whole training range and with more
exploration, so that it sees failures; then Algorithm 1 runs on the perturbed arm while the critic, in the gate or
beside it, learns on from what happens there. Every run takes the same number of steps on that arm.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from safe_transfer_ros.critics.gated_rollouts import CriticLimit, GatedRollouts
from safe_transfer_ros.critics.pretrained import LearningCritic, critic_settings
from safe_transfer_ros.files import write_rows
from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled
from safe_transfer_ros.learning.transitions import transitions
from safe_transfer_ros.randomness import SCHEME, Purpose, generator
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune

_EPISODES = 5
COLUMNS = (
    "iteration",
    "mean_return",
    "mean_task_return",
    "unsafety_rate",
    "torque_limit",
    "expected_damage",
    "limit_change_risk",
    "failed_episodes",
    "gated",
)


@dataclass(frozen=True, kw_only=True)
class CriticRun:
    """Settings that determine the numbers of a run.

    Attributes:
      gate: "none", "sqrl" or "csc".
      limit: "fixed" at t_max; "adaptive" (PSPT); "critic": adaptive, with dp_u1 from the critic, see `CriticLimit`.
      seed: Of everything random.
      iterations: Of Algorithm 1, five episodes each.
      d_safe: D_safe, N·m.
      initial_torque_limit: Limit of the first iteration, and the lowest one, N·m.
      t_max: Highest limit, N·m.
      epsilon: SQRL's threshold.
      chi: CSC's accepted failures per episode.
      source: What the critic is pre-trained on; see `critics.pretrained.SOURCES`.
    """

    gate: str = "none"
    limit: str = "adaptive"
    seed: int = 0
    iterations: int = 15
    d_safe: float = 0.5
    initial_torque_limit: float = 0.3
    t_max: float = 3.0
    epsilon: float = 0.1
    chi: float = 0.05
    source: str = "randomised"

    @property
    def label(self) -> str:
        """In tables and legends."""
        limit = {"fixed": f"fixed {self.t_max:g} N·m", "adaptive": "adaptive", "critic": "adaptive, Δp_u1 by critic"}[
            self.limit
        ]
        gate = {"none": "", "sqrl": " + SQRL gate", "csc": " + CSC gate"}[self.gate]
        return limit + gate + (" (nominal source)" if self.source == "nominal" else "")


def _fixed(limit: float, gate: str = "none", source: str = "randomised") -> CriticRun:
    return CriticRun(limit="fixed", t_max=limit, gate=gate, source=source)


# The adaptive limit settles near .5: there a gate alone is compared like with like.
ARMS = (
    _fixed(0.5),
    _fixed(0.5, "sqrl"),
    _fixed(0.5, "csc"),
    CriticRun(),
    CriticRun(gate="sqrl"),
    CriticRun(gate="csc"),
    CriticRun(limit="critic"),
)
ASIDE = (
    CriticRun(limit="critic", gate="sqrl"),
    # What a critic is worth that knows only the arm at home.
    _fixed(0.5, "sqrl", "nominal"),
    # Here this arm fails in every episode.
    _fixed(0.8),
    _fixed(0.8, "sqrl"),
    _fixed(0.8, "csc"),
)


def compute(run: CriticRun) -> Iterator[dict[str, float]]:
    """Do a run; equal runs give equal numbers.

    Yields:
      A row of `COLUMNS` an iteration.
    """
    task = make("pr2_cup_swirl", TorqueTask)
    parameters, _ = load_for(task, task.name)
    parameters = with_stddev_scaled(parameters, 0.5**0.5)
    governor = GovernorSettings(
        d_safe=run.d_safe,
        initial_torque_limit=run.initial_torque_limit,
        t_max=run.t_max,
        rule="fixed" if run.limit == "fixed" else "adaptive",
        damage_budget=False,
    )
    kind = run.gate if run.gate != "none" else "sqrl"
    critic = LearningCritic(kind, run.source, run.seed) if run.gate != "none" or run.limit == "critic" else None
    gate = None
    if run.gate != "none" and critic is not None:
        noise = generator(Purpose.GATE_OF_STUDY, run.seed).standard_normal
        epsilon = run.epsilon if run.gate == "sqrl" else _csc_epsilon(run, 0.0)
        gate = MaskedPolicyGate(critic, task.robot.limits.effort, MaskSettings(epsilon=epsilon), noise)
    with VectorTorqueEnv(task, PERTURBATIONS["light_sticky"], threads=1) as environment:
        rollouts = GatedRollouts(environment, gate)
        limits = CriticLimit(governor, critic, rollouts) if run.limit == "critic" and critic is not None else None
        steps = fine_tune(
            rollouts,
            parameters,
            settings=PsptSettings(),
            governor=governor,
            seed=run.seed,
            episodes=_EPISODES,
            limits=limits,
        )
        for step in islice(steps, run.iterations):
            batch = step.batch
            failed = float(np.mean((~(batch.unsafety[:, 1:] <= task.unsafety_limit)).any(axis=1)))
            if critic is not None:
                critic.learn(transitions(batch, iteration=step.record.iteration))
            if gate is not None and run.gate == "csc":
                gate.settings = dataclasses.replace(gate.settings, epsilon=_csc_epsilon(run, failed))
            row = step.record.as_dict() | {
                "failed_episodes": failed,
                "gated": float(np.mean((batch.reasons & int(Reason.CRITIC_RISK)) != 0)),
            }
            if limits is not None:
                row["limit_change_risk"] = limits.effect
            yield {name: float(row[name]) for name in COLUMNS}


def _csc_epsilon(run: CriticRun, failed: float) -> float:
    """As the learners have it: with the default chi it is SQRL's epsilon, so that the gates differ by their critics."""
    return LearnerSettings(cost_gamma=critic_settings("csc").gamma).threshold(failed, run.chi)


def finished(run: CriticRun, folder: Path) -> list[dict[str, float]] | None:
    """A run's rows, if the folder has them."""
    path = _path(run, folder)
    if not path.exists():
        return None
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def load_or_compute(run: CriticRun, folder: Path) -> list[dict[str, float]]:
    """A run's rows, from the folder if it is there whole."""
    known = finished(run, folder)
    if known is not None:
        return known
    rows = list(compute(run))
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(_path(run, folder), rows)
    return rows


def _path(run: CriticRun, folder: Path) -> Path:
    critic = [dataclasses.asdict(critic_settings("csc")), _csc_epsilon(run, 0.0)] if run.gate == "csc" else []
    text = json.dumps([dataclasses.asdict(run), SCHEME, *critic], sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.csv"
