# SPDX-License-Identifier: Apache-2.0
"""State dicts are read as torch reads them, and nothing in their pickle is imported, called or believed."""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from others_policies import archive, saved

from safe_transfer_ros.policies.foreign import archive as archives
from safe_transfer_ros.policies.foreign import pickled, torch_file
from safe_transfer_ros.policies.foreign.archive import Archive
from safe_transfer_ros.policies.foreign.torch_file import read_state_dict
from safe_transfer_ros.policies.tensors import WeightsError


def test_every_kind_of_tensor_is_what_torch_makes_of_it() -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = collections.OrderedDict(
        plain=base,
        turned=base.T,
        part=base[1:3, ::2],
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        double=base.double() / 3,
        half=base.half(),
        bfloat=(base / 3).bfloat16(),
        whole=torch.arange(5),
        bools=torch.tensor([True, False]),
        parameter=torch.nn.Parameter(base + 1),
    )
    found = read_state_dict(saved(state), "it")
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.detach().float().numpy(), err_msg=name)
        assert found[name].dtype == np.float32 and found[name].flags.owndata
    plain = read_state_dict(saved({"w": base}), "it")  # a plain dict as well
    np.testing.assert_array_equal(plain["w"], base.numpy())


def test_a_models_state_dict_is_read_with_its_notes_on_versions() -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    found = read_state_dict(saved(layers.state_dict()), "it")
    assert sorted(found) == ["0.bias", "0.weight", "2.bias", "2.weight"]


class Evil:
    """Runs a command in whoever unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_that_a_pickle_names_is_called(tmp_path: Path) -> None:
    trap = tmp_path / "unpickled"
    for content in ({"w": Evil(trap)}, Evil(trap), [Evil(trap)]):
        with pytest.raises(
            WeightsError,
            match=r"expected 'w' of it as a dense tensor, got posix.mkdir|as a mapping of names to tensors",
        ):
            read_state_dict(saved(content), "it")
    assert not trap.exists()
    torch.load(io.BytesIO(saved(Evil(trap))), weights_only=False)  # what it guards against
    assert trap.exists()


def with_pickle(data: bytes) -> bytes:
    return archive({"archive/data.pkl": data, "archive/data/0": bytes(16)})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"hello", "got 5 bytes of another kind"),
        (pickle.dumps({}), "the format of torch before 1.6, or a plain pickle: never read"),
        (b"PK\x03\x04", "as a zip archive, got 4 bytes that are none"),
        (archive({"a": b""}), "got another archive"),
        (archive({"m/data.pkl": b"", "m/constants.pkl": b""}), "TorchScript"),
        (archive({"a/data.pkl": b"", "b/data.pkl": b""}), "got another archive"),
        (with_pickle(b""), "as torch writes it, got"),
        (with_pickle(b"\x80\x02}"), "as torch writes it, got"),
        (with_pickle(b"\x80\x02."), "as torch writes it, got something else"),
        (with_pickle(pickle.dumps(3, 2)), "as a mapping of names to tensors, got something else"),
        (with_pickle(pickle.dumps({1: 2}, 2)), "no mapping of names to tensors"),
        (with_pickle(pickle.dumps({"a": 2}, 2)), "expected 'a' of it as a dense tensor, got int"),
        (with_pickle(pickle.dumps({"a": b"x"}, 4)), "pickle operation SHORT_BINBYTES"),
        (with_pickle(pickle.dumps({"a": Path("x")}, 2)), "expected 'a' of it as a dense tensor, got pathlib"),
        (with_pickle(b"\x80\x02(}K\x01K\x02o."), "pickle operation OBJ"),
        (with_pickle(b"\x80\x02}(K\x01u."), "as torch writes it, got something else"),
        (with_pickle(b"I" + b"9" * 5000 + b"\n."), "as torch writes it, got something else"),
    ],
)
def test_other_files_are_refused_in_one_line(data: bytes, told: str) -> None:
    with pytest.raises(WeightsError, match=told) as error:
        read_state_dict(data, "it")
    assert "\n" not in str(error.value)


def tensor_pickle(
    *, kind: str = "FloatStorage", numel: int = 4, offset: int = 0, size: Any = (4,), stride: Any = (1,)
) -> bytes:
    """data.pkl of one tensor `w` whose arguments are as given."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", getattr(torch, kind), "0", "cpu", numel) if value is marker else None

    marker = object()

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (marker, offset, size, stride, False, collections.OrderedDict())

    file = io.BytesIO()
    Pickler(file, 2).dump({"w": Tensor()})
    return file.getvalue()


