# SPDX-License-Identifier: Apache-2.0
"""Networks that learn act as the policies of our files do, and critics side by side as each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.networks.actors import Actor, DeterministicActor, SquashedActor
from safe_transfer_ros.policies.networks.layers import arrays, load
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic
from safe_transfer_ros.policies.policy import Policy

BOUND = np.array([0.5, 2.0, 30.0])
ACTORS = pytest.mark.parametrize("kind", [DeterministicActor, SquashedActor])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 31])


def made(kind: Any, seed: int = 0) -> Actor:
    actor = kind(4, BOUND, (16, 8), rng(seed))
    with torch.no_grad():  # far enough from 0 to tell tanh from the identity
        actor.mean.weight.mul_(8.0)
    return actor


def filed(actor: Actor) -> Policy:
    return policy_from_bytes(policy_to_bytes(arrays(actor), {"kind": actor.kind}))[0]


@ACTORS
def test_an_actor_acts_as_the_policy_of_its_file(kind: Any) -> None:
    actor = made(kind)
    seen, noise = rng(1).standard_normal((50, 4)).astype(np.float32), rng(2).standard_normal((50, 3))
    for policy in (filed(actor), actor.policy()):
        found = policy.act(seen, noise[:, : policy.noise_size])
        exact = actor.double()  # a policy computes in float64
        observation = torch.from_numpy(seen).double()
        with torch.no_grad():
            if isinstance(exact, SquashedActor):
                fraction, _ = exact.sample(observation, torch.from_numpy(noise))
                mean, log_std = exact(observation)
                np.testing.assert_allclose(found.mean, mean.numpy(), rtol=1e-6, atol=1e-6)
                np.testing.assert_allclose(found.stddev, log_std.exp().numpy(), rtol=1e-6)
            else:
                fraction = exact(observation)
        np.testing.assert_allclose(found.action, BOUND * fraction.numpy(), rtol=1e-5, atol=1e-6)
        assert np.abs(found.action / BOUND).max() > 0.5, "choose larger weights"
        actor.float()


@ACTORS
def test_an_actor_is_made_of_a_file(kind: Any) -> None:
    actor, other = made(kind), made(kind, seed=1)
    seen = torch.from_numpy(rng(3).standard_normal((9, 4)).astype(np.float32))
    assert not torch.equal(actor.mean.weight, other.mean.weight)
    load(other, arrays(actor))
    for one, two in zip(actor(seen), other(seen), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match="of another network: .*mean.weight"):
        load(kind(4, BOUND[:2], (16, 8), rng()), arrays(actor))


def test_the_density_of_a_squashed_action_is_torchs() -> None:
    actor = made(SquashedActor).double()
    seen, noise = (torch.from_numpy(rng(seed).standard_normal((40, size))) for seed, size in ((4, 4), (5, 3)))
    action, log_density = actor.sample(seen, noise)
    mean, log_std = actor(seen)
    law = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mean, log_std.exp()), [torch.distributions.transforms.TanhTransform()]
    )
    inside = action.abs().amax(dim=1) < 0.999  # torch inverts tanh
    assert inside.sum() > 20
    torch.testing.assert_close(log_density[inside], law.log_prob(action).sum(dim=1)[inside], rtol=1e-6, atol=1e-6)
    assert torch.isfinite(log_density).all()
    far, density = actor.float().sample(seen.float(), torch.full((40, 3), 60.0))
    assert (far.abs() == 1.0).any() and torch.isfinite(density).all(), "a saturated action has a density, too"


@pytest.mark.parametrize(("bias", "log_std"), [(50.0, 2.0), (-50.0, -20.0)])
def test_a_spread_that_has_run_away_is_bounded_as_in_the_file(bias: float, log_std: float) -> None:
    actor = made(SquashedActor)
    with torch.no_grad():
        actor.log_std.bias.fill_(bias)
    seen = rng(7).standard_normal((3, 4)).astype(np.float32)
    assert (actor(torch.from_numpy(seen))[1] == log_std).all()
    np.testing.assert_allclose(filed(actor).act(seen, np.zeros((3, 3))).stddev, np.exp(log_std))


def test_critics_side_by_side_are_each_alone() -> None:
    critic = TwinCritic(4, 3, (16, 8), rng(), members=3)
    seen, action = (torch.from_numpy(rng(6).standard_normal((7, size)).astype(np.float32)) for size in (4, 3))
    found = critic(seen, action)
    parameters = dict(critic.named_parameters())
    for member in range(3):
        values = torch.cat((seen, action), dim=1)
        for layer in range(3):
            weight, bias = (parameters[f"layer.{layer}.{part}"][member] for part in ("weight", "bias"))
            values = values @ weight + bias
            values = values.clamp(min=0.0) if layer < 2 else values
        torch.testing.assert_close(found[member], values[:, 0])
    torch.testing.assert_close(critic.first(seen, action), found[0])
    assert (found[0] - found[1]).abs().min() > 1e-4, "members start alike: their minimum would say nothing"


def test_parameters_follow_from_their_stream_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = made(SquashedActor), made(SquashedActor), made(SquashedActor, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(two)[name])
        assert name == "bound" or not np.array_equal(array, arrays(other)[name])
    first = arrays(DeterministicActor(4, BOUND, (400, 8), rng()))["hidden.0.weight"]
    assert 0.49 < np.abs(first).max() <= 0.5 and np.abs(first.mean()) < 0.03


@pytest.mark.parametrize("bound", [[0.5, 0.0], [0.5, np.inf], [0.5, np.nan], []])
@ACTORS
def test_a_bound_that_is_none_is_refused(kind: Any, bound: list[float]) -> None:
    with pytest.raises(ValueError, match="expected a finite bound above 0"):
        kind(4, np.array(bound), (8,), rng())


def test_sizes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one hidden layer"):
        DeterministicActor(4, BOUND, (), rng())
    with pytest.raises(ValueError, match="expected sizes and members of at least 1"):
        TwinCritic(4, 3, (8,), rng(), members=0)
