# SPDX-License-Identifier: Apache-2.0
"""The cup of almonds: it keeps them when it is carried well, and loses them when it is not."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.robots.almond_cup import AlmondCup, cup_poses


def tilted(degrees: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.zeros((len(angle), 3, 3))
    rotation[:, 0, 0] = 1.0
    rotation[:, 1, 1] = rotation[:, 2, 2] = np.cos(angle)
    rotation[:, 2, 1], rotation[:, 1, 2] = np.sin(angle), -np.sin(angle)
    return rotation


def lost_at(degrees: float) -> int:
    """Tilt within a second, wait half a second; what fell then, not while the cup was filled."""
    cup = AlmondCup(12, seed=1)
    before = int(cup.lost.sum())
    rotation = tilted(degrees * np.minimum(1.0, np.arange(30) / 20.0))
    cup.place(np.zeros(3), rotation[0])
    cup.follow(np.zeros((30, 3)), rotation, 0.05)
    return int(cup.lost.sum()) - before


def test_an_upside_down_cup_loses_all_and_a_level_one_none() -> None:
    assert lost_at(10.0) == 0
    assert lost_at(180.0) == 12


def test_a_cup_carried_slowly_along_keeps_its_almonds_and_one_torn_away_does_not() -> None:
    cup = AlmondCup(6, seed=2)
    level = tilted(np.zeros(21))
    along = np.zeros((21, 3))
    along[:, 0] = 0.1 * np.linspace(0.0, 1.0, 21)
    cup.place(along[0], level[0])
    cup.follow(along, level, 0.05)
    assert not cup.lost.any()
    away = np.zeros((21, 3))
    away[:, 2] = -2.0 * np.linspace(0.0, 1.0, 21) ** 2  # falls away under them, faster than they can fall
    cup.place(away[0], level[0])
    cup.follow(away, level, 0.01)
    assert cup.lost.all()


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
