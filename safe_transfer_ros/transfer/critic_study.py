# SPDX-License-Identifier: Apache-2.0
"""Cup swirl on an arm the policy was not trained for: critics as gates, the adaptive limit, and both together.

Each run: a critic is pre-trained on the nominal arm in simulation, at torque limits over the whole training range and
with more exploration, so that it sees failures; then Algorithm 1 runs on the perturbed arm while the critic, in the
gate or beside it, learns on from what happens there. Every run takes the same number of steps on that arm.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.algorithms.safety_critic import CriticBatch, CriticLearner, CriticSettings
from safe_transfer_ros.policies.critic import CriticParameters, SafetyCritic, Support
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import NOMINAL, PERTURBATIONS
from safe_transfer_ros.safety.masked_policy import MaskedPolicyGate, MaskSettings, csc_threshold
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.safety.torque_limit import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.tasks.task import Task, make
from safe_transfer_ros.tasks.vector import EpisodeBatch, Policy, VectorTorqueEnv
from safe_transfer_ros.transfer.critic_training import CriticTraining, TrainingSettings, data_set
from safe_transfer_ros.transfer.policy_file import load_for, with_stddev_scaled
from safe_transfer_ros.transfer.pspt import PsptSettings, fine_tune

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

_SOURCE_EPISODES, _SOURCE_STDDEV = 60, 2.0
_FIRST_SOURCE_EPISODE = 2_000_000
_GATE_STREAM = 5  # 0 to 2 are initial states, action noise and updates
_OUTSIDE = Support(rule="off", limit=1.0)
COLUMNS = ("iteration", "mean_return", "mean_task_return", "unsafety_rate", "torque_limit", "expected_damage")
COLUMNS += ("limit_change_risk", "failed_episodes", "gated")  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class CriticRun:
    """What decides the numbers of a run.

    Attributes:
      gate: "none", "sqrl" or "csc".
      limit: "fixed" at t_max; "adaptive" (PSPT); "critic": adaptive, with dp_u1 from the critic, see `CriticLimit`.
      seed: Of everything random.
      iterations: Of Algorithm 1, five episodes each.
      d_safe: D_safe, N·m.
      t_min: Lowest limit, N·m.
      t_max: Highest limit, N·m: where the light arm fails often, but not whatever it does, as it does at 3.
      epsilon: SQRL's threshold.
      chi: CSC's accepted failures an episode.
    """

    gate: str = "none"
    limit: str = "adaptive"
    seed: int = 0
    iterations: int = 20
    d_safe: float = 0.5
    t_min: float = 0.3
    t_max: float = 0.8
    epsilon: float = 0.1
    chi: float = 0.05

    @property
    def label(self) -> str:
        """In tables and legends."""
        limit = {"fixed": f"fixed {self.t_max:g} N·m", "adaptive": "adaptive", "critic": "adaptive, Δp_u1 by critic"}[
            self.limit
        ]
        return limit + {"none": "", "sqrl": " + SQRL gate", "csc": " + CSC gate"}[self.gate]


ARMS = (
    CriticRun(limit="fixed"),
    CriticRun(limit="fixed", gate="sqrl"),
    CriticRun(limit="fixed", gate="csc"),
    CriticRun(),
    CriticRun(gate="sqrl"),
    CriticRun(gate="csc"),
    CriticRun(limit="critic"),
)

_EPISODES = 5


def critic_settings(kind: str) -> CriticSettings:
    """Of the study's critics: small, as it runs a hundred of them on a desk. CSC sees further, as in its paper."""
    if kind == "csc":
        return CriticSettings(gamma=0.95, alpha=0.5, hidden=(64, 64), learning_rate=1e-3, target_rate=0.01)
    return CriticSettings(gamma=0.7, hidden=(64, 64), learning_rate=1e-3, target_rate=0.01)


