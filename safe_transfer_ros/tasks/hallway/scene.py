# SPDX-License-Identifier: Apache-2.0
"""A hallway in MuJoCo: sides, a body with a camera, and as many obstacles as are near it.

An obstacle's parts are mocap bodies, which are where they are put: an episode's layout is no part of the model.
"""

from __future__ import annotations

import math

import mujoco

from safe_transfer_ros.tasks.floor import floor
from safe_transfer_ros.tasks.hallway.body import Body
from safe_transfer_ros.tasks.hallway.course import Course
from safe_transfer_ros.tasks.hallway.doggo import add_doggo
from safe_transfer_ros.tasks.point import add_point

BODY = "body"
SIDES = "sides"
CAMERA = "camera"
PITCH = 0.4
"""Cameras look down by this per metre ahead."""
BODY_GROUP = 2
"""Of the geoms of the body, which its own camera does not see."""

_BACK = 1.5  # m behind the start
_TOUCHES_FLOOR, _TOUCHES_OBSTACLES = 1, 2  # bits
_SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}
_SIDE, _OBSTACLE = (0.72, 0.71, 0.68, 1.0), (0.62, 0.30, 0.24, 1.0)


def hallway_model(body: Body, course: Course, slots: int) -> mujoco.MjModel:
    """A body in a hallway with room for some obstacles: sensors "touch_0", ... tell which of them it touches.

    Obstacle K has the parts "obstacle_K_0", ..., mocap bodies in this order; the first sensor is "touch_sides".

    Args:
      body: What moves in it.
      course: Hallway, and what its obstacles are made of.
      slots: Obstacles there is room for.
    """
    spec = floor(body.timestep_s)
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    # The extent sets the unit of the renderer's depth: it is not to depend on how long the hallway is.
    spec.stat.extent = 1.0
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 50.0
    moving = _ADD[body.name](spec)
    _add_camera(moving, body.camera, body.fovy_deg)
    _add_sides(spec, course)
    for slot in range(slots):
        for number, part in enumerate(course.parts):
            name = f"obstacle_{slot}_{number}"
            obstacle = spec.worldbody.add_body(name=name, mocap=True, pos=(0.0, 0.0, -100.0))
            obstacle.add_geom(
                name=name,
                type=_SHAPES[part.shape],
                size=part.size,
                contype=0,
                conaffinity=_TOUCHES_OBSTACLES,
                rgba=_OBSTACLE,
            )
            _add_touch_sensor(spec, name)
    return spec.compile()


def _add_camera(body: mujoco.MjsBody, at: tuple[float, float, float], fovy_deg: float) -> None:
    """Fix a camera to a body; it looks along the body's x axis and down by .4 m per metre, as Safety Gym's do.

    Args:
      body: Whose camera it is.
      at: Its place in the body's frame, m.
      fovy_deg: Its field of view, upright and across, degrees.
    """
    half = 0.5 * math.atan(PITCH)
    # Quaternions: a camera looks along its own -z with y up; turned to x with z up, then about y.
    ahead, down = (0.5, 0.5, -0.5, -0.5), (math.cos(half), 0.0, math.sin(half), 0.0)
    body.add_camera(name=CAMERA, pos=at, quat=_product(down, ahead), fovy=fovy_deg)


def _add_point(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add a point that touches obstacles, but not the floor."""
    return add_point(spec, BODY, contype=_TOUCHES_OBSTACLES, group=BODY_GROUP)


def _add_doggo(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add a Doggo that touches obstacles and the floor."""
    return add_doggo(spec, BODY, contype=_TOUCHES_OBSTACLES | _TOUCHES_FLOOR, group=BODY_GROUP)


_ADD = {"point": _add_point, "doggo": _add_doggo}


def _add_sides(spec: mujoco.MjSpec, course: Course) -> None:
    hall = course.hall
    sides = spec.worldbody.add_body(name=SIDES)
    half, middle = 0.5 * (hall.length + _BACK), 0.5 * (hall.length - _BACK)
    beyond, thin, high = hall.half_width + 0.5 * hall.thickness, 0.5 * hall.thickness, 0.5 * hall.height
    across = (thin, hall.half_width + hall.thickness, high)
    for name, at, size in (
        ("left", (middle, beyond, high), (half, thin, high)),
        ("right", (middle, -beyond, high), (half, thin, high)),
        ("back", (-_BACK - thin, 0.0, high), across),
        ("end", (hall.length + thin, 0.0, high), across),
    ):
        sides.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=at,
            size=size,
            contype=0,
            conaffinity=_TOUCHES_OBSTACLES,
            rgba=_SIDE,
        )
    _add_touch_sensor(spec, SIDES)


def _add_touch_sensor(spec: mujoco.MjSpec, body: str) -> None:
    """Add a sensor of how many contacts a body has with the moving one and its parts."""
    sensor = spec.add_sensor(
        name=f"touch_{body}",
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=body,
        reftype=mujoco.mjtObj.mjOBJ_XBODY,  # the body with all that hangs on it
        refname=BODY,
    )
    sensor.intprm[:3] = 1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1


def _product(p: tuple[float, ...], q: tuple[float, ...]) -> list[float]:
    """Product of two quaternions w, x, y, z."""
    a, b, c, d = p
    e, f, g, h = q
    return [
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    ]
