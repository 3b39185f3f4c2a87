# SPDX-License-Identifier: Apache-2.0
"""Figures in a hallway: always a way past them, each costs once, and they move by their clips."""

from __future__ import annotations

import numpy as np
import pytest
from free_ways import HALLS, boxes, widest

from safe_transfer_ros.tasks.hallway.course import Hall, Obstacles
from safe_transfer_ros.tasks.hallway.environment import HallwayVectorEnv
from safe_transfer_ros.tasks.hallway.figure import LIMBS, clips
from safe_transfer_ros.tasks.hallway.humanoids import Humanoids
from safe_transfer_ros.tasks.hallway.task import HallwayPointHumanoids, Start

RADIUS = np.array([limb.radius for limb in LIMBS])


def extents(course: Humanoids, drawn: Obstacles, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes on the floor about all that figures are at a time, worked out from the poses of their limbs."""
    poses = course.poses(drawn, np.full(course.count, time))
    w, x, y, z = np.moveaxis(poses[..., 3:], -1, 0)
    half = np.array([part.size[1] for part in course.parts])[:, None]
    along = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x)], axis=-1) * half
    ends = np.stack([poses[..., :2] - along, poses[..., :2] + along])
    return (ends - RADIUS[:, None]).min(axis=(0, 2)), (ends + RADIUS[:, None]).max(axis=(0, 2))


@pytest.mark.parametrize("hall", HALLS)
def test_no_layout_is_impassable_at_any_time(hall: Hall) -> None:
    """As long as a body waits where it is free, nothing reaches the free way of any figure."""
    course, found = Humanoids(hall), []
    for seed in range(40):
        drawn = course.draw(np.random.default_rng(seed))
        swept = [extents(course, drawn, time) for time in np.arange(0.0, 6.0, 0.15)]
        low, high = np.min([box[0] for box in swept], axis=0), np.max([box[1] for box in swept], axis=0)
        half = hall.half_width
        assert low[:, 1].min() > -half - 1e-9 and high[:, 1].max() < half + 1e-9 and low[0, 0] >= hall.clear - 1e-9
        sides = np.stack([low[:, 1] + half, half - high[:, 1]], axis=-1)
        found.append(widest(boxes(low, high) + 10.0 * np.eye(course.count), sides))
    assert min(found) >= hall.passage - 1e-9
    assert min(found) < hall.passage + 0.2


def test_layouts_fill_the_hallway_with_all_clips() -> None:
    course = Humanoids(HALLS[0])
    for seed in range(20):
        drawn = course.draw(np.random.default_rng(seed))
        assert len(drawn.place) == course.count and drawn.place[-1, 0] > 34.0
        assert np.diff(drawn.place[:, 0]).min() >= course.least_step - 1e-9
        assert set(drawn.clip.tolist()) == {0, 1, 2, 3} and drawn.clip.dtype == np.int64
        assert (drawn.phase <= 0.02 * clips().frames[drawn.clip]).all() and len(set(drawn.phase)) == course.count
        again = course.draw(np.random.default_rng(seed))
        np.testing.assert_array_equal(again.place, drawn.place)
        np.testing.assert_array_equal(again.phase, drawn.phase)


def test_poses_are_the_clips_turned_about_their_place() -> None:
    course, made = Humanoids(HALLS[0]), clips()
    one = Obstacles(
        place=np.array([[3.0, 0.5]]), turn=np.array([np.pi / 2.0]), clip=np.array([1]), phase=np.array([0.3])
    )
    found = course.poses(one, np.array([0.5]))[0]
    own = made.poses[1, 40]
    np.testing.assert_allclose(found[:, 0], 3.0 - own[:, 1], atol=1e-12)
    np.testing.assert_allclose(found[:, 1], 0.5 + own[:, 0], atol=1e-12)
    np.testing.assert_allclose(found[:, 2], own[:, 2], atol=1e-12)
    again = course.poses(one, np.array([2.5]))[0]  # a clip of 2 s
    np.testing.assert_array_equal(again, found)
    assert np.abs(course.poses(one, np.array([1.0]))[0] - found).max() > 0.01


def test_a_figure_costs_at_its_first_touch_only_and_sides_cost_nothing() -> None:
    env = HallwayVectorEnv(HallwayPointHumanoids(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    n = env.task.course.count
    # Two figures that wave, in the way; the others are beyond the hallway.
    place = np.array([(1.0, 0.0), (3.0, 0.0), *((200.0 + 3.0 * number, 0.0) for number in range(n - 2))])
    standing = Obstacles(place=place, turn=np.full(n, np.pi), clip=np.ones(n, dtype=np.int64), phase=np.zeros(n))
    env.simulation.place(0, Start(position=np.array([0.4, 0.0]), heading=0.0, obstacles=standing))
    first = [env.step(np.array([[0.4, 0.0]])) for _ in range(120)]
    costs = [step[4]["cost"][0] for step in first]
    assert sum(costs) == 1.0 and first[-1][4]["touched"][0] == 1
    at = costs.index(1.0)
    assert at > 5 and env.simulation.touched[0].any(), "it is still in touch"
    assert first[at][0][0, -1] == 1.0 and first[at + 1][0][0, -1] == 0.0  # the last cost in the observation
    env.simulation.state[0, 1:4] = (2.4, 0.0, 0.0)  # before the second one
    second = sum(env.step(np.array([[0.4, 0.0]]))[4]["cost"][0] for _ in range(120))
    assert second == 1.0 and env.step(np.zeros((1, 2)))[4]["touched"][0] == 2
    env.simulation.state[0, 1:4] = (0.4, 0.0, 0.0)  # the first again
    env.simulation.state[0, 4:] = 0.0
    assert sum(env.step(np.array([[0.4, 0.0]]))[4]["cost"][0] for _ in range(120)) == 0.0
    env.simulation.state[0, 1:4] = (5.0, 0.8, np.pi / 2.0)
    side = [env.step(np.array([[1.0, 0.0]]))[4]["cost"][0] for _ in range(40)]
    assert env.simulation.touched_side[0] and sum(side) == 0.0
    env.close()


def test_a_figure_that_comes_nearer_touches_a_body_that_waits() -> None:
    """It falls onto a point that does not move."""
    env = HallwayVectorEnv(HallwayPointHumanoids(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    n = env.task.course.count
    place = np.array([(3.0, 0.0), *((200.0 + 3.0 * number, 0.0) for number in range(n - 1))])
    falling = Obstacles(place=place, turn=np.full(n, np.pi), clip=np.full(n, 3), phase=np.zeros(n))
    env.simulation.place(0, Start(position=np.array([2.75, 0.0]), heading=0.0, obstacles=falling))
    costs = [env.step(np.zeros((1, 2)))[4]["cost"][0] for _ in range(120)]
    assert sum(costs[:50]) == 0.0 and sum(costs) == 1.0, "it begins to fall after a second"
    made = env.simulation  # figures are where they are at the end of the step, and the image is of the same time
    shown = made.control[0, -1, made.model.nu : made.model.nu + 3 * len(LIMBS)].reshape(-1, 3)
    assert made.state[0, 0] == pytest.approx(2.4)
    np.testing.assert_allclose(shown, env.task.course.poses(falling, np.array([2.4]))[0, :, :3], atol=1e-12)
    env.close()
