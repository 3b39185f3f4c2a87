# SPDX-License-Identifier: Apache-2.0
"""The plot of a pre-training run."""

from __future__ import annotations

from pathlib import Path

import pytest

from safe_transfer_ros.reporting.learning_curve import draw_learning_curves
from safe_transfer_ros.transfer.pspt.pretraining import BatchRecord


def records(count: int) -> list[BatchRecord]:
    return [
        BatchRecord(
            batch=row,
            steps=10_000 * (row + 1),
            mean_return=-2000.0 / (row + 1),
            mean_task_return=10.0 * row,
            unsafety_rate=0.1,
            unsafety_mean=60.0 / (row + 1),
            kl=0.009,
            explained_variance=0.5,
            stddev=0.3,
            rollout_s=1.0,
            update_s=0.1,
        )
        for row in range(count)
    ]


@pytest.mark.parametrize("count", [1, 30])
def test_one_batch_is_enough_for_a_picture_and_equal_runs_give_equal_bytes(tmp_path: Path, count: int) -> None:
    paths = [tmp_path / "plots" / f"{name}.png" for name in ("first", "second")]
    for path in paths:
        assert draw_learning_curves({"seed 0": records(count), "not begun": []}, 15.0, path) == path
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[0].stat().st_size > 10_000
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["first.png", "second.png"]


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one learning curve"):
        draw_learning_curves({"seed 0": []}, 15.0, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
