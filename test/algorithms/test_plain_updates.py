# SPDX-License-Identifier: Apache-2.0
"""An update is that of the algorithm as it is written down: without stacked members, cut graphs and fused steps."""

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
    squashed,
    tensors_of,
    transitions,
)

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.sac.cost_constraint import CostConstraintSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings

SIZES = {"hidden": (32, 24), "gamma": 0.9}


def test_td3() -> None:
    settings = Td3Settings(**SIZES, **RATES)
    agent, rng = Td3(5, BOUND, settings, seed=0), np.random.default_rng(1)
    actor, critic = (PlainNetwork(part, **RATES) for part in (agent._actor, agent._critic))
    start = [PlainNetwork(part, **RATES) for part in (agent._actor, agent._critic)]
    for update in range(UPDATES):
        columns = transitions(rng)
        t = tensors_of(columns)
        found = agent.update(columns, np.random.default_rng([update, 3]))
        noise = torch.from_numpy(np.random.default_rng([update, 3]).standard_normal((64, 3), dtype=np.float32))
        with torch.no_grad():
            action = deterministic(actor.target, t["next_observation"]) + (0.2 * noise).clamp(-0.5, 0.5)
            following = critic_values(critic.target, t["next_observation"], action.clamp(-1.0, 1.0)).min(dim=0).values
            y = t["reward"] + 0.9 * (1.0 - t["terminated"]) * following
        one, two = critic_values(critic.online, t["observation"], t["chosen"])
        loss = 0.5 * torch.nn.functional.mse_loss(one, y) + 0.5 * torch.nn.functional.mse_loss(two, y)
        critic.descend(loss)
        assert found["critic_loss"] == pytest.approx(loss.item(), rel=1e-4)
        if update % 2:
            own = deterministic(actor.online, t["observation"])
            loss = -critic_values(critic.online, t["observation"], own)[0].mean()
            actor.descend(loss)
            critic.follow()
            actor.follow()
            assert found["actor_loss"] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
    for trained, plain, began in zip((agent._actor, agent._critic), (actor, critic), start, strict=True):
        assert_same(trained, plain, began)


@pytest.mark.parametrize("constrained", [False, True], ids=["sac", "sac_lagrangian"])
def test_sac(constrained: bool) -> None:
    limits = CostConstraintSettings(limit=0.05, gamma=0.8, multiplier_rate=0.05) if constrained else None
    agent, rng = Sac(5, BOUND, SacSettings(**SIZES, **RATES), seed=0, constraint=limits), np.random.default_rng(1)
    learning = [agent._acting, agent._critic]
    if agent._constraint is not None:
        learning.append(agent._constraint.critic._critic)
        agent._constraint.multiplier = 0.5
    start, copies = ([PlainNetwork(part, **RATES) for part in learning] for _ in range(2))
    acting, critic, *costs = copies
    multiplier = 0.5
    for update in range(UPDATES):
        columns = transitions(rng)
        t = tensors_of(columns)
        found = agent.update(columns, np.random.default_rng([update, 3]))
        drawn = np.random.default_rng([update, 3]).standard_normal((2, 64, 3), dtype=np.float32)
        noise, next_noise = torch.from_numpy(drawn)
        actor = {name.removeprefix("actor."): tensor for name, tensor in acting.online.items()}
        temperature = actor.pop("temperature.log").exp()
        alpha, going_on = temperature.detach(), 1.0 - t["terminated"]
        with torch.no_grad():
            action, log_density = squashed(actor, t["next_observation"], next_noise)
            following = critic_values(critic.target, t["next_observation"], action).min(dim=0).values
            y = t["reward"] + 0.9 * going_on * (following - alpha * log_density)
            costs_to_come = [critic_values(cost.target, t["next_observation"], action)[0] for cost in costs]
        loss = 0.5 * (critic_values(critic.online, t["observation"], t["chosen"]) - y).square().mean(dim=1).sum()
        critic.descend(loss)
        assert found["critic_loss"] == pytest.approx(loss.item(), rel=1e-4)
        own, log_density = squashed(actor, t["observation"], noise)
        loss = (alpha * log_density - critic_values(critic.online, t["observation"], own).min(dim=0).values).mean()
        for cost, following in zip(costs, costs_to_come, strict=True):
            y = t["cost"] + 0.8 * going_on * following
            cost.descend(0.5 * (critic_values(cost.online, t["observation"], t["chosen"]) - y).square().mean())
            cost.follow()
            foretold = critic_values(cost.online, t["observation"], own).mean()
            loss = loss + multiplier * foretold
            multiplier = max(0.0, multiplier + 0.05 * (foretold.item() - 0.05))
            assert found["multiplier"] == pytest.approx(multiplier, rel=1e-3, abs=1e-5)
        assert found["actor_loss"] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
        acting.descend(loss - (temperature * (log_density.detach() - 3.0)).mean())
        critic.follow()
    assert (multiplier != 0.5) == constrained and multiplier > 0.1
    for trained, plain, began in zip(learning, copies, start, strict=True):
        assert_same(trained, plain, began)
