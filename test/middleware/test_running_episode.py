# SPDX-License-Identifier: Apache-2.0
"""When a proposal is due: on the control period's grid after the reset, and no burst after a stall."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.task import Future

from safe_transfer_ros.middleware.running_episode import JITTER_NS, RunningEpisode

PERIOD, HORIZON = 40_000_000, 50


def episode(**given: int) -> RunningEpisode:
    return RunningEpisode(index=0, noise=np.random.default_rng(0), due_ns=1_000_000_000, done=Future(), **given)


@pytest.mark.parametrize(("step", "early"), [(0, False), (1, True), (49, True), (50, False)])
def test_only_between_its_ends_an_episode_is_answered_early(step: int, early: bool) -> None:
    slack = PERIOD // 2 if early else JITTER_NS
    assert episode(step=step).oldest_ns(HORIZON, PERIOD // 2) == 1_000_000_000 - slack


@pytest.mark.parametrize(
    ("late", "due"),
    [
        (0, PERIOD),  # on the grid
        (PERIOD // 2, PERIOD),  # half a period late: the grid again
        (PERIOD // 2 + 7, PERIOD + 7),  # later: half a period on
        (3 * PERIOD, 3 * PERIOD + PERIOD // 2),  # after a stall the missed ones are not made up for
    ],
)
def test_half_a_period_lies_between_two_proposals_at_least(late: int, due: int) -> None:
    running = episode(step=1)
    running.answered(1_000_000_000 + late, period_ns=PERIOD, early_ns=JITTER_NS)
    assert running.due_ns == 1_000_000_000 + due


def test_one_that_may_be_early_is_not_asked_twice_in_a_period() -> None:
    running = episode(step=1)
    running.answered(1_000_000_000 + PERIOD // 2, period_ns=PERIOD, early_ns=PERIOD // 2)
    assert running.oldest_ns(HORIZON, PERIOD // 2) >= 1_000_000_000 + PERIOD - JITTER_NS
