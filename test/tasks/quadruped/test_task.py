# SPDX-License-Identifier: Apache-2.0
"""Rewards, falls, observation and builds of the quadruped's tasks against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.tasks.quadruped.task import (
    HOME,
    QuadrupedFriction,
    QuadrupedSpeed,
    QuadrupedStand,
    QuadrupedState,
    QuadrupedWalk,
)

ZERO = np.zeros(12)
STILL = (ZERO, ZERO, ZERO)


def state(**changes: Any) -> QuadrupedState:
    standing = QuadrupedState(
        position=np.array([0.0, 0.0, 0.27]),
        up=np.array([0.0, 0.0, 1.0]),
        velocity=np.zeros(3),
        body_velocity=np.zeros(3),
        angular_velocity=np.zeros(3),
        joint_position=HOME,
        joint_velocity=ZERO,
    )
    return dataclasses.replace(standing, **{name: np.asarray(value) for name, value in changes.items()})


def leaning(angle: float) -> QuadrupedState:
    return state(up=(math.sin(angle), 0.0, math.cos(angle)))


def test_a_fall_is_a_lean_or_a_trunk_too_low() -> None:
    speed, walk = QuadrupedSpeed(), QuadrupedWalk()
    assert not speed.fallen(leaning(0.29)) and speed.fallen(leaning(0.31)) and not walk.fallen(leaning(0.31))
    assert not walk.fallen(leaning(math.acos(0.86))) and walk.fallen(leaning(math.acos(0.84)))
    assert not walk.fallen(state(position=(0.0, 0.0, 0.151))) and walk.fallen(state(position=(0.0, 0.0, 0.149)))
    assert walk.fallen(state(position=(0.0, 0.0, math.nan))) and walk.fallen(state(up=(0.0, 0.0, math.nan)))


@pytest.mark.parametrize(
    ("way", "expected"), [(0.008, 0.4), (0.006, 0.3), (0.010, 0.3), (0.1, 0.0), (-0.1, -0.8), (0.0, 0.0)]
)
def test_speed_is_worth_most_at_the_target(way: float, expected: float) -> None:
    after = state(position=(1.0 + way, 0.0, 0.27))
    reward = QuadrupedSpeed().reward(state(position=(1.0, 0.0, 0.27)), after, STILL)
    assert reward == pytest.approx(expected)


def test_acceleration_of_the_actions_costs() -> None:
    actions = (np.full(12, 0.5), np.full(12, -0.5), np.full(12, 0.25))
    assert QuadrupedSpeed().reward(state(), state(), actions) == pytest.approx(-0.01 * 1.75)


def test_walking_is_worth_its_way_and_standing_its_likeness() -> None:
    after = state(position=(0.02, 0.0, 0.27))
    assert QuadrupedWalk().reward(state(), after, STILL) == pytest.approx(0.02)
    stand = QuadrupedStand()
    assert stand.reward(state(), state(), STILL) == pytest.approx(1.0)
    for changes, expected in (
        ({"joint_position": HOME + 0.1}, (0.5 * math.exp(-0.6) + 0.3) / 0.8),
        ({"joint_velocity": ZERO + 1.0}, (0.05 * math.exp(-1.2) + 0.75) / 0.8),
        ({"position": (0.0, 0.0, 0.17)}, (0.15 * math.exp(-0.2) + 0.65) / 0.8),
        ({"velocity": (1.0, 0.0, 0.0)}, (0.1 * math.exp(-2.0) + 0.7) / 0.8),
        ({"angular_velocity": (0.0, 2.0, 0.0)}, (0.1 * math.exp(-0.8) + 0.7) / 0.8),
    ):
        assert stand.reward(state(), state(**changes), STILL) == pytest.approx(expected), changes
    assert stand.reward(state(), leaning(0.2), STILL) == pytest.approx((0.15 * math.exp(-0.4) + 0.65) / 0.8)


def test_observation_is_in_the_stated_order() -> None:
    seen = QuadrupedSpeed().observe(
        state(
            up=(0.1, 0.2, 0.9),
            angular_velocity=(4.0, 8.0, 12.0),
            body_velocity=(7.0, 8.0, 9.0),
            joint_position=HOME + 0.25,
            joint_velocity=ZERO + 20.0,
        ),
        ZERO + 0.3,
        ZERO + 0.4,
    )
    np.testing.assert_allclose(seen[:9], [0.1, 0.2, 0.9, 1.0, 2.0, 3.0, 7.0, 8.0, 9.0])
    np.testing.assert_allclose(seen[9:].reshape(4, 12), np.repeat([[0.5], [1.0], [0.3], [0.4]], 12, axis=1))


def test_fine_tuning_differs_from_pre_training_by_speed_or_by_friction() -> None:
    speed, friction = QuadrupedSpeed(), QuadrupedFriction()
    assert (speed.target_speed, speed.foot_friction) == (0.4, 1.0)
    assert (friction.target_speed, friction.foot_friction) == (0.3, 1.25)
    source = QuadrupedSpeed(**QuadrupedSpeed.source_settings), QuadrupedFriction(**QuadrupedFriction.source_settings)
    assert {(task.target_speed, task.foot_friction) for task in source} == {(0.3, 1.0)}


def test_builds_are_drawn_only_where_asked_for() -> None:
    fixed = QuadrupedFriction().build(np.random.default_rng(0))
    assert dataclasses.astuple(fixed) == (1.0, 1.0, 1.0, 1.0, 1.0, 1.25, 0.0)
    task = QuadrupedSpeed(randomised=True)
    builds = [dataclasses.astuple(task.build(np.random.default_rng(seed))) for seed in range(200)]
    drawn = np.array([np.hstack(build) for build in builds])
    low = np.array([0.8, 0.8, 0.5, 0.5, *[0.8] * 12, 0.5, 0.0])
    high = np.array([1.2, 1.2, 1.5, 1.5, *[1.2] * 12, 1.25, 0.04])
    assert (drawn >= low).all() and (drawn <= high).all()
    assert (drawn.max(axis=0) - drawn.min(axis=0) > 0.9 * (high - low)).all()
    # Trunk and legs, and every servo, each for itself.
    assert np.abs(np.corrcoef(drawn.T) - np.eye(18)).max() < 0.4


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"foot_friction": 0.0}, "foot_friction must be"), ({"target_speed": math.nan}, "target_speed")],
)
def test_senseless_settings_are_refused(settings: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        QuadrupedSpeed(**settings)
