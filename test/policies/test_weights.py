# SPDX-License-Identifier: Apache-2.0
"""Policy bytes: read back as written, or refused whole with a sentence."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.policies import tensors, weights
from safe_transfer_ros.policies.weights import Architecture, WeightsError

SMALL = Architecture(observation_size=4, hidden=(5, 3), action_size=2)


def parameters(architecture: Architecture = SMALL) -> weights.Parameters:
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype(np.float32) * np.float32(0.3)
        for name, shape in architecture.shapes().items()
    }


def refused(data: bytes, message: str, **expected: object) -> None:
    with pytest.raises(WeightsError, match=message):
        weights.from_bytes(data, **expected)  # type: ignore[arg-type]


def raw(tensors: dict[str, np.ndarray]) -> bytes:
    return safetensors.numpy.save(tensors)


def test_names_and_shapes_are_those_of_the_cup_swirl_policy() -> None:
    shapes = Architecture(observation_size=18, hidden=(64, 64, 64), action_size=7).shapes()
    assert list(shapes) == [
        *(f"hidden.{layer}.{part}" for layer in range(3) for part in ("weight", "bias")),
        "mean.weight",
        "mean.bias",
        "log_std",
    ]
    assert shapes["hidden.0.weight"] == (64, 18)
    assert shapes["mean.weight"] == (7, 64)
    assert shapes["log_std"] == (7,)


def test_bytes_come_back_as_written() -> None:
    written = parameters()
    data = weights.to_bytes(written, {"task": "x", "note": "ü"})
    read, metadata = weights.from_bytes(data, architecture=SMALL, sha256=weights.sha256_of(data))
    assert metadata == {"task": "x", "note": "ü"}
    assert list(map(str, sorted(read))) == sorted(written)
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.float32 and read[name].flags.writeable and read[name].flags.owndata


def test_equal_policies_have_equal_bytes() -> None:
    metadata = {letter: letter for letter in "abcdefghij"}
    shuffled = dict(reversed(list(parameters().items())))
    first = weights.to_bytes(parameters(), metadata)
    assert all(weights.to_bytes(shuffled, dict(reversed(metadata.items()))) == first for _ in range(5))


def test_the_hash_is_checked_before_anything_else() -> None:
    data = weights.to_bytes(parameters())
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    refused(damaged, "sha256", sha256=weights.sha256_of(data))
    weights.from_bytes(data, sha256=weights.sha256_of(data).upper())


@pytest.mark.parametrize("name", ["hidden.1.bias", "mean.bias", "log_std"])
def test_a_missing_tensor_is_named(name: str) -> None:
    tensors = parameters()
    del tensors[name]
    refused(raw(tensors), re.escape(repr(name)))


def test_an_unknown_tensor_is_named() -> None:
    refused(raw(parameters() | {"value.weight": np.zeros(3, np.float32)}), "unknown: 'value.weight'")


def test_a_gap_between_hidden_layers_is_refused() -> None:
    tensors = parameters()
    tensors["hidden.7.weight"] = tensors.pop("hidden.1.weight")
    refused(raw(tensors), "without a gap")


def test_another_kind_of_network_is_refused() -> None:
    refused(raw({"encoder": np.zeros(3, np.float32)}), "another kind of network")
    refused(raw(parameters() | {"mean.weight": np.zeros(3, np.float32)}), "'mean.weight' as a matrix .* got shape")
    refused(raw(parameters() | {"hidden.1.weight": np.zeros((0, 5), np.float32)}), "at least one row")


def test_a_wrong_shape_is_refused() -> None:
    refused(raw(parameters() | {"mean.bias": np.zeros(3, np.float32)}), r"'mean.bias' of shape \(2,\), got \(3,\)")
    data = weights.to_bytes(parameters())
    other = Architecture(observation_size=9, hidden=(5, 3), action_size=2)
    refused(data, r"'hidden.0.weight' of shape \(5, 9\), got \(5, 4\)", architecture=other)
    deeper = Architecture(observation_size=4, hidden=(5, 3, 3), action_size=2)
    refused(data, "missing: 'hidden.2", architecture=deeper)


def test_a_wrong_dtype_is_refused() -> None:
    refused(raw(parameters() | {"log_std": np.zeros(2, np.float64)}), "float32, got float64")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["hidden.0.weight", "mean.bias", "log_std"])
def test_values_that_are_not_finite_are_refused(name: str, value: float) -> None:
    tensors = parameters()
    tensors[name].flat[1] = value
    refused(raw(tensors), f"'{name}' holds NaN or infinite")
    with pytest.raises(WeightsError, match=f"'{name}' holds NaN or infinite"):
        weights.to_bytes(tensors)


@pytest.mark.parametrize("value", [90.0, -90.0])
def test_a_diverged_standard_deviation_is_refused(value: float) -> None:
    refused(raw(parameters() | {"log_std": np.full(2, value, np.float32)}), "log standard deviations")


def test_bytes_that_are_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = weights.to_bytes(parameters())
    monkeypatch.setattr(tensors, "WEIGHTS_BYTES", len(data) - 1)
    refused(data, "at most")


def test_foreign_metadata_is_refused() -> None:
    entry = {"safe_transfer_ros": json.dumps({"seed": 3})}
    refused(safetensors.numpy.save(parameters(), metadata=entry), "not an object of strings")


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_weights_error(data: bytes) -> None:
    with pytest.raises(WeightsError):
        weights.from_bytes(data)


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_changed_byte_gives_a_policy_or_weights_error(position: int, value: int) -> None:
    data = bytearray(weights.to_bytes(parameters(), {"task": "x"}))
    data[position % len(data)] = value
    try:
        read, _ = weights.from_bytes(bytes(data))
    except WeightsError:
        return
    weights.check(read)


def test_a_pickle_is_refused() -> None:
    import pickle

    refused(pickle.dumps(parameters()), "safetensors")


def test_saving_replaces_the_file_whole(tmp_path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(b"old")
    digest = weights.save(path, parameters(), {"seed": "1"})
    read, metadata = weights.load(path, sha256=digest)
    assert metadata == {"seed": "1"}
    np.testing.assert_array_equal(read["log_std"], parameters()["log_std"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy.safetensors"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.safetensors"
    weights.save(path, parameters())
    before = path.read_bytes()

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        weights.save(path, parameters(), {"new": "one"})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_load_names_the_file(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read.*absent\.safetensors"):
        weights.load(tmp_path / "absent.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not a policy")
    with pytest.raises(WeightsError, match=r"bad\.safetensors"):
        weights.load(tmp_path / "bad.safetensors")


def test_an_architecture_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden layer"):
        Architecture(observation_size=3, hidden=(), action_size=1)
    with pytest.raises(ValueError, match="at least 1"):
        Architecture(observation_size=3, hidden=(4,), action_size=0)
