# SPDX-License-Identifier: Apache-2.0
"""What a report of a commissioning is worth to robot:=hardware."""

from __future__ import annotations

import copy
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from safe_transfer_ros.commissioning import report
from safe_transfer_ros.commissioning.at_rest import DESCRIPTION
from safe_transfer_ros.commissioning.identity import identity
from safe_transfer_ros.commissioning.procedure import STEPS
from safe_transfer_ros.commissioning.step import StepResult
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import pr2_cup_swirl
from safe_transfer_ros.launching.graph import Parameters, read_parameters
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.robots.description import RobotDescription, load

ROBOT = load("pr2_left_arm")
PARAMETERS = pr2_cup_swirl.GRAPH.hardware_parameters({"robot": "hardware"})
ABOUT = identity(ROBOT, PARAMETERS, ros_domain=0)
PASSED = [
    StepResult(name=name, passed=True, says="well", measured={DESCRIPTION: "sha256:ab12"} if name == "limits" else {})
    for name in STEPS
]
SILENT = [dataclasses.replace(one, measured={}) for one in PASSED]
FAILED = [*PASSED[:2], StepResult(name=list(STEPS)[2], passed=False, says="it sags")]


def written(path: Path, outcomes: list[StepResult] = PASSED, ended: str = "", **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    report.write(path, ABOUT, outcomes, ended)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    return path


def test_a_report_that_passed_is_accepted(tmp_path: Path) -> None:
    assert report.write(tmp_path / "r.yaml", ABOUT, PASSED)
    assert report.refusal(tmp_path / "r.yaml", ABOUT, 30.0) is None


@pytest.mark.parametrize(
    ("outcomes", "ended", "changes", "says"),
    [
        (FAILED, "", {}, "step gravity failed \\(it sags\\)"),
        (PASSED[:3], "interrupted", {}, "broken off \\(interrupted\\)"),
        (PASSED, "interrupted", {}, "broken off"),
        (PASSED[1:], "", {}, "broken off \\(joint_names\\)"),
        (PASSED, "", {"passed": "yes"}, "broken off"),
        (SILENT, "", {}, "does not say which robot_description"),
        (PASSED, "", {"robot": "panda"}, "robot was panda, is pr2_left_arm"),
        (PASSED, "", {"urdf_sha256": "0"}, "urdf_sha256 was 0, is "),
        (PASSED, "", {"software": "0.0.9"}, "software was 0.0.9, is "),
        (PASSED, "", {"controller_joints": list(ROBOT.joint_names[::-1])}, "controller_joints was "),
        (PASSED, "", {"limits": None}, "limits was none, is 7 values"),
        (PASSED, "", {"safety_filter": {}}, "safety_filter.action_timeout was none, is 0.1; .*and .* more"),
        (PASSED, "", {"ros_domain": 3, "namespace": "/left"}, "ros_domain was 3, is 0; namespace was /left, is none"),
        (PASSED, "", {"unix_time": time.time() - 31 * 86400}, "valid for 30 days"),
        (PASSED, "", {"unix_time": time.time() + 2 * 86400}, "valid for 30 days"),
        (PASSED, "", {"unix_time": float("nan")}, "valid for 30 days"),
        (PASSED, "", {"unix_time": "today"}, "not a readable"),
        (PASSED, "", {"steps": 7}, "not a readable"),
    ],
)
def test_any_other_is_refused_by_name(
    tmp_path: Path, outcomes: list[StepResult], ended: str, changes: dict[str, object], says: str
) -> None:
    refusal = report.refusal(written(tmp_path / "r.yaml", outcomes, ended, **changes), ABOUT, 30.0)
    assert refusal is not None
    pytest.raises(ConfigurationError, _raise, refusal).match(says)
    assert "safe_transfer commission" in refusal


def limited(name: str, value: float) -> RobotDescription:
    """The arm with another limit of its fourth joint, its URDF and name as they were: soft limits are in no URDF."""
    limits = np.array(getattr(ROBOT.limits, name))
    limits[3] = value
    return dataclasses.replace(ROBOT, limits=dataclasses.replace(ROBOT.limits, **{name: limits}))


def configured(section: str, **values: object) -> Parameters:
    changed = copy.deepcopy(PARAMETERS)
    changed[section].update(values)
    return changed


@pytest.mark.parametrize(
    ("robot", "parameters", "says"),
    [
        (limited("effort", 20.0), PARAMETERS, f"limits.{ROBOT.joint_names[3]}.effort was 30, is 20"),
        (limited("k_velocity", 7.0), PARAMETERS, f"limits.{ROBOT.joint_names[3]}.k_velocity was .*, is 7"),
        (dataclasses.replace(ROBOT, payload=None), PARAMETERS, "description.payload was 4 values, is none"),
        (dataclasses.replace(ROBOT, gravity_compensated=False), PARAMETERS, "adds_gravity was False, is True"),
        (dataclasses.replace(ROBOT, urdf="<robot/>"), PARAMETERS, "urdf_sha256 was"),
        (ROBOT, configured(SHARED, controller="other"), "controller was effort_controller, is other"),
        (ROBOT, configured(SHARED, controller_joints=",".join(ROBOT.joint_names[::-1])), "controller_joints was"),
        (ROBOT, configured("safety_filter", action_timeout=0.4), "safety_filter.action_timeout was 0.1, is 0.4"),
        (ROBOT, configured("safety_filter", e_stop_lease="off"), "safety_filter.e_stop_lease was 0.3, is off"),
        (ROBOT, configured("safety_filter", soft_limits="never"), "safety_filter.soft_limits was .*, is never"),
        (
            ROBOT,
            configured("controller_supervisor", rest_effort="untold"),
            "controller_supervisor.rest_effort was zero",
        ),
        (
            ROBOT,
            configured("controller_supervisor", controller_manager="b"),
            "controller_supervisor.controller_manager",
        ),
    ],
)
def test_what_is_another_arm_or_configuration_is_told_in_words(
    tmp_path: Path, robot: RobotDescription, parameters: Parameters, says: str
) -> None:
    about = identity(robot, parameters, ros_domain=0)
    refusal = report.refusal(written(tmp_path / "r.yaml"), about, 30.0)
    pytest.raises(ConfigurationError, _raise, str(refusal)).match(f"about another arm or configuration: .*{says}")


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (SHARED, {"torque_limit_max": 0.6, "seed": 4}),
        ("trainer", {"iterations": 3}),
        ("safety_filter", {"critic": "required", "critic_epsilon": 0.1, "budget_periods": 4000}),
        ("controller_supervisor", {"commissioned_description": "sha256:ab12"}),
    ],
)
def test_what_a_run_chooses_needs_no_new_report(tmp_path: Path, section: str, values: dict[str, Any]) -> None:
    about = identity(ROBOT, configured(section, **values), ros_domain=0)
    assert report.refusal(written(tmp_path / "r.yaml"), about, 30.0) is None


