# SPDX-License-Identifier: Apache-2.0
"""CSC and its rivals on CSC's tasks: settings are chosen on tuning seeds, methods are compared on fresh ones.

Every method with a constraint has a sweep of its own dials, and the same rule chooses from it, task by task. What was
looked at to choose is in no comparison: the two kinds of seeds have nothing in common.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.studies.learner_run import LearnerCurves, LearnerRun, LearnerStore
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings

NAME = "csc"
TASKS = ("panda_push_topple", "panda_push_boundary", "point_traps", "car_traps", "quadruped_walk")
METHODS = ("csc", "trpo", "trpo-lagrangian", "cpo", "q-ensemble")
TUNING_SEEDS = (1000, 1001)
FRESH_SEEDS = tuple(range(20, 30))
CHIS = (0.02, 0.05, 0.2)
EPOCHS, EPISODES = 40, 20
STANDING = ("quadruped_stand", "quadruped_walk")
"""Task whose policy every method starts from in the other (CSC: all of them start from a controller that stands)."""

_ENOUGH = 0.9  # of the best gain in return


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Candidate of a sweep.

    Attributes:
      name: In tables.
      changes: Of `LearnerSettings`.
    """

    name: str
    changes: tuple[tuple[str, Any], ...] = ()

    def of(self, **changes: Any) -> LearnerSettings:
        """The settings, with further changes."""
        return LearnerSettings(**{**dict(self.changes), **changes})


def _setting(name: str, **changes: Any) -> Setting:
    return Setting(name=name, changes=tuple(changes.items()))


def _region(max_kl: float) -> TrustRegionSettings:
    return dataclasses.replace(LearnerSettings().region, max_kl=max_kl)


class NotReadyError(ValueError):
    """Raised when what a run follows from is not finished; the message says how to finish it."""


