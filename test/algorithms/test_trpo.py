# SPDX-License-Identifier: Apache-2.0
"""TRPO against autograd, torch.distributions and its own promises."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms import gaussian_network
from safe_transfer_ros.algorithms.gaussian_network import FisherProduct, kl_divergence, parameter_names
from safe_transfer_ros.algorithms.trpo import TrpoBatch, trpo_update
from safe_transfer_ros.algorithms.trust_region import TrustRegion, TrustRegionSettings

SIZES = (6, 16, 12, 3)  # observation, two hidden layers, action
Parameters = dict[str, np.ndarray]


def make_parameters(seed: int = 0) -> Parameters:
    rng = np.random.default_rng(seed)
    parameters: Parameters = {}
    names = ["hidden.0", "hidden.1", "mean"]
    for name, inputs, outputs in zip(names, SIZES[:-1], SIZES[1:], strict=True):
        parameters[f"{name}.weight"] = (rng.standard_normal((outputs, inputs)) / inputs**0.5).astype(np.float32)
        parameters[f"{name}.bias"] = rng.standard_normal(outputs).astype(np.float32) * np.float32(0.1)
    parameters["log_std"] = np.array([-1.0, -0.3, 0.2], np.float32)
    return parameters


def distribution(flat: torch.Tensor, parameters: Parameters, observations: torch.Tensor):
    """The policy as torch's own distribution, a function of the flat parameters."""
    sizes = [parameters[name].size for name in parameter_names(parameters)]
    views = {
        name: part.view(parameters[name].shape)
        for name, part in zip(parameter_names(parameters), flat.split(sizes), strict=True)
    }
    activation = observations
    for layer in range(2):
        activation = torch.tanh(activation @ views[f"hidden.{layer}.weight"].T + views[f"hidden.{layer}.bias"])
    mean = activation @ views["mean.weight"].T + views["mean.bias"]
    return torch.distributions.Independent(torch.distributions.Normal(mean, views["log_std"].exp()), 1)


def flatten(parameters: Parameters) -> torch.Tensor:
    return torch.tensor(
        np.concatenate([parameters[name].ravel() for name in parameter_names(parameters)]),
        dtype=torch.float64,
    )


def make_batch(parameters: Parameters, count: int = 1500, seed: int = 1) -> TrpoBatch:
    """Advantages that favour actions along the first observations, with noise."""
    generator = torch.Generator().manual_seed(seed)
    observations = torch.randn(count, SIZES[0], generator=generator)
    policy = distribution(flatten(parameters), parameters, observations.double())
    actions = policy.mean + policy.stddev * torch.randn(count, SIZES[-1], generator=generator)
    advantages = (actions * observations[:, :3]).sum(1) + torch.randn(count, generator=generator)
    return TrpoBatch(observations=observations.numpy(), actions=actions.numpy(), advantages=advantages.numpy())


def test_the_fisher_vector_product_is_the_hessian_of_the_kl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_network, "_BLOCK", 64)  # several blocks and a short one
    parameters = make_parameters()
    observations = np.random.default_rng(2).standard_normal((150, SIZES[0])).astype(np.float32)
    flat = flatten(parameters).requires_grad_()
    states = torch.tensor(observations, dtype=torch.float64)
    fixed = distribution(flat.detach(), parameters, states)
    kl = torch.distributions.kl_divergence(fixed, distribution(flat, parameters, states)).mean()
    (gradient,) = torch.autograd.grad(kl, flat, create_graph=True)
    whole = TrustRegionSettings(fisher_fraction=1.0)
    region = TrustRegion(parameters, observations, np.zeros((150, SIZES[-1]), np.float32), whole, seed=0)
    for seed in range(3):
        vector = torch.tensor(np.random.default_rng(seed).standard_normal(flat.shape))
        (expected,) = torch.autograd.grad(gradient @ vector, flat, retain_graph=True)
        np.testing.assert_allclose(region.fisher(vector), expected.numpy(), rtol=2e-4, atol=2e-5)


def test_the_surrogate_gradient_is_autograds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_network, "_BLOCK", 64)
    parameters = make_parameters()
    batch = make_batch(parameters, 150)
    flat = flatten(parameters).requires_grad_()
    policy = distribution(flat, parameters, torch.tensor(batch.observations, dtype=torch.float64))
    log_probability = policy.log_prob(torch.tensor(batch.actions, dtype=torch.float64))
    ratio = torch.exp(log_probability - log_probability.detach())
    (expected,) = torch.autograd.grad((ratio * torch.tensor(batch.advantages)).mean(), flat)
    region = TrustRegion(parameters, batch.observations, batch.actions, TrustRegionSettings(), seed=0)
    got = region.gradient(torch.tensor(batch.advantages))
    np.testing.assert_allclose(got, expected.numpy(), rtol=2e-4, atol=2e-6)


