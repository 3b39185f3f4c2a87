# SPDX-License-Identifier: Apache-2.0
"""Time of one policy update against sb3-contrib's TRPO: same network, data, trust region and solver settings.

  python benchmarks/trpo_update.py                 # needs `pip install sb3-contrib`

sb3-contrib averages the KL over action dimensions (`kl_divergence(...).mean()` on a Normal of shape (steps,
joints)), this package sums it, as the bound of PSPT needs. For the same trust region sb3 is therefore given
max_kl / n_joints and damping / n_joints. A last column says what it does with the same number instead.

Timed is the policy part: from a filled rollout buffer to new parameters, without the critic, which PSPT does
not have. The contestants take turns; medians are reported.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from safe_transfer_ros.algorithms.gaussian_network import kl_divergence
from safe_transfer_ros.algorithms.trpo import TrpoBatch, trpo_update
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.weights import Architecture, Parameters

CUP_SWIRL = Architecture(observation_size=18, hidden=(64, 64, 64), action_size=7)
LAYERS = {"hidden.0": 0, "hidden.1": 2, "hidden.2": 4}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: median ms, summed KL of the step, its cosine with our exact step."""

    name: str
    steps: int
    milliseconds: float
    kl: float
    cosine: float


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 10000], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=15, help="timed updates of each contestant")
    parser.add_argument("--max-kl", type=float, default=0.01, help="trust region, KL summed over joints")
    options = parser.parse_args()
    try:
        from sb3_contrib import TRPO
    except ImportError:
        print("this comparison needs sb3-contrib: pip install sb3-contrib", file=sys.stderr)
        return 2
    print("| steps | contestant | median ms | times ours | KL (summed) | cosine with ours |")
    print("|---|---|---|---|---|---|")
    for steps in options.steps:
        rows = compare(TRPO, steps, options.repeats, options.max_kl)
        for row in rows:
            print(
                f"| {row.steps} | {row.name} | {row.milliseconds:.1f} | {row.milliseconds / rows[0].milliseconds:.1f} "
                f"| {row.kl:.4f} | {row.cosine:.3f} |"
            )
    return 0


