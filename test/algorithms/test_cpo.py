# SPDX-License-Identifier: Apache-2.0
"""CPO's dual against a numerical solver, case by case; its step against its promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from safe_transfer_ros.algorithms.cpo import Case, DualSolution, cpo_update, solve_dual
from safe_transfer_ros.algorithms.gaussian_network import kl_divergence
from safe_transfer_ros.algorithms.trpo import TrpoBatch, trpo_update
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings

DELTA, SIZE = 0.02, 4


def problem(seed: int):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((SIZE, SIZE))
    return rng.standard_normal(SIZE), rng.standard_normal(SIZE), root @ root.T + 0.3 * np.eye(SIZE)


def closed_form(g, b, h, c) -> tuple[DualSolution, np.ndarray]:
    along_g, along_b = np.linalg.solve(h, g), np.linalg.solve(h, b)
    solution = solve_dual(g @ along_g, g @ along_b, b @ along_b, c, DELTA)
    return solution, solution.reward_weight * along_g - solution.cost_weight * along_b


def brute_force(g, b, h, c, *, recover: bool) -> np.ndarray:
    """The quadratic programme by SLSQP in whitened coordinates, from several starts; the best that is feasible."""
    factor = np.linalg.cholesky(np.linalg.inv(h))  # x = factor y, x.H x = y.y
    objective, slope = factor.T @ (-b if recover else g), factor.T @ b
    region = {"type": "ineq", "fun": lambda y: 1.0 - y @ y, "jac": lambda y: -2.0 * y}
    scale = np.sqrt(2.0 * DELTA)
    limit = {"type": "ineq", "fun": lambda y: -(c / scale + slope @ y), "jac": lambda y: -slope}
    best, best_value = None, -np.inf
    for seed in range(6):
        start = np.random.default_rng(seed).standard_normal(SIZE) * 0.3
        found = minimize(
            lambda y: -objective @ y,
            start,
            jac=lambda y: -objective,
            constraints=[region] if recover else [region, limit],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        y = found.x
        feasible = y @ y <= 1.0 + 1e-7 and (recover or c / scale + slope @ y <= 1e-7)
        if feasible and objective @ y > best_value:
            best, best_value = y, objective @ y
    assert best is not None
    return scale * factor @ best


# c in units of how far a step of the region can change the cost.
@pytest.mark.parametrize(
    ("share", "case"),
    [(1.3, Case.INFEASIBLE), (0.6, Case.RETURN), (0.0, Case.RETURN), (-0.4, Case.CUT), (-1.2, Case.FREE)],
)
@pytest.mark.parametrize("seed", range(6))
def test_the_step_is_the_quadratic_programmes(share: float, case: Case, seed: int) -> None:
    g, b, h = problem(seed)
    c = share * np.sqrt(2.0 * DELTA * (b @ np.linalg.solve(h, b)))
    solution, x = closed_form(g, b, h, c)
    assert solution.case is case
    expected = brute_force(g, b, h, c, recover=case is Case.INFEASIBLE)
    np.testing.assert_allclose(x, expected, atol=2e-4 * np.linalg.norm(expected))
    assert 0.5 * x @ h @ x == pytest.approx(DELTA)
    if case in (Case.RETURN, Case.CUT):
        assert c + b @ x <= 1e-9


def test_both_branches_of_the_dual_occur_in_the_problems_above() -> None:
    """An active constraint and an inactive one, over and under the limit: else the test above says less."""
    active = {Case.RETURN: set(), Case.CUT: set()}
    for seed in range(6):
        g, b, h = problem(seed)
        for share in (0.0, -0.4):
            solution, _ = closed_form(g, b, h, share * np.sqrt(2.0 * DELTA * (b @ np.linalg.solve(h, b))))
            active[solution.case].add(solution.cost_weight > 0.0)
    assert active == {Case.RETURN: {True, False}, Case.CUT: {True, False}}


@pytest.mark.parametrize("c", [-0.1, 0.0, 0.1])
def test_a_cost_that_nothing_changes(c: float) -> None:
    g, _, h = problem(0)
    solution, x = closed_form(g, np.zeros(SIZE), h, c)
    assert solution.case is Case.NO_COST_GRADIENT
    if c < 0.0:
        np.testing.assert_allclose(x, brute_force(g, np.zeros(SIZE), h, c, recover=False), atol=1e-4)
    else:
        np.testing.assert_array_equal(x, 0.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("share", [0.5, -0.5])
def test_parallel_gradients_end_at_the_limit_or_at_the_region(sign: float, share: float) -> None:
    g, _, h = problem(1)
    reach = np.sqrt(2.0 * DELTA * (g @ np.linalg.solve(h, g)))
    _, x = closed_form(g, sign * g, h, share * reach)
    # The reward g.x may rise as far as the limit allows; where it lowers the cost, as far as the region goes.
    assert g @ x == pytest.approx(-share * reach if sign > 0 else reach, rel=1e-6)


@pytest.mark.parametrize(
    "broken", [(-1.0, 0.0, 1.0, 0.0, 0.1), (1.0, np.nan, 1.0, 0.0, 0.1), (1.0, 0.0, 1.0, 0.0, 0.0)]
)
def test_senseless_numbers_are_refused(broken) -> None:
    with pytest.raises(ValueError, match="expected finite"):
        solve_dual(*broken)


# The update ----------------------------------------------------------------------------------------------------------

SETTINGS = TrustRegionSettings(max_kl=0.01, fisher_fraction=1.0, damping=1e-4, cg_iterations=20)


def batch(seed: int = 0):
    """The reward likes action 0, the cost grows with it and with action 1."""
    rng = np.random.default_rng(seed)
    parameters = {
        "hidden.0.weight": rng.standard_normal((8, 3)).astype(np.float32),
        "hidden.0.bias": np.zeros(8, np.float32),
        "mean.weight": (0.1 * rng.standard_normal((2, 8))).astype(np.float32),
        "mean.bias": np.zeros(2, np.float32),
        "log_std": np.full(2, -0.5, np.float32),
    }
    observations = rng.standard_normal((3000, 3)).astype(np.float32)
    mean = np.tanh(observations @ parameters["hidden.0.weight"].T) @ parameters["mean.weight"].T
    actions = mean + np.exp(-0.5) * rng.standard_normal((3000, 2))
    reward, cost = actions[:, 0] - actions[:, 0].mean(), 0.5 * (actions[:, 0] + actions[:, 1])
    made = TrpoBatch(observations=observations, actions=actions, advantages=reward)
    return parameters, made, (cost - cost.mean()).astype(np.float32)


@pytest.mark.parametrize(
    ("excess", "case"), [(-1.0, Case.FREE), (-0.02, Case.CUT), (0.02, Case.RETURN), (1.0, Case.INFEASIBLE)]
)
def test_the_update_keeps_what_its_case_promises(excess: float, case: Case) -> None:
    parameters, made, costs = batch()
    update = cpo_update(parameters, made, costs, excess, SETTINGS, seed=0)
    assert update.case is case and update.accepted
    assert update.kl <= SETTINGS.max_kl
    assert kl_divergence(parameters, update.parameters, made.observations) == pytest.approx(update.kl, rel=1e-4)
    if excess < 0.0:
        assert update.reward_change > 0.01 and update.cost_change <= -excess
    else:
        assert update.cost_change < -0.5 * min(excess, 0.03)
    if case is Case.FREE:
        plain = trpo_update(parameters, made, SETTINGS, seed=0)
        assert update.reward_change == pytest.approx(plain.surrogate_after - plain.surrogate_before, rel=0.02)
    if case is Case.CUT:
        assert update.cost_change == pytest.approx(0.02, rel=0.15), "as far as the limit"


def test_a_batch_without_failures_over_the_limit_keeps_the_policy() -> None:
    parameters, made, costs = batch()
    update = cpo_update(parameters, made, np.zeros_like(costs), 0.1, SETTINGS, seed=0)
    assert not update.accepted and update.case is Case.NO_COST_GRADIENT
    np.testing.assert_array_equal(update.parameters["mean.weight"], parameters["mean.weight"])


def test_cost_advantages_that_are_no_numbers_are_refused() -> None:
    parameters, made, costs = batch()
    costs[3] = np.nan
    with pytest.raises(ValueError, match="finite cost advantages"):
        cpo_update(parameters, made, costs, 0.0, SETTINGS, seed=0)
    with pytest.raises(ValueError, match="finite cost advantages"):
        cpo_update(parameters, made, costs[:-1], 0.0, SETTINGS, seed=0)
