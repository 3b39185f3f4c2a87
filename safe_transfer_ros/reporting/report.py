# SPDX-License-Identifier: Apache-2.0
"""Writes the report of a run: report.html with its plots, and the rows where only a bag was there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.record.iteration import ROWS, append
from safe_transfer_ros.reporting import page
from safe_transfer_ros.reporting.plots import PLOTS, save
from safe_transfer_ros.reporting.provenance import provenance
from safe_transfer_ros.reporting.run import CONFIG, Run, is_bag, load, whole_bag

PAGE = "report.html"


def report(path: Path | str, compare: Path | str | None = None, *, out: Path | str | None = None) -> Path:
    """Writes the report of a run directory or a bag.

    Args:
      path: A run directory, a bag folder or an .mcap file.
      compare: Another one, shown in the same plots and tables.
      out: Directory to write to; default: the run directory itself, and for a bag `<name>-report` beside it.

    Returns:
      The page, report.html.

    Raises:
      ValueError: if there is no run, or a bag that was asked for cannot be read.
      OSError: if it cannot be written.
    """
    return write(load(path), None if compare is None else load(compare), out=out)


def write(run: Run, compare: Run | None = None, *, out: Path | str | None = None) -> Path:
    """Writes the report of a run that was read already; see `report`."""
    if compare is not None and compare.label == run.label:
        run, compare = (replace(one, legend=f"{one.name} ({one.label})") for one in (run, compare))
    folder = default_folder(run.path) if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if is_bag(run.path):
        _write_rows(run, folder)
    paths = {plot.name: save(plot, run, compare, folder / "plots") for plot in PLOTS}
    pictures = {name: path.read_bytes() for name, path in paths.items() if path is not None}
    drawn = [plot for plot in PLOTS if plot.name in pictures]
    text = page.render(run, compare, drawn, provenance(), pictures)
    target = folder / PAGE
    write_atomically(target, text)
    return target


def default_folder(path: Path) -> Path:
    """Default folder of the report of a run directory or a bag."""
    if not is_bag(path):
        return path
    bag = whole_bag(path)
    return bag.with_name(f"{bag.stem}-report")


def _write_rows(run: Run, folder: Path) -> None:
    """Write rows and configuration, as in a run directory, from the bag."""
    (folder / ROWS).unlink(missing_ok=True)
    for record in run.records:
        append(folder / ROWS, record)
    write_atomically(folder / CONFIG, yaml.safe_dump(dict(run.config), sort_keys=False))
