# SPDX-License-Identifier: Apache-2.0
"""The depth image against geometry in closed form: floor, sides, a wall, a pole; pitch and field of view."""

from __future__ import annotations

import math

import drawing
import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.hallway.camera import RayCamera, pixel_rays
from safe_transfer_ros.tasks.hallway.course import Obstacles
from safe_transfer_ros.tasks.hallway.scene import CAMERA
from safe_transfer_ros.tasks.hallway.simulation import HallwaySimulation
from safe_transfer_ros.tasks.hallway.task import Hallway, HallwayPointPoles, HallwayPointWalls, Start

COS = 1.0 / math.hypot(1.0, 0.4)  # of the pitch
SIN = 0.4 * COS
HEIGHT = 0.25  # of the point's camera above the floor


def rows_and_columns(fovy_deg: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    """Up and right of each pixel's ray per metre of depth, worked out pixel by pixel."""
    edge = math.tan(math.radians(fovy_deg / 2.0))
    up = [[edge * (1.0 - (2 * i + 1) / 50.0) for _ in range(50)] for i in range(50)]
    right = [[edge * ((2 * j + 1) / 50.0 - 1.0) for j in range(50)] for _ in range(50)]
    return np.array(up), np.array(right)


def seen(task: Hallway, places: list[tuple[float, float]], heading: float = 0.0, threads: int = 1) -> np.ndarray:
    """Depths of two bodies at (0, 0): one among obstacles at these places, one in an empty hallway."""
    simulation = HallwaySimulation(task, 2, threads=threads)
    for row, given in enumerate((places, [])):
        far = [(100.0 + 3.0 * number, 0.0) for number in range(task.course.count - len(given))]
        obstacles = Obstacles.still(np.array([*given, *far]))
        simulation.place(row, Start(position=np.zeros(2), heading=heading, obstacles=obstacles))
    camera = RayCamera(simulation.model, simulation.bring, 50, 5.0, threads=threads)
    found = camera.depths([0, 1])
    camera.close(), simulation.close()
    return found


def test_rays_go_through_the_middles_of_pixels() -> None:
    rays = pixel_rays(90.0, 50).reshape(50, 50, 3)
    up, right = rows_and_columns()
    np.testing.assert_allclose(rays[..., 0], right, atol=1e-12)
    np.testing.assert_allclose(rays[..., 1], up, atol=1e-12)
    assert (rays[..., 2] == -1.0).all()


def test_the_camera_looks_down_by_two_fifths() -> None:
    simulation = HallwaySimulation(HallwayPointWalls(), 1)
    still = Obstacles.still(np.full((simulation.task.course.count, 2), 200.0))
    simulation.place(0, Start(position=np.array([0.5, 0.2]), heading=math.pi / 2.0, obstacles=still))
    data = mujoco.MjData(simulation.model)
    simulation.bring(0, data)
    camera = data.camera(CAMERA)
    np.testing.assert_allclose(camera.xpos, [0.5, 0.2, HEIGHT], atol=1e-12)
    right, up, back = camera.xmat.reshape(3, 3).T
    np.testing.assert_allclose(-back, [0.0, COS, -SIN], atol=1e-12)  # along the heading, and down
    np.testing.assert_allclose(right, [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(up, [0.0, SIN, COS], atol=1e-12)
    simulation.close()


def test_depths_of_floor_sides_and_a_wall_ahead_are_those_of_geometry() -> None:
    """A ray goes COS + SIN up ahead, COS up - SIN upwards and `right` to the right, per metre of depth."""
    up, right = rows_and_columns()
    ahead, rise = COS + SIN * up, COS * up - SIN
    task = HallwayPointWalls()
    # The box reaches from the left side .8 m beyond the middle: it closes all but .2 m at the right.
    among, empty = seen(task, [(1.58, 0.2)])
    with np.errstate(divide="ignore"):
        floor = np.where(rise < 0.0, -HEIGHT / rise, np.inf)
        side = 1.0 / np.abs(right)
        wall = 1.5 / ahead
    above = HEIGHT + side * rise > 1.0
    nearest = np.minimum(floor, np.where(above, np.inf, side))
    within = nearest < 5.0
    np.testing.assert_allclose(empty[within], nearest[within], rtol=1e-6)
    # A ray that goes out over a side may see that side's far edge, and nothing else.
    outside = empty[~within]
    assert ((outside < 0.0) | (outside > 4.9)).all() and len(outside) > 50
    y, z = -wall * right, HEIGHT + wall * rise
    hits = (y > -0.8 + 1e-6) & (y < 1.0) & (z < 1.0) & (z > 0.0) & (wall < nearest)
    assert hits.sum() > 300
    np.testing.assert_allclose(among[hits], wall[hits], rtol=1e-6)
    passed = (y < -0.8) | (z > 1.0 + 1e-6) | (z < 0.0)
    # beside and below it nothing has changed, but what is behind its end at the right
    same = passed & (floor < 1.5 / ahead)
    np.testing.assert_array_equal(among[same], empty[same])


def test_depth_of_a_pole_straight_ahead_and_beyond_the_range() -> None:
    up, right = rows_and_columns()
    task = HallwayPointPoles()
    among, _ = seen(task, [(2.0, 0.0)])
    row = int(np.abs(COS * up[:, 0] - SIN).argmin())  # the one nearest to level
    ahead = COS + SIN * up[row, 0]
    for column in (23, 24, 25, 26):
        # (ahead d - 2)^2 + (right d)^2 = .15^2, the nearer of the two
        a, b, c = ahead**2 + right[row, column] ** 2, -4.0 * ahead, 4.0 - 0.15**2
        assert among[row, column] == pytest.approx((-b - math.sqrt(b * b - 4.0 * a * c)) / (2.0 * a), rel=1e-6)
    assert among[row, 10] == pytest.approx(1.0 / abs(right[row, 10]), rel=1e-6)  # beside it the side of the hallway
    far, empty = seen(task, [(8.0, 0.0)])
    assert (task.image(far) == task.image(empty)).all()


def test_turning_the_body_turns_the_image() -> None:
    """What is as far to the left as it was ahead looks the same to who has turned left."""
    task = HallwayPointPoles()
    among, _ = seen(task, [(0.6, 0.0)])
    turned, _ = seen(task, [(0.0, 0.6)], heading=math.pi / 2.0)
    pole = (among > 0.0) & (among < 0.62) & (among < np.roll(among, 12, axis=1) - 0.2)
    assert pole.sum() > 100
    np.testing.assert_allclose(turned[pole], among[pole], rtol=1e-6)


def test_threads_cast_the_same_rays() -> None:
    task = HallwayPointPoles()
    places = [(1.2, 0.3), (1.9, -0.5), (2.6, 0.5)]
    np.testing.assert_array_equal(seen(task, places, threads=2), seen(task, places))


PROGRAM = """
from safe_transfer_ros.tasks.hallway import task as hallway
for name in {names}:
    kind = getattr(hallway, name)
    rays, drawn = (hallway.parts(kind.vector_environment(8, threads=1, camera=camera).reset(seed=3)[0]).image
                   for camera in ("rays", "opengl"))
    off = np.abs(rays - drawn)
    # A value is a step of 1 / 255 off where rounding decides, and anything where a pixel is at an edge.
    assert (off > 1.5 / 255).mean() < 0.02, (name, (off > 1.5 / 255).mean())
    assert rays.std() > 0.1 and off.mean() < 0.006, (name, off.mean())
"""


def test_opengl_draws_the_same_image() -> None:
    drawing.runs(PROGRAM.format(names=("HallwayPointWalls", "HallwayPointPoles", "HallwayPointHumanoids")))