def _raise(text: str) -> None:
    raise ConfigurationError(text)


@pytest.mark.parametrize("text", ["", "- 1", "{", "robot: [", "\0"])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    assert "not a readable" in str(report.refusal(tmp_path / "r.yaml", ABOUT, 30.0))
    assert "not a readable" in str(report.refusal(tmp_path / "nowhere.yaml", ABOUT, 30.0))


def test_the_launch_goes_by_the_newest_report_about_its_robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))

    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)

    def plan(name: str, **given: str) -> dict[str, object]:
        run_dir = tmp_path / name
        made = pr2_cup_swirl.GRAPH.plan({"robot": "hardware", "timing": "realtime", "run_dir": str(run_dir)} | given)
        assert [process.node for process in made.processes][2:4] == ["episode_reset", "controller_supervisor"]
        recorded = dict(yaml.safe_load((run_dir / "commission.yaml").read_text()))
        held_to = read_parameters(made.parameters_file)["controller_supervisor"]["commissioned_description"]
        assert held_to == ("any" if recorded["overridden"] else "sha256:ab12")
        return recorded

    with pytest.raises(ConfigurationError, match="no commissioning report for pr2_left_arm"):
        plan("none")
    assert not (tmp_path / "none").exists()
    assert plan("over", allow_uncommissioned="true")["overridden"] is True
    good = written(report.folder() / "20260101-000000" / report.NAME)
    written(report.folder() / "20260103-000000" / report.NAME, robot="panda")
    assert plan("good") == {"report": str(good), "overridden": False}
    assert plan("needless", allow_uncommissioned="true")["overridden"] is False
    written(report.folder() / "20260102-000000" / report.NAME, FAILED)
    with pytest.raises(ConfigurationError, match="step gravity failed"):
        plan("failed")
    assert plan("chosen", commission=str(good))["report"] == str(good)
    recorded = plan("failed_over", allow_uncommissioned="true")
    assert recorded["overridden"] is True and "step gravity failed" in str(recorded["refusal"])


def test_a_report_about_an_arm_of_the_same_name_elsewhere_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)

    def plan(name: str, **given: str) -> None:
        pr2_cup_swirl.GRAPH.plan({"robot": "hardware", "run_dir": str(tmp_path / name)} | given)

    left = written(report.folder() / "20260101-000000" / report.NAME, namespace="/left")
    with pytest.raises(ConfigurationError, match="another arm or configuration: namespace was /left, is none: run"):
        plan("root")
    written(report.folder() / "20260102-000000" / report.NAME)
    plan("root")
    plan("left", namespace="left")
    assert yaml.safe_load((tmp_path / "left" / "commission.yaml").read_text())["report"] == str(left)
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    with pytest.raises(ConfigurationError, match="ros_domain was 0, is 7"):
        plan("another_domain")
    monkeypatch.delenv("ROS_DOMAIN_ID")
    with pytest.raises(ConfigurationError, match="controller_supervisor.command_timeout was 0.05, is 0.5"):
        plan("laxer", **{"controller_supervisor.command_timeout": "0.5"})
