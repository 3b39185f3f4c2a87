# SPDX-License-Identifier: Apache-2.0
"""A candidate critic judged on what was recorded beside the active one, and whether it may take its place."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.critics.calibration import auroc, futures
from safe_transfer_ros.critics.data import TransitionColumns, blocks, bounded
from safe_transfer_ros.critics.safety_critic import LoadedCritic

Array = NDArray[np.float64]

# The stated rule; see `objections`.
LEAST_FAILURES = 20
MORE_MISSED, MORE_FALSE, MOST_FALSE = 0.02, 0.05, 0.5
_TIMED = 500


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """Evaluation of what a critic would have refused, and how often rightly.

    Only steps count whose proposal was applied, within its bound: of an action that a gate replaced nobody knows what
    it would have done. Right means that a failure followed within the horizon.

    Attributes:
      version: Of the critic.
      steps: Steps judged.
      horizon: Steps ahead.
      failures: Steps that a failure followed.
      refused: Steps it would have refused.
      refused_rightly: Of these, followed by a failure.
      missed: Steps it would have passed that a failure followed.
      unsupported: Steps it refused for want of data.
      auroc: Of its risk against failures.
      latency_us: Median and 99th percentile of one judgement, microseconds.
    """

    version: str
    steps: int
    horizon: int
    failures: int
    refused: int
    refused_rightly: int
    missed: int
    unsupported: int
    auroc: float
    latency_us: tuple[float, float]

    @property
    def missed_share(self) -> float:
        """Share of the failures that it would not have stopped."""
        return self.missed / self.failures if self.failures else 0.0

    @property
    def false_share(self) -> float:
        """Share of the harmless steps that it would have refused."""
        harmless = self.steps - self.failures
        return (self.refused - self.refused_rightly) / harmless if harmless else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the values as a dictionary, for a file."""
        return dataclasses.asdict(self) | {"missed_share": self.missed_share, "false_share": self.false_share}


def shadow_report(
    loaded: LoadedCritic,
    columns: TransitionColumns,
    *,
    horizon: int,
    epsilon: float,
    action_bound: Array | None = None,
) -> ShadowReport:
    """Judge every proposal that was recorded.

    Args:
      loaded: The critic.
      columns: Recorded transitions.
      horizon: Steps within which a failure counts.
      epsilon: Largest acceptable risk.
      action_bound: See `critics.data.bounded`.

    Raises:
      ValueError: if no recorded proposal was applied with its future known.
    """
    n = len(columns["cost"])
    if n == 0:
        raise ValueError("there is no recorded transition to judge by: expected whole episodes, got none; record some")

    def proposed(rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        return bounded(columns["proposed"][rows], columns["torque_limit"][rows], action_bound)

    # As it was applied: where the gate chose another torque, or the arm stopped, nobody knows what would have been.
    followed = np.concatenate(
        [np.isclose(proposed(block), columns["applied"][block], atol=1e-4).all(axis=1) for block in blocks(n)]
    )
    future = futures(columns["chain"], columns["cost"], columns["terminated"])
    rows = np.flatnonzero(followed & future.known(horizon))
    if len(rows) == 0:
        raise ValueError("no recorded proposal was applied as it was and followed long enough: record whole episodes")
    risk = np.concatenate(
        [loaded.critic.risk(columns["observation"][rows[block]], proposed(rows[block])) for block in blocks(len(rows))]
    )
    failed, refused = future.failed_within(horizon)[rows], ~(risk <= epsilon)
    return ShadowReport(
        version=loaded.version,
        steps=len(rows),
        horizon=horizon,
        failures=int(np.count_nonzero(failed)),
        refused=int(np.count_nonzero(refused)),
        refused_rightly=int(np.count_nonzero(refused & failed)),
        missed=int(np.count_nonzero(~refused & failed)),
        unsupported=int(np.count_nonzero(risk > 1.0)),
        auroc=auroc(risk, failed),
        latency_us=_latency(loaded, columns["observation"], proposed, rows),
    )


def objections(candidate: ShadowReport, active: ShadowReport | None, *, certified: bool) -> list[str]:
    """Objections to promoting the candidate; empty if there are none.

    It must be certified, judged on at least `LEAST_FAILURES` steps before failures, miss no more than `MORE_MISSED`
    more of them than the active critic, and refuse no more than `MORE_FALSE` more of the harmless steps. The first
    critic has nobody to be compared with: it must not refuse more than `MOST_FALSE` of the harmless steps.
    """
    against = [] if certified else ["its training did not certify it"]
    if candidate.failures < LEAST_FAILURES:
        against.append(f"only {candidate.failures} steps before a failure were seen; {LEAST_FAILURES} are needed")
    if active is None:
        if candidate.false_share > MOST_FALSE:
            against.append(
                f"it would refuse {candidate.false_share:.1%} of the harmless steps: raise epsilon, or train on"
            )
        return against
    for name, new, old, allowed in (
        ("misses", candidate.missed_share, active.missed_share, MORE_MISSED),
        ("wrongly refuses", candidate.false_share, active.false_share, MORE_FALSE),
    ):
        if new > old + allowed:
            against.append(f"it {name} {new:.1%}, the active critic {old:.1%}; at most {allowed:.0%} more is allowed")
    return against


def _latency(
    loaded: LoadedCritic,
    observations: NDArray[Any],
    proposed: Callable[[NDArray[np.int64]], NDArray[Any]],
    rows: NDArray[np.int64],
) -> tuple[float, float]:
    """Time single judgements, as the filter requests them."""
    some = rows[:: max(1, len(rows) // _TIMED)][:_TIMED]
    taken = []
    for row in some[:, None]:
        observation, applied = observations[row], proposed(row)
        start = time.perf_counter_ns()
        loaded.critic.risk(observation, applied)
        taken.append((time.perf_counter_ns() - start) / 1e3)
    return float(np.median(taken)), float(np.quantile(taken, 0.99))