def compare(trpo_class: Any, steps: int, repeats: int, max_kl: float) -> list[Row]:
    """Run all contestants on the same batch, in turns."""
    parameters, batch = make_batch(steps)
    joints = CUP_SWIRL.action_size
    damping = 0.1 * joints  # sb3's default .1, in its averaged units
    cores = torch.get_num_threads()

    def ours(fraction: float) -> Callable[[], tuple[float, Parameters]]:
        settings = TrustRegionSettings(max_kl=max_kl, damping=damping, cg_iterations=15, fisher_fraction=fraction)

        def run() -> tuple[float, Parameters]:
            started = time.perf_counter()
            update = trpo_update(parameters, batch, settings, seed=0)
            return time.perf_counter() - started, update.parameters

        return run

    def theirs(threads: int, target_kl: float) -> Callable[[], tuple[float, Parameters]]:
        model = make_sb3(trpo_class, parameters, batch, target_kl)
        start = copy.deepcopy(model.policy.state_dict())

        def run() -> tuple[float, Parameters]:
            model.policy.load_state_dict(start)
            torch.set_num_threads(threads)
            started = time.perf_counter()
            model.train()
            elapsed = time.perf_counter() - started
            torch.set_num_threads(cores)
            return elapsed, sb3_parameters(model)

        return run

    contestants = {
        "ours, Fisher from all states": ours(1.0),
        "ours, Fisher from 20 % (pre-training)": ours(0.2),
        f"sb3-contrib, {cores} threads": theirs(cores, max_kl / joints),
        "sb3-contrib, 1 thread": theirs(1, max_kl / joints),
        f"sb3-contrib, 1 thread, target_kl {max_kl:g} as is": theirs(1, max_kl),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    results: dict[str, Parameters] = {}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            elapsed, results[name] = run()
            if repeat:  # the first round warms up
                times[name].append(elapsed)
    reference = flat_step(parameters, results["ours, Fisher from all states"])
    rows = []
    for name, result in results.items():
        step = flat_step(parameters, result)
        rows.append(
            Row(
                name=name,
                steps=steps,
                milliseconds=1e3 * statistics.median(times[name]),
                kl=kl_divergence(parameters, result, batch.observations),
                cosine=float(step @ reference / (np.linalg.norm(step) * np.linalg.norm(reference))),
            )
        )
    return rows


def make_batch(steps: int) -> tuple[Parameters, TrpoBatch]:
    """A policy that is not flat any more, states, its actions, and advantages with something to learn in them."""
    parameters = initial_parameters(CUP_SWIRL, seed=0, mean_gain=0.5)
    rng = np.random.default_rng(1)
    observations = rng.standard_normal((steps, CUP_SWIRL.observation_size)).astype(np.float32)
    noise = rng.standard_normal((steps, CUP_SWIRL.action_size))
    actions = GaussianPolicy(parameters).sample(observations, noise).astype(np.float32)
    advantages = np.tanh(noise[:, :3] * observations[:, :3]).sum(axis=1) + rng.standard_normal(steps)
    advantages = (advantages - advantages.mean()) / advantages.std()
    return parameters, TrpoBatch(observations=observations, actions=actions, advantages=advantages)


def make_sb3(trpo_class: Any, parameters: Parameters, batch: TrpoBatch, target_kl: float) -> Any:
    """sb3-contrib's TRPO with our parameters in its policy network and our batch in its rollout buffer."""
    import gymnasium
    from stable_baselines3.common.logger import configure

    steps = len(batch.advantages)
    wide = {"low": -np.inf, "high": np.inf, "dtype": np.float32}

    class Idle(gymnasium.Env[np.ndarray, np.ndarray]):
        observation_space = gymnasium.spaces.Box(shape=(CUP_SWIRL.observation_size,), **wide)
        action_space = gymnasium.spaces.Box(-100.0, 100.0, (CUP_SWIRL.action_size,))

    model = trpo_class(
        "MlpPolicy",
        Idle(),
        n_steps=steps,
        batch_size=steps,
        target_kl=target_kl,
        cg_max_steps=15,
        cg_damping=0.1,
        n_critic_updates=0,
        normalize_advantage=False,
        policy_kwargs={"net_arch": {"pi": list(CUP_SWIRL.hidden), "vf": [8]}, "activation_fn": torch.nn.Tanh},
        device="cpu",
        seed=0,
    )
    model.set_logger(configure(None, []))
    with torch.no_grad():
        for ours, theirs in LAYERS.items():
            layer = model.policy.mlp_extractor.policy_net[theirs]
            layer.weight.copy_(torch.tensor(parameters[f"{ours}.weight"]))
            layer.bias.copy_(torch.tensor(parameters[f"{ours}.bias"]))
        model.policy.action_net.weight.copy_(torch.tensor(parameters["mean.weight"]))
        model.policy.action_net.bias.copy_(torch.tensor(parameters["mean.bias"]))
        model.policy.log_std.copy_(torch.tensor(parameters["log_std"]))
        observations, actions = torch.tensor(batch.observations), torch.tensor(batch.actions)
        log_probability = model.policy.get_distribution(observations).log_prob(actions)
    buffer = model.rollout_buffer
    buffer.reset()
    buffer.observations[:, 0], buffer.actions[:, 0] = batch.observations, batch.actions
    buffer.advantages[:, 0], buffer.log_probs[:, 0] = batch.advantages, log_probability.numpy()
    buffer.returns[:, 0] = batch.advantages
    buffer.full = True
    return model


def sb3_parameters(model: Any) -> Parameters:
    """The policy network's parameters under our names."""
    parameters: Parameters = {}
    layers = {name: model.policy.mlp_extractor.policy_net[index] for name, index in LAYERS.items()}
    for name, layer in (layers | {"mean": model.policy.action_net}).items():
        parameters[f"{name}.weight"] = layer.weight.detach().numpy().copy()
        parameters[f"{name}.bias"] = layer.bias.detach().numpy().copy()
    parameters["log_std"] = model.policy.log_std.detach().numpy().copy()
    return parameters


def flat_step(old: Parameters, new: Parameters) -> np.ndarray:
    """The change of all parameters as one vector."""
    return np.concatenate([(new[name] - old[name]).ravel().astype(np.float64) for name in CUP_SWIRL.shapes()])


if __name__ == "__main__":
    raise SystemExit(main())
