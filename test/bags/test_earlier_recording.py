# SPDX-License-Identifier: Apache-2.0
"""A bag recorded before actions had a distribution and critics were sent is still read, to the numbers of its run.

recorded_0_1/ is the bag of a run of 2026-11-28 (`pr2_cup_swirl iterations:=1 trainer.episodes_per_iteration:=1`),
compressed, and the iterations.csv of that run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records
from safe_transfer_ros.tasks.deployment import in_graph

BAG = Path(__file__).parent / "recorded_0_1"


def test_its_iterations_are_recomputed_to_the_rows_of_the_run() -> None:
    (told,), ((again,), _) = read(BAG / "iterations.csv"), iteration_records(BAG)
    assert {name for name, value in told.as_dict().items() if again.as_dict()[name] != value} <= {"wall_time_s"}
    assert told.interventions == 200


def test_its_decisions_are_transitions(tmp_path: Path) -> None:
    transitions, counts = write_transitions([Bag(BAG)], in_graph("pr2_cup_swirl"), tmp_path / "transitions")
    assert counts.transitions == 200 and counts.gaps == 0
    (told,) = read(BAG / "iterations.csv")
    np.testing.assert_allclose(transitions["reward"].sum(), told.mean_return, rtol=1e-4)


def test_nothing_of_it_is_missed() -> None:
    assert main(["bag", "check", str(BAG)]) == 0
