# SPDX-License-Identifier: Apache-2.0
"""What a report of a commissioning is worth to robot:=hardware."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from safe_transfer_ros.commissioning import report
from safe_transfer_ros.commissioning.procedure import STEPS
from safe_transfer_ros.commissioning.step import StepResult
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import pr2_cup_swirl
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.robots.description import load

ROBOT = load("pr2_left_arm")
ABOUT = report.identity(ROBOT, ExperimentParameters())
PASSED = [StepResult(name=name, passed=True, says="well") for name in STEPS]
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
        (PASSED, "", {"robot": "panda"}, "about robot panda"),
        (PASSED, "", {"urdf_sha256": "0"}, "about urdf_sha256 0"),
        (PASSED, "", {"software": "0.0.9"}, "about software"),
        (PASSED, "", {"controller_joints": list(ROBOT.joint_names[::-1])}, "about controller_joints"),
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


def _raise(text: str) -> None:
    raise ConfigurationError(text)


@pytest.mark.parametrize("text", ["", "- 1", "{", "robot: [", "\0"])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    assert "not a readable" in str(report.refusal(tmp_path / "r.yaml", ABOUT, 30.0))
    assert "not a readable" in str(report.refusal(tmp_path / "nowhere.yaml", ABOUT, 30.0))


def test_the_launch_goes_by_the_newest_report_about_its_robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))

    def plan(name: str, **given: str) -> dict[str, object]:
        run_dir = tmp_path / name
        made = pr2_cup_swirl.GRAPH.plan({"robot": "hardware", "timing": "realtime", "run_dir": str(run_dir)} | given)
        assert [process.node for process in made.processes][2:4] == ["episode_reset", "controller_supervisor"]
        return dict(yaml.safe_load((run_dir / "commission.yaml").read_text()))

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
