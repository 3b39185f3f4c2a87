# SPDX-License-Identifier: Apache-2.0
"""The main job, short: what a run leaves behind, and that its numbers are the same whichever way they are had."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import graph_runs
import numpy as np
import pytest
import rclpy
import transcripts
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from safe_transfer_msgs.msg import SafetyDecision
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros import resources
from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled
from safe_transfer_ros.middleware import diagnostics, topics
from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.episode import Episode, episodes_from_decisions
from safe_transfer_ros.record.iteration import COLUMNS, read
from safe_transfer_ros.record.recompute import iteration_records, recompute
from safe_transfer_ros.record.resume import left_off
from safe_transfer_ros.record.run_config import governor, parameters
from safe_transfer_ros.robots.simulation import perturbation
from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.governor import TorqueLimitGovernor
from safe_transfer_ros.safety.limit.torque_limit import next_torque_limit, policy_change_risk
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import FineTuneStep, PsptSettings, fine_tune

SEED = 4
pytestmark = pytest.mark.timeout(300)  # whole runs, on a machine that may be busy


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of docs/first_run.md, as typed there."""
    run_dir = tmp_path_factory.mktemp("first") / "runs" / "first"
    shown, *_ = transcripts.of("first_run.md")
    words = [f"seed:={SEED}", *graph_runs.SHORT]
    assert shown.words[1:] == ["up", "pr2_cup_swirl", *words, "run_dir:=runs/first"]
    finished = graph_runs.up(run_dir, *words, report=True, SAFE_TRANSFER_COMMAND="safe_transfer")
    assert finished.returncode == 0, finished.stderr
    assert not transcripts.difference(shown.output, finished.stdout)
    return run_dir


@pytest.mark.parametrize("shown", transcripts.of("first_run.md")[1:], ids=lambda shown: " ".join(shown.words[1:]))
def test_what_is_typed_after_the_first_run_prints_what_the_page_shows(
    run: Path, shown: transcripts.Shown, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parents[1])
    assert main(shown.words[1:]) == 0
    assert not transcripts.difference(shown.output, capsys.readouterr().out)


@pytest.fixture(scope="module")
def episodes(run: Path) -> list[Episode]:
    decisions = [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]
    return episodes_from_decisions(decisions)


def test_the_run_directory_holds_what_it_promises(run: Path) -> None:
    for name in ("config.yaml", "iterations.csv", "returns.csv", "report.html", "bag/metadata.yaml", "bag/bag_0.mcap"):
        assert (run / name).stat().st_size > 0, name
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == [
        f"policy_{version:05d}.safetensors" for version in range(3)
    ]
    assert list((run / "plots").glob("*.png"))
    assert graph_runs.nodes_of(run) == {}, "no process outlives its launcher"
    said = (run / "logs" / "safety_filter.log").read_text()
    assert "told to end while disarmed" in said and "[ERROR]" not in said, "a normal end is no trip"


def test_the_limit_obeys_the_rule_in_every_iteration(run: Path) -> None:
    records = read(run / "iterations.csv")
    assert [record.iteration for record in records] == [0, 1]
    assert [record.steps for record in records] == [400, 400]
    assert records[0].torque_limit == 0.1
    assert records[1].torque_limit <= 1.05 * records[0].torque_limit * (1 + 1e-12)
    assert all(record.expected_damage <= 0.5 for record in records)


def test_no_applied_torque_is_above_the_limit_in_force(episodes: list[Episode]) -> None:
    for episode in episodes:
        assert (np.abs(episode.applied) <= episode.torque_limit[:, None]).all()
        assert (np.abs(episode.proposed) > episode.torque_limit[:, None]).any(), "the limit was never felt"


def test_every_number_can_be_recomputed_from_the_bag_alone(run: Path) -> None:
    live = read(run / "iterations.csv")
    recomputed, _ = iteration_records(run / "bag")
    assert len(recomputed) == len(live)
    for one, other in zip(live, recomputed, strict=True):
        for column in COLUMNS:
            if column != "wall_time_s":  # a bag knows when things were received, not when the trainer looked
                assert getattr(other, column) == pytest.approx(getattr(one, column), rel=1e-9, abs=1e-12), column


