# SPDX-License-Identifier: Apache-2.0
"""Files as others write them: ONNX by its wire format, archives of stable-baselines3 by torch.save."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(*fields: tuple[int, Any]) -> bytes:
    """A protobuf message: whole numbers, floats, and texts or bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def tensor(name: str, array: np.ndarray, *more: tuple[int, Any]) -> bytes:
    kind = {"float32": 1, "int64": 7, "float64": 11}[array.dtype.name]
    dims = [(1, size) for size in array.shape]
    return message(*dims, (2, kind), (8, name), (9, array.tobytes()), *more)


def attribute(name: str, value: int | float | bytes, kind: int | None = None) -> bytes:
    number = kind or (3 if isinstance(value, int) else 2 if isinstance(value, float) else 5)
    return message((1, name), (number, value), (20, number - 1))


def node(operation: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes, domain: str = "") -> bytes:
    fields: list[tuple[int, Any]] = [(1, name) for name in inputs] + [(2, name) for name in outputs]
    fields += [(4, operation), *((5, content) for content in attributes)]
    return message(*fields, *([(7, domain)] if domain else []))


def value(name: str, *shape: int | str, kind: int = 1) -> bytes:
    dims = b"".join(message((1, message((1 if isinstance(size, int) else 2, size)))) for size in shape)
    return message((1, name), (2, message((1, message((1, kind), (2, dims))))))


def model(
    nodes: Sequence[bytes],
    weights: Mapping[str, np.ndarray],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    *more: tuple[int, Any],
) -> bytes:
    graph = message(
        *((1, content) for content in nodes),
        (2, "g"),
        *((5, tensor(name, array)) for name, array in weights.items()),
        *((11, content) for content in inputs),
        *((12, content) for content in outputs),
        *more,
    )
    return message((1, 8), (7, graph), (8, message((2, 13))))


def mlp(sizes: Sequence[int], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights w0, b0, w1, ... as torch has them: (outputs, inputs)."""
    rng, found = np.random.default_rng(seed), {}
    for layer, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        found[f"w{layer}"] = (rng.standard_normal((after, before)) / np.sqrt(before)).astype(np.float32)
        found[f"b{layer}"] = rng.standard_normal(after).astype(np.float32)
    return found


def mlp_model(
    weights: Mapping[str, np.ndarray], *, activation: str = "Tanh", squash: bool = False, extra: Sequence[bytes] = ()
) -> bytes:
    """Gemm, activation, Gemm, ...: `x` in, `y` out; what is `extra` comes between the last layer and y."""
    layers = len(weights) // 2
    sizes = weights["w0"].shape[1], weights[f"b{layers - 1}"].shape[0]
    nodes, before = [], "x"
    for layer in range(layers):
        nodes.append(node("Gemm", [before, f"w{layer}", f"b{layer}"], [f"h{layer}"], attribute("transB", 1)))
        before = f"h{layer}"
        if layer < layers - 1 or squash:
            nodes.append(node("Tanh" if layer == layers - 1 else activation, [before], [f"a{layer}"]))
            before = f"a{layer}"
    nodes += [*extra] or [node("Identity", [before], ["y"])]
    return model(nodes, weights, [value("x", "n", sizes[0])], [value("y", "n", sizes[1])])


def saved(content: Any) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def archive(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


def linear(inputs: int, outputs: int) -> torch.nn.Linear:
    return torch.nn.Linear(inputs, outputs)


class Ppo(torch.nn.Module):
    """An actor and a critic under the names of stable-baselines3's PPO."""

    def __init__(self, inputs: int, outputs: int, width: int = 8) -> None:
        super().__init__()
        self.log_std = torch.nn.Parameter(torch.linspace(-0.5, 0.5, outputs))
        self.mlp_extractor = torch.nn.Module()
        for name in ("policy_net", "value_net"):
            layers = [linear(inputs, width), torch.nn.Tanh(), linear(width, width), torch.nn.Tanh()]
            setattr(self.mlp_extractor, name, torch.nn.Sequential(*layers))
        self.action_net, self.value_net = linear(width, outputs), linear(width, 1)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.action_net(self.mlp_extractor.policy_net(observation))


class Sac(torch.nn.Module):
    """An actor under the names of stable-baselines3's SAC."""

    def __init__(self, inputs: int, outputs: int, width: int = 8) -> None:
        super().__init__()
        self.actor = torch.nn.Module()
        layers = [linear(inputs, width), torch.nn.ReLU(), linear(width, width), torch.nn.ReLU()]
        self.actor.latent_pi = torch.nn.Sequential(*layers)
        self.actor.mu, self.actor.log_std = linear(width, outputs), linear(width, outputs)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.actor.mu(self.actor.latent_pi(observation))

    def log_std(self, observation: torch.Tensor) -> torch.Tensor:
        return self.actor.log_std(self.actor.latent_pi(observation))


class Td3(torch.nn.Module):
    """An actor under the names of stable-baselines3's TD3."""

    def __init__(self, inputs: int, outputs: int, width: int = 8) -> None:
        super().__init__()
        self.actor = torch.nn.Module()
        layers = [linear(inputs, width), torch.nn.ReLU(), linear(width, width), torch.nn.ReLU(), linear(width, outputs)]
        self.actor.mu = torch.nn.Sequential(*layers, torch.nn.Tanh())

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.actor.mu(observation)


def sb3_zip(actor: torch.nn.Module) -> bytes:
    """An archive with the members that stable-baselines3 writes."""
    return archive(
        {"data": b"{}", "policy.optimizer.pth": b"never read", "policy.pth": saved(actor.state_dict())},
        zipfile.ZIP_DEFLATED,
    )


def contract(source: str, distribution: str = "deterministic", **fields: Any) -> dict[str, Any]:
    """A contract for the cup swirl, torques of the task's observation."""
    found: dict[str, Any] = {"task": "pr2_cup_swirl", "source": source, "distribution": distribution}
    if source != "process":
        found["observation"] = [{"part": "task"}]
    if source == "state_dict":
        found["network"] = {"activation": "tanh"}
    return found | {"action": {"kind": "torque"}} | fields
