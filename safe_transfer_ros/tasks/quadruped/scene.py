# SPDX-License-Identifier: Apache-2.0
"""A quadruped of the size of Unitree's Go1 in MuJoCo: masses, lengths, ranges and motors are its numbers (NOTICE).

All shapes are primitive; the inertias of hips and legs are those of their shapes. Its parts do not touch each other,
only the floor.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco

from safe_transfer_ros.tasks.floor import floor

TRUNK = "trunk"
LINK = 0.213
"""Length of thigh and of calf, m."""
FOOT_RADIUS = 0.023
STIFFNESS = 100.0
"""Of the servos, N·m/rad."""
JOINTS = ("abduction", "hip", "knee")
EFFORT = (23.7, 23.7, 35.55)
"""Greatest torque of a leg's servos, N·m."""

_RANGES = ((-0.863, 0.863), (-0.686, 4.501), (-2.818, -0.888))
_DAMPING = (1.0, 2.0, 2.0)
_ORANGE = (0.80, 0.45, 0.15, 1.0)


class Leg(NamedTuple):
    """One leg: its name, and where it is, in signs of x (front) and y (left)."""

    name: str
    front: float
    left: float


LEGS = (Leg("FR", 1.0, -1.0), Leg("FL", 1.0, 1.0), Leg("RR", -1.0, -1.0), Leg("RL", -1.0, 1.0))
"""In the order of the motors, abduction, hip and knee for each."""


def quadruped_model(*, timestep: float, foot_friction: float = 1.0) -> mujoco.MjModel:
    """The quadruped above a plane at z = 0: twelve position servos, controls in rad.

    Args:
      timestep: Physics step, s.
      foot_friction: Sliding friction of the feet; the floor's does not count.

    Raises:
      ValueError: if either is not positive.
    """
    if not (timestep > 0.0 and foot_friction > 0.0):
        raise ValueError(f"timestep (s) and foot_friction must be positive, got {timestep} and {foot_friction}")
    spec = floor(timestep)
    spec.compiler.degree = False
    # There is one body only, so there are no islands to be told apart.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    spec.default.geom.contype, spec.default.geom.conaffinity = 1, 0
    spec.default.geom.rgba = (0.25, 0.27, 0.30, 1.0)
    spec.default.joint.armature = 0.01
    spec.default.joint.frictionloss = 0.2
    trunk = spec.worldbody.add_body(
        name=TRUNK,
        pos=(0.0, 0.0, 0.3),
        mass=5.204,
        ipos=(0.0223, 0.002, -0.0005),
        # Of the principal axes: about z and y largest, about x smallest.
        inertia=(0.0168, 0.0630, 0.0717),
        explicitinertial=True,
    )
    trunk.add_freejoint()
    trunk.add_geom(name=TRUNK, type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.125, 0.04, 0.057), rgba=_ORANGE)
    for side, y in (("left", 0.04), ("right", -0.04)):
        trunk.add_geom(
            name=side,
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            fromto=(-0.125, y, 0.0, 0.125, y, 0.0),
            size=(0.058, 0.0, 0.0),
            rgba=_ORANGE,
        )
    for leg in LEGS:
        _add_leg(trunk, leg, foot_friction)
    for leg in LEGS:
        for name, effort, (low, high) in zip(JOINTS, EFFORT, _RANGES, strict=True):
            motor = spec.add_actuator(
                name=f"{leg.name}_{name}", target=f"{leg.name}_{name}", trntype=mujoco.mjtTrn.mjTRN_JOINT
            )
            motor.set_to_position(kp=STIFFNESS)
            motor.ctrllimited, motor.ctrlrange = True, (low, high)
            motor.forcelimited, motor.forcerange = True, (-effort, effort)
    return spec.compile()


def _add_leg(trunk: mujoco.MjsBody, leg: Leg, foot_friction: float) -> None:
    hip = trunk.add_body(name=f"{leg.name}_hip", pos=(0.1881 * leg.front, 0.04675 * leg.left, 0.0))
    thigh = hip.add_body(name=f"{leg.name}_thigh", pos=(0.0, 0.08 * leg.left, 0.0))
    calf = thigh.add_body(name=f"{leg.name}_calf", pos=(0.0, 0.0, -LINK))
    x, y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    for body, name, axis, limits, damping in zip((hip, thigh, calf), JOINTS, (x, y, y), _RANGES, _DAMPING, strict=True):
        joint = body.add_joint(
            name=f"{leg.name}_{name}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, limited=True, range=limits
        )
        joint.damping[0] = damping
    hip.add_geom(
        name=f"{leg.name}_hip",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        fromto=(0.0, 0.045 * leg.left, 0.0, 0.0, 0.085 * leg.left, 0.0),
        size=(0.046, 0.0, 0.0),
        mass=0.68,
    )
    for body, name, radius, mass in ((thigh, "thigh", 0.017, 1.009), (calf, "calf", 0.012, 0.176)):
        body.add_geom(
            name=f"{leg.name}_{name}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=(0.0, 0.0, 0.0, 0.0, 0.0, -LINK),
            size=(radius, 0.0, 0.0),
            mass=mass,
        )
    calf.add_geom(
        name=leg.name,
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=(FOOT_RADIUS, 0.0, 0.0),
        pos=(0.0, 0.0, -LINK),
        mass=0.02,  # with the calf .196 kg
        priority=1,
        friction=(foot_friction, 0.02, 0.01),
        rgba=(0.1, 0.1, 0.1, 1.0),
    )