AS_IT_IS = Setting(name="as it is")
_GATED = (
    AS_IT_IS,
    _setting("eta .05", multiplier_rate=0.05),
    _setting("eta .8", multiplier_rate=0.8),
    _setting("gamma .99", cost_gamma=0.99),
    _setting("floor chi / 2", floor_ratio=0.5),
    _setting("epsilon 2 (chi - V)", threshold_scale=2.0, floor_ratio=0.2),
)
# Ways against a critic's over-estimate. Three epochs of pushes are about 20,000 steps.
_CRITICS = (
    _setting("recent data", critic_capacity=20_000),
    _setting("calibrated", calibrated=True),
    _setting("calibrated, no floor", calibrated=True, floor_ratio=2e-3),
)
SWEEPS: dict[str, tuple[Setting, ...]] = {
    "csc": (*_GATED, *_CRITICS, _setting("five twins", critic_members=5)),
    "q-ensemble": (*_GATED, *_CRITICS),
    "trpo-lagrangian": (
        AS_IT_IS,
        _setting("eta .05", multiplier_rate=0.05),
        _setting("eta .8", multiplier_rate=0.8),
        _setting("gamma .9", cost_gamma=0.9),
        _setting("gamma .99", cost_gamma=0.99),
        _setting("eta .05, gamma .99", multiplier_rate=0.05, cost_gamma=0.99),
    ),
    "cpo": (
        AS_IT_IS,
        _setting("lambda_C .8", cost_lam=0.8),
        _setting("lambda_C .9", cost_lam=0.9),
        _setting("lambda_C 1", cost_lam=1.0),
        _setting("delta .005", region=_region(0.005)),
        _setting("delta .02", region=_region(0.02)),
    ),
}
"""Candidates by method; a method that is not here has nothing to tune (TRPO: no constraint)."""


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A curve beside the comparison: a method as it was tuned, changed in one thing.

    Attributes:
      part: Question that it belongs to.
      label: In tables and legends.
      tasks: Where it is asked.
      method: Name of the method.
      changes: Of the chosen settings; none: the curve of the comparison.
      tuned: False: of the settings as they are, where the other curve has no sweep.
    """

    part: str
    label: str
    tasks: tuple[str, ...] = TASKS
    method: str = "csc"
    changes: tuple[tuple[str, Any], ...] = ()
    tuned: bool = True


ASIDES = (
    *(Aside(part="chi", label=f"chi {chi:g}", changes=(("chi", chi),)) for chi in CHIS),
    Aside(part="base", label="CSC on TRPO", tasks=("point_traps",), tuned=False),
    Aside(part="base", label="CSC on SAC", tasks=("point_traps",), method="csc-sac", tuned=False),
    Aside(part="tuples", label="CSC", tasks=("car_traps",)),
    Aside(part="tuples", label="CSC, 1,000 tuples", tasks=("car_traps",), changes=(("seed_tuples", 1000),)),
)


def asides(part: str) -> list[Aside]:
    """Curves of a question: "chi", "base" (CSC, Fig. 7) or "tuples" (CSC, Fig. 8)."""
    return [aside for aside in ASIDES if aside.part == part]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The runs that there are, and what of them is finished.

    Attributes:
      store: Of the runs.
      epochs: Of each.
      episodes: Of an epoch.
      tuning_seeds: Seeds of a sweep.
    """

    store: LearnerStore
    epochs: int = EPOCHS
    episodes: int = EPISODES
    tuning_seeds: Sequence[int] = TUNING_SEEDS

    def standing(self) -> LearnerRun:
        """Run that learns to stand, by CSC, from whose policy every run of walking starts.

        It begins with less noise than the others: with theirs every episode falls within its first second.
        """
        return LearnerRun(
            task=STANDING[0],
            method="csc",
            seed=TUNING_SEEDS[0],
            settings=LearnerSettings(log_std=-1.5),
            episodes=self.episodes,
            iterations=self.epochs,
        )

    def run(self, task: str, method: str, settings: LearnerSettings, seed: int) -> LearnerRun:
        """A run of a method.

        Raises:
          NotReadyError: if it starts from a policy that is not there yet.
        """
        start = ""
        if task == STANDING[1]:
            path = self.store.policy(self.standing())
            if not path.is_file():
                raise NotReadyError(f"{task} starts from the policy that {STANDING[0]} leaves, and {path} is not there")
            start = str(path)
        return LearnerRun(
            task=task,
            method=method,
            seed=seed,
            settings=settings,
            start=start,
            episodes=self.episodes,
            iterations=self.epochs,
            evaluation_episodes=self.episodes,
        )

    def tuning(self, task: str, method: str) -> dict[str, list[LearnerRun]]:
        """Runs of a method's sweep by the name of the setting; none where there is nothing to tune."""
        return {
            setting.name: [self.run(task, method, setting.of(), seed) for seed in self.tuning_seeds]
            for setting in SWEEPS.get(method, ())
        }

    def tuned(self, task: str, method: str) -> dict[str, list[LearnerCurves]] | None:
        """Finished runs of a method's sweep; None while one is missing."""
        found = {name: self._finished(runs) for name, runs in self.tuning(task, method).items()}
        whole = all(len(runs) == len(self.tuning_seeds) for runs in found.values())
        return found if whole else None

    def choice(self, task: str, method: str) -> Setting:
        """Setting that the tuning seeds choose.

        Raises:
          NotReadyError: while the sweep is not finished; says how to finish it.
        """
        sweep = SWEEPS.get(method, ())
        if not sweep:
            return AS_IT_IS
        found = self.tuned(task, method)
        if found is None:
            raise NotReadyError(
                f"{method} is not tuned on {task}: do `safe_transfer reproduce {NAME} --part tune --task {task} "
                f"--methods {method}` into the same --out first"
            )
        name = chosen(found)
        return next(setting for setting in sweep if setting.name == name)

    def compared(self, task: str, method: str, seeds: Sequence[int] = FRESH_SEEDS) -> list[LearnerRun]:
        """Runs of a method, as it was tuned, on seeds that it was not tuned on."""
        settings = self.choice(task, method).of()
        return [self.run(task, method, settings, seed) for seed in seeds]

    def beside(self, aside: Aside, task: str, seeds: Sequence[int] = FRESH_SEEDS) -> list[LearnerRun]:
        """Runs of a curve beside the comparison, on the same seeds."""
        setting = self.choice(task, aside.method) if aside.tuned else AS_IT_IS
        return [self.run(task, aside.method, setting.of(**dict(aside.changes)), seed) for seed in seeds]

    def comparison(self, task: str) -> dict[str, list[LearnerCurves]]:
        """Finished runs of a task by method; those that are not tuned or have none are left out."""
        return self._those(METHODS, lambda method: self.compared(task, method))

    def question(self, part: str, task: str) -> dict[str, list[LearnerCurves]]:
        """Finished runs of a question by label, likewise."""
        of = {aside.label: aside for aside in asides(part) if task in aside.tasks}
        return self._those(tuple(of), lambda label: self.beside(of[label], task))

    def _those(
        self, names: Sequence[str], planned: Callable[[str], list[LearnerRun]]
    ) -> dict[str, list[LearnerCurves]]:
        found = {}
        for name in names:
            try:
                found[name] = self._finished(planned(name))
            except NotReadyError:
                continue
        return {name: runs for name, runs in found.items() if runs}

    def _finished(self, runs: Sequence[LearnerRun]) -> list[LearnerCurves]:
        return [curves for one in runs if (curves := self.store.load(one)) is not None]


def chosen(candidates: Mapping[str, Sequence[LearnerCurves]]) -> str:
    """Name of the candidate with the fewest failures among those that learn at least nine tenths as much as the best.

    What is learned is the gain in return: the mean of the last quarter of the epochs less that of all first epochs.
    """
    first = np.mean([run.columns["mean_return"][0] for runs in candidates.values() for run in runs])
    gains = {name: last_quarter(runs, "mean_return").mean() - first for name, runs in candidates.items()}
    best = max(gains.values())
    enough = [name for name, gain in gains.items() if gain >= best - (1.0 - _ENOUGH) * abs(best)]
    return min(enough, key=lambda name: np.mean([run.columns["cumulative_failures"][-1] for run in candidates[name]]))


def last_quarter(runs: Sequence[LearnerCurves], column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean of a column over the last quarter of each run's epochs, shape (runs,)."""
    return np.array([run.columns[column][-max(1, run.run.iterations // 4) :].mean() for run in runs])
