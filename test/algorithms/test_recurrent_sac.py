# SPDX-License-Identifier: Apache-2.0
"""Recurrent SAC-Lagrangian: targets by hand, the multiplier's direction, what a memory is needed for, a limit kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from safe_transfer_ros.algorithms.lagrange import next_softplus_variable, softplus
from safe_transfer_ros.algorithms.sac.recurrent import RecurrentSac, RecurrentSacSettings
from safe_transfer_ros.policies.networks.layers import uniform

UNITS = 12


class VectorEncoder(nn.Module):
    """A GRU of observations as they are."""

    units = UNITS

    def __init__(self, observation_size: int, seed: int = 0) -> None:
        super().__init__()
        self.gru = nn.GRU(observation_size, UNITS, batch_first=True)
        rng = np.random.default_rng([seed, 41])
        for parameter in self.gru.parameters():
            uniform(parameter, UNITS, rng)

    def forward(self, observation: Tensor, memory: Tensor) -> Tensor:
        return self.gru(observation, memory[None])[0]


def agent(observation_size: int = 2, seed: int = 0, **changes: Any) -> RecurrentSac:
    settings = RecurrentSacSettings(**{"hidden": (24,), "learning_rate": 1e-2, "target_rate": 0.05} | changes)
    return RecurrentSac(VectorEncoder(observation_size, seed), np.array([2.0]), settings, seed=seed)


def sequences(rng: np.random.Generator, count: int = 6, length: int = 4, **given: Any) -> dict[str, np.ndarray]:
    return {
        "observation": rng.standard_normal((count, length + 1, 2)).astype(np.float32),
        "memory": rng.standard_normal((count, UNITS)).astype(np.float32),
        "chosen": rng.uniform(-2.0, 2.0, (count, length, 1)).astype(np.float32),
        "reward": rng.standard_normal((count, length)).astype(np.float32),
        "cost": rng.random((count, length)).astype(np.float32),
        "terminated": rng.random((count, length)) < 0.3,
    } | given


def test_softplus_and_its_step_by_hand() -> None:
    assert softplus(0.0) == pytest.approx(math.log(2.0)) and softplus(-800.0) == 0.0 and softplus(800.0) == 800.0
    assert softplus(1.3) == pytest.approx(math.log1p(math.exp(1.3)))
    # d softplus / dv = 1 / (1 + exp(-v))
    assert next_softplus_variable(0.7, 2.0, 0.1) == pytest.approx(0.7 + 0.1 * 2.0 / (1.0 + math.exp(-0.7)))
    assert next_softplus_variable(0.7, -2.0, 0.1) < 0.7
    for wrong in ((0.0, 1.0, 0.0), (math.nan, 1.0, 0.1), (0.0, math.inf, 0.1)):
        with pytest.raises(ValueError, match="expected rate > 0, all finite"):
            next_softplus_variable(*wrong)


def test_targets_are_those_of_every_step_from_the_stored_memory() -> None:
    """Worked out step by step: the memory of the target's encoder, the least of the twins, alpha, and the end."""
    made, rng = agent(gamma=0.9, temperature=0.2), np.random.default_rng(3)
    for _ in range(3):  # the targets are now other networks than those that learn
        made.update(sequences(rng), rng)
    given = sequences(rng, count=3)
    seen, asked = [], {}
    made._targets = lambda *parts: asked.setdefault("targets", RecurrentSac._targets(made, *parts))  # type: ignore
    network, target = made._critics.network, made._critics.target
    draws = np.random.default_rng(7).standard_normal((2, 12, 1), dtype=np.float32)[1].reshape(3, 4, 1)
    with torch.no_grad():
        for row in range(3):
            memory, slow = (torch.from_numpy(given["memory"][row : row + 1]) for _ in range(2))
            for step in range(5):
                at = torch.from_numpy(given["observation"][row, step])[None, None]
                memory, slow = network.encoder(at, memory)[:, 0], target.encoder(at, slow)[:, 0]
                if step:
                    noise = torch.from_numpy(draws[row, step - 1])[None]
                    action, density = made.head.sample(memory, noise)
                    values = target.reward(slow, action)
                    alive = 0.9 * (1.0 - float(given["terminated"][row, step - 1]))
                    soft = float(values.min()) - 0.2 * float(density)
                    cost = float(target.cost(slow, action))
                    seen.append(
                        (
                            given["reward"][row, step - 1] + alive * soft,
                            given["cost"][row, step - 1] + alive * cost,
                        )
                    )
    made.update(given, np.random.default_rng(7))
    reward, cost = (target.numpy() for target in asked["targets"])
    np.testing.assert_allclose(np.stack([reward, cost], axis=1), np.array(seen), rtol=1e-4, atol=1e-5)


def test_the_encoder_learns_from_the_critics_and_not_from_the_actor() -> None:
    made, rng = agent(cost_limit=1.0), np.random.default_rng(0)
    before = [parameter.detach().clone() for parameter in made.encoder.parameters()]
    made._acting.descend = lambda loss: loss.backward()  # type: ignore[method-assign]
    stepped: list[bool] = []
    made._critics.descend = lambda loss: stepped.append(  # type: ignore[method-assign]
        all(
            found is not None for found in torch.autograd.grad(loss, list(made.encoder.parameters()), allow_unused=True)
        )
    )
    made.update(sequences(rng), rng)
    assert stepped == [True]
    assert all(parameter.grad is None for parameter in made.encoder.parameters())
    assert all(torch.equal(one, two) for one, two in zip(before, made.encoder.parameters(), strict=True))
    assert all(parameter.grad is not None for parameter in made.head.parameters())


