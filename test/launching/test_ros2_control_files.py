# SPDX-License-Identifier: Apache-2.0
"""The controller_manager YAML we ship: what docs/hardware.md says of it is so."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import fine_tuning, hardware, pr2_cup_swirl
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.safety.supervisor.torque_end import EFFORT_CONTROLLER

FR3 = tuple(f"fr3_joint{number}" for number in range(1, 8))


@pytest.mark.parametrize(
    ("name", "joints"), [("effort_arm", load("pr2_left_arm").joint_names), ("fr3", FR3)], ids=["effort_arm", "fr3"]
)
def test_a_controller_manager_file_is_what_the_supervisor_asks_for(name: str, joints: tuple[str, ...]) -> None:
    document = yaml.safe_load(resources.path(f"config/ros2_control_{name}.yaml").read_text())
    sections = {node: section["ros__parameters"] for node, section in document.items()}
    experiment, supervisor = ExperimentParameters(), SupervisorParameters()
    assert set(sections) == {supervisor.controller_manager, experiment.controller}
    manager = sections[supervisor.controller_manager]
    # A word that controller_manager does not know is left out without a sound, and a limit then not enforced.
    assert set(manager) == {
        "update_rate",
        "enforce_command_limits",
        supervisor.joint_state_broadcaster,
        experiment.controller,
    }
    assert manager["enforce_command_limits"] is True and manager["update_rate"] == 1000
    assert manager[experiment.controller] == {"type": EFFORT_CONTROLLER}
    assert manager[supervisor.joint_state_broadcaster]["type"] == "joint_state_broadcaster/JointStateBroadcaster"
    assert sections[experiment.controller] == {"joints": list(joints)}


def test_an_arm_that_nothing_carries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = fine_tuning.in_graph("pr2_cup_swirl")
    monkeypatch.setattr(graph.task, "robot", dataclasses.replace(graph.task.robot, gravity_compensated=False))
    monkeypatch.setattr(hardware, "in_graph", lambda *_: graph)
    with pytest.raises(ConfigurationError, match="does not carry its own weight: at zero torque it would fall"):
        pr2_cup_swirl.GRAPH.hardware_parameters({"robot": "hardware", "/**.add_gravity": "never"})
    assert pr2_cup_swirl.GRAPH.hardware_parameters({"robot": "hardware"})["/**"]["add_gravity"] == "auto"