def test_the_environment_gives_the_same_trajectory(run: Path, episodes: list[Episode]) -> None:
    """Same seed, same weights: the Gymnasium environment and six processes over DDS, equal to the last bit."""
    task = make("pr2_cup_swirl")
    for episode in (episodes[0], episodes[-1]):
        parameters, _ = weights.from_bytes(
            (run / "checkpoints" / f"policy_{episode.policy_version:05d}.safetensors").read_bytes()
        )
        policy, noise = GaussianPolicy(parameters), generator(Purpose.ACTION_NOISE, SEED, episode.index)
        limit = float(episode.torque_limit[0])
        env = TorqueEnv(task, perturbation("light_sticky"), torque_limit=limit)
        observation, _ = env.reset(seed=SEED, options={"episode": episode.index})
        for step in range(task.horizon):
            np.testing.assert_array_equal(observation, episode.observation[step])
            mean, stddev = policy.distribution(observation)
            torque = mean + stddev * noise.standard_normal(task.action_size)
            np.testing.assert_array_equal(torque, episode.proposed[step])
            observation, *_, info = env.step(torque)
            np.testing.assert_array_equal(info["applied"], episode.applied[step])
            np.testing.assert_array_equal(info["position"], episode.position[step + 1])


def same_run(run: Path, steps: Iterable[FineTuneStep]) -> None:
    """Every row and every weight, bit for bit."""
    for record, step in zip(read(run / "iterations.csv"), steps, strict=True):
        assert step.record.as_dict() | {"wall_time_s": 0.0} == record.as_dict() | {"wall_time_s": 0.0}
        data = (run / "checkpoints" / f"policy_{record.iteration + 1:05d}.safetensors").read_bytes()
        checkpoint, _ = weights.from_bytes(data)
        for name, array in step.update.parameters.items():
            np.testing.assert_array_equal(array, checkpoint[name], err_msg=name)


