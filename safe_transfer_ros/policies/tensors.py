# SPDX-License-Identifier: Apache-2.0
"""Named float32 arrays as bytes: safetensors with everything checked on the way in, never pickle.

What commands motors is only as trustworthy as the bytes it came from, so reading is one function that either returns
arrays that are float32 and finite, or raises a `WeightsError` saying what was expected, what came and what to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES

Tensors = dict[str, NDArray[np.float32]]
"""Arrays by name."""

MAX_MESSAGE_BYTES = WEIGHTS_BYTES + 64 * 1024
"""Of a message of weights, with what it says beside them; a larger one is refused before it is parsed."""

LOG_STD_BOUND = 20.0
"""|log_std| above this is a diverged policy: its standard deviation would over- or underflow."""

METADATA_KEY = "safe_transfer_ros"


class WeightsError(ValueError):
    """Raised when bytes are not valid weights. The message names the rule that they break."""


def write(tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str], names: Iterable[str]) -> bytes:
    """Serialise arrays in the order of `names`; equal arrays and metadata give equal bytes."""
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in names}
    # safetensors writes its metadata in random order; one sorted JSON entry keeps the hash of equal files equal.
    entry = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=True)
    return safetensors.numpy.save(ordered, metadata={METADATA_KEY: entry})


def read(data: bytes, *, sha256: str | None = None) -> tuple[Tensors, dict[str, str]]:
    """Read arrays and metadata, or refuse them whole.

    Args:
      data: A safetensors file's content.
      sha256: Hexadecimal hash the bytes must have; None skips that check.

    Returns:
      Arrays that own their memory, float32 and finite, and the metadata given to `write`.

    Raises:
      WeightsError: on any deviation.
    """
    data = bytes(data)
    if sha256 is not None and sha256_of(data) != sha256.lower():
        raise WeightsError(
            f"expected policy bytes with sha256 {sha256}, got {sha256_of(data)}: damaged on the way, send them again"
        )
    if len(data) > WEIGHTS_BYTES:
        raise WeightsError(f"expected a policy of at most {WEIGHTS_BYTES} bytes, got {len(data)}")
    try:
        arrays = safetensors.numpy.load(data)
        metadata = read_metadata(data)
    except Exception as error:  # the library raises its own, KeyError (unknown dtype), ValueError, ...
        raise WeightsError(
            f"expected a policy as a safetensors file with the tensors of docs/policies.md, got {_told(data)}: {error}"
        ) from error
    for name, array in arrays.items():
        check_values(name, array)
    return {name: np.array(array, dtype=np.float32) for name, array in arrays.items()}, metadata


def _told(data: bytes) -> str:
    """Description of bytes that are no safetensors file."""
    if data[:4] == b"PK\x03\x04":
        return (
            "a zip archive, as stable-baselines3 and torch.save write: not read; `safe_transfer import-policy` takes it"
        )
    if data[:1] == b"\x80":
        return "a pickle: never read; safe_transfer import-policy takes what torch.save writes of a state dict"
    return f"{len(data)} bytes that are none"


def check_values(name: str, array: NDArray[np.float32]) -> None:
    """Check dtype and values of one array.

    Raises:
      WeightsError: if it is not float32, or holds NaN or an infinity.
    """
    if array.dtype != np.float32:
        raise WeightsError(f"expected {name!r} as float32, got {array.dtype}")
    if not np.isfinite(array).all():
        raise WeightsError(f"{name!r} holds NaN or infinite values: the policy diverged or the file is damaged")


def check_shapes(
    tensors: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]], what: object
) -> None:
    """Check that arrays have exactly these names and shapes, and values as `check_values` wants them.

    Args:
      tensors: Arrays by name.
      shapes: What they must be.
      what: What they should make up, for the message.

    Raises:
      WeightsError: naming what is missing, unknown or of another shape.
    """
    missing, unknown = shapes.keys() - tensors.keys(), tensors.keys() - shapes.keys()
    if missing or unknown:
        raise WeightsError(f"expected the tensors of {what}; missing: {listed(missing)}; unknown: {listed(unknown)}")
    for name, shape in shapes.items():
        array = tensors[name]
        if array.shape != shape:
            raise WeightsError(
                f"expected {name!r} of shape {shape}, got {array.shape}; "
                "the policy was made for another task or network"
            )
        check_values(name, array)


def positive(tensors: Mapping[str, NDArray[np.float32]], name: str) -> None:
    """Check that every value of an array is above 0.

    Raises:
      WeightsError: if one is not.
    """
    if not (tensors[name] > 0.0).all():
        raise WeightsError(f"expected {name!r} above 0, got {tensors[name].tolist()}")


def sha256_of(data: bytes) -> str:
    """Hexadecimal sha256 of the bytes."""
    return hashlib.sha256(data).hexdigest()


def read_metadata(data: bytes) -> dict[str, str]:
    """The metadata that `write` put into a safetensors file; anything may be raised where it did not."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = json.loads(header.get("__metadata__", {}).get(METADATA_KEY, "{}"))
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise ValueError(f"metadata entry {METADATA_KEY!r} is not an object of strings")
    return entry


def listed(names: Iterable[str]) -> str:
    """A few names for an error message."""
    ordered = sorted(names)
    shown = ", ".join(map(repr, ordered[:6])) + (f" and {len(ordered) - 6} more" if len(ordered) > 6 else "")
    return shown or "none"
