# SPDX-License-Identifier: Apache-2.0
"""Every kind of policy: loaded by the kind its file names, the numbers of the same network in torch, refused whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies import loading
from safe_transfer_ros.policies.loading import kinds, policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.policy import DETERMINISTIC, GAUSSIAN, TANH_GAUSSIAN, Policy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, write

K, N, H, U = 5, 2, 8, 6
RNG = np.random.default_rng(0)


def _array(*shape: int, scale: float = 0.5) -> np.ndarray:
    return (scale * RNG.standard_normal(shape)).astype(np.float32)


def _layers() -> Tensors:
    return {
        "hidden.0.weight": _array(H, K),
        "hidden.0.bias": _array(H),
        "hidden.1.weight": _array(U, H),
        "hidden.1.bias": _array(U),
        "mean.weight": _array(N, U),
        "mean.bias": _array(N),
    }


BOUND = {"bound": np.array([0.5, 2.0], dtype=np.float32)}
LOG_STD = {"log_std": np.array([-1.0, 0.3], dtype=np.float32)}
GRU = {"gru.weight_ih": _array(3 * U, U), "gru.weight_hh": _array(3 * U, U)}
GRU |= {"gru.bias_ih": _array(3 * U), "gru.bias_hh": _array(3 * U)}
TENSORS: dict[str, Tensors] = {
    "gaussian": _layers() | LOG_STD,
    "squashed": _layers() | BOUND | {"log_std.weight": _array(N, U), "log_std.bias": _array(N)},
    "deterministic": _layers() | BOUND,
    "recurrent": _layers() | GRU | LOG_STD | BOUND,
}
TENSORS["pair"] = {f"baseline.{name}": array for name, array in TENSORS["deterministic"].items()}
TENSORS["pair"] |= {f"safe.{name}": array for name, array in TENSORS["squashed"].items()}
TENSORS["masked"] = {f"policy.{name}": array for name, array in TENSORS["squashed"].items()}
TENSORS["masked"] |= {"critic.layer.0.weight": _array(2, H, K + N), "critic.layer.0.bias": _array(2, H)}
TENSORS["masked"] |= {"critic.layer.1.weight": _array(2, 1, H), "critic.layer.1.bias": _array(2, 1)}
TENSORS["layered"] = {f"baseline.{name}": array for name, array in TENSORS["deterministic"].items()} | BOUND
TENSORS["layered"] |= {"critic.hidden.0.weight": _array(H, K + N), "critic.hidden.0.bias": _array(H)}
TENSORS["layered"] |= {"critic.value.weight": _array(1, H), "critic.value.bias": _array(1)}
MASK = {"epsilon": "0.4", "candidates": "3"}
AGENTS = {"baseline": json.dumps({"kind": "deterministic"}), "safe": json.dumps({"kind": "squashed"})}

LAYER = {"limit": "0.5", "baseline": AGENTS["baseline"]}
ABOUT = {"pair": AGENTS, "masked": MASK, "layered": LAYER}


def made(kind: str, **metadata: str) -> Policy:
    about = {"kind": kind} | ABOUT.get(kind, {}) | metadata
    return policy_from_bytes(policy_to_bytes(TENSORS[kind], about))[0]


def _torch(kind: str, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, stddev, bound of a network made anew in torch, of a sequence of observations from an episode's start."""
    t = {name: torch.from_numpy(array).double() for name, array in TENSORS[kind].items()}
    activation = torch.tanh if kind in ("gaussian", "recurrent") else torch.relu
    values = torch.from_numpy(observations.astype(np.float32)).double()
    for layer in ("hidden.0", "hidden.1"):
        values = activation(torch.nn.functional.linear(values, t[f"{layer}.weight"], t[f"{layer}.bias"]))
    if kind == "recurrent":
        cell = torch.nn.GRUCell(U, U).double()
        cell.load_state_dict({name: t[f"gru.{name}"] for name in cell.state_dict()})
        memory, all_of_them = torch.zeros(1, U, dtype=torch.float64), []
        for row in values:
            memory = cell(row[None], memory)
            all_of_them.append(memory[0])
        values = torch.stack(all_of_them)
    mean = torch.nn.functional.linear(values, t["mean.weight"], t["mean.bias"])
    found = {"mean": mean}
    if kind == "squashed":
        log_std = torch.nn.functional.linear(values, t["log_std.weight"], t["log_std.bias"]).clamp(-20.0, 2.0)
        found["stddev"] = log_std.exp()
    elif "log_std" in t:
        found["stddev"] = t["log_std"].exp().expand_as(mean)
    return {name: value.detach().numpy() for name, value in found.items()}


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("gaussian", GAUSSIAN),
        ("squashed", TANH_GAUSSIAN),
        ("deterministic", DETERMINISTIC),
        ("recurrent", TANH_GAUSSIAN),
    ],
)
def test_the_numbers_are_those_of_the_network_in_torch(kind: str, law: str) -> None:
    policy, observations = made(kind), RNG.standard_normal((7, K))
    noise = RNG.standard_normal((7, policy.noise_size)) if policy.noise_size else np.zeros((7, 0))
    expected = _torch(kind, observations)
    assert (policy.observation_size, policy.action_size) == (K, N)
    policy.begin()
    for t in range(7):
        act = policy.act(observations[t], noise[t])
        assert act.distribution == law and act.actor == ""
        mean, bound = expected["mean"][t], BOUND["bound"]
        if law == DETERMINISTIC:
            np.testing.assert_allclose(act.action, bound * np.tanh(mean), rtol=1e-6)
            np.testing.assert_array_equal(act.action, act.mean)
            assert act.stddev is None and act.bound is None
            continue
        np.testing.assert_allclose(act.mean, mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(act.stddev, expected["stddev"][t], rtol=1e-6)
        drawn = act.mean + act.stddev * noise[t]
        np.testing.assert_allclose(act.action, drawn if law == GAUSSIAN else bound * np.tanh(drawn), rtol=1e-12)
        assert (act.bound is None) == (law == GAUSSIAN)


@pytest.mark.parametrize("kind", ["gaussian", "squashed", "deterministic", "recurrent"])
def test_a_batch_gives_the_same_bits_as_one_observation_after_the_other(kind: str) -> None:
    one, many = made(kind), made(kind)
    observations = RNG.standard_normal((3, 4, K))  # steps, episodes
    noise = RNG.standard_normal((3, 4, one.noise_size))
    many.begin()
    together = [many.act(observations[t], noise[t]).action for t in range(3)]
    for episode in range(4):
        one.begin()
        for t in range(3):
            np.testing.assert_array_equal(
                one.act(observations[t, episode], noise[t, episode]).action, together[t][episode]
            )


def test_a_memory_lasts_for_an_episode() -> None:
    policy, observation, noise = made("recurrent"), RNG.standard_normal(K), np.zeros(N)
    first = policy.act(observation, noise).action
    second = policy.act(observation, noise).action
    assert not np.array_equal(first, second), "it remembers"
    policy.begin()
    np.testing.assert_array_equal(policy.act(observation, noise).action, first)
    with pytest.raises(ValueError, match="episodes, got"):
        policy.act(RNG.standard_normal((3, K)), np.zeros((3, N)))


def test_a_pair_says_who_acted_and_how_often() -> None:
    observation, rng = RNG.standard_normal(K), np.random.default_rng(1)
    safe, baseline = made("squashed"), made("deterministic")
    pair = made("pair", baseline_share="0.25")
    assert pair.noise_size == 1 + N
    actors = []
    for _ in range(2000):
        noise = rng.standard_normal(1 + N)
        act = pair.act(observation, noise)
        alone = safe if act.actor == "safe" else baseline
        np.testing.assert_array_equal(act.action, alone.act(observation, noise[1:]).action)
        actors.append(act.actor)
    share = actors.count("baseline") / 2000
    assert abs(share - 0.25) < 4.0 * np.sqrt(0.25 * 0.75 / 2000)
    assert {made("pair").act(observation, rng.standard_normal(1 + N)).actor for _ in range(50)} == {"safe"}
    with pytest.raises(ValueError, match="one episode at a time"):
        pair.act(np.zeros((2, K)), np.zeros((2, 1 + N)))


def test_a_pair_that_explores_draws_around_either_agents_own_action_by_one_law() -> None:
    observation, rng = RNG.standard_normal(K), np.random.default_rng(1)
    pair = made("pair", baseline_share="0.5", exploration="0.1")
    assert pair.noise_size == 1 + N
    alone = {"safe": made("squashed"), "baseline": made("deterministic")}
    seen = set()
    for _ in range(20):
        noise = rng.standard_normal(1 + N)
        act = pair.act(observation, noise)
        own = alone[act.actor].act(observation, np.zeros(N)).action
        np.testing.assert_array_equal(act.mean, own)
        np.testing.assert_allclose(act.stddev, [0.05, 0.2], rtol=1e-6)  # a tenth of the bounds .5 and 2
        np.testing.assert_array_equal(act.action, own + act.stddev * noise[1:])
        assert act.distribution == "gaussian" and act.bound is None
        seen.add(act.actor)
    assert seen == {"safe", "baseline"}


@pytest.mark.parametrize("kind", sorted(TENSORS))
def test_a_tensor_too_few_or_too_many_is_refused(kind: str) -> None:
    about = {"kind": kind} | ABOUT.get(kind, {})
    for name in TENSORS[kind]:
        if name.endswith("bound") and kind == "recurrent":
            continue  # without one it is a Gaussian
        with pytest.raises(WeightsError):
            policy_to_bytes({key: array for key, array in TENSORS[kind].items() if key != name}, about)
        broken = TENSORS[kind] | {name: np.full_like(TENSORS[kind][name], np.nan)}
        with pytest.raises(WeightsError, match="NaN|above 0|log standard"):
            policy_to_bytes(broken, about)
    with pytest.raises(WeightsError, match="unknown|only"):
        policy_to_bytes(TENSORS[kind] | {"stranger": np.zeros(1, dtype=np.float32)}, about)


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ({"kind": "squasched"}, "did you mean 'squashed'"),
        ({"kind": "pair"}, "baseline: expected"),
        ({"kind": "pair", **AGENTS, "baseline_share": "1.5"}, r"baseline_share in \[0, 1\]"),
        ({"kind": "pair", **AGENTS, "exploration": "-1"}, "exploration of at least 0, got '-1'"),
        ({"kind": "pair", **AGENTS, "exploration": "nan"}, "exploration of at least 0, got 'nan'"),
        ({"kind": "pair", **AGENTS, "safe": json.dumps({"kind": "pair"})}, "safe: a pair of pairs"),
        ({"kind": "pair", **AGENTS, "safe": "{"}, "safe: expected its metadata as JSON"),
    ],
)
def test_metadata_that_says_something_else_is_one_line(metadata: dict[str, str], line: str) -> None:
    with pytest.raises(WeightsError, match=line) as raised:
        policy_to_bytes(TENSORS["pair"], metadata)
    assert "\n" not in str(raised.value)


