# SPDX-License-Identifier: Apache-2.0
"""A description with which a deactivated controller may hold a torque is told from one with which it cannot."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.robots.description import available, load
from safe_transfer_ros.robots.manager_description import MAX_CHARACTERS, for_controller_manager, unfit_description

ROBOT = load("pr2_left_arm")
TAG = '<safety_controller k_velocity="10" k_position="100" soft_lower_limit="-1" soft_upper_limit="1"/>'
HELD = ROBOT.urdf.replace("<dynamics", TAG + "<dynamics", 1)  # l_shoulder_pan_joint's


@pytest.mark.parametrize("name", available())
def test_what_is_shipped_is_fit(name: str) -> None:
    robot = load(name)
    assert unfit_description(robot.urdf, robot.joint_names) is None
    # And our own envelope still has soft limits for every joint.
    assert (robot.limits.k_velocity < float("inf")).all()


@pytest.mark.parametrize("tag", [TAG, '<safety_controller k_velocity="0"/>', "<safety_controller/>"])
def test_the_tag_is_refused_and_how_to_strip_it_is_said(tag: str) -> None:
    why = unfit_description(ROBOT.urdf.replace("<dynamics", tag + "<dynamics", 1), ROBOT.joint_names)
    assert why is not None and "<safety_controller> for l_shoulder_pan_joint:" in why
    assert "safe_transfer controller-urdf" in why


def test_joints_that_are_not_ours_may_have_it() -> None:
    other = f'<joint name="other" type="revolute">{TAG}</joint></robot>'
    assert unfit_description(ROBOT.urdf.replace("</robot>", other), ROBOT.joint_names) is None


@pytest.mark.parametrize(
    ("urdf", "says"),
    [
        ("", "not readable XML"),
        ("<robot", "not readable XML"),
        ("<robot/>", "lacks l_shoulder_pan_joint"),
        (f"<robot><ros2_control>{TAG}</ros2_control></robot>", "lacks l_shoulder_pan_joint"),
        ("<robot>" + " " * MAX_CHARACTERS, "characters, more than"),
    ],
)
def test_what_cannot_be_judged_is_refused(urdf: str, says: str) -> None:
    assert says in str(unfit_description(urdf, ROBOT.joint_names))


def test_stripped_it_is_fit_and_nothing_else_is_lost() -> None:
    stripped = for_controller_manager(HELD)
    assert unfit_description(HELD, ROBOT.joint_names) and unfit_description(stripped, ROBOT.joint_names) is None

    def elements(urdf: str) -> list[tuple[str, dict[str, str]]]:
        return [(element.tag, element.attrib) for element in ElementTree.fromstring(urdf).iter()]

    assert elements(stripped) == elements(ROBOT.urdf)
    assert "<!-- a comment -->" in for_controller_manager("<robot><!-- a comment --></robot>")


def test_the_command_prints_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "arm.urdf").write_text(HELD)
    assert main(["controller-urdf", str(tmp_path / "arm.urdf")]) == 0
    assert capsys.readouterr().out == for_controller_manager(HELD)
    monkeypatch.setattr("sys.stdin", io.StringIO(HELD))
    assert main(["controller-urdf", "-"]) == 0
    assert capsys.readouterr().out == for_controller_manager(HELD)
    (tmp_path / "arm.urdf").write_text("no XML")
    assert main(["controller-urdf", str(tmp_path / "arm.urdf")]) == 2
    assert "expand xacro first" in capsys.readouterr().err
