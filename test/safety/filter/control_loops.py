# SPDX-License-Identifier: Apache-2.0
"""A control loop between a rig, a sight that the test opens, and a record of what it publishes."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, settings

from safe_transfer_ros.safety.filter.control_loop import ControlLoop
from safe_transfer_ros.safety.reasons import Verdict

MS = 1_000_000
S = 1000 * MS
TAKEN = (Verdict.ACCEPTED, Verdict.BOUNDED)
# The fixtures make loops: nothing of one example is left in the next.
anew = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Sight:
    """A view that lacks what a test says; remembers which episodes began."""

    def __init__(self):
        self.blind, self.begun = False, []

    def begin(self, episode, stamp_ns):
        self.begun.append((episode, stamp_ns))

    def ready(self, stamp_ns):
        return not self.blind


class Loop:
    """A control loop around a rig's filter, with everything that it published."""

    def __init__(self, rig, *, lockstep=False, control_period_s=0.05, **changes):
        self.rig = rig(**changes)
        self.filter, self.sight = self.rig.filter, Sight()
        self.now, self.stamp, self.step = self.rig.now, self.rig.stamp, 0
        self.out = []
        self.loop = ControlLoop(
            self.filter,
            self.sight,
            self.publish,
            lockstep=lockstep,
            control_period_s=control_period_s,
            lockstep_timeout_s=20.0,
        )

    def publish(self, command, decision):
        self.out.append((self.now, command.copy(), decision))
        np.testing.assert_array_equal(command, self.filter.command)

    @property
    def decisions(self):
        return [decision for _, _, decision in self.out if decision is not None]

    def state(self, ms=5, stamp_ms=None):
        self.now += ms * MS
        self.stamp += (ms if stamp_ms is None else stamp_ms) * MS
        position = np.full(3, self.stamp * 1e-12)
        self.loop.joint_state(self.stamp, position, position + 1.0, self.now)

    def proposal(self, ahead_ms=0, effort=0.1, **changes):
        made = self.rig.proposal(np.full(3, effort), stamp_ns=self.stamp + ahead_ms * MS, step=self.step, **changes)
        self.step += 1
        return made

    def propose(self, ahead_ms=0, effort=0.1, **changes):
        made = self.proposal(ahead_ms, effort, **changes)
        self.loop.propose(made, self.now)
        return made

    def watch(self, ms=10):
        self.now += ms * MS
        return self.loop.watch(self.now)

    def armed(self):
        self.state()
        assert self.loop.arm(self.now) is None
        return self