def test_the_pickle_of_this_test_is_one_that_is_read() -> None:
    found = read_state_dict(with_pickle(tensor_pickle(size=(2, 2), stride=(2, 1))), "it")
    np.testing.assert_array_equal(found["w"], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": (5,)}, "reaches beyond the numbers"),
        ({"offset": 1}, "reaches beyond the numbers"),
        ({"stride": (2,)}, "reaches beyond the numbers"),
        ({"offset": -1}, "the shape of 'w' of it is damaged"),
        ({"stride": (-1,)}, "the shape of 'w' of it is damaged"),
        ({"size": (2, 2)}, "the shape of 'w' of it is damaged"),
        ({"size": (1,) * 9, "stride": (1,) * 9}, "reaches beyond"),
        ({"numel": 5}, "expected 5 numbers for 'w' of it, got 4"),
        ({"kind": "DoubleStorage"}, "expected 4 numbers for 'w' of it, got 2"),
        ({"kind": "ComplexFloatStorage"}, "as numbers, got torch.ComplexFloatStorage"),
        ({"size": (2**40,), "stride": (0,)}, "more than the 67108864 bytes of tensors"),
    ],
)
def test_a_shape_that_lies_is_refused_before_it_is_made(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        read_state_dict(with_pickle(tensor_pickle(**changes)), "it")


def test_a_big_endian_file_is_refused() -> None:
    data = archive({"a/data.pkl": tensor_pickle(), "a/data/0": bytes(16), "a/byteorder": b"big"})
    with pytest.raises(WeightsError, match="big-endian"):
        read_state_dict(data, "it")


def test_sizes_and_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = archive({"x": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2000
    with pytest.raises(WeightsError, match="'x' in it is longer than the 1000 bytes"):
        Archive(bomb, "it").read("x", most_bytes=1000)
    assert len(Archive(bomb, "it").read("x", most_bytes=1_000_000)) == 1_000_000
    monkeypatch.setattr(archives, "ARCHIVE_MEMBERS", 3)
    with pytest.raises(WeightsError, match="at most 3 members, got more"):
        Archive(archive(dict.fromkeys("abcd", b"")), "it")
    monkeypatch.setattr(archives, "ARCHIVE_BYTES", 100)
    with pytest.raises(WeightsError, match="of at most 100 bytes"):
        Archive(bomb, "it")
    monkeypatch.undo()
    monkeypatch.setattr(torch_file, "WEIGHTS_BYTES", 100)
    two = with_pickle(tensor_pickle())
    read_state_dict(two, "it")
    with pytest.raises(WeightsError, match="more than the 100 bytes|longer than the"):
        read_state_dict(saved({"a": torch.zeros(0, 20), "b": torch.zeros(20)[:1], "c": torch.zeros(20)[:1]}), "it")
    monkeypatch.setattr(pickled, "MOST_OPERATIONS", 10)
    with pytest.raises(WeightsError, match="more than 10 operations"):
        read_state_dict(two, "it")
    monkeypatch.undo()
    monkeypatch.setattr(torch_file, "WEIGHTS_BYTES", 100)
    with pytest.raises(WeightsError, match="is longer than the|more than the 100 bytes"):
        read_state_dict(saved({"a": torch.zeros(30)}), "it")


def test_members_that_are_no_plain_files_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("x", b"1")
            zipped.writestr("x", b"2")
    with pytest.raises(WeightsError, match="got two of one name"):
        Archive(file.getvalue(), "it")
    with pytest.raises(WeightsError, match="compressed otherwise than by deflate"):
        Archive(archive({"x": b"1"}, zipfile.ZIP_BZIP2), "it").read("x", most_bytes=10)
    for encrypted in (
        archive({"x": b"1"}).replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
    ):
        with pytest.raises(WeightsError, match="'x' in it is encrypted"):
            Archive(encrypted, "it").read("x", most_bytes=10)
    with pytest.raises(WeightsError, match="expected 'y' in it, got 'x'"):
        Archive(archive({"x": b"1"}), "it").read("y", most_bytes=10)
    broken = archive({"x": b"12345"}).replace(b"12345", b"12346")
    with pytest.raises(WeightsError, match="'x' in it is damaged"):
        Archive(broken, "it").read("x", most_bytes=10)


def test_a_damaged_file_is_refused_wherever_it_is_cut_or_changed() -> None:
    data = saved(torch.nn.Linear(2, 2).state_dict())
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            damaged[place] = rng.integers(256)
        cut = bytes(damaged[: rng.integers(1, len(data) + 1)])
        for content in (bytes(damaged), cut):
            try:
                found = read_state_dict(content, "it")
            except WeightsError:
                continue
            assert all(array.dtype == np.float32 for array in found.values())
