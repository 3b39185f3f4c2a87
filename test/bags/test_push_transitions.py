# SPDX-License-Identifier: Apache-2.0
"""A recorded push, whose actions are no torques: its transitions, and a critic made of them that the filter takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decision_bags import write
from proposed import proposed
from synthetic_run import Messages

from safe_transfer_ros.bags.live import LiveTransitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.critics.gate import CriticGate
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.learning.transitions import schema, transitions
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.rollouts import Rollouts

GRAPH, EPISODES, LIMIT, SEED = in_graph("panda_push_boundary"), 30, 0.4, 3
TASK = GRAPH.task


class Astray:
    """The shipped pusher, drawn aside in two of three episodes, and so wild that its actions are cut."""

    def __init__(self) -> None:
        self.pusher = GaussianPolicy(load_for(TASK, TASK.name)[0])

    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = self.pusher.distribution(observation)[0]
        mean[:, 1] += np.resize([0.0, 0.6, -0.6], len(mean))
        return mean, np.full_like(mean, 0.6)


def _decisions(rollouts: Rollouts) -> list[bytes]:
    """As the filter records them; of episode 2 with the axes the other way round."""
    messages, policy, nothing, made = Messages(), Astray(), np.empty(0), []
    means, stddevs = zip(*(policy.distribution(one) for one in rollouts.observation.swapaxes(0, 1)), strict=True)
    for episode, steps in enumerate(rollouts.lengths):
        for step in range(steps + 1):
            last, stamp = step == steps, 10**9 * (1 + 100 * episode) + 40_000_000 * step
            turn = slice(None, None, -1 if episode == 2 else 1)
            action = nothing if last else rollouts.chosen[episode, step][turn].copy()
            fields: dict[str, Any] = {
                "header": messages.header(stamp),
                "iteration": episode // 5,
                "episode": episode,
                "step": step,
                "last": last,
                "terminated": last and bool(rollouts.terminated[episode, steps - 1]),
                "verdict": 6 if last else 0,
                "joint_names": list(TASK.robot.joint_names),
                "position": TASK.robot.home,
                "velocity": np.zeros(7),
                "observation": rollouts.observation[episode, step],
                "action_names": list(GRAPH.action_names)[turn],
                "proposed_mean": nothing if last else means[step][episode][turn].copy(),
                "proposed_stddev": nothing if last else stddevs[step][episode],
                "proposed_effort": action,
                "applied_effort": np.full(7, 0.1 * step),
                "torque_limit": LIMIT,
                "policy_version": 0,
            }
            made.append(messages.decision(**fields))
    return made


@dataclasses.dataclass
class Recorded:
    rollouts: Rollouts
    decisions: list[bytes]
    bag: Path

    def steps(self, values: np.ndarray) -> np.ndarray:
        return values[:, : self.rollouts.reward.shape[1]][self.rollouts.valid]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    with TaskEnvironment(TASK.name) as scenes:
        rollouts = scenes.rollout(Astray(), episodes=EPISODES, seed=SEED)
    assert 5 < rollouts.failures < EPISODES
    decisions = _decisions(rollouts)
    return Recorded(rollouts, decisions, write(tmp_path_factory.mktemp("push") / "bag", decisions))


def test_transitions_have_the_environments_numbers(recorded: Recorded, tmp_path: Path) -> None:
    written, counts = write_transitions([Bag(recorded.bag)], GRAPH, tmp_path / "transitions")
    rollouts = recorded.rollouts
    assert counts.transitions == rollouts.steps and counts.unsafe == rollouts.failures
    actions = recorded.steps(rollouts.chosen)
    assert np.abs(actions).max() > 1.5
    for name, expected in {
        "observation": recorded.steps(rollouts.observation[:, :-1]),
        "next_observation": recorded.steps(rollouts.observation[:, 1:]),
        "proposed": actions,
        "chosen": actions,
        # What moves the tool, and so what a critic judges: neither what was asked for nor torques.
        "applied": np.clip(actions, -1.0, 1.0),
        "reward": recorded.steps(rollouts.reward),
        "cost": recorded.steps(rollouts.cost),
        "terminated": recorded.steps(rollouts.terminated),
        "torque_limit": np.full(len(actions), LIMIT),
    }.items():
        np.testing.assert_allclose(written[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)

    live = LiveTransitions(tmp_path / "live", GRAPH)
    for message in recorded.decisions:
        live.add(message)
    collected = live.close()
    for name in ("observation", "applied", "cost", "chain", "next_mean", "reward"):
        np.testing.assert_array_equal(collected[name], written[name])
    assert collected.about["action_bound"] == written.about["action_bound"] == [1.0, 1.0]


def test_a_recording_is_the_buffer_that_the_rollouts_fill(recorded: Recorded, tmp_path: Path) -> None:
    write_transitions([Bag(recorded.bag)], GRAPH, tmp_path / "transitions")
    bag = ReplayBuffer.recorded(tmp_path / "transitions")
    columns = transitions(recorded.rollouts)
    buffer = ReplayBuffer(len(bag), schema(TASK.action_size, TASK.observation_size, columns=tuple(columns)))
    buffer.add(columns)
    assert len(bag) == len(buffer) == recorded.rollouts.steps
    for name in set(columns) - {"iteration", "chain", "reward"}:  # the bag's own numbers of iterations and stretches
        assert bag[name].dtype == buffer[name].dtype
        np.testing.assert_array_equal(bag[name], buffer[name], err_msg=name)
    np.testing.assert_allclose(bag["reward"], buffer["reward"], atol=1e-6)  # rounded through the observation
    np.testing.assert_array_equal(np.diff(bag["chain"]) != 0, np.diff(buffer["chain"]) != 0)
    one, other = (each.sample_sequences(64, 8, np.random.default_rng(1)) for each in (bag, buffer))
    np.testing.assert_array_equal(one["applied"], other["applied"])


def test_the_filter_takes_the_critic_that_was_trained_from_the_recording(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, critic, report = tmp_path / "transitions", tmp_path / "first" / "critic.safetensors", tmp_path / "r.json"
    assert main(["bag", "to-transitions", str(recorded.bag), "--task", TASK.name, "--out", str(folder)]) == 0
    given = ["--gamma", "0.9", "--updates", "200", "--hidden", "32", "--support", "off"]
    assert main(["train-critic", "--bags", str(folder), "--out", str(critic.parent), *given]) in (0, 1)
    assert "not told which" in capsys.readouterr().out
    assert main(["shadow-report", str(folder), "--candidate", str(critic), "--out", str(report)]) in (0, 1)
    found = json.loads(report.read_text())["candidate"]
    # Also actions that were cut to their bound: the torque limit says nothing about them.
    assert found["steps"] > 0.9 * len(Transitions(folder)) - 30 * EPISODES and found["auroc"] > 0.8

    gate = CriticGate(GRAPH, FilterParameters(critic_uncertified=True), seed=0)
    assert gate.offer(critic.read_bytes()) is None
    gate.refresh(0)
    before, action = recorded.rollouts.observation[0, 5], np.array([0.9, -0.9])
    chosen, risk, _, _ = gate.judge(before, proposed(action, np.full(2, 0.1), action), LIMIT)
    assert 0.0 <= risk < 1.0 and np.abs(chosen).max() > 0.5


def test_a_task_with_other_actions_is_one_clear_line(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task, text in {"pr2_cup_swirl": "another arm", "panda_push_topple": "other actions"}.items():
        arguments = ["bag", "to-transitions", str(recorded.bag), "--task", task, "--out", str(tmp_path / task)]
        assert main(arguments) == 2
        error = capsys.readouterr().err.strip()
        assert text in error and "--task" in error and "\n" not in error