def test_algorithm_1_in_one_process_gives_the_same_run(run: Path) -> None:
    """What the studies compute without ROS is what the graph does: every row and every weight, bit for bit."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    trainer, task = parameters(config, "trainer"), make("pr2_cup_swirl")
    policy = with_stddev_scaled(load_for(task, trainer["policy"])[0], trainer["stddev_factor"])
    records = read(run / "iterations.csv")
    with VectorTorqueEnv(task, perturbation(parameters(config, "mujoco_sim")["perturbation"])) as environment:
        steps = fine_tune(
            environment,
            policy,
            settings=PsptSettings(max_kl=trainer["max_kl"], leave_one_out=trainer["leave_one_out"]),
            governor=governor(config).settings,
            seed=SEED,
            episodes=trainer["episodes_per_iteration"],
        )
        same_run(run, islice(steps, len(records)))


def test_rules_beyond_the_papers_are_the_same_in_the_graph_in_one_process_and_from_the_bags(tmp_path: Path) -> None:
    """The monitor hears the updated weights and the filter's observations: dp_u2 per state, and joints "moved"; and
    of two episodes its conformal p_u counts as a third and more. Of the benefit rule it remembers the returns.

    The run is cut and goes on, as if it had not been: with "moved" its limit follows from the bag, and not from the
    last row alone. It begins with the memory of a run that returned far more, so that two iterations are enough for the
    limit to be held: the second session, which knows of the first what the launcher told it, gives the third the limit
    that the one process gives it.
    """
    before = Benefit()
    for _ in range(5):
        before.cap(0.4, np.full(2, 1e4))
    place, rule = tmp_path / "run", tmp_path / "rule.yaml"
    shipped = yaml.safe_load(resources.path("config/pr2_cup_swirl.yaml").read_text())
    shipped["/**"]["ros__parameters"] |= {"d_safe": 0.34, "initial_torque_limit": 0.5, "allow_unsafe_start": True}
    shipped["/**/unsafety_monitor"]["ros__parameters"] |= {"kl": "per_state", "joints": "moved", "rate": "conformal"}
    shipped["/**/unsafety_monitor"]["ros__parameters"] |= {"benefit": True, "benefit_memory": before.memory}
    rule.write_text(yaml.safe_dump(shipped))
    first = graph_runs.up(place, f"config:={rule}", f"seed:={SEED}", *graph_runs.SHORT, "iterations:=1")
    assert first.returncode == 0, first.stderr
    second = graph_runs.up(place, "iterations:=2", resume=True, report=True)
    assert second.returncode == 0, second.stderr
    records = read(place / "iterations.csv")
    for bag, live in zip(("bag", "bag_1"), records, strict=True):
        (again,), _ = iteration_records(place / bag)  # each session's bag tells its iteration on its own
        for column in COLUMNS:
            assert column == "wall_time_s" or getattr(again, column) == getattr(live, column), column
    config = yaml.safe_load((place / "config.yaml").read_text())
    settings, task = governor(config).settings, make("pr2_cup_swirl")
    assert (settings.kl, settings.joints, settings.rate) == ("per_state", "moved", "conformal")
    assert [record.policy_change_risk for record in records] != [policy_change_risk(record.kl) for record in records]
    for record in records:
        rate = (1.0 + 2.0 * record.unsafety_rate) / 3.0
        predicted = min(1.0, rate + record.limit_change_risk + record.policy_change_risk)
        assert record.predicted_unsafety_rate == pytest.approx(predicted) and record.unsafety_rate < rate
    papers = next_torque_limit(
        0.5,
        records[0].predicted_unsafety_rate,
        d_safe=0.34,
        floor=0.34,
        t_max=3.0,
        growth=1.05,
        damage=DAMAGE_MODELS["linear"],
    )
    assert 0.5 < records[1].torque_limit < papers, "moved's own limit, which the last row alone does not tell"
    trainer = parameters(config, "trainer")
    policy = with_stddev_scaled(load_for(task, trainer["policy"])[0], trainer["stddev_factor"])
    with VectorTorqueEnv(task, perturbation(parameters(config, "mujoco_sim")["perturbation"])) as environment:
        update = PsptSettings(max_kl=trainer["max_kl"], leave_one_out=trainer["leave_one_out"])
        limits = TorqueLimitGovernor(settings, memory=before.memory)
        steps = fine_tune(environment, policy, settings=update, governor=settings, seed=SEED, episodes=2, limits=limits)
        same_run(place, islice(steps, len(records)))
    *_, estimate = [message for _, message, _ in messages(Bag(place / "bag_1"), ["/unsafety_monitor/estimate"])]
    again, start = recompute(place / "bag_1"), left_off(place, settings, memory=before.memory)
    assert limits.held.startswith("held at 0.4 N·m at most")
    given = {limits.torque_limit, estimate.next_torque_limit, again.next_torque_limit, start.torque_limit}
    assert given == {limits.torque_limit} and limits.torque_limit < records[1].torque_limit, "live, too, it was held"
    assert limits.memory == again.memory == start.memory
    resumed = yaml.safe_load((place / "config_1.yaml").read_text())
    told = parameters(resumed, "unsafety_monitor")["benefit_memory"]
    assert told == recompute(place / "bag").memory != before.memory, "what the launcher told the second session"
    assert records[1].wall_time_s > records[0].wall_time_s
    page = (place / "report.html").read_text()
    assert "held at 0.4 N·m at most" in page
    assert "the run was resumed" in page and "recomputed from the bag alone" in page


def test_a_run_that_was_cut_goes_on_with_the_limit_that_follows_from_its_last_row(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "checkpoints", tmp_path / "checkpoints")
    shutil.copy(run / "returns.csv", tmp_path)  # of both: of the second there is no row in iterations.csv
    lines = (run / "iterations.csv").read_text().splitlines(keepends=True)
    (tmp_path / "iterations.csv").write_text("".join(lines[:2]))
    first, second = read(run / "iterations.csv")
    start = left_off(tmp_path, governor(yaml.safe_load((run / "config.yaml").read_text())).settings)
    assert (start.iteration, start.torque_limit, start.wall_time_s) == (1, second.torque_limit, first.wall_time_s)
    assert start.policy == tmp_path / "checkpoints" / "policy_00001.safetensors"


def test_a_damage_budget_holds_within_an_iteration(tmp_path: Path) -> None:
    """An initial limit that the bound cannot bear: the filter gives it up in mid-iteration, and the bag tells it."""
    run_dir = tmp_path / "run"
    bound = ("d_safe:=0.3", "initial_torque_limit:=1.5", "torque_limit_floor:=0.05", "/**.allow_unsafe_start:=true")
    finished = graph_runs.up(run_dir, f"seed:={SEED}", *graph_runs.SHORT, "damage_budget:=true", *bound, report=True)
    assert finished.returncode == 0, finished.stderr
    rows, (recomputed, _) = read(run_dir / "iterations.csv"), iteration_records(run_dir / "bag")
    assert [replace(row, wall_time_s=0.0) for row in rows] == [replace(row, wall_time_s=0.0) for row in recomputed]
    assert rows[0].torque_limit == 1.5 and all(row.expected_damage <= 0.3 for row in rows)
    assert rows[0].unsafety_rate * rows[0].torque_limit > 0.3, "it would have been over, else this shows nothing"
    decisions = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    given_up = [message for message in decisions if message.reasons & Reason.DAMAGE_BUDGET_SPENT]
    assert given_up and {message.torque_limit for message in given_up} == {0.05}
    assert all(np.abs(message.applied_effort).max() <= 0.05 for message in given_up)
    told = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/status"])]
    assert any("damage budget was spent" in message.message and message.torque_limit == 0.05 for message in told)
    assert "under a lower limit" in (run_dir / "report.html").read_text()


def test_a_pause_holds_the_next_episode_back_and_changes_no_number(run: Path, tmp_path: Path, number: int) -> None:
    """Nor do a trip, with its reset, and who looks on: equal seeds give equal runs, to the last bit of a checkpoint."""
    context = Context()
    rclpy.init(context=context, domain_id=number)
    node = rclpy.create_node("operator", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: list[SafetyDecision] = []
    modes: list[int] = []
    words: list[str] = []
    topics.DECISIONS.listen(node, heard.append)
    topics.FILTER_STATUS.listen(node, lambda status: modes.append(status.mode))
    topics.DIAGNOSTICS.listen(
        node, lambda told: words.extend(one.message for one in told.status if one.name == "policy_server")
    )
    pause = node.create_client(SetBool, "policy_server/pause")
    orders = {name: node.create_client(Trigger, f"safety_filter/{name}") for name in ("trip", "reset")}
    turning = threading.Thread(target=executor.spin)
    turning.start()
    try:
        arguments = (f"seed:={SEED}", *graph_runs.SHORT, "visualize:=true")
        with graph_runs.started(tmp_path / "run", *arguments, ROS_DOMAIN_ID=str(number)) as process:
            graph_runs.wait_for(lambda: pause.service_is_ready() and bool(heard), 90, "the first decision")
            answer = pause.call_async(SetBool.Request(data=True))
            graph_runs.wait_for(answer.done, 30, "an answer")
            assert answer.result().success
            still = "paused by an operator: no episode begins"
            graph_runs.wait_for(lambda: still in words, 60, "the pause")
            graph_runs.wait_for(lambda: heard[-1].last and modes[-1] == SafetyDecision.MODE_DISARMED, 10, "disarmed")
            count = len(heard)
            time.sleep(1.5)
            assert len(heard) == count < 4 * 201 and process.poll() is None, "an episode began during the pause"
            for name, mode in (("trip", SafetyDecision.MODE_TRIPPED), ("reset", SafetyDecision.MODE_DISARMED)):
                graph_runs.wait_for(orders[name].service_is_ready, 10, name)
                orders[name].call_async(Trigger.Request())
                graph_runs.wait_for(lambda mode=mode: modes[-1] == mode, 30, f"{name} during the pause")
            pause.call_async(SetBool.Request(data=False))
            assert process.wait(200) == 0
    finally:
        executor.shutdown()
        turning.join()
        node.destroy_node()
        rclpy.shutdown(context=context)
    assert [replace(record, wall_time_s=0.0) for record in read(tmp_path / "run" / "iterations.csv")] == [
        replace(record, wall_time_s=0.0) for record in read(run / "iterations.csv")
    ]
    for version in range(3):
        name = f"checkpoints/policy_{version:05d}.safetensors"
        assert (run / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    bag = tmp_path / "run" / "bag"
    lines = {line.name for _, message, _ in messages(bag, ["/diagnostics"]) for line in message.status}
    assert lines == set(diagnostics.NAMES) - {"controller_supervisor", "episode_reset", "franka_robot"}
    counts = {summary.topic: summary.count for summary in Bag(bag).summary()}
    assert counts["/robot_description"] == counts["/tf_static"] == 1
    assert counts["/tf"] > 5 and counts["/visualizer/markers"] > 5


def test_only_a_run_with_something_left_to_do_can_go_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*arguments: str) -> str:
        assert main(["up", "pr2_cup_swirl", *arguments]) == 2
        return capsys.readouterr().err

    assert "has all its 2 iterations: add iterations:=N" in refusal(f"resume:={run}")
    assert "leave out d_safe" in refusal(f"resume:={run}", "d_safe:=0.5", "iterations:=9")
    assert "cannot read configuration" in refusal(f"resume:={tmp_path}")
