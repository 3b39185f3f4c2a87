# SPDX-License-Identifier: Apache-2.0
"""Run directories as a run leaves them, made from synthetic bags."""

from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic_run as synthetic
import yaml

from safe_transfer_ros.record.iteration import append
from safe_transfer_ros.record.recompute import recompute
from safe_transfer_ros.reporting import report


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Path]:
    """Makes a run directory with bag, rows and configuration."""

    def make(name: str, **settings) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        expected = synthetic.write_run(folder / "bag", **settings)
        for record in recompute(folder / "bag").records:
            append(folder / "iterations.csv", record)
        (folder / "config.yaml").write_text(yaml.safe_dump(expected.config, sort_keys=False))
        return folder

    return make


@pytest.fixture
def one_plot(monkeypatch) -> None:
    """Only the first plot is drawn: for tests of what stands around the pictures."""
    monkeypatch.setattr(report, "PLOTS", report.PLOTS[:1])
