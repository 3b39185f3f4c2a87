# SPDX-License-Identifier: Apache-2.0
"""The graph of a pushing task: many joint states to a proposal, a block's pose, episodes that end by a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graph_runs
import numpy as np
import pytest

from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.critics.safety_critic import load_critic
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, Proposal, SafetyFilter
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.simulated import simulated

SEED = 5
GRAPH = in_graph("panda_push_boundary")
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("push") / "run"
    arguments = (
        "task:=boundary",
        "learner:=csc",
        f"seed:={SEED}",
        "iterations:=2",
        "trainer.episodes_per_iteration:=2",
    )
    finished = graph_runs.up(run_dir, *arguments, graph="panda_push", report=True)
    assert finished.returncode == 0, finished.stderr
    assert f"report: {run_dir / 'report.html'}" in finished.stdout
    return run_dir


def _all(run: Path, topic: str) -> list[Any]:
    return [message for _, message, _ in messages(run / "bag", [topic])]


def test_each_proposal_is_followed_by_twenty_torques_and_the_rule_of_the_task_ends_the_episode(run: Path) -> None:
    decisions = _all(run, "/safety_filter/decision")
    stamps = [to_ns(message.header.stamp) for message in _all(run, "/joint_states")]
    commands = _all(run, "/effort_controller/commands")
    # A period after its last decision an episode is over, and that joint state is not answered.
    assert set(np.diff(stamps)) == {2_000_000} and len(commands) == len(stamps) - 4
    for one, following in zip(decisions, decisions[1:], strict=False):
        if not one.last:
            assert to_ns(following.header.stamp) - to_ns(one.header.stamp) == 40_000_000
    ends = [decision for decision in decisions if decision.last]
    assert [end.episode for end in ends] == [0, 1, 2, 3]
    for end in ends:
        scene = GRAPH.task.scene_of(np.array(end.observation))
        assert end.terminated and end.step < GRAPH.task.horizon
        assert GRAPH.task.succeeded(scene) or GRAPH.task.failed(scene)
        assert list(end.action_names) == ["tool_x", "tool_y"] and len(end.object_pose) == 7
        block = np.array(end.object_pose)[:3] - GRAPH.task.table_centre
        np.testing.assert_allclose(block, scene.block, atol=1e-12)


def test_the_bag_alone_gives_the_runs_numbers(run: Path) -> None:
    again, _ = iteration_records(run / "bag")
    records = read(run / "iterations.csv")
    assert [record.torque_limit for record in records] == [1.0, 1.05]
    for record, other in zip(records, again, strict=True):
        assert {name for name, value in record.as_dict().items() if other.as_dict()[name] != value} == {"wall_time_s"}
        # One torque limit for all seven joints, and a tool that is drawn by a stiff spring: it is felt.
        assert 0.5 < record.limit_change_risk <= 1.0


def test_the_filter_asks_the_critic_that_the_trainer_has_retrained(run: Path) -> None:
    by_iteration: dict[int, set[str]] = {0: set(), 1: set()}
    for decision in _all(run, "/safety_filter/decision"):
        by_iteration[decision.iteration].add(decision.critic_version)
        if not decision.last:
            assert 0.0 < decision.risk < 1.0 and len(decision.chosen) == 2
    first, second = by_iteration.values()
    assert len(first) == len(second) == 1 and first != second
    kept = [load_critic(path, observation_size=21, action_size=2) for path in sorted(run.glob("checkpoints/critic_*"))]
    assert [critic.card["iterations"] for critic in kept] == [0, 1, 2]
    assert [{critic.version} for critic in kept[:2]] == [first, second]
    # The critics that judged are in the bag, byte for byte.
    sent = [message.sha256[:12] for message in _all(run, "/trainer/critic_weights")]
    assert sent == [critic.version for critic in kept]


def test_the_bag_gives_transitions_with_the_runs_rewards_and_the_actions_taken(run: Path, tmp_path: Path) -> None:
    transitions, counts = write_transitions([Bag(run / "bag")], GRAPH, tmp_path / "transitions")
    taken = np.array([one.chosen for one in _all(run, "/safety_filter/decision") if not one.last])
    assert counts.transitions == len(taken) == counts.decisions - 4 and counts.gaps == counts.clock_jumps == 0
    np.testing.assert_array_equal(transitions["chosen"], taken.astype(np.float32))
    np.testing.assert_array_equal(transitions["applied"], np.clip(transitions["chosen"], -1.0, 1.0))
    assert transitions["terminated"].sum() == 4
    decisions = [one for one in _all(run, "/safety_filter/decision") if one.episode == 0]
    told = GRAPH.task.told(np.array([one.observation for one in decisions]))
    scenes = [
        GRAPH.task.scene_at(np.array(one.position), np.array(one.object_pose), goal, obstacle)
        for one, goal, obstacle in zip(decisions, *told, strict=True)
    ]
    rewards = [GRAPH.task.reward(before, after) for before, after in zip(scenes, scenes[1:], strict=False)]
    found = transitions["reward"][transitions["episode"] == 0]
    np.testing.assert_allclose(found, np.array(rewards, dtype=np.float32), rtol=1e-6, atol=1e-7)
    for record in read(run / "iterations.csv"):
        rewards = transitions["reward"][transitions["iteration"] == record.iteration]
        assert rewards.sum() / 2.0 == pytest.approx(record.mean_return, rel=1e-4)


def test_the_same_objects_in_one_process_give_the_same_numbers_to_the_last_bit(run: Path) -> None:
    policy = GaussianPolicy(weights.load(run / "checkpoints" / "policy_00000.safetensors")[0])
    decisions = [decision for decision in _all(run, "/safety_filter/decision") if decision.episode == 0]
    applied, observations = _in_process(policy, len(decisions) - 1)
    for decision, torque, observation in zip(decisions, applied, observations, strict=True):
        np.testing.assert_array_equal(np.array(decision.observation), observation)
        np.testing.assert_array_equal(np.array(decision.applied_effort), torque)


def _in_process(policy: GaussianPolicy, steps: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Torque in the cycle of each decision, and what was observed: what the graph does, without it."""
    task, robot = GRAPH.task, simulated(GRAPH)
    robot.place(generator(Purpose.INITIAL_STATE, SEED, 0))
    view = GRAPH.view(SEED, lockstep=True)
    rules = SafetyFilter(
        task.robot.joint_names,
        task.robot.limits.effort,
        FilterSettings(state_period_s=0.002),
        TorqueLimitGuard(1.0, 10.0),
        soft_limits=task.soft_limits,
        drive=GRAPH.drive(),
        tracks_object=True,
    )
    noise, applied, observations, now = generator(Purpose.ACTION_NOISE, SEED, 0), [], [], 0
    for step in range(steps + 1):
        for substep in range(20):
            now += 2_000_000
            position, velocity = robot.arm.position, robot.arm.velocity
            rules.observe_state(now, position, velocity, now)
            if substep == 0:
                pose = robot.object_pose
                assert pose is not None
                rules.observe_object(now, pose, now)
                view.see(now, pose)
                if step == 0:
                    view.begin(0, now)
                    assert rules.arm(now) is None
                observation = view.observe(position, velocity, 1.0)
                observations.append(observation)
                mean, stddev = policy.distribution(observation)
                effort = mean + stddev * noise.standard_normal(2)
                common = {"stamp_ns": now, "iteration": 0, "episode": 0, "step": step, "policy_version": 0}
                last = step == steps
                if last:
                    assert view.over(position, velocity)
                proposal = Proposal(last=last, mean=mean, stddev=stddev, effort=effort, **common)  # type: ignore[arg-type]
                assert rules.propose(proposal, now) is Reason.NONE
            torque = rules.cycle(now)
            if substep == 0:
                applied.append(torque.copy())
                if step == steps:
                    return applied, observations
            robot.arm.step(torque)
    raise AssertionError("the episode did not end")
