# SPDX-License-Identifier: Apache-2.0
"""A policy that sees and remembers: the same numbers in numpy and torch, a memory per episode, refused whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies.convolution import LEAST_SIDE, convolved_size, selu
from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.networks.actors import SquashedActor
from safe_transfer_ros.policies.networks.visual import VisualActor, VisualEncoder
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, sha256_of, write
from safe_transfer_ros.policies.visual import VisualPolicy

SIDE, REST = 50, 14
K, BOUND = SIDE * SIDE + REST, np.array([1.0, 3.0])


def made(seed: int = 0, side: int = SIDE) -> VisualActor:
    rng = np.random.default_rng([seed, 17])
    actor = VisualActor(VisualEncoder(side * side + REST, side, 24, 16, rng), SquashedActor(16, BOUND, (20, 12), rng))
    with torch.no_grad():  # far enough from 0 to tell tanh from the identity, and one memory from another
        actor.head.mean.weight.mul_(10.0)
        actor.encoder.embedding.weight.mul_(4.0)
    return actor


def filed(actor: VisualActor) -> VisualPolicy:
    tensors, metadata = actor.file()
    data = policy_to_bytes(tensors, {**metadata, "kind": actor.kind})
    policy, _ = policy_from_bytes(data, sha256=sha256_of(data))
    assert isinstance(policy, VisualPolicy)
    return policy


def sequences(count: int, steps: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng([seed, 18])
    seen = rng.standard_normal((count, steps, K)).astype(np.float32)
    seen[..., : SIDE * SIDE] = rng.random((count, steps, SIDE * SIDE))
    return seen


def test_numpy_and_torch_agree_over_an_episode() -> None:
    """To 1e-5, of float32 in torch and of the file's policy, over 30 steps from a fresh memory."""
    actor, seen = made(), sequences(3, 30)
    with torch.no_grad():
        memory = actor.encoder(torch.from_numpy(seen), torch.zeros(3, 16))
        mean, log_std = actor.head(memory.reshape(90, 16))
    mean, stddev = mean.reshape(3, 30, 2).numpy(), log_std.exp().reshape(3, 30, 2).numpy()
    for policy in (filed(actor), actor.policy()):
        policy.begin()
        for t in range(30):
            act = policy.act(seen[:, t], np.full((3, 2), 0.5))
            np.testing.assert_allclose(act.mean, mean[:, t], atol=1e-5)
            np.testing.assert_allclose(act.stddev, stddev[:, t], rtol=1e-5)
            np.testing.assert_allclose(policy.memory, memory[:, t].numpy(), atol=1e-5)
            np.testing.assert_allclose(act.action, BOUND * np.tanh(act.mean + 0.5 * act.stddev), rtol=1e-12)
    assert np.abs(mean).max() > 0.5 and (memory[:, 0] - memory[:, 29]).abs().max() > 0.1, "choose larger weights"


def test_a_sequence_goes_on_from_a_memory_as_if_it_had_not_been_cut() -> None:
    encoder, seen = made().encoder, torch.from_numpy(sequences(2, 12))
    with torch.no_grad():
        whole = encoder(seen, torch.zeros(2, 16))
        cut = encoder(seen[:, 5:], whole[:, 4])
    torch.testing.assert_close(cut, whole[:, 5:], rtol=1e-6, atol=1e-6)
    assert (encoder(seen[:, 5:], torch.zeros(2, 16)) - whole[:, 5:]).abs().max() > 0.01


def test_every_part_of_an_observation_counts() -> None:
    policy, seen = made().policy(), sequences(1, 1)[0, 0]
    first = policy.act(seen, np.zeros(2)).mean
    # Pixels, proprioception, last reward, last cost; and the first pixel that strides leave out.
    counts = {0: True, 43 * SIDE + 43: True, SIDE * SIDE: True, K - 2: True, K - 1: True, 43 * SIDE + 44: False}
    for at, does in counts.items():
        changed = seen.copy()
        changed[at] += 3.0
        policy.begin()
        assert (np.abs(policy.act(changed, np.zeros(2)).mean - first).max() > 1e-6) == does, at


