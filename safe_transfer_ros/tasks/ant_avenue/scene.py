# SPDX-License-Identifier: Apache-2.0
"""The ant in MuJoCo: a light sphere on four legs of two driven joints each, on a plane.

Sizes, density, friction, joint ranges, armature and damping are those of the ant of Bullet-Safety-Gym (NOTICE). The
parts of the ant do not touch each other, only the floor.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco

from safe_transfer_ros.tasks.floor import FLOOR, floor

TORSO = "torso"
HIP_RANGE_DEG = (-40.0, 40.0)
ANKLE_RANGE_DEG = (30.0, 100.0)
"""Of an ankle that bends down with a positive angle; mirrored for the others. 0 is a straight leg, 90 a foot that
points straight down."""


class Leg(NamedTuple):
    """One leg.

    Attributes:
      name: Number at the end of its joints' names.
      side: Signs of x and y of where it points at a hip angle of 0.
      ankle_axis: Axis of the ankle's hinge.
      bend: Sign of the ankle angles that bend it down.
    """

    name: str
    side: tuple[float, float]
    ankle_axis: tuple[float, float, float]
    bend: float


LEGS = (
    Leg("4", (1.0, -1.0), (1.0, 1.0, 0.0), 1.0),
    Leg("1", (1.0, 1.0), (-1.0, 1.0, 0.0), 1.0),
    Leg("2", (-1.0, 1.0), (1.0, 1.0, 0.0), -1.0),
    Leg("3", (-1.0, -1.0), (-1.0, 1.0, 0.0), -1.0),
)
"""In the order of the motors, which is that of the joints and of the foot contacts, too."""

_RADIUS, _UPPER, _FOOT = 0.08, 0.2, 0.4  # m; the lengths are those along x and along y


def ant_model(*, gear: float, timestep: float) -> mujoco.MjModel:
    """The ant above a plane at z = 0: joints and motors hip_4, ankle_4, hip_1, ..., ankle_3, a touch sensor per foot.

    Args:
      gear: Torque of a motor at an action of 1, N·m.
      timestep: Physics step, s.

    Raises:
      ValueError: if either is not positive.
    """
    if not (gear > 0.0 and timestep > 0.0):
        raise ValueError(f"gear (N·m) and timestep (s) must be positive, got {gear} and {timestep}")
    spec = floor(timestep)
    # Friction equal in all directions, with fewer constraints than a pyramid's.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.default.geom.density = 5.0
    spec.default.geom.condim = 3
    spec.default.geom.friction = spec.geom(FLOOR).friction = (1.5, 0.1, 0.1)
    spec.default.geom.contype, spec.default.geom.conaffinity = 1, 0
    spec.default.geom.rgba = (0.8, 0.6, 0.4, 1.0)
    spec.default.joint.armature = 1.0
    spec.default.joint.damping[0] = 1.0
    torso = spec.worldbody.add_body(name=TORSO, pos=(0.0, 0.0, 0.75))
    torso.add_freejoint()
    torso.add_geom(name=TORSO, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.25, 0.0, 0.0))
    for leg in LEGS:
        _add_leg(spec, torso, leg)
    for leg in LEGS:
        for joint in (f"hip_{leg.name}", f"ankle_{leg.name}"):
            motor = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_motor()
            motor.gear[0] = gear
            motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)
    return spec.compile()


def _add_leg(spec: mujoco.MjSpec, torso: mujoco.MjsBody, leg: Leg) -> None:
    x, y = leg.side
    upper, foot = (_UPPER * x, _UPPER * y, 0.0), (_FOOT * x, _FOOT * y, 0.0)
    _add_capsule(torso, f"aux_{leg.name}", upper)
    thigh = torso.add_body(name=f"leg_{leg.name}", pos=upper)
    _add_hinge(thigh, f"hip_{leg.name}", (0.0, 0.0, 1.0), HIP_RANGE_DEG)
    _add_capsule(thigh, f"leg_{leg.name}", upper)
    shin = thigh.add_body(name=f"foot_{leg.name}", pos=upper)
    low, high = sorted(leg.bend * bound for bound in ANKLE_RANGE_DEG)
    _add_hinge(shin, f"ankle_{leg.name}", leg.ankle_axis, (low, high))
    _add_capsule(shin, f"foot_{leg.name}", foot)
    felt = 1.1 * _RADIUS
    shin.add_site(
        name=f"foot_{leg.name}",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(0.0, 0.0, 0.0, *foot),
        size=(felt, 0.0, 0.0),
        rgba=(0.0, 0.0, 0.0, 0.0),
    )
    spec.add_sensor(
        name=f"foot_{leg.name}",
        type=mujoco.mjtSensor.mjSENS_TOUCH,
        objtype=mujoco.mjtObj.mjOBJ_SITE,
        objname=f"foot_{leg.name}",
    )


def _add_capsule(body: mujoco.MjsBody, name: str, end: tuple[float, float, float]) -> None:
    body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=(0.0, 0.0, 0.0, *end), size=(_RADIUS, 0.0, 0.0))


def _add_hinge(
    body: mujoco.MjsBody, name: str, axis: tuple[float, float, float], range_deg: tuple[float, float]
) -> None:
    body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, limited=True, range=range_deg)
