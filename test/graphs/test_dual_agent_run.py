# SPDX-License-Identifier: Apache-2.0
"""`learner:=dual_agent`: a hand-written controller is the baseline, decisions say who acted, the safe agent learns."""

from __future__ import annotations

from pathlib import Path

import graph_runs
import numpy as np
import pytest

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.tensors import read
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.episode import episodes_from_decisions
from safe_transfer_ros.record.iteration import read as records_of
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.dual_agent.graph import DualAgentUpdates
from safe_transfer_ros.transfer.graph_learners import Beginning

EXAMPLE = "examples/straight_push.py:push"
GRAPH = in_graph("panda_push_obstacle")


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_a_controller_and_a_safe_agent_act_in_turn_and_the_bag_alone_teaches_the_same(tmp_path: Path) -> None:
    run, words = tmp_path / "run", ("task:=obstacle", "learner:=dual_agent", "limit_rule:=fixed", f"policy:={EXAMPLE}")
    finished = graph_runs.up(
        run, *words, "seed:=3", "iterations:=2", "trainer.episodes_per_iteration:=3", graph="panda_push"
    )
    assert finished.returncode == 0, finished.stderr

    start, data = load_policy(GRAPH.task, f"{Path(EXAMPLE).absolute()}")
    assert start.kind == "controller"
    decisions = [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]
    pair, _ = policy_from_bytes((run / "checkpoints" / "policy_00000.safetensors").read_bytes())
    noise = generator(Purpose.ACTION_NOISE, 3, 0)
    first = [decision for decision in decisions if decision.episode == 0 and not decision.last]
    assert len(first) == 50 and {decision.actor for decision in first} == {"baseline", "safe"}
    for decision in first:
        act = pair.act(np.array(decision.observation), noise.standard_normal(pair.noise_size))
        assert (decision.actor, decision.distribution) == (act.actor, 0)
        np.testing.assert_array_equal(decision.proposed_effort, act.action)
        np.testing.assert_array_equal(decision.proposed_stddev, act.stddev)

    learner = DualAgentUpdates(Beginning(graph=GRAPH, policy=data, max_kl=0.01, leave_one_out=False, seed=3))
    rows = records_of(run / "iterations.csv")
    for iteration, row in enumerate(rows):
        taken = [decision for decision in decisions if decision.iteration == iteration]
        assert learner.update(episodes_from_decisions(taken), iteration) == row.kl
    assert len(rows) == 2 and rows[0].kl == 0.0 < rows[1].kl, "300 transitions, 256 of them the warm-up"
    kept = read((run / "checkpoints" / "policy_00002.safetensors").read_bytes())[0]
    for name, array in read(learner.policy({}))[0].items():
        np.testing.assert_array_equal(kept[name], array)
