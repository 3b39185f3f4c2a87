# SPDX-License-Identifier: Apache-2.0
"""The supervisor's rules that need settings or an arm of their own, before a filter that does as the test tells it."""

from __future__ import annotations

import subprocess
import sys
import time

import graph_runs
import pytest

pytest.importorskip("controller_manager_msgs")

from arm_bench import SUPERVISOR, bench
from descriptions import with_blocks, with_safety_controllers
from diagnostic_msgs.msg import DiagnosticStatus
from stand_in import configuration
from stand_in_filter import ZERO, StandInFilter, drive

from safe_transfer_ros.launching import domain
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.manager_description import fingerprint

pytestmark = pytest.mark.timeout(300)


def test_ready_is_not_said_before_commands_have_come_without_a_pause() -> None:
    with bench(own_filter=False, steady_time=1.5, command_timeout=0.3) as arm, StandInFilter(arm.domain) as stand_in:
        arm.ready()
        stand_in.command = None
        arm.until(lambda: "commands have stopped" in arm.supervisor.message, "the pause")
        stand_in.command = ZERO
        arm.until(lambda: "without a pause for 1.5 s first" in arm.supervisor.message, "being told so")
        began = time.monotonic()
        assert "without a pause" in arm.activate().message
        arm.ready()
        assert time.monotonic() - began > 1.2


def test_commands_of_another_node_than_the_filter_are_refused() -> None:
    with bench(own_filter=False) as arm, StandInFilter(arm.domain, "somebody"):
        arm.until(lambda: "/somebody publishes on" in arm.supervisor.message, "being told so")
        assert not arm.activate().success


def test_what_was_told_to_be_refused_does_not_happen_afterwards() -> None:
    with (
        bench(own_filter=False, activation_timeout=0.7, service_timeout=5.0) as arm,
        StandInFilter(arm.domain) as stand_in,
    ):
        arm.ready()
        drive(arm, stand_in)
        arm.arm.wrong("stuck")
        stand_in.obeys_after = 0.0
        arm.until(lambda: arm.activate(False).success, "deactivation")
        stand_in.begin()
        arm.until(lambda: "ready" in arm.supervisor.message, "commands of zero")
        refused = arm.activate()
        assert not refused.success and "not done within 0.7 s" in refused.message
        arm.arm.wrong("none")  # now it could be done
        arm.until(lambda: arm.phase == "inactive", "the end of the activation", 4.0)
        assert "it was not done in time" in arm.told("last_stop")


@pytest.mark.parametrize(
    ("stand_in_section", "says"),
    [
        ({"urdf": with_safety_controllers(load("pr2_left_arm"))}, "has <safety_controller> for l_shoulder_pan_joint"),
        ({"urdf": "<robot>"}, "robot_description is not readable XML"),
        ({"describe": False}, "robot_description has no publisher"),
    ],
)
def test_a_description_under_which_a_stop_may_hold_a_torque_is_refused(
    stand_in_section: dict[str, object], says: str
) -> None:
    config = configuration(
        controller_manager={"update_rate": 100, "enforce_command_limits": True}, stand_in=stand_in_section
    )
    with bench(config, own_filter=False) as arm, StandInFilter(arm.domain):
        arm.until(lambda: says in arm.supervisor.message, "being told so")
        refused = arm.activate()
        assert not refused.success and says in refused.message


def test_an_arm_with_another_description_than_the_commissioned_one_is_not_activated() -> None:
    """Of the same name, with the same joints, and fit: it is still not the arm that was commissioned."""
    published = with_blocks(load("pr2_left_arm"))
    config = configuration(controller_manager={"update_rate": 100, "enforce_command_limits": True})
    with (
        bench(config, own_filter=False, commissioned_description=fingerprint(published + "\n")) as arm,
        StandInFilter(arm.domain),
    ):
        arm.until(lambda: "not the one that the arm was commissioned with" in arm.supervisor.message, "being told so")
        refused = arm.activate()
        assert not refused.success and fingerprint(published)[:19] in refused.message
        arm.nodes["controller_supervisor"].kill()
        arm.nodes["controller_supervisor"].wait()
        arm.start("controller_supervisor", **(SUPERVISOR | {"commissioned_description": fingerprint(published)}))
        arm.ready()
        assert arm.activate().success


def test_an_arm_that_tells_no_effort_is_refused_unless_that_is_said() -> None:
    config = configuration(controller_manager={"update_rate": 100}, joint_state_broadcaster={"tells_effort": False})
    with bench(config, own_filter=False) as arm, StandInFilter(arm.domain):
        arm.until(lambda: arm.told("torque") == "EFFORT_UNKNOWN", "being told so")
        refused = arm.activate()
        assert not refused.success and "rest_effort:=untold" in refused.message
        arm.nodes["controller_supervisor"].kill()
        arm.nodes["controller_supervisor"].wait()
        arm.start("controller_supervisor", **(SUPERVISOR | {"rest_effort": "untold"}))
        arm.until(lambda: "ready" in arm.supervisor.message, "ready")
        assert arm.told("torque") == "UNTOLD"
        assert arm.activate().success


def test_a_controller_manager_that_is_missing_is_named() -> None:
    with bench(own_filter=False) as arm:
        arm.arm.kill("manager")
        arm.nodes["controller_supervisor"].kill()
        arm.nodes["controller_supervisor"].wait()
        arm.start("controller_supervisor", **SUPERVISOR)
        says = f"controller_manager is not there (ROS_DOMAIN_ID={arm.domain}): start ros2_control"
        arm.until(lambda: says in arm.supervisor.message, "being told so")
        assert arm.supervisor.level == DiagnosticStatus.ERROR


def test_without_controller_manager_msgs_one_line_says_so() -> None:
    program = (
        "import sys; sys.modules['controller_manager_msgs'] = None\n"
        "from safe_transfer_ros.nodes.controller_supervisor import main; main()"
    )
    claimed = domain.claim()
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    claimed.release()
    assert ended.returncode == 2 and "Traceback" not in ended.stderr + ended.stdout
    assert "sudo apt install ros-jazzy-controller-manager-msgs" in ended.stderr.splitlines()[-1]
