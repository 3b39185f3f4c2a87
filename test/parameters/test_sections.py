# SPDX-License-Identifier: Apache-2.0
"""Sections of parameter files: which of them ROS gives to a node, and one declaration for what the rules take."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.configuration import OFF, ConfigurationError, attributes, build, seconds, setting_of
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.parameters.sections import (
    SECTIONS,
    SHARED,
    document,
    names_node,
    node_of,
    section_name,
    section_names,
)
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.safety.filter import settings as rules
from safe_transfer_ros.safety.limit.governor import GovernorSettings


@pytest.mark.parametrize(
    ("section", "full_name", "own"),
    [
        ("safety_filter", "/safety_filter", True),
        ("/safety_filter", "/safety_filter", True),
        ("safety_filter", "/left/safety_filter", False),
        ("/**/safety_filter", "/safety_filter", True),
        ("/**/safety_filter", "/left/safety_filter", True),
        ("/**/safety_filter", "/cell/left/safety_filter", True),
        ("/*/safety_filter", "/left/safety_filter", True),
        ("/*/safety_filter", "/cell/left/safety_filter", False),
        ("/left/safety_filter", "/left/safety_filter", True),
        ("/right/safety_filter", "/left/safety_filter", False),
        ("/**/safety_filte", "/safety_filter", False),
        ("/**", "/safety_filter", False),
        ("/left/**", "/left/safety_filter", False),
        ("/left/*", "/left/safety_filter", False),
    ],
)
def test_a_section_is_a_nodes_own_where_ros_gives_it_to_that_node_by_name(
    section: str, full_name: str, own: bool
) -> None:
    assert names_node(section, full_name) is own


def test_a_namespace_may_be_a_level_of_the_file() -> None:
    nested = {"left": {"safety_filter": {"ros__parameters": {}}, "/trainer": {"ros__parameters": {}}}, "x": 3}
    assert list(section_names(nested)) == ["/left/safety_filter", "/left/trainer"]


def test_a_file_of_ours_holds_in_every_namespace() -> None:
    written = document({SHARED: {"seed": 1}, "trainer": {"iterations": 2}})
    assert set(written) == {"/**", "/**/trainer"}
    for node in (SHARED, *SECTIONS):
        assert node_of(section_name(node)) == node
    assert node_of("trainer") == node_of("/trainer") == "trainer"


@pytest.mark.parametrize("name", ["hardware", "panda_push", "pr2_cup_swirl"])
def test_what_we_ship_holds_in_every_namespace(name: str) -> None:
    shipped = yaml.safe_load(resources.path(f"config/{name}.yaml").read_text())
    assert set(shipped) <= {section_name(node) for node in (SHARED, *SECTIONS)}


def test_defaults_and_meanings_are_the_rules_own() -> None:
    ours, theirs = FilterParameters().rule_settings(state_period_s=0.005, lockstep=False), rules.FilterSettings()
    assert ours == theirs
    meaning = {field.name: field.metadata["description"] for field in dataclasses.fields(FilterParameters)}
    assert (
        meaning["trip_timeout"]
        == "Armed, still no fresh proposal after this long: TRIPPED; not shorter than action_timeout, s"
    )
    live = {field.name for field in dataclasses.fields(FilterParameters) if field.metadata["live"]}
    assert {f"{name}_s" for name in live} == set(rules.TIGHTENABLE)
    assert ExperimentParameters().governor(MonitorParameters()) == GovernorSettings()


def test_every_parameter_says_what_it_is() -> None:
    for settings in (ExperimentParameters, *SECTIONS.values()):
        for field in dataclasses.fields(settings):
            assert field.metadata["description"], f"{settings.__name__}.{field.name}"


def test_a_rule_that_says_nothing_of_a_setting_is_noticed() -> None:
    assert set(attributes(rules.FilterSettings)) == {field.name for field in dataclasses.fields(rules.FilterSettings)}
    with pytest.raises(KeyError, match="no_such"):
        setting_of(rules.FilterSettings, "no_such")


def test_a_rule_between_two_values_is_the_rules_own() -> None:
    with pytest.raises(ConfigurationError, match="safety_filter: trip_timeout_s .* must not be shorter"):
        build(FilterParameters, {"trip_timeout": 0.05}, where="safety_filter")


def test_joint_states_may_be_two_and_a_half_periods_apart_and_lockstep_does_not_damp() -> None:
    slow = FilterParameters(stop_damping=1.0).rule_settings(state_period_s=0.05, lockstep=True)
    assert (slow.joint_state_timeout_s, slow.stop_damping) == (0.125, 0.0)
    assert FilterParameters(stop_damping=1.0).rule_settings(state_period_s=0.05, lockstep=False).stop_damping == 1.0


@pytest.mark.parametrize("name", ["e_stop_lease", "permission_lease"])
def test_a_protection_is_switched_off_by_a_word_and_not_by_a_number(name: str) -> None:
    for off in (OFF, "OFF", False):  # YAML, and ROS with it, reads a bare off as false
        assert getattr(build(FilterParameters, {name: off}, where="x"), name) == OFF
    assert getattr(build(FilterParameters, {name: 1}, where="x"), name) == 1.0
    for zero in (0, 0.0, "0", "0.00"):
        with pytest.raises(ConfigurationError, match=f"x: {name} is a time .* write off instead of 0"):
            build(FilterParameters, {name: zero}, where="x")
    for wrong, expected in ((True, "a number, got true"), ("of", "a number, got 'of'"), (None, "a number, got 'None'")):
        with pytest.raises(ConfigurationError, match=f"{name} must be {expected}"):
            build(FilterParameters, {name: wrong}, where="x")
    with pytest.raises(ConfigurationError, match=f"{name} must be at least 0.01"):
        build(FilterParameters, {name: 1e-6}, where="x")
    assert (seconds(OFF), seconds(0.3)) == (0.0, 0.3)
    assert yaml.safe_load(yaml.safe_dump({name: OFF}))[name] == OFF, "written as text, it stays one"
