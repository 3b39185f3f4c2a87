# SPDX-License-Identifier: Apache-2.0
"""Folders of transitions have one writer at a time."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import Transitions, TransitionWriter, transition_dtype

DTYPE = transition_dtype(2, 3)


def rows(count: int) -> np.ndarray:
    made = np.zeros(count, DTYPE)
    made["step"] = np.arange(count)
    return made


def test_a_second_writer_is_refused_and_the_first_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "transitions"
    with TransitionWriter(folder, DTYPE) as writer:
        writer.add(rows(5))
        with pytest.raises(BagError, match="is being written by another process: choose another folder"):
            TransitionWriter(folder, DTYPE)
        writer.add(rows(5))
        writer.close({})
    np.testing.assert_array_equal(Transitions(folder)["step"], [*range(5), *range(5)])
    assert {path.name for path in folder.iterdir()} == {"about.json", *(f"{name}.npy" for name in DTYPE.names or ())}
    with pytest.raises(BagError, match="already holds something"):
        TransitionWriter(folder, DTYPE)
    with pytest.raises(BagError, match="already holds something"):  # and not: written by another
        TransitionWriter(folder, DTYPE)


def test_a_writer_that_ended_by_an_error_stands_in_nobodys_way(tmp_path: Path) -> None:
    folder = tmp_path / "transitions"
    with pytest.raises(ZeroDivisionError), TransitionWriter(folder, DTYPE) as writer:
        writer.add(rows(5))
        raise ZeroDivisionError
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(ZeroDivisionError), TransitionWriter(folder, DTYPE):
        raise ZeroDivisionError
    with TransitionWriter(folder, DTYPE) as writer:  # the lock was given back
        writer.close({})
    assert len(Transitions(folder)) == 0


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", unable)
    with pytest.raises(BagError, match="cannot lock .*transitions: Bad file descriptor; choose another folder"):
        TransitionWriter(tmp_path / "transitions", DTYPE)
