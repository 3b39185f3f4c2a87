# SPDX-License-Identifier: Apache-2.0
"""Launch arguments and parameter files: applied where they belong, or refused before anything is written."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import fine_tuning, panda_push, pr2_cup_swirl, resumed
from safe_transfer_ros.launching.graph import apply_arguments, complete, read_parameters, write_parameters
from safe_transfer_ros.parameters.sections import SECTIONS, SHARED
from safe_transfer_ros.policies.tensors import WeightsError, write
from safe_transfer_ros.policies.weights import Architecture
from safe_transfer_ros.randomness import SCHEME
from safe_transfer_ros.record import returns
from safe_transfer_ros.record.iteration import COLUMNS
from safe_transfer_ros.record.returns import EpisodeReturn
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings

SHIPPED = "config/pr2_cup_swirl.yaml"


def plan(tmp_path: Path, **given: str) -> fine_tuning.Plan:
    return pr2_cup_swirl.GRAPH.plan({"run_dir": str(tmp_path / "run"), **given})


def test_the_shipped_configuration_is_complete_and_valid() -> None:
    parameters = complete(read_parameters(resources.path(SHIPPED)))
    assert set(parameters) == {SHARED, *SECTIONS}


def test_arguments_reach_their_parameters() -> None:
    given = {"initial_torque_limit": "0.2", "iterations": "7", "trainer.max_kl": "0.01", "limit_rule": "fixed"}
    parameters, own = apply_arguments({}, given, fine_tuning.ARGUMENTS)
    assert parameters[SHARED] == {"initial_torque_limit": 0.2, "limit_rule": "fixed"}
    assert parameters["trainer"] == {"iterations": 7, "max_kl": 0.01}
    assert own["record"] == "true"


def test_config_as_run_describes_the_same_run(tmp_path: Path) -> None:
    first = plan(tmp_path, seed="3", d_safe="0.4")
    again = pr2_cup_swirl.GRAPH.plan({"config": str(first.parameters_file), "run_dir": str(tmp_path / "again")})
    assert again.parameters[SHARED] == first.parameters[SHARED]
    assert again.parameters["safety_filter"] == first.parameters["safety_filter"]
    assert yaml.safe_load(first.parameters_file.read_text())[SHARED]["ros__parameters"]["seed"] == 3


def test_recorder_runs_only_when_asked_for(tmp_path: Path) -> None:
    nodes = [process.node for process in plan(tmp_path, record="false").processes]
    assert "bag_recorder" not in nodes
    assert nodes.index("trainer") < nodes.index("safety_filter") < nodes.index("mujoco_sim")


def test_hardware_is_the_same_graph_with_a_supervisor_in_the_place_of_the_simulator(tmp_path: Path) -> None:
    hardware = plan(tmp_path, robot="hardware", allow_uncommissioned="true")
    nodes = [process.node for process in hardware.processes]
    simulated = [process.node for process in pr2_cup_swirl.GRAPH.plan({"run_dir": str(tmp_path / "sim")}).processes]
    assert set(nodes) == (set(simulated) - {"mujoco_sim"}) | {"controller_supervisor", "episode_reset"}
    assert nodes.index("controller_supervisor") < nodes.index("safety_filter")
    assert hardware.parameters[SHARED]["timing"] == "realtime"
    assert hardware.parameters["safety_filter"]["permission_lease"] > 0


def test_settings_of_the_robot_go_on_top(tmp_path: Path) -> None:
    file = tmp_path / "arm.yaml"
    write_parameters(
        {"safety_filter": {"permission_lease": 0.3, "e_stop_lease": "off"}, SHARED: {"timing": "realtime"}}, file
    )
    parameters = plan(tmp_path, robot="hardware", robot_config=str(file), allow_uncommissioned="true").parameters
    assert parameters["safety_filter"]["permission_lease"] == 0.3
    assert parameters["safety_filter"]["e_stop_lease"] == "off", "as it says, in that word"
    assert parameters["safety_filter"]["action_timeout"] == 0.1, "of the task's own configuration file"


def test_what_the_robots_file_leaves_out_is_ours_for_hardware(tmp_path: Path) -> None:
    """Never the laxer value of a simulation: one line is enough for an arm that differs in one."""
    file = tmp_path / "arm.yaml"
    write_parameters({"safety_filter": {"reset_torque_limit": 0.3}}, file)
    given = {"robot": "hardware", "allow_uncommissioned": "true"}
    shipped = plan(tmp_path / "shipped", **given).parameters
    own = plan(tmp_path / "own", robot_config=str(file), **given).parameters
    for parameters in (shipped, own):
        parameters["trainer"] = parameters["bag_recorder"] = {}  # paths of the run
    assert own["safety_filter"].pop("reset_torque_limit") == 0.3
    assert shipped["safety_filter"].pop("reset_torque_limit") == 0.5
    assert own == shipped
    laxer = complete(read_parameters(resources.path(SHIPPED)))
    for lease, seconds in (("permission_lease", 0.1), ("e_stop_lease", 0.3)):
        assert own["safety_filter"][lease] == seconds and laxer["safety_filter"][lease] == "off"
    assert own["policy_server"]["reset_timeout"] > 0.0 == laxer["policy_server"]["reset_timeout"]


def test_the_first_run_of_the_document_is_accepted(tmp_path: Path) -> None:
    """With the shipped settings: docs/hardware.md must not tell an operator what the launch refuses."""
    text = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text()
    [command] = re.findall(r"pr2_cup_swirl\.launch\.py (robot:=hardware\s.*?)`", text, re.DOTALL)
    words = dict(word.split(":=") for word in command.split())
    assert words.pop("robot_config") == "my_arm.yaml"
    run = plan(tmp_path, allow_uncommissioned="true", **words)
    assert run.parameters["safety_filter"]["reset_torque_limit"] <= run.parameters[SHARED]["torque_limit_max"]
    assert run.parameters["trainer"]["iterations"] == run.parameters["trainer"]["episodes_per_iteration"] == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"iteration": "3"}, "unknown launch argument 'iteration'; did you mean 'iterations'"),
        ({"trainer.max_lk": "3"}, "did you mean 'max_kl'"),
        ({"trainr.max_kl": "3"}, "did you mean 'trainer'"),
        ({"iterations": "many"}, "whole number, got 'many'"),
        ({"timing": "fast"}, "lockstep, realtime"),
        ({"initial_torque_limit": "0.7"}, "D_safe"),
        ({"torque_limit_floor": "0.15"}, r"torque_limit_floor must be in \(0, 0.1\]"),
        ({"mode": "realtime"}, r"unknown launch argument 'mode'; it is now timing \(lockstep or realtime\)"),
        ({"limit": "fixed"}, r"unknown launch argument 'limit'; it is now limit_rule \(adaptive or fixed\)"),
        ({"/**.limit": "fixed"}, "no parameter 'limit'; it is now limit_rule"),
        ({"t_min": "0.1"}, "unknown launch argument 't_min'; it is now initial_torque_limit .* torque_limit_floor"),
        ({"/**.torque_limit_min": "0.1"}, "no parameter 'torque_limit_min'; it is now initial_torque_limit"),
        ({"policy": "no_such_policy"}, "no policy file 'no_such_policy'"),
        ({"perturbation": "light_stick"}, "light_sticky"),
        ({"robot": "hardware", "timing": "lockstep"}, "leave out timing:=lockstep"),
        ({"robot": "hardware", "safety_filter.permission_lease": "0"}, "to switch it off, write off instead of 0"),
        ({"robot": "hardware", "safety_filter.permission_lease": "off"}, "permission_lease, s, .* must not be off"),
        ({"robot": "hardware", "safety_filter.reset_torque_limit": "9"}, "above torque_limit_max"),
        ({"config": "no/such.yaml"}, "cannot read configuration"),
        ({"safety_filter.trip_timeout": "0.05"}, "trip_timeout"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path, given: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as raised:
        plan(tmp_path, **given)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_unknown_node_and_layout_are_named(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("safety_filtre:\n  ros__parameters: {}\n")
    with pytest.raises(ConfigurationError, match="did you mean 'safety_filter'"):
        read_parameters(file)
    file.write_text("trainer:\n  iterations: 3\n")
    with pytest.raises(ConfigurationError, match="ros__parameters"):
        read_parameters(file)
    file.write_text("a: [1,\n")
    with pytest.raises(ConfigurationError, match="not YAML"):
        read_parameters(file)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"task": "panda_push_topple"},
            "expected a contract for the task pr2_cup_swirl, got one for panda_push_topple",
        ),
        ({"action": {"kind": "tool_motion"}}, "action: expected kind torque, joint_position or joint_velocity"),
        ({"distribution": "gaussain"}, "contract: expected distribution as one of .*did you mean 'gaussian'"),
    ],
)
def test_a_policy_whose_contract_is_wrong_is_refused_before_anything_starts(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    content = {
        "task": "pr2_cup_swirl",
        "source": "process",
        "action": {"kind": "torque"},
        "distribution": "deterministic",
    }
    metadata = {"kind": "contracted", "contract": json.dumps(content | changes)}
    file = tmp_path / "policy.safetensors"
    file.write_bytes(write({}, metadata, ()))
    with pytest.raises(WeightsError, match=told):
        plan(tmp_path, policy=str(file), learner="none")
    assert not (tmp_path / "run").exists()
    file.write_bytes(write({}, metadata | {"contract": json.dumps(content)}, ()))
    with pytest.raises(ConfigurationError, match="is a 'contracted' one, and learner pspt takes Gaussian policies"):
        plan(tmp_path, policy=str(file))
    assert plan(tmp_path, policy=str(file), learner="none").parameters["trainer"]["policy"] == str(file)


def test_what_sqrl_is_to_begin_with_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a 'gaussian' one, and learner sqrl takes masked ones"):
        plan(tmp_path, learner="sqrl")
    with pytest.raises(ConfigurationError, match="learner sac takes masked and squashed ones"):
        plan(tmp_path, learner="sac")
    agent = SqrlAgent(18, np.ones(7), SacSettings(hidden=(8,)), SqrlSettings(hidden=(8,)), seed=0)
    file = tmp_path / "policy.safetensors"
    file.write_bytes(agent.policy_file({}))
    for name, value in (("critic_epsilon", "0.3"), ("critic_schedule", "csc")):
        with pytest.raises(ConfigurationError, match="masks by the epsilon on its policy's card"):
            plan(tmp_path, learner="sqrl", policy=str(file), **{f"safety_filter.{name}": value})
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigurationError, match="sends the filter a critic of its own: leave out critic:="):
        plan(tmp_path, learner="csc", critic=str(file))
    given = plan(tmp_path, learner="sqrl", policy=str(file)).parameters["safety_filter"]
    assert (given["critic"], given["critic_uncertified"]) == ("required", True)


def test_a_corrupt_policy_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "policy.safetensors"
    bad.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    with pytest.raises(ValueError, match="policy.safetensors"):
        plan(tmp_path, policy=str(bad))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("inputs", "value", "expected"),
    [(18, float("nan"), "finite|NaN"), (12, 0.0, "18 observations and 7 actions, this policy is for 12 and 7")],
)
def test_a_policy_with_nan_or_for_another_task_is_refused(
    tmp_path: Path, inputs: int, value: float, expected: str
) -> None:
    shapes = Architecture(observation_size=inputs, hidden=(4,), action_size=7).shapes()
    parameters = {name: np.full(shape, value, dtype=np.float32) for name, shape in shapes.items()}
    path = tmp_path / "policy.safetensors"
    safetensors.numpy.save_file(parameters, path)
    with pytest.raises(ValueError, match=expected):
        plan(tmp_path, policy=str(path))
    assert not (tmp_path / "run").exists()


def test_a_used_run_directory_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "iterations.csv").write_text("x")
    with pytest.raises(ConfigurationError, match="already holds something"):
        plan(tmp_path)


def test_a_full_disk_is_said_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "MINIMUM_FREE_BYTES", 10**18)
    with pytest.raises(ConfigurationError, match="MB free"):
        plan(tmp_path)


def test_resume_may_come_with_every_default_as_ros2_launch_gives_them(tmp_path: Path) -> None:
    defaults = {argument.name: argument.default for argument in fine_tuning.ARGUMENTS if argument.default}
    with pytest.raises(ConfigurationError) as refused:
        pr2_cup_swirl.GRAPH.plan(defaults | {"resume": str(tmp_path / "nothing")})
    assert "leave out" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="leave out record"):
        pr2_cup_swirl.GRAPH.plan(defaults | {"resume": str(tmp_path / "nothing"), "record": "false"})


def test_a_run_is_not_resumed_on_another_kind_of_arm(tmp_path: Path) -> None:
    plan(tmp_path)
    with pytest.raises(ConfigurationError, match=r"is a run of robot:=sim, got robot:=hardware"):
        pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "run"), "robot": "hardware"})
    path = tmp_path / "run" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    shared = config["/**"]["ros__parameters"]
    shared["graph"] = shared["graph"].replace("mujoco_sim", "controller_supervisor")
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigurationError, match=r"is a run of robot:=hardware, got robot:=sim.*Give robot:=hardware"):
        pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "run")})


TWICE = """\
/**:
  ros__parameters: {timing: realtime, torque_limit_max: 0.5}
safety_filter:
  ros__parameters: {action_timeout: 0.3}
/**:
  ros__parameters: {seed: 3}
safety_filter:
  ros__parameters: {stop_damping: 0.1}
"""


def test_sections_given_twice_are_merged_as_ros_does(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(TWICE)
    read = read_parameters(path)
    assert read[SHARED] == {"timing": "realtime", "torque_limit_max": 0.5, "seed": 3}
    assert read["safety_filter"] == {"action_timeout": 0.3, "stop_damping": 0.1}


def test_two_spellings_of_a_section_are_one(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    text = "safety_filter:\n  ros__parameters: {action_timeout: 0.3}\n/**/safety_filter:\n  ros__parameters: {%s}\n"
    path.write_text(text % "stop_damping: 0.1")
    assert read_parameters(path)["safety_filter"] == {"action_timeout": 0.3, "stop_damping": 0.1}
    path.write_text(text % "action_timeout: 3.0")
    with pytest.raises(ConfigurationError, match="safety_filter: action_timeout is given twice"):
        read_parameters(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TWICE.replace("{seed: 3}", "{torque_limit_max: 3.0}"), "'torque_limit_max' is given twice"),
        ("/**:\n  ros__parameters: {use_sim_time: true}\n", r"use_sim_time is not taken.*leave it out"),
        ("safety_filter:\n  ros__parameters: {trip_timeot: 1.0}\n", "did you mean 'trip_timeout'"),
        ("safety_filter:\n  ros__parameters: {3: 1.0}\n", "no parameter '3'"),
        ("safety_filter: [ros__parameters]\n", "must hold a 'ros__parameters:' mapping"),
        ("3:\n  ros__parameters: {}\n", "unknown node '3'"),
        ("a: &a {b: *a}\n", "holds itself"),
        ("# N·m", r"is not UTF-8 text: byte \d+ is 0xb7; save it as UTF-8"),
    ],
)
def test_a_mistake_in_a_configuration_is_one_line_that_names_the_file(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=line) as error:
        read_parameters(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def finished_run(folder: Path, **given: str) -> fine_tuning.Plan:
    """A run of one iteration, as far as going on with it needs."""
    run = pr2_cup_swirl.GRAPH.plan({"run_dir": str(folder), "iterations": "1", **given})
    row = {name: "0" for name in COLUMNS} | {"torque_limit": "0.1", "policy_version": "1"}
    (folder / "iterations.csv").write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    (folder / "checkpoints").mkdir()
    shutil.copy(resources.path("weights/pr2_cup_swirl.safetensors"), folder / "checkpoints/policy_00001.safetensors")
    return run


def test_a_resumed_run_is_told_what_its_rule_remembers(tmp_path: Path) -> None:
    finished_run(tmp_path / "a")
    rows = tmp_path / "a" / "iterations.csv"
    rows.write_text(rows.read_text().replace("0,0,0,0,0,0,0.1", "0,0,0,0,0,0.4,0.1"))
    unknown = pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "a"), "iterations": "2"}).parameters
    assert unknown["/**"]["first_torque_limit"] == 0.1 and unknown["unsafety_monitor"]["benefit_memory"] == ""
    (tmp_path / "a" / "config_1.yaml").unlink()
    told = rows.read_text().splitlines()
    rows.write_text(f"{told[0]}\n{told[1][: -len('0')]}20\n")
    row = EpisodeReturn(iteration=0, episode=0, steps=20, total_return=1.5, task_return=2.0)
    returns.append(tmp_path / "a" / "returns.csv", [row])
    known = pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "a"), "iterations": "2"}).parameters
    assert known["/**"]["first_torque_limit"] == pytest.approx(0.105)
    assert json.loads(known["unsafety_monitor"]["benefit_memory"])["recent"] == [[0.1, [1.5]]]


