# SPDX-License-Identifier: Apache-2.0
"""A run of CSC that was cut goes on to the same policy and the same critic, to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.weights import to_bytes
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.checkpoints import CheckpointError
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.policy_updates import CscUpdates

GRAPH, STEPS = in_graph("panda_push_boundary"), 20


def _episodes(iteration: int) -> list[Episode]:
    """Made up, half of them failures: the block ends beyond the boundary."""
    rng = np.random.default_rng([7, iteration])
    made = []
    for row in range(4):
        observation = 0.3 * rng.standard_normal((STEPS + 1, 21))
        observation[-1, 6] = 2.0 if row % 2 else 0.0
        numbers: dict[str, Any] = {
            name: rng.standard_normal((STEPS, 2)) for name in ("mean", "stddev", "proposed", "applied")
        }
        made.append(
            Episode(
                iteration=iteration,
                index=4 * iteration + row,
                stamp_ns=np.arange(STEPS + 1),
                position=np.zeros((STEPS + 1, 7)),
                velocity=np.zeros((STEPS + 1, 7)),
                observation=observation,
                torque_limit=np.ones(STEPS),
                reasons=np.zeros(STEPS, dtype=np.uint32),
                verdict=np.zeros(STEPS, dtype=np.uint8),
                risk=np.zeros(STEPS),
                policy_version=iteration,
                terminated=True,
                **numbers,
            )
        )
    return made


def _updates(folder: Path, parameters: Any, first_iteration: int = 0) -> CscUpdates:
    return CscUpdates(
        Beginning(
            graph=GRAPH,
            policy=to_bytes(parameters),
            max_kl=0.01,
            leave_one_out=False,
            seed=2,
            checkpoints=folder / "checkpoints",
            first_iteration=first_iteration,
        ),
        LearnerSettings(critic_updates=30, critic_batch=64),
    )


def test_a_cut_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    run = _updates(whole, load_for(GRAPH.task, "panda_push_boundary")[0])
    run.update(_episodes(0), 0)
    run.update(_episodes(1), 1)
    policy, critic = run.parameters, run.critic()
    shutil.copytree(whole, cut)  # where a run is cut behind its update, but before its row is written
    run.update(_episodes(2), 2)

    resumed = _updates(cut, policy, first_iteration=2)
    assert resumed.critic() == critic, "the one the filter begins with"
    resumed.update(_episodes(2), 2)
    for name, array in run.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array)
    assert resumed.critic() == run.critic()
    name = "checkpoints/csc_00003.npz"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()

    for name, error in {"csc_00001.npz": "No such file", "csc_00002.pt": ""}.items():
        (cut / "checkpoints" / name).unlink()
        if not error:
            (cut / "checkpoints" / name).write_bytes(b"no state")
        with pytest.raises(CheckpointError, match=f"{name} cannot be used .*{error}") as raised:
            _updates(cut, policy, first_iteration=2)
        assert "\n" not in str(raised.value)