def test_the_kl_is_summed_over_dimensions_and_averaged_over_states() -> None:
    old, new = make_parameters(0), make_parameters(5)
    new["log_std"] += 0.3
    observations = np.random.default_rng(2).standard_normal((2500, SIZES[0])).astype(np.float32)
    states = torch.tensor(observations, dtype=torch.float64)
    expected = torch.distributions.kl_divergence(
        distribution(flatten(old), old, states), distribution(flatten(new), new, states)
    )
    assert expected.shape == (2500,)
    assert kl_divergence(old, new, observations) == pytest.approx(expected.mean().item(), rel=1e-5)


@pytest.mark.parametrize("max_kl", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("fisher_fraction", [0.02, 0.2, 1.0])
def test_a_step_improves_and_stays_in_the_trust_region_over_all_states(max_kl: float, fisher_fraction: float) -> None:
    parameters = make_parameters()
    batch = make_batch(parameters)
    settings = TrustRegionSettings(max_kl=max_kl, fisher_fraction=fisher_fraction)
    update = trpo_update(parameters, batch, settings, seed=0)
    assert update.accepted and update.surrogate_after > update.surrogate_before + 0.03
    assert 0.3 * max_kl < update.kl <= max_kl
    assert kl_divergence(parameters, update.parameters, batch.observations) == pytest.approx(update.kl, rel=1e-4)


def test_the_surrogates_are_what_they_say() -> None:
    parameters = make_parameters()
    batch = make_batch(parameters)
    update = trpo_update(parameters, batch, TrustRegionSettings(), seed=0)
    states = torch.tensor(batch.observations, dtype=torch.float64)
    actions = torch.tensor(batch.actions, dtype=torch.float64)
    old, new = (
        distribution(flatten(which), which, states).log_prob(actions) for which in (parameters, update.parameters)
    )
    after = (torch.exp(new - old) * torch.tensor(batch.advantages)).mean().item()
    assert update.surrogate_after == pytest.approx(after, rel=1e-4)
    assert update.surrogate_before == pytest.approx(batch.advantages.mean(), rel=1e-5)


def test_repeated_steps_solve_the_toy_problem() -> None:
    parameters = make_parameters()
    for seed in range(15):
        parameters = trpo_update(
            parameters, make_batch(parameters, seed=seed), TrustRegionSettings(max_kl=0.1), seed
        ).parameters
    batch = make_batch(parameters, seed=99)
    mean = distribution(flatten(parameters), parameters, torch.tensor(batch.observations).double()).mean.numpy()
    assert (mean * batch.observations[:, :3]).sum(axis=1).mean() > 1.5


def test_the_old_parameters_stay_when_nothing_passes() -> None:
    parameters = make_parameters()
    batch = make_batch(parameters)
    nothing_to_learn = TrpoBatch(
        observations=batch.observations, actions=batch.actions, advantages=np.zeros(len(batch.advantages))
    )
    strict = TrustRegionSettings(max_kl=1e-12, backtrack_steps=1)  # float32 cannot express so small a step
    for rejected in (
        trpo_update(parameters, nothing_to_learn, TrustRegionSettings(), seed=0),
        trpo_update(parameters, batch, strict, seed=0),
    ):
        assert not rejected.accepted and rejected.kl == 0.0 and rejected.step_fraction == 0.0
        assert rejected.surrogate_after == rejected.surrogate_before
        for name, array in parameters.items():
            np.testing.assert_array_equal(rejected.parameters[name], array)


def test_a_step_that_fails_to_improve_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong curvature the full step is far too long: it must come back into the region and improve."""
    parameters = make_parameters()
    batch = make_batch(parameters)
    real = FisherProduct.__call__
    monkeypatch.setattr(FisherProduct, "__call__", lambda self, vector: real(self, vector) * 1e-3)
    update = trpo_update(parameters, batch, TrustRegionSettings(max_kl=0.01), seed=0)
    assert update.accepted and 0.0 < update.step_fraction < 0.2 and update.kl <= 0.01


@pytest.mark.parametrize("stretch", [1.5, 4.0, 100.0])
def test_a_step_that_was_cut_to_the_region_is_as_long_as_the_region_allows(
    monkeypatch: pytest.MonkeyPatch, stretch: float
) -> None:
    """The KL does not grow with the exact square of the step: one cut that should just fit came out far inside."""
    parameters = make_parameters()
    batch = make_batch(parameters)
    real = FisherProduct.__call__
    monkeypatch.setattr(FisherProduct, "__call__", lambda self, vector: real(self, vector) / stretch**2)
    settings = TrustRegionSettings(max_kl=0.5, damping=0.0)
    update = trpo_update(parameters, batch, settings, seed=0)
    assert update.step_fraction < 1.0 and 0.95 * 0.5 <= update.kl <= 0.5
    assert update.surrogate_after > update.surrogate_before


def test_the_longest_step_that_improves_is_kept_where_a_longer_one_does_not() -> None:
    parameters = make_parameters()
    batch = make_batch(parameters)
    settings = TrustRegionSettings(max_kl=0.05)
    region = TrustRegion(parameters, batch.observations, batch.actions, settings, seed=0)
    full = 50.0 * region.natural(region.gradient(torch.tensor(batch.advantages)))
    asked: list[float] = []

    def only_short_ones(ratio: torch.Tensor) -> bool:
        asked.append(float(ratio.log().square().mean()))  # about twice the KL
        return asked[-1] < 0.05

    step = region.search(full, only_short_ones)
    assert step.accepted and step.kl < 0.04 and float(step.ratio.log().square().mean()) < 0.05
    assert len(asked) < settings.backtrack_steps and asked[-1] >= 0.05, "a longer one was asked for, and refused"


def test_the_input_is_not_changed_and_the_seed_decides() -> None:
    parameters = make_parameters()
    copies = {name: array.copy() for name, array in parameters.items()}
    batch = make_batch(parameters)
    settings = TrustRegionSettings(fisher_fraction=0.1)
    first, again, other = (trpo_update(parameters, batch, settings, seed) for seed in (7, 7, 8))
    for name in parameters:
        np.testing.assert_array_equal(parameters[name], copies[name])
        np.testing.assert_array_equal(first.parameters[name], again.parameters[name])
    assert not np.array_equal(first.parameters["mean.weight"], other.parameters["mean.weight"])


def test_the_thread_count_changes_nothing_and_is_left_alone() -> None:
    parameters = make_parameters()
    batch = make_batch(parameters, 3000)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(trpo_update(parameters, batch, TrustRegionSettings(), seed=0).parameters)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name in parameters:
        np.testing.assert_array_equal(results[0][name], results[1][name])


_HASH = """
import hashlib, importlib.util
spec = importlib.util.spec_from_file_location("test_trpo", {path!r})
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
parameters = module.make_parameters()
update = module.trpo_update(parameters, module.make_batch(parameters), module.TrustRegionSettings(), 0)
print(hashlib.sha256(b"".join(update.parameters[name].tobytes() for name in sorted(parameters))).hexdigest())
"""


def test_another_process_gives_the_same_bits() -> None:
    code = _HASH.format(path=str(Path(__file__)))
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) > 60


@pytest.mark.parametrize("field", ["observations", "actions", "advantages"])
def test_a_batch_with_a_nan_is_refused(field: str) -> None:
    batch = make_batch(make_parameters(), 10)
    arrays = {name: getattr(batch, name).copy() for name in ("observations", "actions", "advantages")}
    arrays[field].flat[3] = np.nan
    with pytest.raises(ValueError, match=field):
        TrpoBatch(**arrays)


def test_a_batch_of_unequal_lengths_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        TrpoBatch(observations=np.zeros((4, 2)), actions=np.zeros((4, 1)), advantages=np.zeros(3))
    with pytest.raises(ValueError, match="at least one step"):
        TrpoBatch(observations=np.zeros((0, 2)), actions=np.zeros((0, 1)), advantages=np.zeros(0))


@pytest.mark.parametrize(
    "broken",
    [
        {"max_kl": 0.0},
        {"cg_iterations": 0},
        {"damping": -1.0},
        {"backtrack_ratio": 1.0},
        {"backtrack_steps": 0},
        {"fisher_fraction": 0.0},
        {"fisher_fraction": 1.1},
        {"max_kl": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(broken))):
        TrustRegionSettings(**broken)
