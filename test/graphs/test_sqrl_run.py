# SPDX-License-Identifier: Apache-2.0
"""`learner:=sqrl`: what the filter, its mask, lets pass has the truncated distribution; the bag teaches the same."""

from __future__ import annotations

from pathlib import Path

import graph_runs
import numpy as np
import pytest
import scipy.stats
import torch

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.policies.tensors import read
from safe_transfer_ros.record.episode import episodes_from_decisions
from safe_transfer_ros.record.iteration import read as records_of
from safe_transfer_ros.safety.reasons import Verdict
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.graph import SqrlUpdates
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

GRAPH, BOUND, THRESHOLD = in_graph("pr2_cup_swirl"), 0.02, 0.002


def pre_trained() -> bytes:
    """A policy that has learned nothing, and a critic by hand that accepts .002 N·m at most of the first joint."""
    agent = SqrlAgent(
        18, np.full(7, BOUND), SacSettings(hidden=(16,)), SqrlSettings(hidden=(1,)), seed=0, limit_input=(17, 3.0)
    )
    first = np.zeros((1, 1, 25), np.float32)
    first[0, 0, 18] = BOUND
    tensors, about = read(agent.policy_file({"task": GRAPH.task.name}))
    by_hand = {
        "layer.0.weight": first,
        "layer.0.bias": np.full((1, 1), -THRESHOLD, np.float32),
        "layer.1.weight": np.full((1, 1, 1), 1e6, np.float32),
        "layer.1.bias": np.full((1, 1), -9.0, np.float32),
    }
    actor = {name.removeprefix("policy."): array for name, array in tensors.items() if name.startswith("policy.")}
    agent.start_from(actor, by_hand, 0.1)
    return agent.policy_file({"task": about["task"]})


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_the_filter_masks_and_the_bag_alone_teaches_the_same(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "sqrl.safetensors"
    file.write_bytes(pre_trained())
    words = ("learner:=sqrl", f"policy:={file}", "limit_rule:=fixed", "t_max:=1.0", "perturbation:=nominal", "seed:=3")
    finished = graph_runs.up(run, *words, *graph_runs.SHORT[1:], "trainer.episodes_per_iteration:=1")
    assert finished.returncode == 0, finished.stderr

    decisions = [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]
    steps = [one for one in decisions if not one.last]
    assert len(steps) == 400 and {one.distribution for one in steps} == {1}, "tanh Gaussian"
    served, _ = policy_from_bytes((run / "checkpoints" / "policy_00000.safetensors").read_bytes())
    assert isinstance(served, MaskedPolicy) and served.noise_size == 7, "without its mask: the filter is that"
    counted = {verdict: sum(one.verdict == verdict for one in steps) for verdict in Verdict}
    assert counted[Verdict.RESAMPLED] > 100 and counted[Verdict.LEAST_RISKY] == counted[Verdict.REJECTED] == 0, counted

    def before_the_tanh(torque: object) -> np.ndarray:
        return np.arctanh(np.array(torque) / BOUND)

    mean, stddev = (np.array([getattr(one, f"proposed_{name}") for one in steps]) for name in ("mean", "stddev"))
    law = served.act(np.array([one.observation for one in steps]), np.zeros((400, 7)))
    np.testing.assert_allclose(mean, law.mean, atol=1e-6)
    drawn = (before_the_tanh([one.chosen for one in steps]) - mean) / stddev
    highest = (before_the_tanh(THRESHOLD) - mean[:, 0]) / stddev[:, 0]
    assert (drawn[:, 0] <= highest + 1e-3).all()
    # Of a law cut off at the threshold the CDF is the Gaussian's over its value there (SQRL Eq. 3).
    share = scipy.stats.norm.cdf(drawn) / np.where(np.arange(7) == 0, scipy.stats.norm.cdf(highest)[:, None], 1.0)
    for joint in range(7):
        assert scipy.stats.kstest(share[:, joint], "uniform").pvalue > 0.005, joint
    assert scipy.stats.kstest(scipy.stats.norm.cdf(drawn[:, 0]), "uniform").pvalue < 1e-9, "as if nothing were cut off"

    learner = SqrlUpdates(
        Beginning(graph=GRAPH, policy=file.read_bytes(), max_kl=0.05, leave_one_out=False, seed=3),
    )
    rows = records_of(run / "iterations.csv")
    for iteration, row in enumerate(rows):
        taken = [one for one in decisions if one.iteration == iteration]
        assert learner.update(episodes_from_decisions(taken), iteration) == row.kl == 0.0, "critics first"
    assert len(rows) == 2 and learner._learner.updates > 50
    kept = torch.load(run / "checkpoints" / "off_policy_00002.pt", weights_only=True)["agent"]["sac"]["critic"]
    torch.testing.assert_close(kept, learner.agent.state()["sac"]["critic"], rtol=0.0, atol=0.0)
    learned, _ = policy_from_bytes((run / "checkpoints" / "learned_00002.safetensors").read_bytes())
    assert isinstance(learned, MaskedPolicy)
