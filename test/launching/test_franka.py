# SPDX-License-Identifier: Apache-2.0
"""`robot:=franka`: what is checked before an arm is reached, and what is started."""

from __future__ import annotations

import dataclasses
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.commissioning.identity import difference, identity
from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.franka import library
from safe_transfer_ros.launching import fine_tuning, fr3_cup_swirl, panda_push, pr2_cup_swirl
from safe_transfer_ros.launching.resumed import robot_of
from safe_transfer_ros.parameters.franka_robot import FrankaParameters, check_arm

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
        (panda_push, "panda_joint1 of panda are laxer than an FR3"),
    ],
)
def test_another_robots_task_is_refused(tmp_path: Path, graph, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        graph.GRAPH.plan({"run_dir": str(tmp_path / "run"), **GIVEN})


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
    check_arm(fine_tuning.in_graph("fr3_cup_swirl").task.robot, experiment)


def test_soft_limits_that_let_the_arm_run_into_its_own_speed_limit_are_refused() -> None:
    """Two seconds at 2 N·m were a reflex: towards an end an FR3 bears less than the speed its description names."""
    experiment = fine_tuning.ExperimentParameters(task="fr3_cup_swirl", timing="realtime")
    robot = fine_tuning.in_graph("fr3_cup_swirl").task.robot
    for name, value in (("k_position", 20.0), ("k_velocity", np.inf), ("soft_upper", robot.limits.upper[2] + 1.0)):
        values = np.array(getattr(robot.limits, name))
        values[2] = value
        limits = dataclasses.replace(robot.limits, **{name: values})
        with pytest.raises(ConfigurationError, match="the soft limits of fr3_joint3 of fr3 allow"):
            check_arm(dataclasses.replace(robot, limits=limits), experiment)


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
