# SPDX-License-Identifier: Apache-2.0
"""A filter in each mode, with the calls that got it there; and hypothesis fit for a busy machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, Proposal, SafetyFilter
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard

# A shared machine may stall any example; nothing here is about time that a wall clock shows.
settings.register_profile("safety", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("safety")

MS = 1_000_000
NAMES = ("shoulder", "elbow", "wrist")
EFFORT = np.array([30.0, 10.0, 0.5])


class Rig:
    """A filter with a steady clock and a robot that moves a little with every joint state."""

    def __init__(
        self,
        *,
        t_min=3.0,
        ceiling=3.0,
        gate=None,
        observe=None,
        soft_limits=None,
        drive=None,
        gravity=None,
        plausible=None,
        tracks_object=False,
        start=None,
        budget=None,
        damage=None,
        **changes,
    ):
        self.guard = TorqueLimitGuard(t_min, ceiling, torque_limit=start, budget=budget)
        self.filter = SafetyFilter(
            NAMES,
            EFFORT,
            FilterSettings(**changes),
            self.guard,
            gate,
            observe,
            soft_limits,
            drive,
            gravity=None if gravity is None else GravityTerm(gravity, EFFORT, 1000.0),
            plausible=plausible,
            tracks_object=tracks_object,
            damage=damage,
        )
        self.now = 1_000 * MS
        self.stamp = 50_000 * MS  # the robot's clock has nothing to do with ours

    def state(self, **changes):
        """One joint state, 5 ms after the one before by both clocks."""
        self.now += 5 * MS
        self.stamp += 5 * MS
        position = np.full(3, self.stamp * 1e-12)
        arguments = {"position": position, "velocity": position + 1.0, "stamp_ns": self.stamp} | changes
        return self.filter.observe_state(now_ns=self.now, **arguments)

    def proposal(self, effort=(0.1, 0.1, 0.1), **changes):
        effort = np.array(effort, dtype=float)
        arguments = {
            "stamp_ns": self.stamp,
            "iteration": 0,
            "episode": 0,
            "step": 0,
            "last": False,
            "policy_version": 0,
            "mean": np.zeros(3),
            "stddev": np.ones(3),
            "effort": effort,
        }
        return Proposal(**arguments | changes)

    def propose(self, effort=(0.1, 0.1, 0.1), **changes):
        return self.filter.propose(self.proposal(effort, **changes), self.now)

    def cycle(self):
        return self.filter.cycle(self.now).copy()

    def wait(self, ms, *, states=True):
        """Let time pass in 5 ms cycles, with or without joint states."""
        for _ in range(round(ms / 5)):
            if states:
                self.state()
            else:
                self.now += 5 * MS
            self.cycle()

    def arm(self):
        self.state()
        self.cycle()
        refused = self.filter.arm(self.now)
        assert refused is None, refused
        return self

    def run(self, effort=(0.1, 0.1, 0.1)):
        """Armed, with a torque on the joints."""
        self.arm()
        assert not self.propose(effort)
        assert self.cycle().any()
        return self


@pytest.fixture
def rig():
    """Makes rigs."""
    return Rig
