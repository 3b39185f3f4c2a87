# SPDX-License-Identifier: Apache-2.0
"""Hold, cup-like motion and push by torques through filter, supervisor and libfranka, with all of the arm's limits.

franka-sim has the arm alone; the rod at its flange, the table and the block are this test's. It is a push by a joint
impedance that the test computes from the joint states, not a pushing task: those are a Panda's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import franka_bench
import numpy as np
import pytest
from franka_bench import ROOT, Bench, Server, largest_step
from sensor_msgs.msg import JointState

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(bool(franka_bench.missing()), reason=franka_bench.missing())]

ADDRESS = "127.0.0.31"
FLANGE = '<body name="fr3_link8" pos="0 0 0.107"/>'
# The flange starts at (0.554, 0, 0.625), its z axis down: the ball is 3.5 cm above the table, 4 cm before the block.
ROD = """<body name="fr3_link8" pos="0 0 0.107">
  <geom name="rod" type="sphere" pos="0 0 0.1" size="0.011" mass="0.05" contype="2" conaffinity="2" friction="0.3"/>
</body>"""
TABLE = """<geom name="table" type="box" pos="0.55 0.1 0.46" size="0.2 0.3 0.03" friction="0.3" contype="1"/>
<body name="block" pos="0.554 0.08 0.54"><freejoint/>
  <geom type="box" size="0.025 0.025 0.05" mass="0.3" friction="0.3" contype="3" conaffinity="3"/>
</body>
</worldbody>"""
STIFFNESS = np.array([20.0, 20.0, 20.0, 20.0, 5.0, 5.0, 5.0])  # N·m/rad
DAMPING = np.array([6.0, 6.0, 6.0, 5.0, 0.5, 0.5, 0.5])  # N·m·s/rad, beside the 1 of the arm
SECONDS = 2.0  # of each motion
SWIRL, SWEEP = 0.15, 0.3  # rad
# A machine that stood still ends a motion, as it should.
LATE = 0.04  # s without a state to answer: torques that old are no impedance, and may swing the wrist about
STOOD_STILL = ("COMMUNICATION_CONSTRAINTS", "COMMAND_STALE", "STATE_STALE", "COMMUNICATION_LOST", "NO_PERMISSION")


class Impedance:
    """Torques towards a path that begins where the arm is."""

    def __init__(self) -> None:
        self.start: np.ndarray | None = None
        self.position = np.zeros(7)
        self.path: Callable[[float], np.ndarray] = lambda _: np.zeros(7)
        self._since = 0.0
        self._answered = math.inf
        self.latest = 0.0  # longest time between two answers, s

    def follow(self, path: Callable[[float], np.ndarray]) -> None:
        """From the first state on, path(s) rad beyond the start."""
        self.path, self._since, self._answered = path, time.monotonic(), math.inf

    def __call__(self, state: JointState) -> list[float]:
        now = time.monotonic()
        self.latest, self._answered = max(self.latest, now - self._answered), now
        self.position = np.array(state.position)
        if self.start is None:
            self.start = self.position
        wanted = self.start + self.path(min(now - self._since, SECONDS))
        torque = STIFFNESS * (wanted - self.position) - DAMPING * np.array(state.velocity)
        return [float(value) for value in torque]


def ramp(seconds: float) -> float:
    """From 0 to 1 without a jump of velocity."""
    return 0.5 * (1.0 - math.cos(math.pi * seconds / SECONDS))


def swirl(seconds: float) -> np.ndarray:
    """One circle of the wrist, as a cup is swirled, that ends where it began."""
    angle = 2.0 * math.pi * ramp(seconds)
    return SWIRL * np.array([0.0, 0.0, 0.0, 0.0, math.sin(angle), 1.0 - math.cos(angle), 0.0])


def sweep(seconds: float) -> np.ndarray:
    """Joint 1 leads the rod through the block."""
    return SWEEP * ramp(seconds) * np.eye(7)[0]


def activated(arm: Bench) -> None:
    """As an operator does: in motion, armed, under torques of the impedance."""
    arm.driving = True
    arm.until(lambda: arm.ready() or arm.activate().success, "activation")
    arm.until(lambda: arm.call("safety_filter/arm", franka_bench.SetBool.Request(data=True)).success, "arming")


def moved(arm: Bench) -> bool:
    """Whether all motions were made; False where the machine stood still meanwhile."""
    policy = Impedance()
    arm.policy = policy
    before = arm.server.block
    activated(arm)
    arm.server.trace()
    policy.latest = 0.0
    reached = []
    for path in (lambda _: np.zeros(7), swirl, sweep):
        policy.follow(path)
        swept = []
        deadline = time.monotonic() + SECONDS + 0.5
        while time.monotonic() < deadline and arm.moving:
            arm.let(0.02)
            swept.append(policy.position - policy.start)
        reached.append(np.array(swept))
    trace = arm.server.trace()
    assert 0.0 < largest_step(trace) <= 1.0 + 1e-6, "however late torques are"
    if policy.latest > LATE:
        return False
    ended = arm.told(arm.arm, "ended")
    assert arm.moving or ended in STOOD_STILL, arm.arm.message
    if not arm.moving:
        return False
    held, swirled, swept = reached
    assert np.abs(held).max() < 0.03, "it holds"
    for joint, size in ((4, SWIRL), (5, 2.0 * SWIRL)):
        assert np.abs(swirled[:, joint]).max() > 0.4 * size, "it swirls"
    assert swept[-1, 0] == pytest.approx(SWEEP, abs=0.08), "it sweeps"
    after = arm.server.block
    assert before[1] == pytest.approx(0.08, abs=0.005) and after[1] - before[1] > 0.05, (before, after)
    assert after[2] == pytest.approx(before[2], abs=0.01), "it was pushed, not toppled"
    return True


def test_hold_swirl_and_push_with_all_limits_of_the_arm_enforced(tmp_path: Path) -> None:
    arm_alone = (ROOT / "urdf" / "fr3.xml").read_text()
    assert arm_alone.count(FLANGE) == 1
    scene = tmp_path / "push.xml"
    scene.write_text(arm_alone.replace(FLANGE, ROD).replace("</worldbody>", TABLE))
    for _ in range(4):
        server = Server(ADDRESS, strict=True, model=scene)
        with franka_bench.bench(ADDRESS, server=server) as arm:
            if moved(arm):
                return
    pytest.fail("the machine stood still four times")
