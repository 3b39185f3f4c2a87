# SPDX-License-Identifier: Apache-2.0
"""The least correction, against a general solver; and a policy behind a layer, against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from safe_transfer_ros.algorithms.cost_critic import CostCritic, CostCriticSettings
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.layered import LayeredPolicy, corrected
from safe_transfer_ros.policies.loading import layered_to_bytes, policy_from_bytes
from safe_transfer_ros.policies.policy import DETERMINISTIC
from safe_transfer_ros.policies.tensors import Tensors, WeightsError


def test_it_is_the_least_correction_that_keeps_the_constraint() -> None:
    rng = np.random.default_rng([0, 38])
    action, gradient = rng.standard_normal((2, 12, 3))
    cost = rng.normal(0.3, 1.0, 12)
    found, kept = corrected(action, gradient, cost, 0.2)
    assert kept.all() and 2 < (cost > 0.2).sum() < 10
    for row in range(12):
        solved = minimize(
            lambda a, row=row: np.square(a - action[row]).sum(),
            action[row],
            constraints={
                "type": "ineq",
                "fun": lambda a, row=row: 0.2 - cost[row] - gradient[row] @ (a - action[row]),
            },
        )
        np.testing.assert_allclose(found[row], solved.x, atol=1e-5)
    safe = cost <= 0.2
    np.testing.assert_array_equal(found[safe], action[safe])


def test_what_cannot_be_corrected_is_not_called_safe() -> None:
    action, cost = np.zeros((4, 2)), np.array([1.0, 1.0, -1.0, 1.0])
    gradient = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1e-200, 0.0]])
    found, kept = corrected(action, gradient, cost, 0.0, bound=np.array([0.5, 0.5]))
    np.testing.assert_array_equal(found, [[0.0, 0.0], [-0.5, 0.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(kept, [False, False, True, False])
    found, kept = corrected(action, gradient, cost, 0.0)
    np.testing.assert_array_equal(found[1], [-1.0, 0.0])
    assert kept[1]


def test_what_is_not_a_number_is_refused() -> None:
    good = np.zeros((2, 3))
    for action, gradient, cost in (
        (good * np.nan, good, good[:, 0]),
        (good, good + np.inf, good[:, 0]),
        (good, good, good[:, 0] * np.nan),
    ):
        with pytest.raises(ValueError, match="is not finite"):
            corrected(action, gradient, cost, 0.1)
    with pytest.raises(ValueError, match="finite limit"):
        corrected(good, good, good[:, 0], np.nan)
    with pytest.raises(ValueError, match="expected actions"):
        corrected(good, good[:1], good[:, 0], 0.1)


K, BOUND = 4, np.array([0.5, 2.0], dtype=np.float32)
RNG = np.random.default_rng([0, 40])
CRITIC = CostCritic(K, 2, CostCriticSettings(hidden=(16, 8)), np.random.default_rng(7))


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


BASELINE: Tensors = {"hidden.0.weight": array(6, K), "hidden.0.bias": array(6)}
BASELINE |= {"mean.weight": array(2, 6), "mean.bias": array(2), "bound": BOUND}
LAYER: Tensors = {f"critic.{name}": values for name, values in CRITIC.parameters().items()} | {"bound": BOUND}


def file(limit: str = "0.2", **about: str) -> bytes:
    return layered_to_bytes((BASELINE, {"kind": "deterministic"} | about), LAYER, {"limit": limit})


def test_cost_and_gradient_are_those_of_autograd() -> None:
    policy, _ = policy_from_bytes(file())
    assert isinstance(policy, LayeredPolicy)
    seen, fraction = RNG.standard_normal((9, K)), RNG.uniform(-1.0, 1.0, (9, 2))
    asked = torch.from_numpy(fraction.astype(np.float32)).requires_grad_()
    values = CRITIC.values(torch.from_numpy(seen.astype(np.float32)), asked)
    (gradient,) = torch.autograd.grad(values.sum(), asked)
    cost, found = policy.cost(seen, fraction)
    np.testing.assert_allclose(cost, values.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(found, gradient.numpy(), atol=1e-6)


def test_the_file_acts_as_the_baseline_corrected() -> None:
    seen = RNG.standard_normal((30, K))
    alone = DeterministicPolicy(BASELINE).act(seen, np.zeros((30, 0))).action
    loose, _ = policy_from_bytes(file("1e9"))
    assert isinstance(loose, LayeredPolicy)
    np.testing.assert_allclose(loose.act(seen, np.zeros((30, 0))).action, alone, atol=1e-6)
    middle = float(np.median(loose.cost(seen, alone / BOUND)[0]))
    assert middle + 0.5 > 0.0
    raised = LAYER | {"critic.value.bias": LAYER["critic.value.bias"] + np.float32(0.5)}
    policy, _ = policy_from_bytes(
        layered_to_bytes((BASELINE, {"kind": "deterministic"}), raised, {"limit": repr(middle + 0.5)})
    )
    assert isinstance(policy, LayeredPolicy)
    found = policy.act(seen, np.zeros((30, 0)))
    assert found.distribution == DETERMINISTIC and found.action is found.mean
    fraction = alone / BOUND
    cost, gradient = policy.cost(seen, fraction)
    wanted, _ = corrected(fraction, gradient, cost, middle + 0.5, bound=np.ones(2))
    np.testing.assert_allclose(found.action, BOUND * wanted, atol=1e-5)
    assert (np.abs(found.action - alone).max(axis=1) > 1e-3).sum() > 5, "some are corrected"
    for row in range(5):
        np.testing.assert_array_equal(policy.act(seen[row], np.zeros(0)).action, found.action[row])


def test_numbers_that_are_not_finite_end_an_episode_by_name() -> None:
    policy, _ = policy_from_bytes(file())
    with pytest.raises(WeightsError, match="is not finite: the critic or the policy has diverged"):
        policy.act(np.full(K, np.nan), np.zeros(0))


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "", "much"])
def test_without_a_limit_above_0_it_is_refused(limit: str) -> None:
    with pytest.raises(WeightsError, match="limit of a layered policy as a finite number above 0"):
        file(limit)


def test_a_baseline_that_remembers_or_is_layered_is_refused() -> None:
    with pytest.raises(WeightsError, match="baseline: .* behind a safety layer is not supported"):
        file(kind="layered")
    with pytest.raises(WeightsError, match="baseline: a pair of pairs"):
        file(kind="pair")
    gru = {
        "gru.weight_ih": array(18, 6),
        "gru.weight_hh": array(18, 6),
        "gru.bias_ih": array(18),
        "gru.bias_hh": array(18),
    }
    remembers = BASELINE | gru | {"log_std": array(2)}
    with pytest.raises(WeightsError, match="baseline: expected one whose action follows from the observation alone"):
        layered_to_bytes((remembers, {"kind": "recurrent"}), LAYER, {"limit": "0.2"})
