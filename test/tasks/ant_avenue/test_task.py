# SPDX-License-Identifier: Apache-2.0
"""The ant's task by hand: what is seen, what a step is worth, what costs, when the ant has fallen."""

from __future__ import annotations

import dataclasses
import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntState, to_world

TASK = AntAvenue()
BENT = np.array([0.0, 90.0, 0.0, 90.0, 0.0, -90.0, 0.0, -90.0])  # degrees: hips straight, feet straight down


def state(**given: object) -> AntState:
    """Standing still at the origin, but for what is given; angles in degrees."""
    values: dict[str, object] = {
        "position": [0.0, 0.0, 0.64],
        "velocity": [0.0, 0.0, 0.0],
        "orientation": [1.0, 0.0, 0.0, 0.0],
        "angular_velocity": [0.0, 0.0, 0.0],
        "joint_velocity": np.zeros(8),
        "joint_position": BENT,
        "contact": np.ones(4, dtype=np.bool_),
    }
    assert set(given) <= set(values)
    values.update(given)
    arrays = {name: np.asarray(value) for name, value in values.items()}
    arrays["joint_position"] = np.radians(arrays["joint_position"])
    return AntState(**arrays)


def batch(states: list[AntState]) -> AntState:
    return AntState(
        **{field.name: np.stack([getattr(one, field.name) for one in states]) for field in dataclasses.fields(AntState)}
    )


def test_observation_part_by_part() -> None:
    seen = TASK.observe(
        state(
            position=[1.0, -2.0, 0.5],
            velocity=[1.0, 2.0, -3.0],
            orientation=[0.5, -0.5, 0.5, 0.5],
            angular_velocity=[2.0, -4.0, 6.0],
            joint_position=[40.0, 30.0, -40.0, 100.0, 20.0, -30.0, 0.0, -100.0],
            joint_velocity=np.arange(1.0, 9.0),
            contact=np.array([True, False, False, True]),
        )
    )
    np.testing.assert_allclose(seen[:3], [0.1, -0.2, 0.05])
    np.testing.assert_allclose(seen[3:6], [0.3, 0.6, -0.9])
    np.testing.assert_allclose(seen[6:10], [0.5, -0.5, 0.5, 0.5])
    np.testing.assert_allclose(seen[10:13], [0.3, -0.6, 0.9])
    # Hips of +-40 degrees; ankles of 30 to 100, or -100 to -30: the angle and the velocity of each joint side by side.
    np.testing.assert_allclose(seen[13:29:2], 0.5 * np.array([1, -1, -1, 1, 0.5, 1, 0, -1]), atol=1e-12)
    np.testing.assert_allclose(seen[14:29:2], 0.05 * np.arange(1.0, 9.0))
    np.testing.assert_array_equal(seen[29:], [1.0, 0.0, 0.0, 1.0])
    assert seen.shape == (33,) and seen.dtype == np.float64


def test_one_orientation_is_one_observation() -> None:
    turned = np.array([-0.6, 0.0, 0.0, 0.8])
    seen = [TASK.observe(state(orientation=quaternion))[6:10] for quaternion in (turned, -turned)]
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_allclose(seen[0], [0.6, 0.0, 0.0, -0.8])


def test_reward_term_by_term() -> None:
    rest = state()

    def worth(after: AntState, action: object = np.zeros(8)) -> float:
        return float(TASK.reward(rest, after, np.asarray(action)))

    assert worth(rest) == 1.0
    # 2 cm in a 60th of a second are 1.2 m/s; back as much less.
    assert worth(state(position=[0.02, 0.0, 0.64])) == pytest.approx(2.2)
    assert worth(state(position=[-0.02, 0.0, 0.64])) == pytest.approx(-0.2)
    # Sideways the target, 1 km off, comes no nearer.
    assert worth(state(position=[0.0, 0.02, 0.64])) == pytest.approx(1.0, abs=2e-5)
    assert worth(state(position=[0.0, 0.0, 0.26])) == pytest.approx(-1.0)
    # Load: .1 x mean a^2. Work: 2 x mean |a x .1 qdot|, whatever their signs.
    assert worth(rest, np.full(8, -1.0)) == pytest.approx(1.0 - 0.1)
    assert worth(rest, [1.0, *[0.0] * 7]) == pytest.approx(1.0 - 0.1 / 8)
    moving = state(joint_velocity=[-4.0, 4.0, *[0.0] * 6])
    assert worth(moving, [0.5, 0.5, *[0.0] * 6]) == pytest.approx(1.0 - 0.1 * 0.5 / 8 - 2.0 * 0.4 / 8)
    assert worth(moving, [0.0, 0.0, *[1.0] * 6]) == pytest.approx(1.0 - 0.1 * 6 / 8)
    # A joint at more than 99 % of its range, either end: .1 each. 39.6 degrees of 40 are 99 %.
    assert worth(state(joint_position=[39.7, *BENT[1:]])) == pytest.approx(0.9)
    assert worth(state(joint_position=[-39.7, *BENT[1:]])) == pytest.approx(0.9)
    assert worth(state(joint_position=[39.5, *BENT[1:]])) == pytest.approx(1.0)
    assert worth(state(joint_position=[41.0, 30.1, -41.0, 100.5, 0.0, -30.1, 0.0, -99.0])) == pytest.approx(0.5)


