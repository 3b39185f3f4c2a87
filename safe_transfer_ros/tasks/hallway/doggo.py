# SPDX-License-Identifier: Apache-2.0
"""Doggo in MuJoCo: two halves joined by a waist, on four legs of three driven joints; Safety Gym's sizes (NOTICE).

It weighs 24 g, and its motors are of that size. It looks along its own x axis. Its parts do not touch each other.
"""

from __future__ import annotations

import mujoco

HEIGHT = 0.22
"""Of its middle at the start, m."""
COLOUR = (0.20, 0.35, 0.65, 1.0)
JOINTS = ("waist", *(f"{joint}_{leg}" for leg in ("1", "2", "3", "4") for joint in ("hip_z", "hip_y", "ankle")))
"""Legs 1 front left, 2 front right, 3 rear left, 4 rear right. All but the waist have motors, in this order."""
RANGE_DEG = {"waist": (-30.0, 30.0), "hip_z": (-10.0, 30.0), "front": (-75.0, 15.0), "rear": (0.0, 135.0)}
"""Positive is outwards for hip_z, down for the others."""
ANKLE_RANGE_DEG = (-75.0, 0.0)

_RADIUS, _HALF_LENGTH, _TORSO_DENSITY = 0.075, 0.2, 0.5
_LEG, _LEG_DENSITY, _GEAR = 0.032, 5.0, 0.0125
_STIFFNESS, _DAMPING, _ARMATURE = 0.01, 0.001, 1e-5
_UPPER, _LOWER = (0.098, 0.0566, -0.05), (-0.1176, -0.0679, -0.1)  # of a left leg, m
_ACROSS = (-0.5, 0.866)  # the axis about which it goes down


def add_doggo(spec: mujoco.MjSpec, name: str, *, contype: int, group: int = 0) -> mujoco.MjsBody:
    """Add a Doggo to a model: a free joint, the joints of `JOINTS`, and a motor for each but the first.

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
    front = spec.worldbody.add_body(name=name, pos=(0.0, 0.0, HEIGHT))
    front.add_freejoint()
    rear = front.add_body(name=f"{name}_rear")
    _add_hinge(rear, "waist", (1.0, 0.0, 0.0), RANGE_DEG["waist"])
    for half, ahead in ((front, 1.0), (rear, -1.0)):
        half.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            fromto=(0.0, 0.0, 0.0, ahead * _HALF_LENGTH, 0.0, 0.0),
            size=(_RADIUS, 0.0, 0.0),
            density=_TORSO_DENSITY,
            **look,
        )
        for left in (1.0, -1.0):
            number = str((1 if ahead > 0.0 else 3) + (left < 0.0))
            _add_leg(half, number, ahead, left, look)
    for joint in JOINTS[1:]:
        motor = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
        motor.gear[0] = _GEAR
        motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)
    return front


def _add_leg(half: mujoco.MjsBody, number: str, ahead: float, left: float, look: dict[str, object]) -> None:
    upper, lower = ((x, left * y, z) for x, y, z in (_UPPER, _LOWER))
    across = (left * _ACROSS[0], _ACROSS[1], 0.0)
    thigh = half.add_body(name=f"thigh_{number}", pos=(ahead * _HALF_LENGTH, 0.1 * left, 0.0))
    _add_hinge(thigh, f"hip_z_{number}", (0.0, 0.0, left), RANGE_DEG["hip_z"])
    _add_hinge(thigh, f"hip_y_{number}", across, RANGE_DEG["front" if ahead > 0.0 else "rear"])
    _add_capsule(thigh, upper, look)
    shin = thigh.add_body(name=f"shin_{number}", pos=upper)
    _add_hinge(shin, f"ankle_{number}", across, ANKLE_RANGE_DEG)
    _add_capsule(shin, lower, look)


def _add_capsule(body: mujoco.MjsBody, end: tuple[float, ...], look: dict[str, object]) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(0.0, 0.0, 0.0, *end),
        size=(_LEG, 0.0, 0.0),
        density=_LEG_DENSITY,
        **look,
    )


def _add_hinge(
    body: mujoco.MjsBody, name: str, axis: tuple[float, float, float], range_deg: tuple[float, float]
) -> None:
    hinge = body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, limited=True, range=range_deg)
    hinge.stiffness[0], hinge.damping[0], hinge.armature = _STIFFNESS, _DAMPING, _ARMATURE
