# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint holds comes back as it was; what is not this run's is not gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.studies.checkpoint import Checkpoint, kept
from safe_transfer_ros.transfer.checkpoints import CheckpointError

STATE = {
    "array": np.arange(6, dtype=np.float64).reshape(2, 3),
    "flags": np.array([True, False]),
    "numbers": np.arange(3, dtype=np.int32),
    "tensor": torch.ones(2),
    "nested": {"list": [1, 2.5, np.zeros(1, np.float32)], 7: "text", "scalar": np.float64(0.5)},
}
COLUMNS = {"epoch": [0.0, 1.0], "mean_return": [float("nan"), 0.1]}


class Run:
    """A training run that is only its state."""

    def __init__(self, state: Any = None) -> None:
        self.held, self.restored = state, None

    def state(self) -> Any:
        return self.held

    def restore(self, state: Any) -> None:
        self.restored = state


def test_a_state_comes_back_with_its_types(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "a", "this run", every_s=0.0).keep(Run(STATE), COLUMNS)
    run = Run()
    columns = Checkpoint(tmp_path / "a", "this run").restore(run)
    np.testing.assert_equal(columns, COLUMNS)
    found = run.restored
    for name in ("array", "flags", "numbers"):
        assert type(found[name]) is np.ndarray and found[name].dtype == STATE[name].dtype
        np.testing.assert_array_equal(found[name], STATE[name])
    assert type(found["tensor"]) is torch.Tensor and torch.equal(found["tensor"], STATE["tensor"])
    assert found["nested"][7] == "text" and found["nested"]["scalar"] == 0.5 and found["nested"]["list"][:2] == [1, 2.5]
    assert found["nested"]["list"][2].dtype == np.float32


def test_another_run_and_a_damaged_file_are_not_gone_on_with(tmp_path: Path) -> None:
    path, run = tmp_path / "a", Run()
    assert Checkpoint(path, "this run").restore(run) is None
    Checkpoint(path, "another", every_s=0.0).keep(Run(STATE), COLUMNS)
    assert Checkpoint(path, "this run").restore(run) is None
    path.write_bytes(path.read_bytes()[:200])
    assert Checkpoint(path, "another").restore(run) is None
    assert run.restored is None


def test_that_of_other_code_is_gone_on_with_only_where_asked(tmp_path: Path) -> None:
    path, run = tmp_path / "a", Run()
    Checkpoint(path, "this run", code="first", every_s=0.0).keep(Run(STATE), COLUMNS)
    assert Checkpoint(path, "this run", code="second").restore(run) is None and run.restored is None
    asked = Checkpoint(path, "this run", code="second", any_code=True, every_s=0.0)
    np.testing.assert_equal(asked.restore(run), COLUMNS)
    asked.keep(Run(STATE), COLUMNS)
    about = kept(path)
    assert about is not None and about.codes == ("first", "second")
    # Neither of the two has done all of it.
    assert Checkpoint(path, "this run", code="second").restore(Run()) is None
    again = Checkpoint(path, "this run", code="second", any_code=True, every_s=0.0)
    again.restore(Run())
    again.keep(Run(STATE), COLUMNS)
    about = kept(path)
    assert about is not None and about.codes == ("first", "second")


def test_a_state_that_this_code_cannot_read_is_told(tmp_path: Path) -> None:
    class Changed(Run):
        def restore(self, state: Any) -> None:
            raise KeyError("agent")

    path = tmp_path / "a"
    Checkpoint(path, "this run", code="first", every_s=0.0).keep(Run(STATE), COLUMNS)
    with pytest.raises(CheckpointError, match=r"kept by other code .* --fresh begins this run again"):
        Checkpoint(path, "this run", code="second", any_code=True).restore(Changed())
    with pytest.raises(KeyError, match="agent"):  # of its own code it is a defect
        Checkpoint(path, "this run", code="first").restore(Changed())


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, ("open('ran', 'w').close()",)


def test_no_code_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"identity": "this run", "codes": [""], "columns": {}, "state": Code()}, tmp_path / "a")
    assert Checkpoint(tmp_path / "a", "this run").restore(Run()) is None
    assert not (tmp_path / "ran").exists()


def test_it_is_not_written_at_every_epoch_of_a_fast_run(tmp_path: Path) -> None:
    now = 0.0
    checkpoint = Checkpoint(tmp_path / "a", "this run", every_s=60.0, clock=lambda: now)
    written = []
    for now in (30.0, 59.0, 61.0, 100.0, 120.0, 121.5):
        checkpoint.keep(Run({"at": now}), COLUMNS)
        if (tmp_path / "a").exists():
            run = Run()
            Checkpoint(tmp_path / "a", "this run").restore(run)
            written.append(run.restored["at"])
    assert written == [61.0, 61.0, 61.0, 121.5]
