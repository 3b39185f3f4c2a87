# SPDX-License-Identifier: Apache-2.0
"""How often a gate's choice changes with the policy, against the exact masked distributions of small alphabets."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.critic.changed_choice import choice_change_risk, proposals_examined
from safe_transfer_ros.safety.limit.rules import PolicyShift, changed_share


def chosen(law: np.ndarray, safe: np.ndarray, most: int) -> np.ndarray:
    """Distribution of the first safe one of `most` draws, or of the least (the first in the alphabet) of all."""
    refused = 1.0 - law[safe].sum()
    found = np.where(safe, law, 0.0) * sum(refused**draw for draw in range(most))
    unsafe = np.where(safe, 0.0, law)
    above = unsafe[::-1].cumsum()[::-1]
    return np.asarray(found + above**most - (above - unsafe) ** most)


def test_the_choice_of_two_policies_differs_no_more_often_than_is_said() -> None:
    rng, tight = np.random.default_rng(0), 0.0
    for _ in range(300):
        most, size = int(rng.integers(1, 30)), 6
        before, after = rng.dirichlet(np.full(size, 0.5), 2)
        after = 0.9 * before + 0.1 * after
        safe = np.arange(size) >= rng.integers(1, size + 1)
        exact = 0.5 * np.abs(chosen(before, safe, most) - chosen(after, safe, most)).sum()
        assert chosen(before, safe, most).sum() == pytest.approx(1.0)
        changed = 0.5 * np.abs(before - after).sum()
        said = float(proposals_examined(np.array(before[safe].sum()), most)) * changed
        assert exact <= said + 1e-12
        tight = max(tight, exact / said)
        assert changed <= said
    assert tight > 0.9, "nor is it far from what happens"


def test_the_number_examined_is_that_of_the_sum() -> None:
    for share in (0.0, 1e-12, 0.01, 0.4, 1.0):
        expected = sum((1.0 - share) ** draw for draw in range(101))
        assert proposals_examined(np.array(share), 101) == pytest.approx(expected, rel=1e-9)
    assert proposals_examined(np.array([0.5]), 1) == 1.0
    for share, most in ((np.array([np.nan]), 3), (np.array([1.1]), 3), (np.array([0.5]), 0)):
        with pytest.raises(ValueError, match="expected shares in"):
            proposals_examined(share, most)


def test_a_state_counts_by_its_proposals_and_at_most_once() -> None:
    mean, stddev = np.zeros((3, 2)), np.ones((3, 2))
    shift = PolicyShift(mean=mean, stddev=stddev, mean_after=mean + [[0.1], [0.2], [0.0]], stddev_after=stddev)
    changed = changed_share(shift)
    assert changed[2] == 0.0 < changed[0] < changed[1]
    assert choice_change_risk(shift) == pytest.approx(changed.mean())
    expected = (3.0 * changed[0] + 1.0) / 3.0
    assert choice_change_risk(shift, np.array([3.0, 1000.0, 1000.0])) == pytest.approx(expected)
    for wrong in (np.ones(2), np.array([1.0, 0.5, 1.0]), np.full(3, np.nan)):
        with pytest.raises(ValueError, match="expected numbers of proposals"):
            choice_change_risk(shift, wrong)