def test_reward_is_that_of_a_loop_over_everything() -> None:
    rng = np.random.default_rng(0)
    before, after = (
        [
            state(
                position=rng.normal(size=3) + (0.0, 0.0, 0.3),
                joint_position=BENT + rng.normal(size=8) * 20.0,
                joint_velocity=rng.normal(size=8) * 5.0,
            )
            for _ in range(50)
        ]
        for _ in range(2)
    )
    actions = rng.uniform(-1.0, 1.0, (50, 8))
    ranges = [(-40.0, 40.0), (30.0, 100.0)] * 2 + [(-40.0, 40.0), (-100.0, -30.0)] * 2
    expected = []
    for old, new, action in zip(before, after, actions, strict=True):
        far, near = (math.dist(one.position[:2], (1000.0, 0.0)) for one in (old, new))
        value = 60.0 * (far - near) + (1.0 if new.position[2] > 0.26 else -1.0)
        for a, speed, angle, (low, high) in zip(action, new.joint_velocity, new.joint_position, ranges, strict=True):
            value -= 2.0 * abs(a * 0.1 * speed) / 8.0 + 0.1 * a * a / 8.0
            share = (math.degrees(angle) - low) / (high - low)
            value -= 0.1 * (share > 0.995 or share < 0.005)  # of the whole range: 99 % of the half
        expected.append(value)
    np.testing.assert_allclose(TASK.reward(batch(before), batch(after), actions), expected, atol=1e-9)
    assert len({one.position[2] > 0.26 for one in after}) == 2


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({}, 0.0),
        ({"position": [5.0, 2.0, 0.6]}, 0.0),
        ({"position": [5.0, 2.0001, 0.6]}, 1.0),
        ({"position": [5.0, -2.0, 0.6]}, 0.0),
        ({"position": [5.0, -2.0001, 0.6]}, 1.0),
        ({"velocity": [1.5, 0.0, 0.0]}, 0.0),
        ({"velocity": [1.5001, 0.0, 0.0]}, 1.0),
        ({"velocity": [-1.5001, 0.0, 0.0]}, 1.0),
        ({"velocity": [0.9, 1.2, 0.0]}, 0.0),  # 1.5 m/s
        ({"velocity": [-0.91, 1.21, 0.0]}, 1.0),
        ({"velocity": [0.0, 0.0, 9.0]}, 0.0),  # up and down is not along the floor
        ({"velocity": [2.0, 0.0, 0.0], "position": [0.0, 3.0, 0.6]}, 1.0),  # both: capped
        ({"position": [0.0, math.nan, 0.6]}, 1.0),
        ({"velocity": [math.nan, 0.0, 0.0]}, 1.0),
    ],
)
def test_cost_is_one_beyond_a_side_or_the_speed_limit(given: dict[str, object], cost: float) -> None:
    found = TASK.cost(batch([state(**given), state()]))
    assert found.tolist() == [cost, 0.0] and found.dtype == np.float64


@pytest.mark.parametrize(("height", "fallen"), [(0.2601, False), (0.26, True), (0.1, True), (math.nan, True)])
def test_fallen_is_low_or_nowhere(height: float, fallen: bool) -> None:
    assert bool(TASK.fallen(state(position=[0.0, 0.0, height]))) is fallen


def test_starts_are_drawn_within_their_bounds_and_fill_them() -> None:
    starts = [TASK.start(generator(Purpose.INITIAL_STATE, 0, episode)) for episode in range(300)]
    position = np.array([start.position for start in starts])
    joints = np.array([start.joint_position for start in starts]) - np.radians(BENT)
    assert (position[:, 2] == 0.75).all()
    for drawn, bound in ((position[:, :2], 0.01), (joints, 0.1)):
        assert np.abs(drawn).max() <= bound
        assert (drawn.max(axis=0) > 0.9 * bound).all() and (drawn.min(axis=0) < -0.9 * bound).all()


def test_vectors_turn_as_mujoco_turns_them() -> None:
    rng = np.random.default_rng(0)
    orientation, vectors = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    orientation /= np.linalg.norm(orientation, axis=-1, keepdims=True)
    expected = np.empty((20, 3))
    for row in range(20):
        mujoco.mju_rotVecQuat(expected[row], vectors[row], orientation[row])
    np.testing.assert_allclose(to_world(orientation, vectors), expected, atol=1e-12)
