# SPDX-License-Identifier: Apache-2.0
"""What protects an arm whose operator sets nothing: each default by its number, so that none moves unnoticed."""

from __future__ import annotations

import dataclasses

import pytest

from safe_transfer_ros.safety.filter import plausibility, speakers, stop_buttons
from safe_transfer_ros.safety.filter.envelope import EnvelopeSettings
from safe_transfer_ros.safety.filter.settings import FilterSettings

DEFAULTS = {
    "action_timeout_s": 0.1,
    "trip_timeout_s": 0.5,
    "joint_state_timeout_s": 0.05,
    "frozen_timeout_s": 0.2,
    "object_timeout_s": 0.2,
    "object_frozen_timeout_s": 1.0,
    "future_tolerance_s": 0.01,
    "state_period_s": 0.005,
    "torque_rate_limit": 1000.0,
    "clamp": "joint",
    "stop_damping": 0.0,
    "stop_damping_time_s": 0.5,
}


def test_each_default_of_the_filter_is_the_one_that_the_manual_promises() -> None:
    assert dataclasses.asdict(FilterSettings()) == DEFAULTS


def test_the_envelope_by_itself_is_as_strict_as_in_the_filter() -> None:
    assert EnvelopeSettings() == FilterSettings().envelope


def test_what_no_parameter_changes() -> None:
    assert (plausibility.SPEED_FACTOR, plausibility.SIMULATED_SPEED_FACTOR) == (10.0, 100.0)
    assert (plausibility.MARGIN_RAD, plausibility.NOISE_RAD, plausibility.LARGEST) == (1.0, 0.1, 1e4)
    assert (speakers.WATCHED_S, stop_buttons.MAX_BUTTONS) == (1.0, 32)


@pytest.mark.parametrize("name", [name for name, value in DEFAULTS.items() if name not in ("clamp", "stop_damping")])
@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf")])
def test_no_number_switches_a_protection_off(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be finite and > 0, got {value}"):
        FilterSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_damping_may_be_nothing_and_else_is_positive(value: float) -> None:
    assert FilterSettings(stop_damping=0.0).stop_damping == 0.0
    with pytest.raises(ValueError, match=f"stop_damping must be finite and > 0, got {value}"):
        FilterSettings(stop_damping=value)