def test_a_pair_explores_by_a_fraction_of_the_safe_agents_bound_which_must_be_there() -> None:
    tensors = {f"baseline.{name}": array for name, array in TENSORS["deterministic"].items()}
    tensors |= {f"safe.{name}": array for name, array in TENSORS["gaussian"].items()}
    agents = AGENTS | {"safe": json.dumps({"kind": "gaussian"})}
    policy_to_bytes(tensors, {"kind": "pair", **agents})
    with pytest.raises(WeightsError, match="expected a safe agent with a `bound` in a pair that explores"):
        policy_to_bytes(tensors, {"kind": "pair", **agents, "exploration": "0.1"})


def test_a_bound_of_zero_is_refused() -> None:
    for kind in ("squashed", "deterministic", "recurrent"):
        with pytest.raises(WeightsError, match="'bound' above 0"):
            policy_to_bytes(TENSORS[kind] | {"bound": np.zeros(N, dtype=np.float32)}, {"kind": kind})


def test_a_file_without_a_kind_is_gaussian() -> None:
    assert set(kinds()) == {*TENSORS, "controller", "visual"}
    policy, metadata = policy_from_bytes(policy_to_bytes(TENSORS["gaussian"], {}))
    assert policy.kind == "gaussian" and metadata == {}


@pytest.mark.parametrize("kind", sorted(set(TENSORS) - set(ABOUT)))
@pytest.mark.parametrize("outputs", [0, 1])
def test_a_policy_without_outputs_is_refused(kind: str, outputs: int) -> None:
    def cut(name: str, array: np.ndarray) -> np.ndarray:
        return array[:outputs] if name.partition(".")[0] in ("mean", "log_std", "bound") else array

    tensors = {name: cut(name, array) for name, array in TENSORS[kind].items()}
    if outputs:
        assert policy_from_bytes(policy_to_bytes(tensors, {"kind": kind}))[0].action_size == 1
        return
    with pytest.raises(WeightsError, match=r"'mean.weight' as a matrix with at least one row and column"):
        policy_from_bytes(write(tensors, {"kind": kind}, tensors))


