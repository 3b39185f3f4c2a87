# SPDX-License-Identifier: Apache-2.0
"""Settings: what a person mistypes is refused in one line that says how to fix it."""

from dataclasses import dataclass

import pytest

from safe_transfer_ros.configuration import ConfigurationError, build, parse, setting
from safe_transfer_ros.parameters.experiment import ExperimentParameters


@dataclass(frozen=True, kw_only=True)
class Example:
    rate: float = setting(20.0, "Rate, Hz", minimum=1.0, maximum=1000.0)
    count: int = setting(5, "How many", minimum=0)
    mode: str = setting("a", "Mode", choices=("a", "b"))
    record: bool = setting(True, "Record")


def test_values_are_read_as_the_field_type() -> None:
    built = build(Example, {"rate": 10, "count": "7", "record": "false"}, where="x")
    assert built == Example(rate=10.0, count=7, record=False)
    assert isinstance(built.rate, float)


def test_defaults_stand_where_nothing_is_given() -> None:
    assert build(Example, {}, where="x") == Example()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"rats": 1}, "unknown parameter 'rats'; did you mean 'rate'"),
        ({"rate": "fast"}, "rate must be a number, got 'fast'"),
        ({"rate": float("nan")}, "got NaN"),
        ({"rate": 0.5}, "at least 1, got 0.5"),
        ({"rate": 5000.0}, "at most 1000"),
        ({"count": 1.5}, "whole number"),
        ({"count": True}, "whole number"),
        ({"mode": "c"}, "one of a, b, got 'c'"),
        ({"record": "perhaps"}, "true or false"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        build(Example, values, where="x")


def test_floats_written_in_scientific_notation() -> None:
    assert parse("1e-3", float, "x") == 1e-3


def test_a_start_above_the_bound_is_refused_unless_overridden() -> None:
    with pytest.raises(ConfigurationError, match="(?i)d_safe"):
        build(ExperimentParameters, {"initial_torque_limit": 1.8, "d_safe": 1.3}, where="x")
    override = {"initial_torque_limit": 1.8, "d_safe": 1.3, "allow_unsafe_start": True}
    experiment = build(ExperimentParameters, override, where="x")
    assert (experiment.starting_limit, experiment.lowest_limit) == (1.8, 1.3)


@pytest.mark.parametrize("name", ["torque_limit_min", "t_min"])
def test_the_old_name_of_the_lowest_limit_says_which_two_it_is_now(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'; it is now initial_torque_limit .* and torque_limit_floor"):
        build(ExperimentParameters, {name: 0.1}, where="x")


def test_the_old_name_of_the_override_says_the_new_one() -> None:
    with pytest.raises(ConfigurationError, match="'allow_unsafe_minimum'; it is now allow_unsafe_start"):
        build(ExperimentParameters, {"allow_unsafe_minimum": True}, where="x")


def test_a_new_run_does_not_start_at_another_limit_past_the_rule() -> None:
    with pytest.raises(ConfigurationError, match="first_torque_limit 2.8 is for a resumed run"):
        build(ExperimentParameters, {"first_torque_limit": 2.8}, where="x")
    resumed = {"first_torque_limit": 2.8, "first_iteration": 3}
    assert build(ExperimentParameters, resumed, where="x").starting_limit == 2.8


def test_fixed_limit_starts_at_the_ceiling_and_stays_there() -> None:
    experiment = build(ExperimentParameters, {"limit_rule": "fixed"}, where="x")
    assert (experiment.starting_limit, experiment.lowest_limit) == (3.0, 3.0)
