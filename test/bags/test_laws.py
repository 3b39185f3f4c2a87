# SPDX-License-Identifier: Apache-2.0
"""Decisions on actions that are not Gaussian: a deterministic one has spread 0, a tanh Gaussian one is not mistaken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from decision_bags import decision, write
from synthetic_run import Messages

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, MESSAGES, STEPS = in_graph("pr2_cup_swirl"), Messages(), 6


def recorded(folder: Path, **law: object) -> Bag:
    data = [decision(MESSAGES, GRAPH.task, 0, step, STEPS, **law if step < STEPS else {}) for step in range(STEPS + 1)]
    return Bag(write(folder / "bag", data))


def test_a_deterministic_action_has_no_spread(tmp_path: Path) -> None:
    bag = recorded(tmp_path, distribution=2, proposed_stddev=np.empty(0))
    transitions, counts = write_transitions([bag], GRAPH, tmp_path / "transitions")
    assert counts.transitions == STEPS
    np.testing.assert_array_equal(transitions["stddev"], 0.0)


def test_a_tanh_gaussian_is_not_taken_for_a_gaussian(tmp_path: Path) -> None:
    bag = recorded(tmp_path, distribution=1, proposed_bound=np.full(7, 2.0))
    with pytest.raises(BagError, match="tanh Gaussian"):
        write_transitions([bag], GRAPH, tmp_path / "transitions")
