# SPDX-License-Identifier: Apache-2.0
"""TD3's target by hand, its delay, and that a time limit is no termination."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.double_q import TransitionBatch, bellman_target, critic_loss
from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings, smoothed


def columns(**given: Any) -> dict[str, np.ndarray]:
    """One state that leads to itself, with a reward of 1."""
    rng = np.random.default_rng([0, 34])
    return {
        "observation": np.zeros((32, 2), dtype=np.float32),
        "chosen": rng.uniform(-3.0, 3.0, (32, 1)).astype(np.float32),
        "reward": np.ones(32, dtype=np.float32),
        "terminated": np.zeros(32, dtype=np.bool_),
        "truncated": np.zeros(32, dtype=np.bool_),
        "next_observation": np.zeros((32, 2), dtype=np.float32),
    } | given


def agent(kind: Any, settings: Any, **given: Any) -> Any:
    chosen = {"gamma": 0.8, "hidden": (16, 16), "learning_rate": 1e-2, "target_rate": 0.2} | given
    return kind(2, np.array([3.0]), settings(**chosen), seed=0)


def test_target_and_loss_by_hand() -> None:
    target = bellman_target(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0]), 0.9)
    torch.testing.assert_close(target, torch.tensor([2.8, 1.0]))
    values = torch.tensor([[2.8, 2.0], [0.8, 1.0]])
    assert critic_loss(values, target).item() == pytest.approx(0.5 * 0.5 * (1.0 + 4.0))


def test_the_targets_actions_are_smoothed_within_both_bounds() -> None:
    action, noise = torch.tensor([0.0, 0.0, 0.9, -0.9]), torch.tensor([1.0, -9.0, 1.0, -1.0])
    torch.testing.assert_close(smoothed(action, noise, 0.2, 0.5), torch.tensor([0.2, -0.5, 1.0, -1.0]))


def test_the_least_twin_at_the_targets_action_is_learned_from() -> None:
    learner = agent(Td3, Td3Settings, smoothing=0.0)
    batch = TransitionBatch.of(columns(), torch.tensor([3.0]))
    torch.testing.assert_close(batch.action, torch.from_numpy(columns()["chosen"]) / 3.0)
    with torch.no_grad():
        values = learner._critic.target(batch.next_observation, learner._actor.target(batch.next_observation))
        torch.testing.assert_close(learner._target(batch, torch.ones(32, 1)), 1.0 + 0.8 * values.amin(dim=0))


@pytest.mark.parametrize(("kind", "settings"), [(Td3, Td3Settings), (Sac, SacSettings)])
@pytest.mark.parametrize(("end", "value"), [("truncated", 5.0), ("terminated", 1.0)])
def test_a_time_limit_is_no_termination(kind: Any, settings: Any, end: str, value: float) -> None:
    """Reward 1 for ever is worth 1 / (1 - .8), however often a limit cuts it off; a terminated step is worth 1."""
    given = {"initial_temperature": 1e-6, "target_entropy": -100.0} if kind is Sac else {}
    learner, rng = agent(kind, settings, **given), np.random.default_rng([0, 35])
    batch = columns(**{end: np.ones(32, dtype=np.bool_)})
    for _ in range(300):
        learner.update(batch, rng)
    with torch.no_grad():
        found = learner._critic.network(torch.zeros(5, 2), torch.linspace(-0.5, 0.5, 5)[:, None])
    torch.testing.assert_close(found, torch.full((2, 5), value), rtol=0.05, atol=0.05)


def test_the_actor_and_the_targets_wait_for_the_delay() -> None:
    learner, rng = agent(Td3, Td3Settings, delay=3), np.random.default_rng([0, 36])

    def parts() -> tuple[Any, ...]:
        critic, actor = learner._critic, learner._actor
        found = (critic.network, actor.network, critic.target, actor.target)
        return tuple(copy.deepcopy(part.state_dict()) for part in found)

    moved = []
    for _ in range(6):
        before = parts()
        found = learner.update(columns(), rng)
        after = parts()
        pairs = zip(before, after, strict=True)
        moved.append(tuple(any(not torch.equal(one[name], two[name]) for name in one) for one, two in pairs))
        assert ("actor_loss" in found) == moved[-1][1]
    assert moved == 2 * [(True, False, False, False), (True, False, False, False), (True, True, True, True)]


def test_it_explores_within_the_bound() -> None:
    learner = agent(Td3, Td3Settings, exploration=0.1)
    still = learner.act(np.zeros((1, 2)), np.zeros((1, 1)))
    np.testing.assert_allclose(learner.act(np.zeros((1, 2)), np.ones((1, 1))) - still, 0.3, atol=1e-6)
    assert learner.act(np.zeros((1, 2)), np.full((1, 1), 1e3)) == 3.0
    np.testing.assert_allclose(learner.policy().act(np.zeros((1, 2)), np.zeros((1, 0))).action, still, atol=1e-6)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"gamma": 1.0}, {"target_rate": 0.0}, {"delay": 0}):
        with pytest.raises(ValueError, match="gamma in .* and a delay"):
            Td3Settings(**wrong)
    with pytest.raises(ValueError, match="noise of at least 0"):
        Td3Settings(smoothing=-0.1)
