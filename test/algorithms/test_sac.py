# SPDX-License-Identifier: Apache-2.0
"""SAC's losses by hand, the direction of its temperature, and the entropy it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.sac.actor import actor_loss
from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.sac.critic import soft_value
from safe_transfer_ros.algorithms.sac.temperature import Temperature, temperature_loss

VALUES = torch.tensor([[1.0, 5.0], [2.0, 3.0]])
LOG_DENSITY = torch.tensor([-0.5, 2.0])


def columns(count: int, rng: np.random.Generator, **given: Any) -> dict[str, np.ndarray]:
    return {
        "observation": rng.standard_normal((count, 2)).astype(np.float32),
        "chosen": rng.uniform(-1.0, 1.0, (count, 1)).astype(np.float32),
        "reward": np.ones(count, dtype=np.float32),
        "terminated": np.ones(count, dtype=np.bool_),
        "next_observation": rng.standard_normal((count, 2)).astype(np.float32),
    } | given


def test_losses_by_hand() -> None:
    alpha = torch.tensor(0.1)
    torch.testing.assert_close(soft_value(VALUES, LOG_DENSITY, alpha), torch.tensor([1.0 + 0.05, 3.0 - 0.2]))
    assert actor_loss(VALUES, LOG_DENSITY, alpha).item() == pytest.approx(0.5 * (-0.05 - 1.0 + 0.2 - 3.0))
    assert temperature_loss(alpha, LOG_DENSITY, -1.0).item() == pytest.approx(-0.1 * (0.75 - 1.0))


def test_the_temperature_grows_while_the_entropy_is_below_its_target() -> None:
    def slope(entropy: float) -> float:
        temperature = Temperature(0.3)
        log_density = torch.full((4,), -entropy, requires_grad=True)
        temperature_loss(temperature(), log_density, -2.0).backward()
        assert log_density.grad is None
        return float(temperature.log.grad)

    assert slope(-3.0) < 0.0 < slope(-1.0)  # descent: a negative slope lets it grow
    assert slope(-2.0) == pytest.approx(0.0)
    assert Temperature(0.3)().item() == pytest.approx(0.3)
    with pytest.raises(ValueError, match="temperature above 0"):
        Temperature(0.0)


@pytest.mark.parametrize("initial", [0.01, 3.0])
def test_the_entropy_comes_to_its_target(initial: float) -> None:
    """One step for a reward of -20 a^2; without the temperature's rule a is known to the last digit, or anything."""
    rng, target = np.random.default_rng([0, 33]), -0.7
    settings = SacSettings(
        hidden=(32,), learning_rate=2e-2, target_entropy=target, initial_temperature=initial, target_rate=0.1
    )
    agent = Sac(2, np.ones(1), settings, seed=0)

    def step() -> float:
        batch = columns(64, rng)
        return agent.update(batch | {"reward": -20.0 * batch["chosen"][:, 0] ** 2}, rng)["entropy"]

    for _ in range(400):
        step()
    assert np.mean([step() for _ in range(100)]) == pytest.approx(target, abs=0.15)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"gamma": 1.0}, {"target_rate": 0.0}):
        with pytest.raises(ValueError, match="gamma in .* and target_rate in"):
            SacSettings(**wrong)