def test_a_copied_run_goes_on_in_the_copy(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", critic="")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    again = pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "b"), "iterations": "2"})
    for node, own in again.parameters.items():
        for name, value in own.items():
            assert str(tmp_path / "a") not in str(value), f"{node}.{name}"
    assert again.parameters["trainer"]["run_dir"] == str(tmp_path / "b")
    assert again.parameters["bag_recorder"]["bag"] == str(tmp_path / "b" / "bag_1")
    assert str(tmp_path / "a") not in again.parameters_file.read_text()
    assert before == {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b" / "logs_1", ignore_errors=True)
    third = pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "b"), "iterations": "3"})
    assert third.parameters["trainer"]["run_dir"] == str(tmp_path / "b"), "with the original gone as well"


def test_paths_beside_a_run_stay_what_they_are(tmp_path: Path) -> None:
    finished_run(tmp_path / "a")
    config = tmp_path / "a" / "config.yaml"
    changed = read_parameters(config)
    changed["trainer"]["critic"] = str(tmp_path / "a_critic.safetensors")
    changed["safety_filter"]["frame"] = str(tmp_path / "a" / "inside")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    result = resumed.moved(changed, tmp_path / "b")
    assert result["trainer"]["critic"] == str(tmp_path / "a_critic.safetensors")
    assert result["safety_filter"]["frame"] == str(tmp_path / "b" / "inside")