def test_a_memory_of_no_units_is_refused() -> None:
    empty = {name: np.zeros((0, array.shape[-1])[-array.ndim :], np.float32) for name, array in GRU.items()}
    tensors = TENSORS["recurrent"] | empty | {"gru.weight_hh": np.zeros((0, 0), np.float32)}
    tensors |= {"mean.weight": np.zeros((N, 0), np.float32)}
    with pytest.raises(WeightsError, match="at least one row and column"):
        policy_from_bytes(write(tensors, {"kind": "recurrent"}, tensors))
    with pytest.raises(WeightsError, match="'gru.weight_hh' as a matrix with at least one row and column"):
        policy_from_bytes(write(tensors | _layers(), {"kind": "recurrent"}, tensors))


@pytest.mark.parametrize("number", ["01", "\u0661", "9" * 5000])
@pytest.mark.parametrize("kind", sorted(set(TENSORS) - set(ABOUT)))
def test_a_layer_numbered_as_we_never_write_it_is_refused(kind: str, number: str) -> None:
    tensors = dict(TENSORS[kind])
    for part in ("weight", "bias"):
        tensors[f"hidden.{number}.{part}"] = tensors.pop(f"hidden.1.{part}")
    with pytest.raises(WeightsError, match="expected the tensors of"):
        policy_from_bytes(write(tensors, {"kind": kind}, tensors))


def test_metadata_of_an_agent_that_is_nested_without_end_is_refused() -> None:
    deep = {"kind": "pair", **AGENTS, "safe": "[" * 100_000}
    with pytest.raises(WeightsError, match="safe: expected its metadata as JSON"):
        policy_from_bytes(write(TENSORS["pair"], deep, TENSORS["pair"]))


def test_whatever_a_kind_raises_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(tensors: object, metadata: object) -> None:
        raise RecursionError("maximum recursion")

    monkeypatch.setattr(loading, "kinds", lambda: {"pair": raises})
    with pytest.raises(WeightsError, match="of kind pair, got tensors that are none: maximum recursion"):
        policy_from_bytes(write(TENSORS["pair"], {"kind": "pair", **AGENTS}, TENSORS["pair"]))
