# SPDX-License-Identifier: Apache-2.0
"""The filter's state machine as a table. `filter_modes.py` decides the event; the table gives the next mode."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final

from safe_transfer_ros.safety.reasons import Mode


class Event(Enum):
    """Event of the filter; the value describes it in words."""

    ARM = "arm, with good measurements and zero torque"
    DISARM = "disarm"
    PROPOSAL = "a proposal is accepted"
    LAST = "an episode's last decision is accepted"
    ACTION_TIMEOUT = "no fresh proposal for the action timeout"
    TRIP_TIMEOUT = "no fresh proposal for the trip timeout"
    STATE_FAULT = "joint states or poses of the object stale, frozen, not finite or impossible; g(q) unknown"
    CLOCK_FAULT = "the steady clock goes back"
    TRIP = "trip: operator, external stop, second publisher, supervisor, silence in lockstep, shutdown"
    RESET = "reset, with the cause gone and zero torque"


TRANSITIONS: Final = MappingProxyType(
    {
        (Mode.DISARMED, Event.ARM): Mode.ARMED,
        (Mode.DISARMED, Event.TRIP): Mode.TRIPPED,
        (Mode.ARMED, Event.DISARM): Mode.DISARMED,
        (Mode.ARMED, Event.LAST): Mode.DISARMED,
        (Mode.ARMED, Event.ACTION_TIMEOUT): Mode.HOLDING,
        (Mode.ARMED, Event.TRIP_TIMEOUT): Mode.TRIPPED,
        (Mode.ARMED, Event.STATE_FAULT): Mode.TRIPPED,
        (Mode.ARMED, Event.CLOCK_FAULT): Mode.TRIPPED,
        (Mode.ARMED, Event.TRIP): Mode.TRIPPED,
        (Mode.HOLDING, Event.PROPOSAL): Mode.ARMED,
        (Mode.HOLDING, Event.DISARM): Mode.DISARMED,
        (Mode.HOLDING, Event.LAST): Mode.DISARMED,
        (Mode.HOLDING, Event.TRIP_TIMEOUT): Mode.TRIPPED,
        (Mode.HOLDING, Event.STATE_FAULT): Mode.TRIPPED,
        (Mode.HOLDING, Event.CLOCK_FAULT): Mode.TRIPPED,
        (Mode.HOLDING, Event.TRIP): Mode.TRIPPED,
        (Mode.TRIPPED, Event.RESET): Mode.DISARMED,
    }
)
"""Mode and event to the next mode. A pair that is not here changes nothing."""


def after(mode: Mode, event: Event) -> Mode:
    """The mode that follows `event` in `mode`."""
    return TRANSITIONS.get((mode, event), mode)


def transitions_table() -> str:
    """The state machine as the Markdown table of docs/safety.md."""
    lines = ["| event | " + " | ".join(mode.name for mode in Mode) + " |", "|---" * (len(Mode) + 1) + "|"]
    for event in Event:
        cells = [TRANSITIONS[mode, event].name if (mode, event) in TRANSITIONS else "-" for mode in Mode]
        lines.append(f"| {event.value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
