# SPDX-License-Identifier: Apache-2.0
"""Decisions on actions that are not Gaussian: a deterministic one has spread 0, a tanh Gaussian one is not mistaken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from decision_bags import decision, write
from synthetic_run import Messages, definitions

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.live import LiveTransitions
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


@pytest.mark.parametrize(
    ("field", "number", "most"), [("distribution", 3, 2), ("distribution", 255, 2), ("verdict", 7, 6)]
)
def test_a_number_that_stands_for_nothing_is_refused(tmp_path: Path, field: str, number: int, most: int) -> None:
    bag = recorded(tmp_path, **{field: number})
    with pytest.raises(BagError, match=f"has the {field} {number}, expected 0 to {most}"):
        write_transitions([bag], GRAPH, tmp_path / "transitions")


def test_a_live_decision_that_is_refused_is_refused_once_and_what_came_before_is_kept(tmp_path: Path) -> None:
    live = LiveTransitions(tmp_path / "live", GRAPH, definitions())
    for step in range(STEPS):
        live.add(decision(MESSAGES, GRAPH.task, 0, step, STEPS))
    live.flush()
    live.add(decision(MESSAGES, GRAPH.task, 0, STEPS - 1, STEPS, distribution=3))
    with pytest.raises(BagError, match="has the distribution 3"):
        live.flush()
    assert len(live.close()) == STEPS - 1
