# SPDX-License-Identifier: Apache-2.0
"""Doggo in MuJoCo: two halves joined by a waist, on four legs of three driven joints; Safety Gym's sizes (NOTICE).

It weighs 24 g, and its motors are of that size. It looks along its own x axis. Its parts do not touch each other.
"""

from __future__ import annotations

import math

import mujoco

from safe_transfer_ros.tasks.hallway.body import DoggoBody

COLOUR = (0.20, 0.35, 0.65, 1.0)

_RADIUS, _HALF_LENGTH, _TORSO_DENSITY = 0.075, 0.2, 0.5
_LEG, _LEG_DENSITY, _GEAR = 0.032, 5.0, 0.0125
_STIFFNESS, _DAMPING, _ARMATURE = 0.01, 0.001, 1e-5
_UPPER, _LOWER = (0.098, 0.0566, -0.05), (-0.1176, -0.0679, -0.1)  # of a left leg, m
_ACROSS = (-0.5, 0.866)  # the axis about which it goes down


def add_doggo(spec: mujoco.MjSpec, name: str, *, contype: int, group: int = 0) -> mujoco.MjsBody:
    """Add a Doggo to a model: a free joint, the joints of `DoggoBody`, and a motor for each but the waist.

    A motor's torque is .0125 N·m at a control of 1.

    Args:
      spec: The model, with a floor.
      name: Of the front half, which the rear hangs on.
      contype: Its parts touch geoms with a conaffinity of one of these bits.
      group: Of its geoms.

    Returns:
      The front half, its frame at the waist.
    """
    look = {"contype": contype, "conaffinity": 0, "condim": 3, "rgba": COLOUR, "group": group}
    front = spec.worldbody.add_body(name=name, pos=(0.0, 0.0, DoggoBody.height))
    front.add_freejoint()
    _add_half(front, 1.0, look)  # before the rear, so that joints are in the order of `DoggoBody.joints`
    rear = front.add_body(name=f"{name}_rear")
    _add_hinge(rear, "waist", (1.0, 0.0, 0.0))
    _add_half(rear, -1.0, look)
    for joint in DoggoBody.joints:
        if joint != "waist":
            motor = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_motor()
            motor.gear[0] = _GEAR
            motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)
    return front


def _add_half(half: mujoco.MjsBody, ahead: float, look: dict[str, object]) -> None:
    half.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        fromto=(0.0, 0.0, 0.0, ahead * _HALF_LENGTH, 0.0, 0.0),
        size=(_RADIUS, 0.0, 0.0),
        density=_TORSO_DENSITY,
        **look,
    )
    for left in (1.0, -1.0):
        _add_leg(half, str((1 if ahead > 0.0 else 3) + (left < 0.0)), ahead, left, look)


def _add_leg(half: mujoco.MjsBody, number: str, ahead: float, left: float, look: dict[str, object]) -> None:
    upper, lower = ((x, left * y, z) for x, y, z in (_UPPER, _LOWER))
    across = (left * _ACROSS[0], _ACROSS[1], 0.0)
    thigh = half.add_body(name=f"thigh_{number}", pos=(ahead * _HALF_LENGTH, 0.1 * left, 0.0))
    _add_hinge(thigh, f"hip_z_{number}", (0.0, 0.0, left))
    _add_hinge(thigh, f"hip_y_{number}", across)
    _add_capsule(thigh, upper, look)
    shin = thigh.add_body(name=f"shin_{number}", pos=upper)
    _add_hinge(shin, f"ankle_{number}", across)
    _add_capsule(shin, lower, look)


def _add_capsule(body: mujoco.MjsBody, end: tuple[float, ...], look: dict[str, object]) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(0.0, 0.0, 0.0, *end),
        size=(_LEG, 0.0, 0.0),
        density=_LEG_DENSITY,
        **look,
    )


def _add_hinge(body: mujoco.MjsBody, name: str, axis: tuple[float, float, float]) -> None:
    low, high = (math.degrees(bound) for bound in DoggoBody.joint_range[DoggoBody.joints.index(name)])
    hinge = body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, limited=True, range=(low, high))
    hinge.stiffness[0], hinge.damping[0], hinge.armature = _STIFFNESS, _DAMPING, _ARMATURE