def test_the_filter_that_is_commissioned_has_the_budget_of_the_run_to_come(tmp_path: Path) -> None:
    """It does not start without where a damage budget is asked for."""
    given = {"robot": "hardware", "damage_budget": "true", "trainer.episodes_per_iteration": "3"}
    periods = pr2_cup_swirl.GRAPH.hardware_parameters(given)["safety_filter"]["budget_periods"]
    run = plan(tmp_path, allow_uncommissioned="true", **given)
    assert periods == run.parameters["safety_filter"]["budget_periods"] == 3 * 200


@pytest.mark.parametrize(("given", "expected"), [("left", "/left"), ("/cell/left/", "/cell/left"), ("", ""), ("/", "")])
def test_a_namespace_is_of_every_node(tmp_path: Path, given: str, expected: str) -> None:
    planned = plan(tmp_path, namespace=given)
    assert planned.namespace == expected
    assert set(yaml.safe_load(planned.parameters_file.read_text())) == {"/**", *(f"/**/{node}" for node in SECTIONS)}


@pytest.mark.parametrize("wrong", ["2nd", "le-ft", "left//arm", "left arm", "{left}"])
def test_what_is_no_namespace_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="namespace must be words of letters"):
        plan(tmp_path, namespace=wrong)
    assert not (tmp_path / "run").exists()


