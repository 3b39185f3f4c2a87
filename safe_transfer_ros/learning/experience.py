# SPDX-License-Identifier: Apache-2.0
"""Recordings as the beginning of a replay buffer."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import ABOUT, Transitions
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.tasks.deployment import TaskInGraph


def experience(path: Path, graph: TaskInGraph, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Transitions of a recording, for a buffer.

    Args:
      path: A bag of a graph's run, or a folder of `safe_transfer bag to-transitions`.
      graph: The task.
      names: Columns that are wanted.

    Returns:
      Those columns. Chosen actions are cut to their bound, as they acted; chains have negative numbers, so that none is
      a later episode's.

    Raises:
      BagError: if it cannot be read, or is of another task.
    """
    if (path / ABOUT).exists():
        return _columns(Transitions(path), graph, names)
    with tempfile.TemporaryDirectory() as folder:
        made, _ = write_transitions([Bag(path)], graph, Path(folder) / "transitions")
        return _columns(made, graph, names)


def _columns(found: Transitions, graph: TaskInGraph, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if found.about.get("task") != graph.task.name:
        raise BagError(
            f"{found.folder} holds transitions of {found.about.get('task')}, expected those of {graph.task.name}"
        )
    columns = {name: np.array(found[name]) for name in names}
    if "chosen" in columns:
        bound = graph.action_bound.astype(np.float32)
        columns["chosen"] = np.clip(columns["chosen"], -bound, bound)
    if "chain" in columns:
        columns["chain"] = -1 - columns["chain"]
    return columns
