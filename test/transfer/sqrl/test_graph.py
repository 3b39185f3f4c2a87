# SPDX-License-Identifier: Apache-2.0
"""SQRL in a graph: who proposes and who masks, how far an update goes, and that a cut run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.critics.gate import CriticGate
from safe_transfer_ros.critics.safety_critic import critic_from_bytes
from safe_transfer_ros.learning.off_policy import ReplaySettings
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.masked import POLICY, MaskedPolicy, part
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.tensors import WeightsError, read
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.critic.changed_choice import choice_change_risk
from safe_transfer_ros.safety.limit.rules import PolicyShift
from safe_transfer_ros.safety.limit.torque_limit import divergence_of, policy_change_risk
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.checkpoints import CheckpointError
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.graph import SacUpdates, SqrlUpdates, failing
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

GRAPH, STEPS, EPISODES, LIMIT = in_graph("pr2_cup_swirl"), 15, 3, 1.5
TASK = GRAPH.task
SOON = ReplaySettings(warmup=20, updates_per_transition=4.0, batch=32, capacity=1_000)


def pre_trained(*, mask: bool = True, seed: int = 0, graph: Any = GRAPH, bound: float = 3.0) -> bytes:
    """A small file of a pre-training that has learned nothing; whatever it does is riskier than it accepts."""
    settings = SqrlSettings(epsilon=0.4, hidden=(16,), candidates=4)
    task = graph.task
    agent = SqrlAgent(
        task.observation_size,
        np.full(task.action_size, bound),
        SacSettings(hidden=(16, 16)),
        settings,
        seed=seed,
        mask=mask,
        limit_input=task.limit_input,
    )
    critic = agent.safety.parameters()
    critic["layer.1.weight"] *= 30.0
    critic["layer.1.bias"][:] = 0.3
    if mask:
        agent.start_from(part(read(agent.policy_file({}))[0], POLICY), critic, 0.1)
    return agent.policy_file({"task": task.name})


def episodes(iteration: int, graph: Any = GRAPH) -> list[Episode]:
    """Made up, the cup upright; in every second one it is turned over for good from the middle on."""
    rng, task = np.random.default_rng([7, iteration]), graph.task
    made = []
    for row in range(EPISODES):
        position = np.tile(task.robot.home, (STEPS + 1, 1))
        if row % 2:
            position[STEPS // 2 :, 5] -= 1.0
        velocity = 0.1 * rng.standard_normal(position.shape)
        chosen = np.clip(2.0 * rng.standard_normal((STEPS, task.action_size)), -3.0, 3.0)
        made.append(
            Episode(
                iteration=iteration,
                index=EPISODES * iteration + row,
                stamp_ns=np.arange(STEPS + 1),
                position=position,
                velocity=velocity,
                observation=task.observe(position, velocity, LIMIT),
                mean=chosen,
                stddev=np.ones_like(chosen),
                proposed=chosen,
                applied=np.clip(chosen, -LIMIT, LIMIT),
                torque_limit=np.full(STEPS, LIMIT),
                reasons=np.zeros(STEPS, dtype=np.uint32),
                verdict=np.zeros(STEPS, dtype=np.uint8),
                risk=np.zeros(STEPS),
                policy_version=iteration,
                terminated=False,
            )
        )
    return made


def beginning(folder: Path | None = None, **given: Any) -> Beginning:
    usual = {"graph": GRAPH, "policy": pre_trained(), "max_kl": 0.05, "leave_one_out": False, "seed": 2}
    return Beginning(**{**usual, "checkpoints": folder, **given})


def made(start: Beginning) -> SqrlUpdates:
    return SqrlUpdates(start, SOON, critics_first=0)


def actor(learner: SqrlUpdates) -> Policy:
    return policy_from_bytes(learner.policy({}))[0]


def test_the_policy_is_served_without_its_mask_and_the_filter_gets_the_critic() -> None:
    start = beginning()
    learner, (masked, _) = made(start), policy_from_bytes(start.policy)
    assert isinstance(masked, MaskedPolicy) and (masked.noise_size, actor(learner).noise_size) == (28, 7)
    rng = np.random.default_rng(0)
    observation, noise = episodes(0)[0].observation[:-1], rng.standard_normal((STEPS, 7))
    whole = np.tile(noise, (1, 4))  # all candidates are the first: the mask has nothing to choose
    np.testing.assert_array_equal(actor(learner).act(observation, noise).action, masked.act(observation, whole).action)

    data = learner.critic()
    assert data is not None
    critic = critic_from_bytes(data, name="it", observation_size=18, action_size=7).critic
    torque = rng.uniform(-3.0, 3.0, (STEPS, 7))
    asked = critic.risk(observation, np.clip(torque, -LIMIT, LIMIT))
    # The torque limit is in the observation: what is beyond it is judged as it acts, in training as in the filter.
    np.testing.assert_allclose(masked.risk(observation, torque), asked, atol=1e-6)
    assert np.abs(masked.risk(observation, 0.5 * torque) - asked).max() > 1e-3
    refused = CriticGate(GRAPH, FilterParameters(critic="required"), seed=0).offer(data)
    assert refused is not None and "judged by no held-out episodes" in refused
    gate = CriticGate(GRAPH, FilterParameters(critic="required", critic_uncertified=True), seed=0)
    assert gate.offer(data) is None
    gate.refresh(0)
    assert gate.epsilon == 0.4


def test_an_update_goes_as_far_as_what_is_done_may_change() -> None:
    learner = made(beginning())
    before = actor(learner)
    kl = learner.update(episodes(0), 0)
    assert 0.0 < kl <= learner.kl_bound == 0.05 and policy_change_risk(kl) <= 0.1257
    after, states = actor(learner), np.concatenate([one.observation[:-1] for one in episodes(0)])
    laws = [policy.act(states, np.zeros((len(states), 7))) for policy in (before, after)]
    shift = PolicyShift(mean=laws[0].mean, stddev=laws[0].stddev, mean_after=laws[1].mean, stddev_after=laws[1].stddev)
    proposed = divergence_of(choice_change_risk(shift))
    assert 0.0 < proposed < 0.5 * kl, "behind a mask that refuses much, less of what is proposed may change"
    # Without a bound the same update goes all the way, and without a mask what is done is what is proposed.
    free = made(beginning(max_kl=1e4))
    whole = free.update(episodes(0), 0)
    assert whole > 1.0
    alone = SacUpdates(beginning(), SOON, critics_first=0)
    told = alone.update(episodes(0), 0)
    assert alone.critic() is None and 0.02 < told <= 0.05


def test_new_critics_learn_before_the_policy_moves() -> None:
    learner = SqrlUpdates(beginning(), SOON)
    before = learner.policy({})
    assert learner.update(episodes(0), 0) == 0.0 and learner.policy({}) == before
    assert learner._learner.updates > 0


def test_nu_rises_where_the_policy_is_riskier_than_accepted_and_the_critic_stays() -> None:
    learner = made(beginning())
    critic = learner.critic()
    learner.update(episodes(0), 0)
    once = learner.agent.state()["penalty"]["multiplier"]
    learner.update(episodes(1), 1)
    assert 0.0 < once < learner.agent.state()["penalty"]["multiplier"] and learner.critic() == critic
    assert "penalty" in learner.agent.state() and "safety" not in learner.agent.state()


def test_an_episode_ends_with_its_failure() -> None:
    found = failing(episodes(0), GRAPH, 0)
    np.testing.assert_array_equal(np.bincount(found["chain"]), [STEPS, STEPS // 2, STEPS])
    last = found["chain"] == 1
    np.testing.assert_array_equal(np.flatnonzero(found["cost"]), np.flatnonzero(last)[-1:])
    assert found["terminated"][last][-1] and not found["terminated"][~last].any()


def test_a_failure_is_charged_as_in_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = failing(episodes(0), GRAPH, 0)
    monkeypatch.setattr(type(TASK), "failure_cost", 5.0)
    charged = failing(episodes(0), GRAPH, 0)
    np.testing.assert_allclose(usual["reward"] - charged["reward"], 5.0 * usual["cost"], atol=1e-5)
    assert usual["cost"].sum() == 1.0


def test_a_cut_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    learner = made(beginning(folder))
    for iteration in range(2):
        learner.update(episodes(iteration), iteration)
    shutil.copytree(folder, tmp_path / "cut")
    whole = learner.update(episodes(2), 2), learner.policy({}), learner.agent.policy_file({})
    # It is given the policy that was served last, not the one that the run began with.
    served = policy_to_bytes(*read(learner.policy({})))
    resumed = made(beginning(tmp_path / "cut", first_iteration=2, policy=served))
    assert (resumed.update(episodes(2), 2), resumed.policy({}), resumed.agent.policy_file({})) == whole
    kept, card = policy_from_bytes((folder / "learned_00003.safetensors").read_bytes())
    assert isinstance(kept, MaskedPolicy) and card["version"] == "3"
    other = made(beginning(policy=(folder / "learned_00003.safetensors").read_bytes()))
    assert other.policy({}) == learner.policy({}), "what a run has learned is gone on with"
    with pytest.raises(CheckpointError, match="the safety critic of the policy's file is another"):
        made(beginning(tmp_path / "cut", first_iteration=2, policy=pre_trained(seed=1)))


def test_what_it_cannot_begin_with_is_refused() -> None:
    bare = pre_trained(mask=False)
    with pytest.raises(WeightsError, match="expected a policy with a safety critic beside it"):
        made(beginning(policy=bare))
    assert SacUpdates(beginning(policy=bare), SOON).critic() is None
    learner = made(beginning())
    tensors = read(learner.policy({}))[0]
    broken = part(tensors, POLICY)
    learner.agent._agent.act_as({**broken, "mean.bias": np.full_like(broken["mean.bias"], np.nan)})
    with pytest.raises(WeightsError, match="finite"):
        learner.update(episodes(0), 0)
