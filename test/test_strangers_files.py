# SPDX-License-Identifier: Apache-2.0
"""Files of strangers besides recordings: no pipe is waited for, no device read for ever, and both are one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import ABOUT, Transitions
from safe_transfer_ros.critics.safety_critic import load_critic
from safe_transfer_ros.files import CsvTable
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.tensors import WeightsError, write
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.untrusted import OutOfBoundsError, read_bytes

# A reader that waits is ended, and the test fails.
pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class Row:
    number: int


TABLE = CsvTable(Row, ValueError)
READERS: dict[str, Callable[[Path], object]] = {
    "a table": TABLE.read,
    "a policy's parameters": weights.load,
    "a critic": load_critic,
    "a policy": lambda path: load_policy(make("pr2_cup_swirl", RobotTask), str(path)),  # found by name: a file or none
}


@pytest.mark.parametrize("reader", list(READERS.values())[:-1], ids=list(READERS)[:-1])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_one_line(tmp_path: Path, reader: Callable[[Path], object], kind: str) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{path} is (a pipe, socket or device|a folder): a regular file is") as told:
        reader(path)
    assert "\n" not in str(told.value)


def test_no_more_is_read_than_a_file_of_its_kind_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(101))
    assert read_bytes(path, most_bytes=101) == bytes(101)
    with pytest.raises(OutOfBoundsError, match="is longer than the 100 bytes that are read"):
        read_bytes(path, most_bytes=100)
    with open(path, "wb") as file:
        file.truncate(2**40)  # of no length on the disk, and longer than any memory
    for reader in READERS.values():
        with pytest.raises(ValueError, match="is longer than the"):
            reader(path)


def test_metadata_without_an_end_is_no_policy() -> None:
    one = {"a": np.zeros(1, dtype=np.float32)}
    deep = "[" * 100_000
    for about in ({"kind": deep}, {"kind": "pair", "safe": deep, "baseline": deep, "baseline_share": "0.5"}):
        with pytest.raises(WeightsError):
            policy_from_bytes(write(one, about, ["a"]))


def column(folder: Path, save: Callable[[Path], object]) -> Transitions:
    (folder / ABOUT).write_text(json.dumps({"count": 3, "format": 2}))
    save(folder / "mean.npy")
    return Transitions(folder)


@pytest.mark.parametrize(
    "save",
    [
        lambda path: np.save(path, np.float64(3.0)),
        lambda path: np.save(path, np.array(["a", "b", "c"])),
        lambda path: np.save(path, np.zeros(3, dtype=[("x", "f4")])),
        lambda path: np.save(path, np.zeros(2)),
        lambda path: np.save(path, np.array([None, 1, 2], dtype=object), allow_pickle=True),
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + b"\xff" * 99),
        os.mkfifo,
        Path.mkdir,
    ],
    ids=["a number", "texts", "a structure", "another length", "objects", "noise", "a pipe", "a folder"],
)
def test_a_column_that_holds_other_than_a_number_for_each_row_is_one_line(
    tmp_path: Path, save: Callable[[Path], object]
) -> None:
    transitions = column(tmp_path, save)
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(BagError, match=r"mean\.npy (is|has)") as told:
            transitions["mean"]
        assert "\n" not in str(told.value)
