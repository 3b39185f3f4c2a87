# SPDX-License-Identifier: Apache-2.0
"""Outcomes after each transition, and how well a critic predicted them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True, eq=False)
class Futures:
    """Outcome after each transition within its unbroken stretch.

    Attributes:
      steps_to_failure: 1 if it led to an unsafe state itself, NEVER if none followed, shape (n,).
      steps_seen: Transitions recorded from it on, itself included, shape (n,).
      ended: The stretch ended in a terminal state: what follows is known however long one looks, shape (n,).
    """

    steps_to_failure: NDArray[np.int64]
    steps_seen: NDArray[np.int64]
    ended: NDArray[np.bool_]

    def known(self, horizon: int) -> NDArray[np.bool_]:
        """Mask of transitions for which it is known whether a failure followed within so many steps.

        Whether one did must not decide it: counting the failures seen in a short rest, but not the rests that were
        too short to see one, would make failures look more frequent than they are.
        """
        return self.ended | (self.steps_seen >= horizon)

    def of(self, which: NDArray[Any]) -> Futures:
        """Restrict to these transitions: row numbers, or a mask."""
        return Futures(
            steps_to_failure=self.steps_to_failure[which], steps_seen=self.steps_seen[which], ended=self.ended[which]
        )

    def failed_within(self, horizon: int) -> NDArray[np.bool_]:
        """Mask of transitions that a failure followed within so many steps."""
        return self.steps_to_failure <= horizon

    def discounted(self, gamma: float) -> Array:
        """gamma^(steps to failure - 1), 0 where none followed: what Q is to be on average."""
        steps = np.minimum(self.steps_to_failure - 1, 100_000).astype(np.float64)
        return np.where(self.steps_to_failure == NEVER, 0.0, gamma**steps)


def futures(chain: ArrayLike, cost: ArrayLike, terminated: ArrayLike) -> Futures:
    """Look ahead from every transition.

    Args:
      chain: Number of the unbroken stretch of each transition, shape (n,); they follow each other within one.
      cost: 1 where it led to an unsafe state, shape (n,).
      terminated: Whether it led to a terminal state, shape (n,).
    """
    stretch, unsafe = np.asarray(chain), np.asarray(cost) > 0.5
    count = len(stretch)
    place = np.arange(count)
    last = np.flatnonzero(np.concatenate([stretch[1:] != stretch[:-1], [True]])) if count else place
    end = last[np.searchsorted(last, place)]
    failures = np.flatnonzero(unsafe)
    following = np.searchsorted(failures, place)
    nearest = np.where(following < len(failures), np.append(failures, count)[following], count)
    steps = np.where(nearest <= end, nearest - place + 1, NEVER)
    return Futures(
        steps_to_failure=steps.astype(np.int64),
        steps_seen=(end - place + 1).astype(np.int64),
        ended=np.asarray(terminated, dtype=np.bool_)[end] if count else np.empty(0, dtype=np.bool_),
    )


def auroc(score: Array, happened: NDArray[np.bool_]) -> float:
    """Probability that a case that happened has a higher score than one that did not; NaN without both kinds."""
    positive = int(np.count_nonzero(happened))
    negative = len(happened) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[happened].sum() - positive * (positive + 1) / 2) / (positive * negative))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Comparison of a critic's risks with the outcomes.

    Attributes:
      count: Transitions judged.
      failures: Of these, followed by a failure in sight.
      brier: Mean squared difference of risk and discounted outcome.
      brier_constant: The same for the best constant risk.
      auroc: Per horizon in steps.
      bins: Reliability diagram, a row a bin: number, mean risk, mean outcome, its standard error.
    """

    count: int
    failures: int
    brier: float
    brier_constant: float
    auroc: dict[int, float]
    bins: list[tuple[int, float, float, float]]

    @property
    def skill(self) -> float:
        """1 - brier / brier_constant: 1 perfect, 0 no better than the base rate."""
        return 1.0 - self.brier / self.brier_constant if self.brier_constant > 0.0 else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return the values as a dictionary, for a model card."""
        return {
            "count": self.count,
            "failures": self.failures,
            "brier": self.brier,
            "brier_constant": self.brier_constant,
            "skill": self.skill,
            "auroc": {str(horizon): value for horizon, value in self.auroc.items()},
            "bins": [list(one) for one in self.bins],
        }


def sight(gamma: float, least: float = 0.01) -> int:
    """Steps after which a certain failure counts for less than `least`."""
    return 1 if gamma <= least else int(np.ceil(np.log(least) / np.log(gamma)))


def calibration(
    risk: Array, future: Futures, gamma: float, horizons: Sequence[int] = (1, 5, 10, 20), bins: int = 10
) -> Calibration:
    """Hold risks against what happened.

    Args:
      risk: Q of each transition's torque, shape (n,), in [0, 1].
      future: What followed each.
      gamma: Discount the critic was trained with.
      horizons: Steps ahead for the AUROC.
      bins: Bins of the reliability diagram, of equal width in risk; empty ones are left out.
    """
    seen = future.known(sight(gamma))
    judged, outcome = risk[seen], future.discounted(gamma)[seen]
    ranks = {
        horizon: auroc(risk[known], future.failed_within(horizon)[known])
        for horizon in horizons
        if (known := future.known(horizon)).any()
    }
    rows = []
    place = np.minimum((judged * bins).astype(int), bins - 1)
    for number in range(bins):
        inside = place == number
        count = int(np.count_nonzero(inside))
        if count:
            error = float(outcome[inside].std() / np.sqrt(count))
            rows.append((count, float(judged[inside].mean()), float(outcome[inside].mean()), error))
    return Calibration(
        count=len(judged),
        failures=int(np.count_nonzero(outcome > 0.0)),
        brier=float(np.mean((judged - outcome) ** 2)) if len(judged) else float("nan"),
        brier_constant=float(outcome.var()) if len(judged) else float("nan"),
        auroc=ranks,
        bins=rows,
    )
