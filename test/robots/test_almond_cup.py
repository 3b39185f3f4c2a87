# SPDX-License-Identifier: Apache-2.0
"""The cup of almonds: it keeps them when it is carried well, and loses them when it is not."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.robots.almond_cup import ALMOND, DEPTH, LOST_BEYOND, RADIUS, AlmondCup, cup_poses


def tilted(degrees: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.zeros((len(angle), 3, 3))
    rotation[:, 0, 0] = 1.0
    rotation[:, 1, 1] = rotation[:, 2, 2] = np.cos(angle)
    rotation[:, 2, 1], rotation[:, 1, 2] = np.sin(angle), -np.sin(angle)
    return rotation


@pytest.fixture(scope="module")
def filled() -> AlmondCup:
    """The cup of the spill test, filled once; a test begins with `full`."""
    return AlmondCup(seed=1)


def full(cup: AlmondCup, position: np.ndarray, rotation: np.ndarray) -> AlmondCup:
    cup.lost[:] = False
    cup.place(position, rotation)
    return cup


def lost_at(cup: AlmondCup, degrees: float) -> int:
    """Tilt within a second, wait half a second."""
    rotation = tilted(degrees * np.minimum(1.0, np.arange(30) / 20.0))
    full(cup, np.zeros(3), rotation[0]).follow(np.zeros((30, 3)), rotation, 0.05)
    return int(cup.lost.sum())


def test_eighty_almonds_fill_the_cup_to_the_rim_and_lie_still_in_it() -> None:
    cup = AlmondCup(seed=1)
    place = cup.data.qpos[7:].reshape(80, 7)[:, :3]
    assert cup.count == 80 and not cup.lost.any()
    heaped = place[:, 2] + ALMOND[2] > DEPTH / 2
    assert 3 <= heaped.sum() <= 15, "a cup that is not full spills less than it should, a high heap at once"
    assert np.linalg.norm(place[:, :2], axis=1).max() < RADIUS and place[:, 2].min() > -DEPTH / 2
    assert np.abs(cup.data.qvel[6:].reshape(80, 6)[:, :3]).max() < 0.03
    # None that is in the cup or on it is taken for lost, wherever in it it is.
    assert np.hypot(RADIUS, DEPTH / 2) + ALMOND[0] < LOST_BEYOND


def test_an_upside_down_cup_loses_all_a_tipped_one_some_and_a_level_one_none(filled: AlmondCup) -> None:
    assert lost_at(filled, 10.0) == 0
    assert 10 < lost_at(filled, 90.0) < 45, "half of a cup as deep as this stays in it when it lies"
    assert lost_at(filled, 180.0) == 80


def test_a_cup_carried_gently_along_keeps_its_almonds_and_one_torn_away_does_not(filled: AlmondCup) -> None:
    time = np.arange(301) * 0.005
    along = np.zeros((301, 3))
    along[:, 0] = 0.05 * (1.0 - np.cos(2.0 * np.pi * 0.7 * time))  # .1 m to and fro, at most 1 m/s^2
    level = tilted(np.zeros(301))
    full(filled, along[0], level[0]).follow(along, level, 0.005)
    assert filled.lost.sum() <= 1
    away = np.zeros((41, 3))
    away[:, 2] = -2.0 * np.linspace(0.0, 1.0, 41) ** 2  # falls away under them, faster than they can fall
    full(filled, away[0], level[0]).follow(away, level[:41], 0.01)
    assert filled.lost.all()


def test_contacts_that_diverge_are_not_counted_as_almonds_lost() -> None:
    cup, level = AlmondCup(2), tilted(np.zeros(3))
    cup.data.qvel[10] = np.inf
    with pytest.raises(FloatingPointError, match="2 almonds diverged"):
        cup.follow(np.array([[0.0, 0.0, 0.0], [0.01, 0.0, 0.0], [0.0, 0.0, 0.0]]), level, 0.005)


def test_what_is_lost_stays_lost_and_equal_seeds_fill_equally() -> None:
    first, second = AlmondCup(4, seed=3), AlmondCup(4, seed=3)
    np.testing.assert_array_equal(first.data.qpos, second.data.qpos)
    first.lost[1] = True
    first.place(np.array([0.5, 0.0, 0.0]), np.eye(3))
    assert first.lost.tolist() == [False, True, False, False]
    almonds = first.data.qpos[7:].reshape(4, 7)[:, :3]
    assert np.linalg.norm(almonds[[0, 2, 3]] - (0.5, 0.0, 0.0), axis=1).max() < 0.05 and almonds[1, 2] < -900.0


def test_the_opening_points_away_from_where_the_tool_points() -> None:
    pointing_down = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # tool +x is world -z
    position, rotation = cup_poses(np.ones(3), pointing_down)
    np.testing.assert_allclose(rotation @ (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0) and (position == 1.0).all()


def test_a_period_that_the_contacts_cannot_keep_is_refused() -> None:
    cup = AlmondCup(1)
    with pytest.raises(ValueError, match="multiple"):
        cup.follow(np.zeros((2, 3)), tilted(np.zeros(2)), 0.0125)
