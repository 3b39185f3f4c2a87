# SPDX-License-Identifier: Apache-2.0
"""SQRL's critic for the filter, and a critic of recordings for SQRL: the same risks, whatever is before the layers."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.critics.safety_critic import LoadedCritic, critic_from_bytes, critic_to_bytes
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.transfer.off_policy.start import Start, start_from_bytes
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.critic_file import gate_critic, layers_of, with_critic
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

SEEN, BOUND = 4, np.array([2.0, 0.5])


def recorded(seed: int = 0, **card: object) -> LoadedCritic:
    """Critic as `train-critic` makes one, of random numbers."""
    rng = np.random.default_rng(seed)
    shapes = {"layer.0.weight": (2, 8, 6), "layer.0.bias": (2, 8), "layer.1.weight": (2, 1, 8), "layer.1.bias": (2, 1)}
    parameters = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    parameters |= {
        "input.mean": rng.standard_normal(6).astype(np.float32),
        "input.scale": rng.uniform(0.5, 2.0, 6).astype(np.float32),
        "support.factor": np.eye(6, dtype=np.float32),
    }
    about = {"kind": "SQRL", "epsilon": 0.3, "gamma_safe": 0.5, "observation_size": SEEN}
    about |= {"support": {"rule": "off", "limit": 1.0}, **card}
    return critic_from_bytes(critic_to_bytes(parameters, about), name="it")


def policy(size: int = SEEN) -> Start:
    agent = SqrlAgent(size, BOUND, SacSettings(hidden=(8,)), SqrlSettings(hidden=(8,)), seed=0, mask=False)
    return start_from_bytes(agent.policy_file({}), "it")


def test_there_and_back_the_risks_are_the_same() -> None:
    rng = np.random.default_rng(1)
    observation, action = rng.standard_normal((50, SEEN)), rng.uniform(-BOUND, BOUND, (50, 2))
    critic = recorded()
    expected = critic.critic.risk(observation, action)
    assert np.ptp(expected) > 0.3
    layers = layers_of(critic, BOUND)
    card = {"epsilon": 0.3, "observation_size": SEEN}
    again = critic_from_bytes(gate_critic(layers, BOUND, card), name="it", observation_size=SEEN, action_size=2)
    np.testing.assert_allclose(again.critic.risk(observation, action), expected, atol=1e-5)

    data = with_critic(policy(), critic, None, {"task": "a"})
    joined, about = policy_from_bytes(data)
    assert isinstance(joined, MaskedPolicy) and joined.epsilon == 0.3
    np.testing.assert_allclose(joined.risk(observation, action), expected, atol=1e-5)
    assert (about["task"], about["gamma_safe"], about["horizon"], about["critic"]) == ("a", "0.5", "2", critic.version)
    assert float(about["temperature"]) == 1.0 and "limit_index" not in about
    start = start_from_bytes(data, "it")
    for name, array in policy().policy.items():
        np.testing.assert_array_equal(start.policy[name], array)
    limited = policy_from_bytes(with_critic(policy(), critic, (1, 0.1), {}))[0]
    cut = np.clip(action, -0.1 * np.maximum(observation[:, 1:2], 0.0), 0.1 * np.maximum(observation[:, 1:2], 0.0))
    np.testing.assert_allclose(limited.risk(observation, action), critic.critic.risk(observation, cut), atol=1e-5)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(WeightsError, match="expected a critic trained without --conservative, got one of kind CSC"):
        with_critic(policy(), recorded(kind="CSC"), None, {})
    with pytest.raises(WeightsError, match="expected a critic of 5 observed numbers, got 4"):
        with_critic(policy(5), recorded(), None, {})
    with pytest.raises(WeightsError, match="expected a critic of 3 action numbers, as the policy has, got 2"):
        layers_of(recorded(), np.ones(3))
