# SPDX-License-Identifier: Apache-2.0
"""Where no controller zeroes when it is deactivated (ros2_controllers 6.7 and later): what ends its torque then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("controller_manager_msgs")

from arm_bench import SUPERVISOR, ArmBench, bench
from commissioning_bench import TIMEOUTS, Person
from manager import HOLD_CONTROLLER
from safe_transfer_msgs.msg import SafetyDecision
from stand_in import JOINTS, configuration
from stand_in_filter import ZERO, StandInFilter

from safe_transfer_ros.commissioning.link import CommissioningLink
from safe_transfer_ros.commissioning.procedure import commission
from safe_transfer_ros.commissioning.step import Bench, StepResult
from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters

pytestmark = pytest.mark.timeout(300)

FORWARD = {"type": "forward_command_controller/ForwardCommandController", "fallback_controllers": ["hold_controller"]}
TORQUE = [0.5] * len(JOINTS)
HARDWARE_TIMEOUT = 0.3
ADDED = 0.2  # N·m, by the controller below ours in a chain


def lyrical(*, through: str = "") -> dict[str, Any]:
    """A controller_manager without the controller that zeroes; `through`: ours writes the references of that one."""
    return configuration(
        start=("joint_state_broadcaster", "hold_controller"),
        controller_manager={
            "update_rate": 100,
            "effort_controller": FORWARD,
            "hold_controller": {"type": HOLD_CONTROLLER},
        },
        effort_controller={"through": through},
        hold_controller={"joints": JOINTS, "adds": ADDED},
        stand_in={"hardware_timeout": HARDWARE_TIMEOUT},
    )


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[ArmBench, StandInFilter]]:
    with bench(lyrical(), own_filter=False) as arm, StandInFilter(arm.domain) as stand_in:
        yield arm, stand_in


def supervised(running: tuple[ArmBench, StandInFilter], **parameters: object) -> tuple[ArmBench, StandInFilter]:
    """With another supervisor."""
    arm, stand_in = running
    arm.nodes["controller_supervisor"].kill()
    arm.nodes["controller_supervisor"].wait()
    stand_in.begin()
    arm.start("controller_supervisor", **(SUPERVISOR | parameters))
    return arm, stand_in


def drive(arm: ArmBench, stand_in: StandInFilter, *, added: float = 0.0) -> None:
    stand_in.begin()
    arm.until(lambda: arm.activate().success, "activation", 20.0)
    stand_in.tell(SafetyDecision.MODE_ARMED)
    stand_in.command = TORQUE
    arm.until(lambda: arm.arm.torque() == TORQUE[0] + added, "torque at the arm")


def test_it_is_refused_where_nothing_ends_its_torque(running: tuple[ArmBench, StandInFilter]) -> None:
    arm, _ = running
    arm.until(lambda: "holds its last torque" in arm.supervisor.message, "being told so")
    refused = arm.activate()
    assert not refused.success and "controller_supervisor.hardware_timeout" in refused.message
    assert arm.state_of("effort_controller") == "inactive"


def test_the_fallback_takes_over_whoever_stops_ours_and_gives_way_to_it(
    running: tuple[ArmBench, StandInFilter],
) -> None:
    arm, stand_in = supervised(running, fallback_controller="hold_controller")
    for fault in ("silence", "controller_error effort_controller"):
        drive(arm, stand_in)
        assert arm.state_of("hold_controller") == "inactive"
        if fault == "silence":
            stand_in.command = None
        else:
            arm.fault(fault)
        arm.until(lambda: arm.state_of("hold_controller") == "active", fault)
        arm.until(lambda: arm.phase == "inactive" and arm.told("torque") == "UNWATCHED", "its being told")
        arm.until(lambda: arm.arm.torque() != TORQUE[0], "another torque than the last of ours")
    stand_in.command = ZERO
    drive(arm, stand_in)


def test_hardware_that_ends_a_torque_is_seen_to_or_a_torque_is_held(running: tuple[ArmBench, StandInFilter]) -> None:
    arm, stand_in = supervised(running, hardware_timeout=HARDWARE_TIMEOUT)
    drive(arm, stand_in)
    stand_in.command = None
    arm.until(lambda: arm.phase == "inactive" and arm.told("torque") == "AT_REST", "the end of the torque")
    assert arm.arm.torque() == 0.0
    arm.fault("no_timeout")
    drive(arm, stand_in)
    stand_in.command = None
    arm.until(lambda: arm.told("torque") == "TORQUE_HELD", "being told that it is held")
    assert arm.arm.torque() == TORQUE[0]


def test_the_controller_below_ours_in_a_chain_takes_over() -> None:
    with (
        bench(lyrical(through="hold_controller"), own_filter=False, fallback_controller="hold_controller") as arm,
        StandInFilter(arm.domain) as stand_in,
    ):
        arm.until(lambda: "hold_controller, through which effort_controller" in arm.supervisor.message, "being told")
        assert arm.switch(start=("hold_controller",))
        drive(arm, stand_in, added=ADDED)  # what the arm measures is not ours alone
        stand_in.command = None
        arm.until(lambda: arm.phase == "inactive" and arm.told("torque") == "UNWATCHED", "its being told")
        assert arm.state_of("hold_controller") == "active"
        arm.until(lambda: arm.arm.torque() != TORQUE[0] + ADDED, "another torque than the last of ours")


def commissioned(arm: ArmBench, *, hardware: float = 0.0, fallback: str = "") -> StepResult:
    """The step, alone."""
    ids = {name: process.pid for name, process in arm.nodes.items()}
    link = CommissioningLink(
        ExperimentParameters(), SupervisorParameters(fallback_controller=fallback), domain=arm.domain, process_ids=ids
    )
    try:
        assert link.until(lambda: link.up, 30.0)
        timeouts = replace(TIMEOUTS, hardware=hardware, fallback=fallback)
        settings = CommissionParameters(gravity_time=0.5, watchdog_slack=1.0)
        [made] = commission(Bench(arm=link, operator=Person(), settings=settings, timeouts=timeouts), ["torque_end"])
        return made
    finally:
        link.close()


def test_commissioning_stops_the_filter_under_a_torque_and_measures_its_end() -> None:
    with bench(lyrical(), hardware_timeout=HARDWARE_TIMEOUT) as arm:
        arm.ready()
        assert commissioned(arm).says.startswith("not needed: neither hardware_timeout")
        found = commissioned(arm, hardware=HARDWARE_TIMEOUT)
        assert found.passed, found.says
        assert float(str(found.measured["took_s"])) > SUPERVISOR["command_timeout"] + 0.5 * HARDWARE_TIMEOUT
        arm.stopped()
        arm.fault("no_timeout")
        found = commissioned(arm, hardware=HARDWARE_TIMEOUT)
        assert not found.passed and "no timeout of 0.3 s, and a torque is held" in found.says
        arm.stopped()  # by a controller that was activated again


def test_commissioning_has_the_fallback_take_over_and_looks_whether_it_holds_the_arm() -> None:
    with bench(lyrical(), fallback_controller="hold_controller") as arm:
        arm.ready()
        found = commissioned(arm, fallback="hold_controller")
        assert found.passed and "hold_controller took over" in found.says, found.says
        arm.until(lambda: arm.state_of("hold_controller") == "active", "it stays")