def test_the_multiplier_grows_while_the_cost_is_over_its_limit() -> None:
    rng = np.random.default_rng(0)
    over, under, none = (agent(cost_limit=limit, multiplier_rate=0.1) for limit in (1e-3, 50.0, None))
    for made in (over, under, none):
        for _ in range(60):
            found = made.update(sequences(rng, cost=np.ones((6, 4), np.float32)), rng)
    assert over.multiplier > 1.5 * math.log(2.0) > math.log(2.0) > under.multiplier > 0.0
    assert none.multiplier == found["multiplier"] == 0.0 and none.variable == 0.0


def recalled(rng: np.random.Generator, count: int = 48) -> dict[str, np.ndarray]:
    """Episodes of three steps: a sign is shown in the first; in the last, the reward is it times the action."""
    sign = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    observation = np.zeros((count, 4, 2), dtype=np.float32)
    observation[:, 0, 0] = sign
    observation[:, 1:3, 1] = (0.5, 1.0)
    chosen = rng.uniform(-2.0, 2.0, (count, 3, 1)).astype(np.float32)
    reward = np.zeros((count, 3), dtype=np.float32)
    reward[:, 2] = sign * chosen[:, 2, 0]
    ended = np.zeros((count, 3), dtype=bool)
    ended[:, 2] = True
    return {
        "observation": observation,
        "memory": np.zeros((count, UNITS), dtype=np.float32),
        "chosen": chosen,
        "reward": reward,
        "cost": np.asarray(chosen[..., 0] > 0.0, dtype=np.float32),
        "terminated": ended,
    }


def acted(made: RecurrentSac, sign: float) -> float:
    """Action in the last step of an episode, without noise."""
    memory = np.zeros((1, UNITS))
    for observation in ((sign, 0.0), (0.0, 0.5), (0.0, 1.0)):
        action, memory = made.act(np.array([observation]), memory, np.zeros((1, 1)))
    return float(action[0, 0])


def test_what_was_seen_two_steps_ago_decides_what_is_done() -> None:
    made, rng = agent(gamma=0.9, temperature=0.01), np.random.default_rng(1)
    for _ in range(200):
        made.update(recalled(rng), rng)
    assert acted(made, 1.0) > 1.0 and acted(made, -1.0) < -1.0


def test_a_limit_on_costs_is_kept_that_reward_alone_breaks() -> None:
    """A bandit of one step: reward a, cost 1 where a > 0; at most one cost in five is accepted."""

    def share(limit: float | None) -> float:
        rng = np.random.default_rng(2)
        made = agent(gamma=0.0, temperature=0.05, cost_limit=limit, multiplier_rate=0.1, learning_rate=2e-2)
        for _ in range(200):
            chosen = rng.uniform(-2.0, 2.0, (64, 1, 1)).astype(np.float32)
            made.update(
                {
                    "observation": np.zeros((64, 2, 2), np.float32),
                    "memory": np.zeros((64, UNITS), np.float32),
                    "chosen": chosen,
                    "reward": chosen[..., 0],
                    "cost": np.asarray(chosen[..., 0] > 0.0, dtype=np.float32),
                    "terminated": np.ones((64, 1), dtype=bool),
                },
                rng,
            )
        n = 2000
        drawn, _ = made.act(np.zeros((n, 2)), np.zeros((n, UNITS)), rng.standard_normal((n, 1)))
        return float((drawn > 0.0).mean())

    assert share(None) > 0.9 and share(0.2) < 0.35


def test_a_restored_agent_goes_on_to_the_same_bits() -> None:
    one, rng = agent(cost_limit=0.5, multiplier_rate=0.1), np.random.default_rng(4)
    for _ in range(3):
        one.update(sequences(rng), rng)
    two = agent(seed=9, cost_limit=0.5, multiplier_rate=0.1)
    two.restore(one.state())
    given = sequences(rng)
    for made in (one, two):
        found = made.update(given, np.random.default_rng(8))
        made.watched = found  # type: ignore[attr-defined]
    assert one.watched == two.watched and one.updates == two.updates == 4  # type: ignore[attr-defined]
    seen, memory = rng.standard_normal((2, 2)), rng.standard_normal((2, UNITS))
    for first, second in zip(
        one.act(seen, memory, np.ones((2, 1))), two.act(seen, memory, np.ones((2, 1))), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gamma": 1.0}, "gamma in"),
        ({"target_rate": 0.0}, "target_rate in"),
        ({"temperature": -0.1}, "temperature >= 0"),
        ({"temperature": math.nan}, "temperature >= 0"),
        ({"cost_limit": 0.0}, "cost_limit and multiplier_rate above 0"),
        ({"cost_limit": math.nan}, "cost_limit and multiplier_rate above 0"),
        ({"multiplier_rate": 0.0}, "cost_limit and multiplier_rate above 0"),
    ],
)
def test_settings_that_would_switch_something_off_are_refused(changes: dict[str, float], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        RecurrentSacSettings(**changes)  # type: ignore[arg-type]
