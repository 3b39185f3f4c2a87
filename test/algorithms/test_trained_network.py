# SPDX-License-Identifier: Apache-2.0
"""A step is Adam's whatever the layout of a gradient, other networks stand still, a target follows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.networks.actors import DeterministicActor
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic


def networks() -> tuple[DeterministicActor, TwinCritic, torch.Tensor]:
    rng = np.random.default_rng([0, 32])
    seen = torch.from_numpy(rng.standard_normal((32, 3)).astype(np.float32))
    return DeterministicActor(3, np.ones(2), (12, 10), rng), TwinCritic(3, 2, (12, 10), rng), seen


def test_steps_are_those_of_torchs_plain_adam() -> None:
    actor, critic, seen = networks()
    plain = copy.deepcopy(actor)
    optimiser = torch.optim.Adam(plain.parameters(), lr=1e-2, foreach=False, fused=False)
    trained = TrainedNetwork(actor, learning_rate=1e-2)
    for _ in range(5):
        trained.descend(-critic.first(seen, actor(seen)).mean())
        optimiser.zero_grad()
        (-critic.first(seen, plain(seen)).mean()).backward()
        optimiser.step()
    for one, other in zip(actor.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_for_other_networks_nothing_is_computed() -> None:
    actor, critic, seen = networks()
    before = copy.deepcopy(critic.state_dict())
    TrainedNetwork(actor, learning_rate=1e-2).descend(-critic(seen, actor(seen)).mean())
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in critic.state_dict().items())


def test_a_target_follows_and_has_no_graph() -> None:
    _, critic, seen = networks()
    trained = TrainedNetwork(critic, learning_rate=1e-2, target_rate=0.25)
    action = torch.zeros(32, 2)
    assert not trained.target(seen, action).requires_grad
    torch.testing.assert_close(trained.target(seen, action), critic(seen, action))
    before = copy.deepcopy(trained.target.state_dict())
    trained.descend(critic(seen, action).square().mean())
    trained.follow()
    for name, tensor in trained.target.state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * critic.state_dict()[name])
        assert not torch.equal(tensor, before[name])


def test_a_state_does_not_go_on_and_is_resumed_exactly() -> None:
    def step(trained: TrainedNetwork[TwinCritic]) -> None:
        trained.descend((trained.network(seen, seen[:, :2]) - 1.0).square().mean())
        trained.follow()

    _, critic, seen = networks()
    trained = TrainedNetwork(critic, learning_rate=1e-2, target_rate=0.1)
    step(trained)
    state = trained.state()
    for _ in range(3):
        step(trained)
    other = TrainedNetwork(networks()[1], learning_rate=1e-2, target_rate=0.1)
    other.restore(state)
    for _ in range(3):
        step(other)
    for part in ("network", "target"):
        for one, two in zip(getattr(trained, part).parameters(), getattr(other, part).parameters(), strict=True):
            assert torch.equal(one, two)


def test_rates_out_of_range_are_refused() -> None:
    for rates in ({"learning_rate": 0.0}, {"learning_rate": 1e-3, "target_rate": 1.5}):
        with pytest.raises(ValueError, match="learning_rate > 0 and target_rate in"):
            TrainedNetwork(nn.Linear(1, 1), **rates)
