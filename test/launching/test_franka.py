# SPDX-License-Identifier: Apache-2.0
"""`robot:=franka`: what is checked before an arm is reached, and what is started."""

from __future__ import annotations

import ast
import dataclasses
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from safe_transfer_ros import franka, resources
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.commissioning.identity import difference, identity
from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.franka import library
from safe_transfer_ros.franka.arm import LibfrankaArm
from safe_transfer_ros.launching import fine_tuning, fr3_cup_swirl, hardware, panda_push, pr2_cup_swirl
from safe_transfer_ros.launching.resumed import robot_of
from safe_transfer_ros.nodes.franka_robot import arm_settings
from safe_transfer_ros.parameters.franka_robot import FrankaParameters, check_arm
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.fr3_speed import FR3_SPEED

GIVEN = {"robot": "franka", "robot_ip": "172.16.0.2", "allow_uncommissioned": "true"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the library is used here: without its wheel the plan is checked all the same."""
    monkeypatch.setattr(library, "missing", lambda: "")


def plan(tmp_path: Path, **given: str) -> fine_tuning.Plan:
    return fr3_cup_swirl.GRAPH.plan({"run_dir": str(tmp_path / "run"), **GIVEN, **given})


@pytest.mark.usefixtures("installed")
def test_the_arm_takes_the_place_of_the_simulator_behind_the_supervisor(tmp_path: Path) -> None:
    made = plan(tmp_path)
    nodes = [process.node for process in made.processes]
    assert "mujoco_sim" not in nodes and robot_of(tuple(nodes)) == "franka"
    assert nodes.index("controller_supervisor") < nodes.index("safety_filter") < nodes.index("franka_robot")
    parameters = made.parameters
    assert parameters["controller_supervisor"]["hardware"] == "franka"
    assert parameters["franka_robot"]["robot_ip"] == "172.16.0.2"
    assert parameters["franka_robot"]["reset_torque_limit"] == parameters["safety_filter"]["reset_torque_limit"] > 0.0
    assert parameters["safety_filter"]["permission_lease"] == 0.1 and parameters["/**"]["timing"] == "realtime"
    assert fr3_cup_swirl.GRAPH.default_domain(GIVEN) == 0, "where its commissioning and an operator's tools are"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"robot_ip": ""}, "needs the address of the arm's control: robot_ip:="),
        ({"allow_uncommissioned": "false"}, "allow_uncommissioned:=true overrides, and is recorded"),
        ({"timing": "lockstep"}, "robot:=franka cannot wait for us: leave out timing:=lockstep"),
        ({"/**.add_gravity": "always"}, "g\\(q\\) would be added twice"),
        ({"franka_robot.collision_torque": "20, 20"}, "collision_torque must be 7 numbers separated by commas"),
    ],
)
def test_what_an_arm_must_not_be_driven_with_is_refused(tmp_path: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan(tmp_path, **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (pr2_cup_swirl, "drives joints 1 to 7 of a Franka arm"),
        (panda_push, r"a Panda \(FER\) speaks version 5 of .*, and pylibfranka version 10.*robot:=hardware"),
    ],
)
def test_another_robots_task_is_refused(tmp_path: Path, graph, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        graph.GRAPH.plan({"run_dir": str(tmp_path / "run"), **GIVEN})


def test_a_panda_is_refused_by_its_parameter_file_too_whether_the_wheel_is_there_or_not(tmp_path: Path) -> None:
    """No wheel would help: so that is not what is advised."""
    file = str(resources.path("config/franka_panda.yaml"))
    with pytest.raises(ConfigurationError, match=r"a Panda \(FER\) speaks version 5 .* robot:=hardware"):
        plan(tmp_path, **{"franka_robot.arm": "panda"})
    given = {"robot": "hardware", "robot_config": file, "allow_uncommissioned": "true"}
    made = panda_push.GRAPH.plan({"run_dir": str(tmp_path / "run"), **given})
    assert made.parameters["franka_robot"]["arm"] == "panda" and "robot_ip" not in made.parameters["/**"]


def robot_of_file(**changed: str):
    """The task's robot with the shipped file's names and limits, but for what is changed, and the experiment."""
    experiment = build(
        fine_tuning.ExperimentParameters,
        {"task": "fr3_cup_swirl", "timing": "realtime", **changed},
        where="here",
    )
    return fine_tuning.in_graph(experiment.task, experiment.robot_overrides).task.robot, experiment


def test_names_and_limits_of_an_arm_come_from_its_file_and_reach_every_node(tmp_path: Path, installed: None) -> None:
    mine = tmp_path / "my_arm.yaml"
    text = resources.path("config/franka_fr3.yaml").read_text().replace('name_prefix: ""', "name_prefix: left_")
    mine.write_text(text.replace('velocity_limit: "2.62', 'velocity_limit: "1.5'))
    parameters = plan(tmp_path, robot_config=str(mine)).parameters
    experiment = build(fine_tuning.ExperimentParameters, parameters["/**"], where="config.yaml")
    robot = fine_tuning.in_graph(experiment.task, experiment.robot_overrides).task.robot
    assert robot.joint_names[0] == "left_fr3_joint1" and robot.limits.velocity[0] == 1.5
    about = identity(robot, parameters, ros_domain=0)
    assert about["limits"]["left_fr3_joint1"]["velocity"] == 1.5
    mine.write_text(text.replace('velocity_limit: "2.62', 'velocity_limit: "2.7'))
    with pytest.raises(ConfigurationError, match="velocity_limit of fr3_joint1: expected at most 2.62 rad/s"):
        plan(tmp_path / "again", robot_config=str(mine))


def test_a_laxer_limit_is_refused_in_simulation_too_before_a_process_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="effort_limit of fr3_joint1: expected at most 87 N·m"):
        given = {"run_dir": str(tmp_path / "run"), "/**.effort_limit": "88, 87, 87, 87, 12, 12, 12"}
        fr3_cup_swirl.GRAPH.plan(given)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("installed")
def test_a_report_of_commissioning_must_be_about_the_arms_own_names_and_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(hardware, "identity", lambda robot, *_, **__: asked.append(robot.joint_names) or {})
    monkeypatch.setattr(hardware.report, "newest", lambda about: None)
    monkeypatch.setattr(hardware.report, "refusal", lambda *_: "none")
    plan(tmp_path, **{"/**.name_prefix": "left_"})
    assert asked == [tuple(f"left_fr3_joint{number}" for number in range(1, 8))]


def test_the_arm_whose_limits_are_published_is_the_one_that_is_named() -> None:
    """An FR3 that is kept within a Panda's limits, too, is accepted as either."""
    limits, panda = load("fr3").limits, load("panda").limits
    both = {
        "position_lower": np.maximum(limits.lower, panda.lower),
        "position_upper": np.minimum(limits.upper, panda.upper),
        "velocity_limit": np.minimum(limits.velocity, panda.velocity),
    }
    robot, experiment = robot_of_file(**{name: ", ".join(map(str, values)) for name, values in both.items()})
    for arm in ("fr3", "panda"):
        check_arm(robot, experiment, build(FrankaParameters, {"arm": arm}, where="franka_robot"))
    robot, experiment = robot_of_file()
    with pytest.raises(ConfigurationError, match="fr3_joint1 of fr3 are laxer than a Panda's .*2.175 rad/s.*narrow"):
        check_arm(robot, experiment, build(FrankaParameters, {"arm": "panda"}, where="franka_robot"))


def test_the_speed_that_an_arm_bears_by_position_may_be_narrower_and_never_laxer() -> None:
    names = {
        name: ", ".join(map(str, getattr(FR3_SPEED, name))) for name in ("offset", "deceleration", "lower", "upper")
    }
    file = yaml.safe_load(resources.path("config/franka_fr3.yaml").read_text())["/**/franka_robot"]["ros__parameters"]
    assert build(FrankaParameters, file, where="franka_robot").speed_by_position == FR3_SPEED
    robot, experiment = robot_of_file()
    narrow = names["deceleration"].replace("3.5", "0.05")  # joint 3
    with pytest.raises(ConfigurationError, match="the soft limits of fr3_joint3 of fr3 allow"):
        check_arm(robot, experiment, build(FrankaParameters, {"speed_deceleration": narrow}, where="franka_robot"))
    for name, old, new in (
        ("offset", "0.3", "0.2"),
        ("deceleration", "6.0", "6.5"),
        ("lower", "-2.7501", "-2.76"),
        ("upper", "2.7501", "2.76"),
    ):
        given = {f"speed_{name}": names[name].replace(old, new, 1)}
        assert given[f"speed_{name}"] != names[name]
        with pytest.raises(ConfigurationError, match=f"speed_{name}: joint 1 would bear .* an FR3 bears"):
            build(FrankaParameters, given, where="franka_robot")
    with pytest.raises(ConfigurationError, match="a Panda bears its speed at any position"):
        build(FrankaParameters, {"arm": "panda", "speed_offset": names["offset"]}, where="franka_robot")


def test_without_the_wheel_it_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="robot:=franka: pylibfranka"):
        plan(tmp_path)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    assert "no wheel for Python" in library.missing()
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert library.missing() == "pylibfranka has no wheel for aarch64: robot:=franka needs an x86-64 computer"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for libc, found in ((("glibc", "2.31"), "glibc 2.31"), (("", ""), "another C library")):
        monkeypatch.setattr(platform, "libc_ver", lambda libc=libc: libc)
        assert library.missing().startswith(f"pylibfranka has no wheel for {found}: ")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.34"))
    assert "pip install" in library.missing()


