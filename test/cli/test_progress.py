# SPDX-License-Identifier: Apache-2.0
"""Progress on a terminal of the default size: the bar and the time left are never what is cut; no line is lost."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import synthetic_run as synthetic
from rich.console import Console

from safe_transfer_ros.cli import progress as module
from safe_transfer_ros.cli.bars import progress_bar
from safe_transfer_ros.cli.progress import RunProgress
from safe_transfer_ros.record.iteration import append
from safe_transfer_ros.record.recompute import recompute

_CONTROL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)")


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, height=24, force_terminal=True, color_system=None)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in re.split(r"[\r\n]+", _CONTROL.sub("", console.file.getvalue()))]


@pytest.mark.parametrize("width", [80, 120])
def test_numbers_are_cut_and_the_bar_is_not(width: int) -> None:
    console = terminal(width)
    bar = progress_bar(console)
    bar.add_task("batch", total=60, completed=17, numbers="return 6.07 " * 20)
    with bar:
        bar.refresh()
    shown = lines(console)[-1] or lines(console)[-2]
    for part in ("━", "17/60", "0:00:00 elapsed, -:--:-- left", "return 6.07", "…"):
        assert part in shown
    assert len(shown) <= width


def test_every_iteration_stays_on_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic.write_run(tmp_path / "bag", iterations=3, steps=4)
    console = terminal()
    monkeypatch.setattr(module, "Console", lambda: console)
    with RunProgress(tmp_path / "iterations.csv", 60, 1e-6) as progress:
        progress.now("iteration 2: 3 of 5 episodes \x1b[2J" + "x" * 100)
        for record in recompute(tmp_path / "bag").records:
            append(tmp_path / "iterations.csv", record)
            progress.update()
        progress.say("a warning")
    shown = lines(console)
    rows = [line.split()[0] for line in shown if re.fullmatch(r" +\d+ .* of 8( .*)?", line)]
    assert rows == ["0", "1", "2"], "counted as in iterations.csv and the report"
    assert sum("share of decision periods" in line for line in shown) == 1
    assert any("3/60" in line and "elapsed" in line and "iteration 2: 3 of 5 episodes" in line for line in shown)
    assert all(len(line) <= 80 for line in shown), "nothing wraps"
    assert any("OVER D_safe 1e-06" in line for line in shown) == any(
        record.expected_damage > 1e-6 for record in recompute(tmp_path / "bag").records
    )


def test_elsewhere_there_are_the_same_lines_and_no_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.write_run(tmp_path / "bag", iterations=2, steps=4)
    for record in recompute(tmp_path / "bag").records:
        append(tmp_path / "iterations.csv", record)
    with RunProgress(tmp_path / "iterations.csv", 60, 0.5, done=1, explained=True) as progress:
        progress.now("anything")
        progress.update()
    out = capsys.readouterr().out
    assert re.search(r"^ +1 .* of 8", out, re.MULTILINE) and not re.search(r"^ +0 .* of 8", out, re.MULTILINE)
    assert "elapsed" not in out and "anything" not in out
    assert out.startswith("iteration ") and "share of decision periods" not in out, "what columns mean is said once"