def columns_of(batch: EpisodeBatch, task: Task, iteration: int = 0) -> Columns:
    """Transitions of simulated episodes, with the names that recorded ones have; episode after episode."""
    count, steps = batch.reward.shape
    episode = np.repeat(batch.first_episode + np.arange(count), steps)

    def flat(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(count * steps, *values.shape[2:]).astype(np.float32)

    def following(values: Array) -> NDArray[Any]:
        after = np.full_like(values, np.nan)
        after[:, :-1] = values[:, 1:]
        return flat(after)

    return {
        "iteration": np.full(count * steps, iteration, dtype=np.uint32),
        "episode": episode.astype(np.uint32),
        "chain": episode.astype(np.int64),
        "observation": flat(batch.observation[:, :-1]),
        "applied": flat(batch.applied),
        "mean": flat(batch.mean),
        "stddev": flat(batch.stddev),
        "torque_limit": flat(batch.torque_limit),
        "cost": flat(~(batch.unsafety[:, 1:] <= task.unsafety_limit)),
        "terminated": np.zeros(count * steps, dtype=np.bool_),
        "next_observation": flat(batch.observation[:, 1:]),
        "next_mean": following(batch.mean),
        "next_stddev": following(batch.stddev),
        "next_torque_limit": flat(batch.torque_limit),
    }


@lru_cache(maxsize=2)
def source_columns(seed: int, task_name: str = "pr2_cup_swirl") -> Columns:
    """Episodes on the nominal arm, exploring more than the policy does, at limits over the training range."""
    task = make(task_name)
    parameters, _ = load_for(task, task_name)
    limits = task.draw_torque_limit(np.random.default_rng([seed, 9]), _SOURCE_EPISODES)
    with VectorTorqueEnv(task, NOMINAL, threads=1) as environment:
        batch = environment.rollout(
            GaussianPolicy(with_stddev_scaled(parameters, _SOURCE_STDDEV)),
            torque_limits=limits,
            seed=seed,
            first_episode=_FIRST_SOURCE_EPISODE,
        )
    return columns_of(batch, task)


@lru_cache(maxsize=4)
def pretrained(kind: str, seed: int) -> CriticParameters:
    """A critic of the nominal arm."""
    settings = critic_settings(kind)
    training = CriticTraining(
        data_set(source_columns(seed), settings.gamma),
        TrainingSettings(critic=settings, updates=2000, check_every=500, patience=3, batch=128, seed=seed),
    )
    for _ in training.checks():
        pass
    return training.parameters()


class LearningCritic:
    """A critic pre-trained on the source, that learns on from the target.

    Attributes:
      settings: Of its updates.
    """

    def __init__(self, kind: str, seed: int, per_iteration: int = 40) -> None:
        """Pre-train on `source_columns`."""
        self.settings, self._seed, self._per_iteration = critic_settings(kind), seed, per_iteration
        self._source = source_columns(seed)
        self._fixed = pretrained(kind, seed)
        self._learner = CriticLearner(
            {name: array for name, array in self._fixed.items() if name.startswith("layer.")}, self.settings
        )
        self._target: Columns = {}
        self._refresh()

    def risk(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Q of the critic as it is now; see `safety.masked_policy.RiskModel`."""
        return self._critic.risk(observation, torque)

    def learn(self, columns: Columns) -> None:
        """Take in an iteration: half of each batch from the target arm, half from the source."""
        self._target = {
            name: np.concatenate([self._target[name], column]) if self._target else column
            for name, column in columns.items()
        }
        for _ in range(self._per_iteration):
            rng = np.random.default_rng([self._seed, 11, self._learner.updates])
            halves = [self._sample(columns, rng, 64) for columns in (self._target, self._source)]
            fields = {
                part.name: np.concatenate([getattr(half, part.name) for half in halves])
                for part in dataclasses.fields(CriticBatch)
            }
            self._learner.update(CriticBatch(**fields))
        self._refresh()

    def _refresh(self) -> None:
        parameters: CriticParameters = {**self._fixed, **self._learner.parameters()}
        self._critic = SafetyCritic(parameters, self._source["observation"].shape[1], _OUTSIDE)

    def _sample(self, columns: Columns, rng: np.random.Generator, count: int) -> CriticBatch:
        usable = np.flatnonzero(np.isfinite(columns["next_mean"][:, 0]) | (columns["cost"] > 0.5))
        rows = usable[rng.integers(0, len(usable), count)]

        def torque(prefix: str) -> Array:
            mean, stddev = (
                np.nan_to_num(columns[f"{prefix}mean"][rows]),
                np.nan_to_num(columns[f"{prefix}stddev"][rows]),
            )
            bound = columns[f"{prefix}torque_limit"][rows][:, None]
            return np.clip(mean + stddev * rng.standard_normal(mean.shape), -bound, bound)

        observation = columns["observation"][rows]
        return CriticBatch(
            inputs=self._inputs(observation, columns["applied"][rows]),
            cost=columns["cost"][rows],
            terminated=np.zeros(count, dtype=np.float32),
            next_inputs=self._inputs(columns["next_observation"][rows], torque("next_")),
            policy_inputs=self._inputs(observation, torque("")),
        )

    def _inputs(self, observation: NDArray[Any], torque: NDArray[Any]) -> NDArray[np.float32]:
        inputs = np.concatenate([observation, torque], axis=1)
        return ((inputs - self._fixed["input.mean"]) / self._fixed["input.scale"]).astype(np.float32)


class CriticLimit(TorqueLimitGovernor):
    """The adaptive limit with the effect of the next limit foretold by a critic instead of bounded.

    dp_u1 = max(0, E[Q(s, clip(a, T')) - Q(s, clip(a, T))]) + margin over the visited states, T' the highest limit
    allowed next, and s with that limit observed in it. The margin is how far the critic's mean risk of the torques
    applied fell short of what happened in these very episodes, plus twice the standard error of the effect.
    """

    def __init__(self, settings: GovernorSettings, critic: LearningCritic, rollouts: GatedRollouts) -> None:
        """Start at t_min; see `TorqueLimitGovernor`."""
        super().__init__(settings)
        self._critic, self._rollouts = critic, rollouts
        self.effect = float("nan")

    def _next(self, rate: float, limit_change: float, policy_change: float) -> float:
        self.effect = self._foretold()
        return super()._next(rate, self.effect, policy_change)

    def _foretold(self) -> float:
        batch, task = self._rollouts.last, self._rollouts.task
        now, then = self.torque_limit, min(self.settings.growth * self.torque_limit, self.settings.t_max)
        shape = (-1, task.action_size)
        proposed = batch.proposed.reshape(shape)
        position, velocity = (values[:, :-1].reshape(shape) for values in (batch.position, batch.velocity))
        risks = [
            self._critic.risk(task.observe(position, velocity, limit), np.clip(proposed, -limit, limit))
            for limit in (now, then)
        ]
        change = (risks[1] - risks[0]).reshape(len(batch.proposed), -1).mean(axis=1)
        error = float(change.std(ddof=1) / np.sqrt(len(change)))
        unsafe = float(np.mean(~(batch.unsafety[:, 1:] <= task.unsafety_limit)))
        shortfall = max(0.0, unsafe - float(risks[0].mean()))
        return float(min(1.0, max(0.0, float(change.mean())) + shortfall + 2.0 * error))


class GatedRollouts:
    """`VectorTorqueEnv` behind a gate; an `Environment` of Algorithm 1.

    Attributes:
      last: Rollouts of the newest iteration.
    """

    last: EpisodeBatch

    def __init__(self, environment: VectorTorqueEnv, gate: MaskedPolicyGate | None) -> None:
        """Put a gate before the envelope; None: none."""
        self._environment, self._gate = environment, gate

    @property
    def task(self) -> Task:
        """What is to be done."""
        return self._environment.task

    def rollout(self, policy: Policy, *, torque_limits: ArrayLike, seed: int, first_episode: int = 0) -> EpisodeBatch:
        """See `VectorTorqueEnv.rollout`."""
        self.last = self._environment.rollout(
            policy, torque_limits=torque_limits, seed=seed, first_episode=first_episode, gate=self._gate
        )
        return self.last


def compute(run: CriticRun) -> Iterator[dict[str, float]]:
    """Do a run; equal runs give equal numbers.

    Yields:
      A row of `COLUMNS` an iteration.
    """
    task = make("pr2_cup_swirl")
    parameters, _ = load_for(task, task.name)
    parameters = with_stddev_scaled(parameters, 0.5**0.5)
    governor = GovernorSettings(
        d_safe=run.d_safe, t_min=run.t_min, t_max=run.t_max, rule="fixed" if run.limit == "fixed" else "adaptive"
    )
    kind = run.gate if run.gate != "none" else "sqrl"
    critic = LearningCritic(kind, run.seed) if run.gate != "none" or run.limit == "critic" else None
    gate = None
    if run.gate != "none" and critic is not None:
        noise = np.random.default_rng([run.seed, _GATE_STREAM]).standard_normal
        epsilon = run.epsilon if run.gate == "sqrl" else csc_threshold(0.0, gamma=0.95, chi=run.chi)
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
                critic.learn(columns_of(batch, task, step.record.iteration))
            if gate is not None and run.gate == "csc":
                epsilon = csc_threshold(failed, gamma=0.95, chi=run.chi, floor=1e-3)
                gate.settings = dataclasses.replace(gate.settings, epsilon=epsilon)
            row = step.record.as_dict() | {
                "failed_episodes": failed,
                "gated": float(np.mean((batch.reasons & int(Reason.CRITIC_RISK)) != 0)),
            }
            if limits is not None:
                row["limit_change_risk"] = limits.effect
            yield {name: float(row[name]) for name in COLUMNS}


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
    path = _path(run, folder)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
    return rows


def _path(run: CriticRun, folder: Path) -> Path:
    text = json.dumps(dataclasses.asdict(run), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.csv"
