# SPDX-License-Identifier: Apache-2.0
"""Which joint a torque drove, told from how all of them moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from safe_transfer_ros.commissioning.directions import STALLS, directions, driven_joint, pushing_torque
from safe_transfer_ros.commissioning.step import Bench, Failed, Timeouts
from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model, perturbation
from safe_transfer_ros.safety.reasons import Reason

ROBOT = load("pr2_left_arm")
HOME = np.asarray(ROBOT.home)
DYNAMICS = ArmDynamics(ROBOT)
DURATION, TIMESTEP = 0.5, 0.002


def pushed(robot: str, position: np.ndarray, joint: int, amplitude: float) -> np.ndarray:
    """How far all joints have moved after a push of one, rad."""
    arm = ArmSimulation(build_model(ROBOT, perturbation(robot), TIMESTEP), ROBOT.joint_names)
    arm.reset(position)
    torque = np.zeros(7)
    for time_s in np.arange(0.0, DURATION, TIMESTEP):
        torque[joint] = amplitude * np.sin(2.0 * np.pi * time_s / DURATION)
        arm.step(torque)
    return arm.position - position


@pytest.mark.parametrize("robot", ["nominal", "tenth", "light_sticky"])
@pytest.mark.parametrize("joint", range(7))
def test_the_driven_joint_is_found_whatever_the_coupling(robot: str, joint: int) -> None:
    mobility = DYNAMICS.mobility(HOME)
    amplitude, way = pushing_torque(0.02, DURATION, mobility.max()), np.zeros(7)
    while np.abs(way).max() < 0.005:
        way = pushed(robot, HOME, joint, amplitude)
        amplitude *= 2.0
    assert driven_joint(way, mobility) == joint
    assert 0.0 < way[joint] < 0.3


def test_the_largest_displacement_alone_would_name_another_joint() -> None:
    rng = np.random.default_rng(0)
    limits = ROBOT.limits
    misled = 0
    for _ in range(10):
        position = rng.uniform(np.fmax(limits.soft_lower, -3.0), np.fmin(limits.soft_upper, 3.0))
        mobility = DYNAMICS.mobility(position)
        way = pushed("nominal", position, 0, pushing_torque(0.01, DURATION, mobility[0]))
        assert driven_joint(way, mobility) == 0
        misled += int(np.argmax(np.abs(way)) != 0)
    assert misled > 0


def test_a_push_moves_a_free_joint_as_far_as_was_asked() -> None:
    """Integrated by steps, of a joint with a mobility of 4."""
    amplitude = pushing_torque(0.02, DURATION, 4.0)
    times = np.arange(0.0, DURATION, 1e-4)
    speed = np.cumsum(4.0 * amplitude * np.sin(2.0 * np.pi * times / DURATION)) * 1e-4
    assert np.sum(speed) * 1e-4 == pytest.approx(0.02, rel=1e-3)
    assert abs(speed[-1]) < 1e-3, "at rest again"


class StandIn:
    """An arm whose joints go where they are pushed, on a machine that stands still in the first pushes."""

    def __init__(self, trips: int, pause: float) -> None:
        self.robot, self.position = ROBOT, np.array(HOME)
        self.trips, self.pause, self.pushes, self.cause, self.says = trips, pause, 0, 0, "no permission"
        self.tripped = False
        self.stamps: list[float] = []
        self.delays: list[float] = []

    def free(self) -> str:
        self.tripped = False
        return ""

    def push(self, torque: Callable[[float], np.ndarray]) -> str:
        assert not self.tripped, "a filter that has tripped cannot be armed"
        self.pushes += 1
        self.tripped = self.pushes <= self.trips
        self.cause = int(Reason.NO_PERMISSION) if self.tripped else 0
        self.stamps, self.delays = [0.0, 0.01, 0.01 + (self.pause if self.tripped else 0.01)], [0.001]
        if not self.tripped:
            self.position = self.position + 0.1 * torque(0.125)
        return ""

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        return condition()

    def wait(self, seconds: float) -> None: ...

    def forget(self) -> None: ...

    def ease(self) -> None: ...

    def rest(self) -> None: ...


class Person:
    def __init__(self, yes: int = 1000) -> None:
        self.asked: list[str] = []
        self.yes = yes

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return len(self.asked) <= self.yes

    def tell(self, text: str) -> None: ...


def bench(arm: StandIn, person: Person) -> Bench:
    timeouts = Timeouts(
        torque_limit=1.0,
        action=1.0,
        trip=1.0,
        joint_state=1.0,
        permission=1.0,
        command=1.0,
        rest_tolerance=0.1,
        hardware=0.0,
        fallback="",
    )
    return Bench(arm=arm, operator=person, settings=CommissionParameters(push_motion=1e-4), timeouts=timeouts)


def test_a_push_in_which_the_machine_stood_still_is_made_again_after_a_yes() -> None:
    arm, person = StandIn(trips=STALLS, pause=1.6), Person()
    says, _ = directions(bench(arm, person))
    assert "each of 7 joints" in says
    assert [text for text in person.asked if "stood still for 1.6 s" in text] == person.asked[1 : 1 + STALLS]
    with pytest.raises(Failed, match="did not confirm"):
        directions(bench(StandIn(trips=1, pause=1.6), Person(yes=1)))


def test_a_machine_that_stands_still_again_and_again_does_not_pass() -> None:
    with pytest.raises(Failed, match="pause again and again"):
        directions(bench(StandIn(trips=STALLS + 1, pause=1.6), Person()))


@pytest.mark.parametrize("pause", [0.01, float("inf")])
def test_a_trip_that_no_pause_explains_is_the_arms(pause: float) -> None:
    """Not even where nothing was heard at all."""
    arm = StandIn(trips=1, pause=pause)
    with pytest.raises(Failed, match=r"the filter tripped \(the supervisor of the arm's controller did not permit"):
        directions(bench(arm, Person()))
    assert arm.pushes == 1
