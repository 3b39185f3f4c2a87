# SPDX-License-Identifier: Apache-2.0
"""Off-policy learning in a graph: what it learns from, what it says of its step, and that a cut run goes on."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from others_policies import contract, mlp, mlp_model

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import TransitionWriter, transition_dtype
from safe_transfer_ros.bags.transitions import about_task
from safe_transfer_ros.learning.off_policy import ReplaySettings
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contracted import CONTRACT, ONNX
from safe_transfer_ros.policies.loading import any_policy_from_bytes, pair_to_bytes, policy_to_bytes
from safe_transfer_ros.policies.tensors import WeightsError, read
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.checkpoints import CheckpointError
from safe_transfer_ros.transfer.dual_agent.agent import DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.graph import DualAgentUpdates
from safe_transfer_ros.transfer.graph_learners import LEARNERS, Beginning
from safe_transfer_ros.transfer.off_policy.graph import columns_of, gaussian_divergence

GRAPH, STEPS, EPISODES = in_graph("panda_push_obstacle"), 20, 4
TASK = GRAPH.task
SMALL = DualAgentSettings(horizon=TASK.horizon, hidden=(16, 16))
SOON = ReplaySettings(warmup=30, updates_per_transition=0.2, batch=32, capacity=1_000)


def episodes(iteration: int) -> list[Episode]:
    """Made up; in every second one the cube stands in the obstacle from the middle on."""
    rng = np.random.default_rng([7, iteration])
    made = []
    for row in range(EPISODES):
        observation = 0.3 * rng.standard_normal((STEPS + 1, TASK.observation_size))
        observation[:, 8] = observation[:, 17] = 0.2  # both on the table
        observation[:, 15:17] = 9.0
        if row % 2:
            observation[STEPS // 2 :, 15:17] = observation[STEPS // 2 :, 6:8]
        numbers: dict[str, Any] = {name: rng.standard_normal((STEPS, 3)) for name in ("mean", "stddev", "proposed")}
        made.append(
            Episode(
                iteration=iteration,
                index=EPISODES * iteration + row,
                stamp_ns=np.arange(STEPS + 1),
                position=np.zeros((STEPS + 1, 7)),
                velocity=np.zeros((STEPS + 1, 7)),
                observation=observation,
                applied=np.zeros((STEPS, 7)),
                torque_limit=np.ones(STEPS),
                reasons=np.zeros(STEPS, dtype=np.uint32),
                verdict=np.zeros(STEPS, dtype=np.uint8),
                risk=np.zeros(STEPS),
                policy_version=iteration,
                terminated=False,
                **numbers,
            )
        )
    return made


def network(width: int = 8) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    rng = np.random.default_rng(3)
    shapes = {"hidden.0.weight": (width, 21), "hidden.0.bias": (width,), "mean.weight": (3, width), "mean.bias": (3,)}
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return tensors | {"bound": np.ones(3, np.float32)}, {"kind": "deterministic"}


def beginning(folder: Path | None = None, **given: Any) -> Beginning:
    return Beginning(
        **{
            "graph": GRAPH,
            "policy": policy_to_bytes(*network()),
            "max_kl": 0.01,
            "leave_one_out": False,
            "seed": 2,
            "checkpoints": folder,
        }
        | given
    )


def made(start: Beginning) -> DualAgentUpdates:
    return DualAgentUpdates(start, SMALL, SOON)


def test_an_imported_network_is_a_baseline_and_goes_on_as_one(tmp_path: Path) -> None:
    about = contract("onnx", task=TASK.name, action={"kind": "tool_motion", "scale": 0.5})
    model = base64.b64encode(mlp_model(mlp((21, 8, 3)))).decode()
    content = policy_to_bytes({}, {"kind": "contracted", CONTRACT: read_contract(about).content, ONNX: model})
    updates = made(beginning(tmp_path, policy=content))
    updates.update(episodes(0), 0)
    pair = updates.policy({})
    served, _ = any_policy_from_bytes(pair)
    assert served.kind == "pair" and (served.observation_size, served.action_size) == (21, 3)
    # The pair is what a resumed run, or another one, begins with: the same baseline is in it.
    again = made(beginning(policy=pair))
    np.testing.assert_array_equal(read(again.policy({}))[0]["safe.mean.bias"], read(pair)[0]["safe.mean.bias"])
    seen = 0.3 * np.random.default_rng(5).standard_normal((1, 21))
    coin = np.concatenate([[-9.0], np.zeros(3)])  # the baseline's
    acted = served.act(seen[0], coin).action
    np.testing.assert_allclose(updates.agent.act(seen, coin[None])[0], np.clip(acted, -1.0, 1.0), atol=1e-6)


def test_it_learns_from_the_actions_that_were_chosen_cut_to_their_bound() -> None:
    found = columns_of(episodes(3), GRAPH, 3)
    recorded = np.concatenate([episode.proposed for episode in episodes(3)])
    np.testing.assert_array_equal(found["chosen"], np.clip(recorded.astype(np.float32), -1.0, 1.0))
    np.testing.assert_array_equal(np.unique(found["chain"]), [12, 13, 14, 15])
    failed = np.arange(1, STEPS + 1) >= STEPS // 2
    np.testing.assert_array_equal(found["cost"], np.concatenate([0 * failed, failed, 0 * failed, failed]))
    # A failure ends nothing here, and neither does the time limit.
    assert not found["terminated"].any() and found["truncated"].sum() == EPISODES


def test_the_divergence_of_gaussians_is_the_textbooks() -> None:
    before = (np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]]))
    assert gaussian_divergence(before, before) == 0.0
    # log(2/1) + (1 + 4) / 8 - 1/2 and log(2/2) + (4 + 1) / 8 - 1/2, worked out by hand.
    after = (np.array([[2.0, 2.0]]), np.array([[2.0, 2.0]]))
    assert gaussian_divergence(before, after) == pytest.approx(np.log(2.0) + 0.125 + 0.125)
    twice = tuple(np.repeat(part, 2, axis=0) for part in before), tuple(np.repeat(part, 2, axis=0) for part in after)
    assert gaussian_divergence(*twice) == pytest.approx(np.log(2.0) + 0.25), "a mean over states"


def test_the_step_that_is_told_is_that_of_the_policy_that_is_served() -> None:
    learner = made(beginning())
    before, seen = any_policy_from_bytes(learner.policy({}))[0], columns_of(episodes(0), GRAPH, 0)["observation"]
    told = learner.update(episodes(0), 0)
    after = any_policy_from_bytes(learner.policy({}))[0]
    assert told > 0.0 and learner.kl_bound == told and learner.critic() is None
    noise = np.array([5.0, 0.0, 0.0, 0.0])  # the coin falls for the safe agent
    acts = [[policy.act(row, noise) for row in seen.astype(float)] for policy in (before, after)]
    assert {act.actor for both in acts for act in both} == {"safe"}
    moved = [(new.mean - old.mean) / new.stddev for old, new in zip(*acts, strict=True)]
    assert told == pytest.approx(0.5 * 0.5 * np.square(moved).sum(axis=1).mean(), rel=1e-4)


def test_the_pair_is_served_with_its_baseline_unchanged_and_dictates_who_acts() -> None:
    learner = made(beginning())
    learner.update(episodes(0), 0)
    tensors, about = read(learner.policy({"version": "1"}))
    assert (about["kind"], about["baseline_share"], about["exploration"], about["version"]) == (
        "pair",
        "0.5",
        "0.1",
        "1",
    )
    for name, array in network()[0].items():
        np.testing.assert_array_equal(tensors[f"baseline.{name}"], array)


def test_a_pair_is_gone_on_with(tmp_path: Path) -> None:
    learner = made(beginning())
    learner.update(episodes(0), 0)
    pair = learner.policy({})
    again = DualAgentUpdates(beginning(policy=pair))
    assert {name: array.tobytes() for name, array in read(again.policy({}))[0].items()} == {
        name: array.tobytes() for name, array in read(pair)[0].items()
    }


def test_a_cut_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    learner = made(beginning(folder))
    for iteration in range(2):
        learner.update(episodes(iteration), iteration)
    shutil.copytree(folder, tmp_path / "cut")
    whole = learner.update(episodes(2), 2), learner.policy({})
    resumed = made(beginning(tmp_path / "cut", first_iteration=2))
    assert (resumed.update(episodes(2), 2), resumed.policy({})) == whole
    kept = [path.name for path in sorted(folder.glob("*.pt"))]
    assert kept == [f"off_policy_0000{version}.pt" for version in (1, 2, 3)], "the newest three"
    safe, about = any_policy_from_bytes((folder / "learned_00003.safetensors").read_bytes())
    assert (safe.kind, about["version"]) == ("deterministic", "3")
    (tmp_path / "cut" / "off_policy_00001.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be resumed: .*off_policy_00001.npz cannot be used"):
        made(beginning(tmp_path / "cut", first_iteration=2))
    with pytest.raises(ValueError, match="needs the folder of its checkpoints"):
        made(beginning(first_iteration=2))


def recorded(folder: Path, task: str = TASK.name) -> Path:
    """Transitions of a bag, with an action beyond the bound."""
    rows = np.zeros(40, transition_dtype(3, TASK.observation_size))
    rows["chain"], rows["chosen"], rows["truncated"] = np.arange(40) // 20, 1.5, np.arange(40) % 20 == 19
    with TransitionWriter(folder, rows.dtype) as writer:
        writer.add(rows)
        writer.close(about_task(GRAPH) | {"task": task})
    return folder


def test_recordings_feed_the_buffer_and_ask_for_no_updates(tmp_path: Path) -> None:
    learner = made(beginning(tmp_path / "run", experience=(recorded(tmp_path / "made"),)))
    buffer = learner._learner.buffer
    assert len(buffer) == 40 and set(buffer["chain"]) == {-1, -2}, "no episode of this run has such a number"
    assert (buffer["chosen"] == 1.0).all()
    learner.update(episodes(0), 0)
    # The warm-up is over with the recording: a fifth of the iteration's 80 transitions.
    assert learner._learner.updates == 16
    resumed = made(beginning(tmp_path / "run", first_iteration=1))
    assert len(resumed._learner.buffer) == 120 and resumed.policy({}) == learner.policy({})
    with pytest.raises(BagError, match="holds transitions of another, expected those of panda_push_obstacle"):
        made(beginning(experience=(recorded(tmp_path / "other", "another"),)))


def test_what_can_be_no_baseline_is_refused() -> None:
    (tensors, about), law = network(), ("log_std.weight", "log_std.bias")
    squashed = tensors | dict(zip(law, (tensors["mean.weight"], tensors["mean.bias"]), strict=True))
    pair = pair_to_bytes({"baseline": (tensors, about), "safe": (squashed, {"kind": "squashed"})}, {})
    with pytest.raises(WeightsError, match="expected a pair whose safe agent is deterministic, got squashed"):
        made(beginning(policy=pair))
    with pytest.raises(ValueError, match="takes tasks of tool motions, got pr2_cup_swirl"):
        made(beginning(graph=in_graph("pr2_cup_swirl")))
    learner = LEARNERS["dual_agent"]
    assert learner.any_kind and not learner.torques and learner.serves == "pair"
