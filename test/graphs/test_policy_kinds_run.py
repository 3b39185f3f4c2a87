# SPDX-License-Identifier: Apache-2.0
"""`learner:=none`: a policy of any kind acts as it is, behind the filter, recorded with its law and its actor."""

from __future__ import annotations

import json
from pathlib import Path

import graph_runs
import numpy as np
import pytest

from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.task import make

TASK = make("pr2_cup_swirl")
K, N, WIDTH = TASK.observation_size, TASK.action_size, 16


def network(*heads: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors = {"hidden.0.weight": 0.3 * rng.standard_normal((WIDTH, K)), "hidden.0.bias": np.zeros(WIDTH)}
    for head in heads:
        tensors |= {f"{head}.weight": 0.1 * rng.standard_normal((N, WIDTH)), f"{head}.bias": np.zeros(N)}
    tensors["bound"] = np.full(N, 0.5)
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def pair() -> bytes:
    """A deterministic baseline and a squashed safe agent."""
    tensors = {f"baseline.{name}": array for name, array in network("mean").items()}
    tensors |= {f"safe.{name}": array for name, array in network("mean", "log_std").items()}
    agents = {"baseline": json.dumps({"kind": "deterministic"}), "safe": json.dumps({"kind": "squashed"})}
    return policy_to_bytes(tensors, {"kind": "pair", "baseline_share": "0.5", **agents})


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_a_pair_of_agents_acts_and_every_decision_says_who(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "pair.safetensors"
    write_atomically(file, pair())
    refused = graph_runs.up(tmp_path / "refused", f"policy:={file}", "iterations:=1")
    assert refused.returncode == 2 and "is a 'pair' one" in refused.stderr and "learner:=none" in refused.stderr
    per_state = graph_runs.up(
        tmp_path / "refused", f"policy:={file}", "learner:=none", "unsafety_monitor.kl:=per_state"
    )
    assert per_state.returncode == 2 and "unsafety_monitor.kl: 'per_state' compares Gaussian" in per_state.stderr
    words = ("learner:=none", "iterations:=1", "trainer.episodes_per_iteration:=1")
    finished = graph_runs.up(run, f"policy:={file}", *words)
    assert finished.returncode == 0, finished.stderr

    decisions = [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]
    steps = [decision for decision in decisions if not decision.last]
    assert len(steps) == 200
    policy, _ = policy_from_bytes(file.read_bytes())
    noise = generator(Purpose.ACTION_NOISE, 0, 0)
    for decision in steps:
        act = policy.act(np.array(decision.observation), noise.standard_normal(policy.noise_size))
        assert decision.actor == act.actor
        np.testing.assert_array_equal(decision.proposed_effort, act.action)
        baseline = decision.actor == "baseline"
        assert decision.distribution == (2 if baseline else 1)
        assert (len(decision.proposed_stddev), len(decision.proposed_bound)) == ((N, 0) if baseline else (N, N))
        assert decision.verdict in (0, 1) and max(map(abs, decision.applied_effort)) <= decision.torque_limit
    assert 60 < sum(decision.actor == "baseline" for decision in steps) < 140

    transitions, counts = write_transitions([Bag(run / "bag")], in_graph(TASK.name), tmp_path / "transitions")
    assert counts.transitions == 200
    laws = [decision.distribution for decision in steps]
    np.testing.assert_array_equal(transitions["distribution"], laws)
    np.testing.assert_array_equal(transitions["next_distribution"][:-1], laws[1:])
    squashed = np.array(laws) == 1
    assert (transitions["bound"][squashed] == 0.5).all() and np.isnan(transitions["bound"][~squashed]).all()
    assert (
        np.isfinite(transitions["log_density"][squashed]).all()
        and np.isnan(transitions["log_density"][~squashed]).all()
    )
    assert (np.abs(ReplayBuffer.recorded(transitions).sample(64, np.random.default_rng(0))["chosen"]) <= 0.5).all()

    (told,), ((again,), _) = read(run / "iterations.csv"), iteration_records(run / "bag")
    assert {name for name, value in told.as_dict().items() if again.as_dict()[name] != value} <= {"wall_time_s"}
    assert told.kl == 0.0 and told.policy_change_risk == 0.0 and 0.0 < told.limit_change_risk < 1.0
    weights = [message for _, message, _ in messages(run / "bag", ["/trainer/policy_weights"])]
    kept = [policy_from_bytes(bytes(message.data))[1] for message in weights]
    assert [about["kind"] for about in kept] == ["pair", "pair"] and [about["version"] for about in kept] == ["0", "1"]
