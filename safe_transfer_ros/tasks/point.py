# SPDX-License-Identifier: Apache-2.0
"""The point in MuJoCo: a sphere with a box in front, size, density and motors of Safety Gym's (NOTICE).

It looks along its own x axis.
"""

from __future__ import annotations

import mujoco

RADIUS = 0.1
"""Of the sphere, m, and the height of its centre."""
FRONT = 0.15
"""How far the box reaches ahead of the centre, m; it is 10 cm wide."""
COLOUR = (0.80, 0.45, 0.15, 1.0)

_GREATEST_FORCE = 0.05  # of the motors, before the gear
_GEAR = 0.3


def add_point(spec: mujoco.MjSpec, name: str, *, contype: int = 0, group: int = 0) -> mujoco.MjsBody:
    """Add a point to a model: slides "x" and "y", hinge "heading"; motors "forward" and "turn".

    The motor's force is .015 N forward at a control of 1; "turn" is a servo of the angular velocity, 3.2 rad/s at 1.

    Args:
      spec: The model. The point slides along its floor without touching it: none of its joints bears a load.
      name: Of the body, of its sphere and of the site at its centre.
      contype: Its parts touch geoms with a conaffinity of one of these bits; 0: none.
      group: Of its geoms.

    Returns:
      The body, its frame at the centre of the sphere.
    """
    body = spec.worldbody.add_body(name=name, pos=(0.0, 0.0, RADIUS))
    for joint, axis in (("x", (1.0, 0.0, 0.0)), ("y", (0.0, 1.0, 0.0))):
        slide = body.add_joint(name=joint, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        slide.damping[0] = 0.01
    hinge = body.add_joint(name="heading", type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0.0, 0.0, 1.0))
    hinge.damping[0] = 0.005
    look = {"density": 1.0, "contype": contype, "conaffinity": 0, "rgba": COLOUR, "group": group}
    body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(RADIUS, 0.0, 0.0), **look)
    half = FRONT - RADIUS
    body.add_geom(name="front", type=mujoco.mjtGeom.mjGEOM_BOX, size=(half,) * 3, pos=(RADIUS, 0.0, 0.0), **look)
    body.add_site(name=name, rgba=(0.0, 0.0, 0.0, 0.0))
    forward = spec.add_actuator(name="forward", target=name, trntype=mujoco.mjtTrn.mjTRN_SITE)
    forward.set_to_motor()
    forward.gear[0], forward.gainprm[0] = _GEAR, _GREATEST_FORCE
    turn = spec.add_actuator(name="turn", target="heading", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    turn.set_to_velocity(kv=1.0)
    turn.gear[0] = _GEAR
    turn.forcelimited, turn.forcerange = True, (-_GREATEST_FORCE, _GREATEST_FORCE)
    for motor in (forward, turn):
        motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)
    return body