def test_a_batch_gives_the_same_bits_as_one_observation_after_the_other() -> None:
    one, many, seen = made().policy(), made().policy(), sequences(3, 4)
    together = [many.act(seen[:, t], np.zeros((3, 2))).mean for t in range(4)]
    for episode in range(3):
        one.begin()
        for t in range(4):
            np.testing.assert_array_equal(one.act(seen[episode, t], np.zeros(2)).mean, together[t][episode])


def test_a_memory_lasts_for_an_episode() -> None:
    policy, seen = made().policy(), sequences(1, 1)[0, 0]
    first, second = (policy.act(seen, np.zeros(2)).mean for _ in range(2))
    assert not np.array_equal(first, second)
    policy.begin()
    assert policy.memory is None
    np.testing.assert_array_equal(policy.act(seen, np.zeros(2)).mean, first)
    with pytest.raises(ValueError, match=r"expected observations of \(\) episodes, got \(3,\): begin"):
        policy.act(np.zeros((3, K)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=f"expected observations of {K} values"):
        policy.act(np.zeros(K - 1), np.zeros(2))


def test_sizes_are_those_of_the_paper() -> None:
    """71,840 parameters of the convolutions, 256 numbers of a 50 x 50 image; GRU and embedding near 4.3e5 and .7e5."""
    assert convolved_size(50) == 256 and convolved_size(84) == 3136
    encoder = VisualEncoder(2500 + 38 + 2, 50, 256, 256, np.random.default_rng(0))
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in encoder.named_children()}
    assert count == {"conv": 71_840, "embedding": 65_792, "gru": 3 * 256 * (296 + 256) + 6 * 256}
    np.testing.assert_allclose(selu(np.array([-40.0, 0.0, 2.0])), [-1.7580993, 0.0, 2.1014020], rtol=1e-7)


def test_parameters_follow_from_their_stream_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = (made(seed).file()[0] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
        assert name == "bound" or not np.array_equal(array, other[name])


def test_a_tensor_too_few_or_too_many_is_refused() -> None:
    tensors, metadata = made().file()
    about = {**metadata, "kind": "visual"}
    for name in tensors:
        with pytest.raises(WeightsError):
            policy_to_bytes({key: array for key, array in tensors.items() if key != name}, about)
        with pytest.raises(WeightsError, match="NaN|above 0"):
            policy_to_bytes(tensors | {name: np.full_like(tensors[name], np.nan)}, about)
    with pytest.raises(WeightsError, match="unknown"):
        policy_to_bytes(tensors | {"stranger": np.zeros(1, dtype=np.float32)}, about)


def cut(tensors: Tensors, name: str, size: int) -> Tensors:
    return tensors | {name: np.ascontiguousarray(tensors[name][:, :size])}


@pytest.mark.parametrize(
    ("side", "line"),
    [
        (None, "expected image_side, pixels of a row of the image, in the metadata, got ''"),
        ("-50", "expected image_side"),
        ("9" * 5000, "expected image_side"),
        ("35", f"expected an image of at least {LEAST_SIDE} pixels"),
        ("84", r"expected 'embedding.weight' of shape \(24, 3136\), got \(24, 256\)"),
    ],
)
def test_an_image_of_another_size_is_refused(side: str | None, line: str) -> None:
    tensors, _ = made().file()
    about = {"kind": "visual"} | ({} if side is None else {"image_side": side})
    with pytest.raises(WeightsError, match=line):
        policy_from_bytes(write(tensors, about, tensors))


def test_layers_that_do_not_fit_each_other_are_refused() -> None:
    tensors, metadata = made().file()
    about = {**metadata, "kind": "visual"}
    for broken in (cut(tensors, "gru.weight_ih", 20), cut(tensors, "hidden.0.weight", 15)):
        with pytest.raises(WeightsError, match="expected hidden.0 to take the 16 values of the GRU"):
            policy_from_bytes(write(broken, about, broken))
    with pytest.raises(ValueError, match="expected a head for 16 values, got one for 15"):
        VisualActor(made().encoder, SquashedActor(15, BOUND, (8,), np.random.default_rng(0)))
    with pytest.raises(ValueError, match="expected an observation of at least 2500 values"):
        VisualEncoder(2499, 50, 8, 8, np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected an image of at least 36 pixels"):
        VisualEncoder(2499, 30, 8, 8, np.random.default_rng(0))