def test_without_the_wheel_everything_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing imports it but the process that owns an arm, when it has one to own."""
    monkeypatch.setitem(sys.modules, "pylibfranka", None)  # an import of it fails
    assert library.missing() == "pylibfranka is not installed: pip install 'pylibfranka>=0.21.3,<0.22'"
    for number, given in enumerate(({"robot": "sim"}, {"robot": "hardware", "allow_uncommissioned": "true"})):
        for graph in (fr3_cup_swirl, panda_push, pr2_cup_swirl):
            made = graph.GRAPH.plan({"run_dir": str(tmp_path / f"{graph.GRAPH.name}_{number}"), **given})
            assert "franka_robot" not in [process.node for process in made.processes]
    importing = [
        path.name
        for path in Path(franka.__file__).parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        if "pylibfranka" in (getattr(node, "module", None) or "", *(alias.name for alias in node.names))
    ]
    assert not importing, "it would be needed where there is no arm"
    with pytest.raises(ImportError):
        LibfrankaArm(arm_settings(FrankaParameters(robot_ip="127.0.0.99"), load("fr3")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("collision_torque", "0, 20, 20, 20, 20, 20, 20"),
        ("collision_torque", "20, 20, 20, 20, 20, 20, 101"),
        ("collision_force", "20, 20, 20, 20, 20, nan"),
        ("collision_force", "a, b, c, d, e, f"),
        ("load_center", "0, 0"),
        ("load_inertia", "0, 0, 0, 0, 0, 0, 0, 0, inf"),
    ],
)
def test_a_threshold_that_protects_from_nothing_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        build(FrankaParameters, {name: text}, where="franka_robot")


def test_an_fr3_is_what_it_says_it_is() -> None:
    experiment = fine_tuning.ExperimentParameters(task="fr3_cup_swirl", timing="realtime")
    check_arm(fine_tuning.in_graph("fr3_cup_swirl").task.robot, experiment, FrankaParameters())


def test_soft_limits_that_let_the_arm_run_into_its_own_speed_limit_are_refused() -> None:
    """Two seconds at 2 N·m were a reflex: towards an end an FR3 bears less than the speed its description names."""
    experiment = fine_tuning.ExperimentParameters(task="fr3_cup_swirl", timing="realtime")
    robot = fine_tuning.in_graph("fr3_cup_swirl").task.robot
    for name, value in (("k_position", 20.0), ("k_velocity", np.inf), ("soft_upper", robot.limits.upper[2] + 1.0)):
        values = np.array(getattr(robot.limits, name))
        values[2] = value
        limits = dataclasses.replace(robot.limits, **{name: values})
        with pytest.raises(ConfigurationError, match="the soft limits of fr3_joint3 of fr3 allow"):
            check_arm(dataclasses.replace(robot, limits=limits), experiment, FrankaParameters())


@pytest.mark.usefixtures("installed")
def test_a_report_is_about_thresholds_and_load_too() -> None:
    def about(**given: str) -> dict[str, object]:
        parameters = fr3_cup_swirl.GRAPH.hardware_parameters({**GIVEN, **given})
        return identity(fine_tuning.in_graph("fr3_cup_swirl").task.robot, parameters, ros_domain=0)

    assert difference(about(), about()) == ""
    heavier = {"franka_robot.load_mass": "0.5"}
    assert difference(about(), about(**heavier)) == "franka_robot.load_mass was 0, is 0.5"
    other = fr3_cup_swirl.GRAPH.hardware_parameters({"robot": "hardware"})
    assert "franka_robot" not in identity(fine_tuning.in_graph("fr3_cup_swirl").task.robot, other, ros_domain=0)


def test_only_arms_are_commissioned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["commission", "fr3_cup_swirl", "robot:=sim"]) == 2
    assert "robot must be one of hardware, franka here, got 'sim'" in capsys.readouterr().err