def test_moved_is_refused_before_anything_starts_where_actions_are_not_torques(tmp_path: Path) -> None:
    given = {"run_dir": str(tmp_path / "run"), "unsafety_monitor.joints": "moved"}
    with pytest.raises(ConfigurationError, match="unsafety_monitor.joints: 'moved' follows from"):
        panda_push.GRAPH.plan(given)
    assert pr2_cup_swirl.GRAPH.plan(given).parameters["unsafety_monitor"]["joints"] == "moved"


def test_a_limit_that_follows_from_the_bag_is_not_made_up_without_it(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", **{"unsafety_monitor.joints": "moved"})
    with pytest.raises(ConfigurationError, match=r"limit of iteration 1 follows from the bag \(joints: moved\)"):
        pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "a"), "iterations": "2"})


def test_a_run_continues_in_its_own_namespace_and_in_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    finished_run(folder, namespace="left")
    on = {"resume": str(folder), "iterations": "2"}
    again = pr2_cup_swirl.GRAPH.plan(on)
    assert again.namespace == pr2_cup_swirl.GRAPH.namespace(on) == "/left"
    assert read_parameters(again.parameters_file)[SHARED]["namespace"] == "/left"
    assert pr2_cup_swirl.GRAPH.plan(on | {"namespace": "/left"}).namespace == "/left"
    for other in ("right", "/left/arm", "/"):
        for asked in (pr2_cup_swirl.GRAPH.plan, pr2_cup_swirl.GRAPH.namespace):
            with pytest.raises(ConfigurationError, match=f"is a run in namespace /left, got namespace:={other}: "):
                asked(on | {"namespace": other})
    finished_run(tmp_path / "root")
    with pytest.raises(ConfigurationError, match="is a run in namespace /, got namespace:=left: .*Leave out namespace"):
        pr2_cup_swirl.GRAPH.plan({"resume": str(tmp_path / "root"), "iterations": "2", "namespace": "left"})


