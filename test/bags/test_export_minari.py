# SPDX-License-Identifier: Apache-2.0
"""A recording as a Minari dataset, read back by Minari itself."""

from __future__ import annotations

import sys

import minari
import numpy as np
import pytest
from decision_bags import decision, whole, write
from synthetic_run import Messages

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.export_minari import export_minari
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, STEPS = in_graph("pr2_cup_swirl"), 12
TASK = GRAPH.task


def test_minari_reads_the_episodes_that_were_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # a relative folder, as people type it
    messages = Messages()
    data = whole(messages, TASK, 3, STEPS)
    del data[5]  # a gap in the first episode: two stretches
    data[-1] = decision(messages, TASK, 2, STEPS, STEPS, terminated=True)
    bag = write(tmp_path / "bag", data)
    transitions, counts = write_transitions([Bag(bag)], GRAPH, tmp_path / "transitions")
    assert main(["bag", "export-minari", str(tmp_path / "transitions"), "--out", "set"]) == 0
    assert "4 episodes" in capsys.readouterr().out

    dataset = minari.MinariDataset(tmp_path / "set" / "data")
    episodes = list(dataset.iterate_episodes())
    assert [len(one) for one in episodes] == [4, STEPS - 6, STEPS, STEPS]
    assert dataset.total_steps == counts.transitions == len(transitions)
    assert dataset.observation_space.shape == (18,) and dataset.action_space.shape == (7,)
    row = 0
    for one in episodes:
        rows = slice(row, row + len(one))
        np.testing.assert_array_equal(one.observations[:-1], transitions["observation"][rows])
        np.testing.assert_array_equal(one.observations[1:], transitions["next_observation"][rows])
        np.testing.assert_array_equal(one.actions, transitions["applied"][rows])
        np.testing.assert_array_equal(one.rewards, transitions["reward"][rows])
        for name in ("proposed", "cost", "torque_limit", "stamp_ns"):
            np.testing.assert_array_equal(one.infos[name], transitions[name][rows])
        assert not one.terminations[:-1].any() and not one.truncations[:-1].any()
        row += len(one)
    assert [(bool(one.terminations[-1]), bool(one.truncations[-1])) for one in episodes] == [(False, True)] * 3 + [
        (True, False)
    ]


def test_nothing_is_written_over_and_what_is_missing_is_named(tmp_path, monkeypatch):
    transitions, _ = write_transitions(
        [Bag(write(tmp_path / "bag", whole(Messages(), TASK, 1, 3)))], GRAPH, tmp_path / "transitions"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(BagError, match="already holds something"):
        export_minari(transitions, tmp_path / "full")
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(BagError, match=r"safe_transfer_ros\[minari\]"):
        export_minari(transitions, tmp_path / "set")
