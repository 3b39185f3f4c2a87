# SPDX-License-Identifier: Apache-2.0
"""Layouts: the widest thing that gets through is found by another way than they are drawn by, over many of them."""

from __future__ import annotations

import numpy as np
import pytest
from free_ways import HALLS, boxes, widest

from safe_transfer_ros.tasks.hallway.course import Course, Hall, Obstacles, Poles, Walls


def gaps(course: Course, drawn: Obstacles) -> tuple[np.ndarray, np.ndarray]:
    """Distances of obstacles from each other, (n, n), and from the right and the left side, (n, 2)."""
    half, place = course.hall.half_width, drawn.place
    if isinstance(course, Poles):
        apart = np.hypot(*np.moveaxis(place[:, None] - place[None], -1, 0)) - 2.0 * course.radius
        return apart, np.stack([place[:, 1] - course.radius + half, half - place[:, 1] - course.radius], axis=-1)
    reach = np.array([0.5 * course.hall.thickness, half])
    low, high = place - reach, place + reach
    return boxes(low, high), np.stack([low[:, 1] + half, half - high[:, 1]], axis=-1)


def test_the_widest_way_is_found() -> None:
    """Two boxes, one from each side, that overlap along y: the way leads between them."""
    low, high = np.array([[1.0, -1.0], [1.7, -0.2]]), np.array([[1.2, 0.3], [1.9, 1.0]])
    sides = np.array([[0.0, 0.7], [0.8, 0.0]])
    assert widest(boxes(low, high), sides) == pytest.approx(0.5)
    assert widest(boxes(low, high)[:1, :1], sides[:1]) == pytest.approx(0.7)


@pytest.mark.parametrize("hall", HALLS)
@pytest.mark.parametrize("kind", [Walls, Poles])
def test_no_layout_is_impassable(kind: type[Course], hall: Hall) -> None:
    course = kind(hall)
    found = []
    for seed in range(150):
        drawn = course.draw(np.random.default_rng(seed))
        apart, sides = gaps(course, drawn)
        found.append(widest(apart + 10.0 * np.eye(len(apart)), sides))
        if kind is Poles:
            assert (apart + 10.0 * np.eye(len(apart))).min() >= hall.passage - 1e-9
    assert min(found) >= hall.passage - 1e-9
    assert min(found) < hall.passage + 0.2, "hallways nobody would have to look for a way in"


@pytest.mark.parametrize("kind", [Walls, Poles])
def test_layouts_fill_the_hallway_and_stay_in_it(kind: type[Course]) -> None:
    course = kind(HALLS[0])
    for seed in range(20):
        drawn = course.draw(np.random.default_rng(seed))
        x, y = drawn.place.T
        assert len(x) == course.count and x[0] >= 2.0 and x[-1] > 34.0
        assert (np.diff(x) >= course.least_step - 1e-9).all() and np.diff(x).max() < 3.0
        again = course.draw(np.random.default_rng(seed))
        np.testing.assert_array_equal(again.place, drawn.place)
        if kind is Poles:
            assert (np.abs(y) <= 0.85).all()
        else:  # how far into the hallway a wall reaches from its side
            assert (2.0 - np.abs(y) >= 0.6 - 1e-9).all() and (2.0 - np.abs(y) <= 1.5 + 1e-9).all()
            assert {-1.0, 1.0} == set(np.sign(y))


def test_what_is_touched_costs_at_every_step_with_the_sides() -> None:
    course = Walls(HALLS[0])
    touched = np.array([[False, False], [True, False], [True, True], [False, False]])
    side = np.array([False, False, True, True])
    np.testing.assert_array_equal(course.cost(touched, np.ones((4, 2), dtype=bool), side), [0.0, 1.0, 1.0, 1.0])