def test_a_namespace_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    for number, given in enumerate(
        ({"namespace": "left/arm"}, {"namespace": "/left/arm/"}, {"/**.namespace": "left/arm"})
    ):
        assert plan(tmp_path / str(number), **given).namespace == pr2_cup_swirl.GRAPH.namespace(given) == "/left/arm"
    as_run = {"config": str(tmp_path / "0" / "run" / "config.yaml")}
    assert plan(tmp_path / "again", **as_run).namespace == "/left/arm"
    assert plan(tmp_path / "there", **as_run, namespace="right").namespace == "/right"
    with pytest.raises(ConfigurationError, match="namespace must be words of letters"):
        plan(tmp_path / "bad", namespace="le-ft")


@pytest.mark.parametrize(("recorded", "version"), [(None, 1), (1, 1), (SCHEME + 1, SCHEME + 1)])
def test_a_run_continues_with_the_random_streams_it_began_with_or_not_at_all(
    tmp_path: Path, recorded: int | None, version: int
) -> None:
    """Runs recorded before the streams had names say nothing about them."""
    run = finished_run(tmp_path / "run")
    parameters = read_parameters(run.parameters_file)
    assert parameters[SHARED].pop("random_streams") == SCHEME
    if recorded is not None:
        parameters[SHARED]["random_streams"] = recorded
    write_parameters(parameters, run.parameters_file)
    refused = rf"random_streams is {version}, this package draws from version {SCHEME}: .* cannot continue"
    with pytest.raises(ConfigurationError, match=refused):
        pr2_cup_swirl.GRAPH.plan({"resume": str(run.run_dir), "iterations": "2"})
    if recorded is not None:
        with pytest.raises(ConfigurationError, match="leave random_streams out of the configuration"):
            plan(tmp_path / "new", config=str(run.parameters_file))
