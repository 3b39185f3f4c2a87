# SPDX-License-Identifier: Apache-2.0
"""The safe agent's update is that of the algorithm as it is written down; see test/algorithms/test_plain_updates.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_networks import (
    BOUND,
    RATES,
    UPDATES,
    PlainNetwork,
    assert_same,
    critic_values,
    deterministic,
    tensors_of,
    transitions,
)

from safe_transfer_ros.transfer.dual_agent.agent import DualAgent, DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline


def test_the_safe_agents_update() -> None:
    baseline = GivenBaseline(lambda seen: BOUND * np.sin(seen[:, :3]), BOUND)
    settings = DualAgentSettings(horizon=5, gamma=0.8, hidden=(32, 24), multiplier_rate=0.1, **RATES)
    agent, rng = DualAgent(5, BOUND, baseline, settings, seed=0), np.random.default_rng(1)
    learning = [agent._actor, agent._critic]
    start, copies = ([PlainNetwork(part, **RATES) for part in learning] for _ in range(2))
    actor, critic = copies
    multiplier = 0.0
    for update in range(UPDATES):
        columns = transitions(rng)
        t = tensors_of(columns)
        found = agent.update(columns, np.random.default_rng(0))
        with torch.no_grad():
            action = deterministic(actor.target, t["next_observation"])
            following = critic_values(critic.target, t["next_observation"], action).min(dim=0).values
            y = (t["cost"] == 0.0).float() + 0.8 * (1.0 - t["terminated"]) * following
        loss = 0.5 * (critic_values(critic.online, t["observation"], t["chosen"]) - y).square().mean(dim=1).sum()
        critic.descend(loss)
        assert found["safe_critic_loss"] == pytest.approx(loss.item(), rel=1e-4)
        if update % 2 == 0:
            continue
        own = deterministic(actor.online, t["observation"])
        safety = critic_values(critic.online, t["observation"], own).min(dim=0).values.mean()
        distance = (own - torch.sin(t["observation"][:, :3])).square().sum(dim=1).mean()
        actor.descend(distance - multiplier * safety)
        multiplier = max(0.0, multiplier + 0.1 * (settings.required_safety() - safety.item()))
        critic.follow()
        actor.follow()
        assert found["distance"] == pytest.approx(distance.item(), rel=1e-4, abs=1e-6)
        assert found["safety"] == pytest.approx(safety.item(), rel=1e-4, abs=1e-6)
        assert found["multiplier"] == pytest.approx(multiplier, rel=1e-4)
    assert multiplier > 0.1
    for trained, plain, began in zip(learning, copies, start, strict=True):
        assert_same(trained, plain, began)
