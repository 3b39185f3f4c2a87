# SPDX-License-Identifier: Apache-2.0
"""A run as a report sees it, whole or not."""

import dataclasses
import math
import shutil

import pytest

from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.reporting.run import is_bag, largest_differences, load


def test_a_whole_run(make_run):
    run = load(make_run("adaptive", iterations=3))
    assert (run.name, len(run.records), run.planned, run.rule) == ("adaptive", 3, 3, "adaptive")
    assert (run.d_safe, run.unsafety_limit, run.label) == (0.5, 15.0, "adaptive limit")
    assert run.notes == ()
    assert max(run.differences.values()) == 0.0 and "wall_time_s" not in run.differences
    assert sum(run.reasons.values()) > 0 and run.decisions == 3 * 2 * 22


def test_rows_and_configuration_come_from_the_bag_where_there_is_nothing_else(make_run):
    folder = make_run("run", iterations=2, limit="fixed")
    rows = read(folder / "iterations.csv")
    (folder / "iterations.csv").unlink()
    (folder / "config.yaml").unlink()
    run = load(folder)
    assert list(run.records) == rows
    assert run.label == "limit fixed at 3 N·m"
    assert any("recomputed from the bag" in note for note in run.notes)


def test_a_number_that_the_bag_does_not_confirm_is_seen(make_run):
    folder = make_run("run", iterations=2)
    text = (folder / "iterations.csv").read_text()
    first = text.splitlines()[1].split(",")
    changed = ",".join([first[0], repr(float(first[1]) + 0.25), *first[2:]])
    (folder / "iterations.csv").write_text(text.replace(",".join(first), changed))
    assert load(folder).differences["mean_return"] == pytest.approx(0.25)


def test_without_a_bag_tilt_is_left_out_and_said(make_run):
    folder = make_run("run", iterations=2)
    shutil.rmtree(folder / "bag")
    run = load(folder)
    assert len(run.records) == 2 and run.details == () and run.differences is None
    assert any("nothing was recorded" in note for note in run.notes)


def test_a_damaged_bag_is_said(make_run):
    folder = make_run("run", iterations=4, steps=40)
    path = folder / "bag" / "bag_0.mcap"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run = load(folder)
    assert len(run.records) == 4
    assert any("not closed" in note for note in run.notes)
    assert any("has 4 iterations, the bag" in note for note in run.notes)


def test_an_interrupted_run_is_said(make_run):
    run = load(make_run("run", iterations=1, planned=60))
    assert any("ended after 1 of 60 iterations" in note for note in run.notes)


def test_a_bag_alone_and_its_file_alone(make_run):
    folder = make_run("first", iterations=1)
    assert is_bag(folder / "bag") and is_bag(folder / "bag" / "bag_0.mcap") and not is_bag(folder)
    assert load(folder / "bag").name == "first"
    assert len(load(folder / "bag" / "bag_0.mcap").records) == 1


def test_what_is_no_run_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="no run at .*expected a run directory"):
        load(tmp_path)
    with pytest.raises(ValueError, match="no run at"):
        load(tmp_path / "nothing")


def test_differences_compare_what_both_have(make_run):
    rows = read(make_run("run", iterations=3) / "iterations.csv")
    other = [dataclasses.replace(rows[1], kl=rows[1].kl + 0.5, wall_time_s=99.0)]
    assert largest_differences(rows, other) == {
        name: (pytest.approx(0.5) if name == "kl" else 0.0) for name in rows[0].as_dict() if name != "wall_time_s"
    }
    nan = dataclasses.replace(rows[0], kl=math.nan)
    assert largest_differences([nan], [nan])["kl"] == 0.0
    assert largest_differences([nan], [rows[0]])["kl"] == math.inf
    assert largest_differences(rows[:1], rows[2:]) is None
