# SPDX-License-Identifier: Apache-2.0
"""A safety critic from recorded transitions: split by episode, early stopping, calibration, model card.

Everything random follows from the seed and the number of the update, so training can stop and go on, and live
training on the same transitions gives the same critic.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.safety_critic import CriticLearner, CriticSettings, initial_critic
from safe_transfer_ros.bags.laws import acted
from safe_transfer_ros.critics.calibration import Calibration, calibration
from safe_transfer_ros.critics.data import DataSet, action_bound, blocks, bounded, data_set
from safe_transfer_ros.critics.safety_critic import CriticParameters, SafetyCritic, Support, save_critic
from safe_transfer_ros.files import replaced, write_atomically
from safe_transfer_ros.learning.transitions import TransitionColumns
from safe_transfer_ros.randomness import SCHEME, Purpose, generator

__all__ = ["CriticSettings", "CriticTraining", "TrainingSettings", "data_set", "judge", "model_card", "train_critic"]

Array = NDArray[np.float64]

_JUDGED = 20_000  # held-out transitions that a check looks at, at most
# Without these a critic may look right by never having been asked; see `certify`.
_LEAST_UNSAFE, _LEAST_UNSAFE_EPISODES, _LEAST_HELD_OUT = 20, 5, 5


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of training a critic from a data set.

    Attributes:
      critic: The critic and its updates.
      epsilon: Largest acceptable risk (SQRL .1).
      support: Rule of support: density, ensemble or off.
      support_quantile: Share of the training data that has support under it.
      batch: Transitions an update.
      updates: Updates at most.
      check_every: Updates between two looks at the held-out episodes.
      patience: Looks without improvement after which training ends.
      seed: Of everything random.
    """

    critic: CriticSettings = field(default_factory=CriticSettings)
    epsilon: float = 0.1
    support: str = "density"
    support_quantile: float = 0.999
    batch: int = 256
    updates: int = 20_000
    check_every: int = 500
    patience: int = 6
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check on the held-out episodes.

    Attributes:
      updates: Updates done.
      bellman: Mean Bellman error of the updates since the last look.
      brier: Mean squared difference of risk and realised discounted failure.
      best: Whether it is the best so far.
    """

    updates: int
    bellman: float
    brier: float
    best: bool


class CriticTraining:
    """Trains one critic; iterate `checks`, then take `parameters`.

    Attributes:
      settings: As given.
      data: As given.
    """

    def __init__(self, data: DataSet, settings: TrainingSettings) -> None:
        """Measure the data; start from the seed."""
        self.settings, self.data = settings, data
        self._mean, self._scale, self._covariance = _moments(data)
        n_inputs = len(self._mean)
        start = initial_critic(n_inputs, settings.critic, settings.seed, first_risk=_first_risk(data))
        self._learner = CriticLearner(start, settings.critic)
        self._best, self._best_brier, self._waited = start, math.inf, 0
        every = max(1, len(data.stopping.rows) // _JUDGED)
        self._judged = data.stopping.rows[::every]
        self._outcome = data.stopping.future.discounted(settings.critic.gamma)[::every]

    @property
    def updates(self) -> int:
        """Updates done."""
        return self._learner.updates

    def checks(self) -> Iterator[Check]:
        """Train until the held-out error stops falling, or all updates are done, with regular checks."""
        settings = self.settings
        while self.updates < settings.updates and self._waited < settings.patience:
            errors = []
            for _ in range(min(settings.check_every, settings.updates - self.updates)):
                errors.append(self._learner.update(**self._batch(self.updates))["bellman"])
            brier = self._brier()
            best = brier < self._best_brier or not self._judged.size
            if best:
                self._best, self._best_brier, self._waited = self._learner.parameters(), brier, 0
            else:
                self._waited += 1
            yield Check(updates=self.updates, bellman=float(np.mean(errors)), brier=brier, best=best)

    def parameters(self) -> CriticParameters:
        """The critic of the best look, ready for `SafetyCritic`."""
        dimension = len(self._mean)
        # A little of the identity: directions that the data hardly uses get a length all the same.
        covariance = self._covariance + 1e-3 * np.eye(dimension)
        factor = np.linalg.cholesky(np.linalg.inv(covariance))
        return {
            "input.mean": self._mean.astype(np.float32),
            "input.scale": self._scale.astype(np.float32),
            "support.factor": factor.astype(np.float32),
            **{name: np.asarray(array, dtype=np.float32) for name, array in self._best.items()},
        }

    def support(self, parameters: CriticParameters) -> Support:
        """The rule of support, its limit taken from the training data."""
        settings = self.settings
        if settings.support == "off":
            return Support(rule="off", limit=1.0)
        rows = self.data.training[:: max(1, len(self.data.training) // _JUDGED)]
        columns = self.data.columns
        size = columns["observation"].shape[1]
        critic = SafetyCritic(parameters, size, Support(rule="off", limit=1.0))
        observation, torque = columns["observation"][rows], columns["applied"][rows]
        if settings.support == "density":
            measure = critic.distance(observation, torque)
        else:
            measure = critic.probabilities(observation, torque).std(axis=0)
        return Support(rule=settings.support, limit=float(max(np.quantile(measure, settings.support_quantile), 1e-6)))

    def save(self, path: Path) -> None:
        """Write all that `restore` needs."""
        state = {"key": self.key(), "learner": self._learner.state(), "waited": self._waited}
        state |= {"best": {name: torch.from_numpy(array) for name, array in self._best.items()}}
        with replaced(path) as beside:
            torch.save(state | {"best_brier": self._best_brier}, beside)

    def restore(self, path: Path) -> None:
        """Resume from a file of `save`.

        Raises:
          ValueError: if it is of another training.
        """
        state = torch.load(path, weights_only=True)
        if state["key"] != self.key():
            raise ValueError(f"{path} is of a training with other settings or data: choose another --out, or remove it")
        self._learner.restore(state["learner"])
        self._best = {name: tensor.numpy() for name, tensor in state["best"].items()}
        self._best_brier, self._waited = float(state["best_brier"]), int(state["waited"])

    def key(self) -> str:
        """Key of all that determines the numbers: settings, data and the scheme of random streams."""
        return json.dumps([dataclasses.asdict(self.settings), self.data.digest, SCHEME], sort_keys=True)

    def _batch(self, update: int) -> dict[str, NDArray[np.float32]]:
        rng = generator(Purpose.CRITIC_TRAINING, self.settings.seed, update)
        columns, data = self.data.columns, self.data
        rows = np.sort(data.training[rng.integers(0, len(data.training), self.settings.batch)])
        observation = columns["observation"][rows]
        following = self._drawn(rows, "next_", rng)
        batch = {
            "inputs": self._normalised(observation, columns["applied"][rows]),
            "cost": np.asarray(columns["cost"][rows], dtype=np.float32),
            "terminated": np.asarray(columns["terminated"][rows], dtype=np.float32),
            "next_inputs": self._normalised(columns["next_observation"][rows], following),
        }
        if self.settings.critic.alpha > 0.0:
            batch["policy_inputs"] = self._normalised(observation, self._drawn(rows, "", rng))
        return batch

    def _drawn(self, rows: NDArray[np.int64], when: str, rng: np.random.Generator) -> NDArray[Any]:
        """Actions of the unmasked policy in s ("") or s' ("next_"), as they would act.

        0 where nobody knows the policy; never used then.
        """
        names = ("mean", "stddev", "bound", "torque_limit")
        mean, stddev, bound, limit = (self.data.columns[when + name][rows] for name in names)
        drawn = np.nan_to_num(acted(mean + stddev * rng.standard_normal(mean.shape), bound))
        return bounded(drawn, limit, self.data.action_bound)

    def _normalised(self, observation: NDArray[Any], torque: NDArray[Any]) -> NDArray[np.float32]:
        inputs = np.concatenate([observation, torque], axis=1)
        return ((inputs - self._mean) / self._scale).astype(np.float32)

    def _brier(self) -> float:
        if not self._judged.size:
            return math.nan
        parameters = {**self.parameters(), **self._learner.parameters()}
        risk = risks(parameters, self.data.columns, self._judged)
        outcome = self._outcome
        return float(np.mean((risk - outcome) ** 2))


def risks(parameters: CriticParameters, columns: TransitionColumns, rows: NDArray[np.int64]) -> Array:
    """Q of the torque applied in each of these transitions, shape (len(rows),); without the rule of support."""
    critic = SafetyCritic(parameters, columns["observation"].shape[1], Support(rule="off", limit=1.0))
    return np.concatenate(
        [critic.risk(columns["observation"][rows[b]], columns["applied"][rows[b]]) for b in blocks(len(rows))]
        or [np.empty(0)]
    )


def judge(parameters: CriticParameters, data: DataSet, gamma: float) -> Calibration:
    """Calibration on episodes that neither taught the critic nor chose when to stop."""
    return calibration(risks(parameters, data.columns, data.judging.rows), data.judging.future, gamma)


def certify(data: DataSet, found: Calibration) -> list[str]:
    """Objections to relying on a critic; empty if there are none."""
    held_out = int(np.count_nonzero(data.columns["cost"][data.judging.rows]))
    against = []
    if data.unsafe < _LEAST_UNSAFE or data.unsafe_episodes < _LEAST_UNSAFE_EPISODES:
        against.append(
            f"{data.unsafe} unsafe examples in {data.unsafe_episodes} training episodes; at least {_LEAST_UNSAFE} in "
            f"{_LEAST_UNSAFE_EPISODES} are needed: record runs that fail, in simulation or where it does no harm"
        )
    if held_out < _LEAST_HELD_OUT:
        against.append(
            f"{held_out} unsafe examples in the held-out episodes; at least {_LEAST_HELD_OUT} are needed to judge it: "
            "record more episodes"
        )
    if not against and not found.skill > 0.0:
        against.append(f"it foretells failures no better than their base rate (skill {found.skill:.3f})")
    return against


def model_card(
    training: CriticTraining, found: Calibration, support: Support, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Model card of a critic: its settings, data and held-out results; part of its file."""
    settings, data = training.settings, training.data
    against = certify(data, found)
    gamma, period = settings.critic.gamma, float(about.get("period_s", 0.0))
    steps = math.log(settings.epsilon) / math.log(gamma) if gamma > 0.0 else 1.0
    return {
        "kind": "CSC" if settings.critic.alpha > 0.0 else "SQRL",
        "task": about.get("task", ""),
        "observation_size": int(data.columns["observation"].shape[1]),
        "epsilon": settings.epsilon,
        "gamma_safe": gamma,
        "horizon_steps": steps,
        "horizon_s": steps * period,
        "horizon": f"a certain failure more than {steps:.1f} steps ({steps * period:.2f} s) away passes as safe",
        "certified": not against,
        "against": against,
        "support": dataclasses.asdict(support),
        "data": {
            "digest": data.digest,
            "training": len(data.training),
            "training_unsafe": data.unsafe,
            "held_out": len(data.judging.rows),
            "torque_limit": [float(edge(data.columns["torque_limit"])) for edge in (np.min, np.max)],
            "sources": [source.get("bag", "") for source in about.get("sources", [])],
        },
        "held_out": found.as_dict(),
        "updates": training.updates,
        "settings": dataclasses.asdict(settings),
    }


