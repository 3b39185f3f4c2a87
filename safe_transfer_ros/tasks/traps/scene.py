# SPDX-License-Identifier: Apache-2.0
"""Point and car in MuJoCo, on a floor: sizes, densities, motors and time steps of Safety Gym's (NOTICE).

Traps and goals are places on the floor, not bodies. Both look along their own x axis.
"""

from __future__ import annotations

import mujoco

from safe_transfer_ros.tasks.floor import floor
from safe_transfer_ros.tasks.point import add_point

BODY = "body"
CAR_COLOUR = (0.20, 0.35, 0.65, 1.0)

_GREATEST_TORQUE = 0.02  # of a wheel's motor, N·m
_WHEEL, _HALF_WIDTH = 0.05, 0.025  # radius and half width, m
_HALF = (0.1, 0.1, 0.05)  # of the car's box, m


def point_model(*, timestep: float) -> mujoco.MjModel:
    """A point; see `add_point`.

    Args:
      timestep: Physics step, s.

    Raises:
      ValueError: if it is not positive.
    """
    spec = _empty(timestep)
    add_point(spec, BODY)
    return spec.compile()


def car_model(*, timestep: float) -> mujoco.MjModel:
    """A box on two driven front wheels and a ball that turns freely behind; motors "left" and "right".

    A motor's torque is .02 N·m at a control of 1.

    Args:
      timestep: Physics step, s.

    Raises:
      ValueError: if it is not positive.
    """
    spec = _empty(timestep)
    body = spec.worldbody.add_body(name=BODY, pos=(0.0, 0.0, _WHEEL + _HALF[2]))
    body.add_freejoint()
    look = {"density": 5.0, "contype": 1, "conaffinity": 0, "condim": 3, "friction": (1.0, 0.005, 0.0001)}
    body.add_geom(name=BODY, type=mujoco.mjtGeom.mjGEOM_BOX, size=_HALF, rgba=CAR_COLOUR, **look)
    for name, y in (("left", _HALF[1]), ("right", -_HALF[1])):
        wheel = body.add_body(name=name, pos=(_HALF[0], y, -_HALF[2]))
        hinge = wheel.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0.0, 1.0, 0.0))
        hinge.damping[0] = 0.001  # 1 m/s at the greatest torque
        wheel.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            fromto=(0.0, -_HALF_WIDTH, 0.0, 0.0, _HALF_WIDTH, 0.0),
            size=(_WHEEL, 0.0, 0.0),
            rgba=(0.1, 0.1, 0.1, 1.0),
            **look,
        )
    ball = body.add_body(name="rear", pos=(-_HALF[0], 0.0, -_HALF[2]))
    ball.add_joint(name="rear", type=mujoco.mjtJoint.mjJNT_BALL)
    ball.add_geom(
        name="rear",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=(_WHEEL, 0.0, 0.0),
        rgba=(0.6, 0.6, 0.6, 1.0),
        **look,
    )
    for name in ("left", "right"):
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
        motor.gainprm[0] = _GREATEST_TORQUE
        motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)
    return spec.compile()


def _empty(timestep: float) -> mujoco.MjSpec:
    """A floor for one body."""
    spec = floor(timestep)
    # Twice as fast as MuJoCo's elliptic cones here, and there is one body only, so no islands to be told apart.
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    return spec
