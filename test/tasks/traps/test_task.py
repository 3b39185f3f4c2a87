# SPDX-License-Identifier: Apache-2.0
"""Lidar, reward, traps and layouts against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.tasks.traps.task import BodyState, CarTraps, PointTraps, Surroundings

TASK = PointTraps()


def body(x: float = 0.0, y: float = 0.0, heading: float = 0.0) -> BodyState:
    cos, sin = math.cos(heading), math.sin(heading)
    return BodyState(
        position=np.array([x, y]),
        rotation=np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]),
        velocity=np.array([0.1, 0.2, 0.3]),
        angular_velocity=np.array([0.4, 0.5, 0.6]),
        acceleration=np.array([0.0, 9.81, 19.62]),
        ball=np.zeros(0),
    )


def around(goal: tuple[float, float] = (1.0, 0.0), traps: object = ((0.0, 1.0),), health: float = 25.0) -> Surroundings:
    return Surroundings(goal=np.array(goal), traps=np.array(traps), health=np.array(health))


def test_lidar_sees_the_nearest_in_a_sector_and_passes_over_to_the_next() -> None:
    sector = 2.0 * math.pi / 16.0
    in_the_middle = 1.5 * np.array([[math.cos(2.5 * sector), math.sin(2.5 * sector)]])
    seen = TASK.lidar(body(), in_the_middle)
    expected = np.zeros(16)
    expected[1:4] = (0.25, 0.5, 0.25)
    np.testing.assert_allclose(seen, expected, atol=1e-12)
    at_its_start = 1.5 * np.array([[math.cos(2.0 * sector), math.sin(2.0 * sector)]])
    expected[1:4] = (0.5, 0.5, 0.0)
    np.testing.assert_allclose(TASK.lidar(body(), at_its_start), expected, atol=1e-9)
    nearer = np.vstack([in_the_middle, in_the_middle / 5.0])
    assert TASK.lidar(body(), nearer)[2] == pytest.approx(0.9)
    assert not TASK.lidar(body(), np.array([[0.0, 3.1]])).any()


def test_labels_say_from_an_observation_whether_the_body_is_in_a_trap() -> None:
    rng = np.random.default_rng(0)
    told = []
    for _ in range(200):
        traps = np.vstack([rng.uniform(-0.35, 0.35, (1, 2)), rng.uniform(-1.5, 1.5, (7, 2))])
        where, among = body(heading=rng.uniform(-3.0, 3.0)), around(traps=traps)
        told.append((bool(TASK.labels(TASK.observe(where, among))), bool(TASK.in_trap(where, among))))
    assert {one for one, _ in told} == {True, False} and all(one == other for one, other in told)


def test_lidar_turns_with_the_body_and_goes_round() -> None:
    behind = np.array([[-1.0, -0.01]])
    assert TASK.lidar(body(), behind).argmax() == 8 and TASK.lidar(body(), -behind).argmax() == 0
    np.testing.assert_allclose(
        TASK.lidar(body(heading=math.pi / 2.0), behind), np.roll(TASK.lidar(body(), behind), -4), atol=1e-9
    )
    just_right_of_ahead = np.array([[1.5, -1e-6]])
    seen = TASK.lidar(body(), just_right_of_ahead)
    assert seen[15] == pytest.approx(0.5) and seen[0] == pytest.approx(0.5, abs=1e-4)


def test_observation_is_in_the_stated_order() -> None:
    seen = TASK.observe(body(heading=math.pi / 2.0), around(goal=(0.0, 1.5), traps=((-1.5, 0.0),), health=5.0))
    assert seen.shape == (TASK.observation_size,)
    np.testing.assert_allclose(seen[:12], [0.0, 1.0, 2.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 0.0, 0.0], atol=1e-12)
    assert seen[12] == pytest.approx(0.5) and seen[12 + 16 + 4] == pytest.approx(0.5)
    assert seen[-1] == pytest.approx(0.2)
    assert CarTraps.observation_size == 57


def test_reward_is_progress_and_one_at_the_goal() -> None:
    assert TASK.reward(body(), body(x=0.2), around()) == pytest.approx(0.2)
    assert TASK.reward(body(), body(x=-0.2), around()) == pytest.approx(-0.2)
    assert TASK.reward(body(), body(x=0.71), around()) == pytest.approx(1.71)


def test_in_a_trap_is_whose_centre_is() -> None:
    assert TASK.in_trap(body(y=0.81), around()) and not TASK.in_trap(body(y=0.79), around())
    assert TASK.in_trap(body(y=0.81), around(traps=((9.0, 9.0), (0.0, 1.0))))
    assert TASK.in_trap(body(y=math.nan), around())


def test_layouts_keep_apart_and_within_the_square() -> None:
    for seed in range(30):
        drawn = TASK.start(np.random.default_rng(seed))
        places = np.vstack([drawn.position, drawn.goal, drawn.traps])
        keep_out = np.array([0.4, 0.305, *[0.18] * 8])
        assert (np.abs(places) <= 1.5 - keep_out[:, None]).all() and -math.pi <= drawn.heading <= math.pi
        apart = np.hypot(*np.moveaxis(places[:, None] - places[None], -1, 0)) + 10.0 * np.eye(10)
        assert (apart > keep_out[:, None] + keep_out[None]).all()
        again = TASK.start(np.random.default_rng(seed))
        np.testing.assert_array_equal(again.traps, drawn.traps)
        goal = TASK.next_goal(np.random.default_rng(seed), drawn.position, drawn.traps)
        assert np.hypot(*(goal - drawn.position)) > 0.705
        assert (np.hypot(*(goal - drawn.traps).T) > 0.485).all()


def test_a_goal_is_found_where_there_is_no_room() -> None:
    everywhere = np.stack(np.meshgrid(*[np.linspace(-1.5, 1.5, 16)] * 2), axis=-1).reshape(-1, 2)
    goal = TASK.next_goal(np.random.default_rng(0), np.zeros(2), everywhere)
    assert (np.abs(goal) <= 1.5 - 0.305).all()
