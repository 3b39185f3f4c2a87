# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer report` and `safe_transfer bag`, called as the command line calls them."""

import argparse

import pytest

from safe_transfer_ros.cli import bag, report


def call(*arguments):
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    bag.add_parser(subparsers)
    report.add_parser(subparsers)
    options = parser.parse_args([str(argument) for argument in arguments])
    return options.run(options)


def test_report_of_a_run_says_where_it_is(make_run, one_plot, capsys):
    folder = make_run("run", iterations=1)
    assert call("report", folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {folder / 'report.html'}"


def test_report_of_a_bag_prints_the_largest_difference_of_each_column(make_run, one_plot, capsys, tmp_path):
    folder = make_run("run", iterations=2)
    assert call("report", folder / "bag", "--out", tmp_path / "elsewhere") == 0
    said = capsys.readouterr().out
    assert "2 iterations recomputed" in said and "by column:" in said
    assert "mean_return               0\n" in said and "wall_time_s" not in said
    assert (tmp_path / "elsewhere" / "plots" / "mean_return.png").exists()


def test_report_of_a_single_file_finds_the_rows_of_its_run(make_run, one_plot, capsys):
    folder = make_run("run", iterations=1)
    assert call("report", folder / "bag" / "bag_0.mcap") == 0
    assert "by column:" in capsys.readouterr().out
    assert (folder / "bag-report" / "report.html").exists() and not list((folder / "bag").glob("*report*"))


def test_bag_info_lists_topics(make_run, capsys):
    folder = make_run("run", iterations=1)
    assert call("bag", "info", folder / "bag") == 0
    said = capsys.readouterr().out
    assert "/safety_filter/decision" in said and "safe_transfer_msgs/msg/SafetyDecision" in said
    assert "44 " in said and "1 file, " in said and "!" not in said


def test_bag_check_of_a_whole_bag(make_run, capsys):
    assert call("bag", "check", make_run("run", iterations=1) / "bag") == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_bag_check_of_a_cut_bag_is_status_1(make_run, capsys):
    path = make_run("run", iterations=3, steps=60) / "bag" / "bag_0.mcap"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert call("bag", "check", path) == 1
    said = capsys.readouterr().out
    assert "not closed" in said and "breaks off after" in said


def test_what_is_no_bag_is_a_value_error_that_the_command_prints(tmp_path):
    with pytest.raises(ValueError, match="there is no bag at"):
        call("bag", "info", tmp_path / "nothing")
    with pytest.raises(ValueError, match="there is no run at"):
        call("report", tmp_path / "nothing")
