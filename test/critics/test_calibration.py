# SPDX-License-Identifier: Apache-2.0
"""What followed each transition, checked one by one; ranks and calibration against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.critics.calibration import NEVER, auroc, calibration, futures, sight


def slow_futures(chain, cost, terminated):
    rows = []
    for i in range(len(chain)):
        rest = [j for j in range(i, len(chain)) if chain[j] == chain[i]]
        failed = [j - i + 1 for j in rest if cost[j]]
        rows.append((failed[0] if failed else NEVER, len(rest), bool(terminated[rest[-1]])))
    return rows


def test_futures_stay_within_their_stretch():
    rng = np.random.default_rng(0)
    chain = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    cost, terminated = rng.random(len(chain)) < 0.2, rng.random(len(chain)) < 0.2
    future = futures(chain, cost.astype(np.float32), terminated)
    got = list(zip(future.steps_to_failure.tolist(), future.steps_seen.tolist(), future.ended.tolist(), strict=True))
    assert got == slow_futures(chain, cost, terminated)


def test_discounted_outcomes_and_what_is_known():
    future = futures(np.zeros(4), [0, 0, 1, 0], np.zeros(4, dtype=bool))
    np.testing.assert_allclose(future.discounted(0.5), [0.25, 0.5, 1.0, 0.0])
    # A failure in sight does not make a short rest known: else failures would look too frequent.
    assert future.known(3).tolist() == [True, True, False, False]
    assert futures(np.zeros(2), [0, 0], [False, True]).known(99).all()
    assert len(futures([], [], []).steps_seen) == 0


def test_auroc_is_the_probability_of_a_higher_score():
    rng = np.random.default_rng(1)
    score, happened = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[happened] for b in score[~happened]]
    assert auroc(score, happened) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(score, np.zeros(60, dtype=bool)))


def test_a_perfect_risk_is_calibrated_and_a_shuffled_one_is_not():
    rng = np.random.default_rng(2)
    hidden = rng.random(20_000)
    cost = (rng.random(20_000) < hidden).astype(np.float32)
    future = futures(np.arange(20_000), cost, np.ones(20_000, dtype=bool))
    good = calibration(hidden, future, gamma=0.0)
    assert all(abs(risk - outcome) < 4 * error + 1e-3 for _, risk, outcome, error in good.bins)
    assert good.skill == pytest.approx(1 / 3, abs=0.03)  # E[p(1-p)] = 1/6 against 1/4
    bad = calibration(rng.permutation(hidden), future, gamma=0.0)
    assert bad.skill < -0.1 and bad.auroc[1] == pytest.approx(0.5, abs=0.02)


def test_sight_is_where_a_certain_failure_fades():
    assert sight(0.7) == 13 and 0.7**13 < 0.01 < 0.7**12
    assert sight(0.0) == 1
