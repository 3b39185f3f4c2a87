# SPDX-License-Identifier: Apache-2.0
"""The table of modes against the filter itself: every event is made to happen in every mode."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.transitions import TRANSITIONS, Event, after
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000


def disarmed(rig):
    rig.state()
    rig.cycle()


def armed(rig):
    rig.run()


def holding(rig):
    rig.run()
    rig.wait(105)


def tripped(rig):
    rig.run()
    rig.filter.trip(Reason.OPERATOR_STOP, rig.now)
    rig.wait(5)


INTO = {Mode.DISARMED: disarmed, Mode.ARMED: armed, Mode.HOLDING: holding, Mode.TRIPPED: tripped}


def proposal(rig):
    rig.state()
    rig.propose()


def last(rig):
    rig.state()
    rig.propose(last=True, mean=np.zeros(0), stddev=np.zeros(0), effort=np.zeros(0))


def action_timeout(rig):
    rig.wait(105)


def trip_timeout(rig):
    # From each mode's latest proposal; no cycle in between, as after a stall of the process.
    for _ in range(110):
        rig.state()
    rig.cycle()


def state_fault(rig):
    rig.state(position=np.full(3, np.nan))


def clock_fault(rig):
    rig.now -= 1
    rig.cycle()


HAPPENS = {
    Event.ARM: lambda rig: rig.filter.arm(rig.now),
    Event.DISARM: lambda rig: rig.filter.disarm(rig.now),
    Event.PROPOSAL: proposal,
    Event.LAST: last,
    Event.ACTION_TIMEOUT: action_timeout,
    Event.TRIP_TIMEOUT: trip_timeout,
    Event.STATE_FAULT: state_fault,
    Event.CLOCK_FAULT: clock_fault,
    Event.TRIP: lambda rig: rig.filter.trip(Reason.SECOND_PUBLISHER, rig.now),
    Event.RESET: lambda rig: rig.filter.reset(rig.now),
}


@pytest.mark.parametrize("mode, event", list(itertools.product(Mode, Event)), ids=lambda value: value.name)
def test_the_filter_does_what_the_table_says(rig, mode, event):
    subject = rig()
    INTO[mode](subject)
    assert subject.filter.mode is mode
    HAPPENS[event](subject)
    assert subject.filter.mode is after(mode, event)


def test_the_table_has_no_way_out_of_tripped_but_reset():
    assert {event for (mode, event) in TRANSITIONS if mode is Mode.TRIPPED} == {Event.RESET}
    assert {mode for (mode, event), target in TRANSITIONS.items() if target is Mode.ARMED} == {
        Mode.DISARMED,
        Mode.HOLDING,
    }