def train_critic(
    columns: TransitionColumns,
    settings: TrainingSettings,
    about: Mapping[str, Any],
    out: Path,
    report: Callable[[Check], None] = lambda check: None,
) -> dict[str, Any]:
    """Train, evaluate and write critic.safetensors, model_card.json and, for resumption, training.pt.

    Args:
      columns: The transitions.
      settings: See `TrainingSettings`.
      about: What the transitions say of themselves.
      out: Folder; a training that was stopped there goes on.
      report: Called at each look at the held-out episodes.

    Returns:
      The model card, with the file's sha256.

    Raises:
      ValueError: if there is nothing to learn from, or the folder holds another training.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = data_set(columns, settings.critic.gamma, out, action_bound=action_bound(about))
    training, state = CriticTraining(data, settings), out / "training.pt"
    if state.exists():
        training.restore(state)
    for check in training.checks():
        training.save(state)
        report(check)
    parameters = training.parameters()
    found = judge(parameters, data, settings.critic.gamma)
    card = model_card(training, found, training.support(parameters), about)
    card["sha256"] = save_critic(out / "critic.safetensors", parameters, card)
    write_atomically(out / "model_card.json", json.dumps(card, indent=1) + "\n")
    return card


def _first_risk(data: DataSet) -> float:
    return float(np.clip(data.unsafe / len(data.training), 0.01, 0.5))


def _moments(data: DataSet) -> tuple[Array, Array, Array]:
    """Mean, scale and, of the normalised inputs, covariance; in blocks."""
    columns, rows = data.columns, data.training

    def inputs() -> Iterator[Array]:
        for block in blocks(len(rows)):
            part = rows[block]
            yield np.concatenate([columns["observation"][part], columns["applied"][part]], axis=1).astype(np.float64)

    count, total, squares = 0, 0.0, 0.0
    for block in inputs():
        count += len(block)
        total = total + block.sum(axis=0)
        squares = squares + (block**2).sum(axis=0)
    mean = np.asarray(total / count)
    scale = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    # What never varies in the data must not blow up when it does: its natural size stands in for its spread.
    scale = np.where(scale > 1e-4 * (1.0 + np.abs(mean)), scale, 1e-2 * (1.0 + np.abs(mean)))
    covariance = np.zeros((len(mean), len(mean)))
    for block in inputs():
        centred = (block - mean) / scale
        covariance += centred.T @ centred
    return mean, scale, covariance / count
