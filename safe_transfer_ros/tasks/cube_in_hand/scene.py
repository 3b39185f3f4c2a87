# SPDX-License-Identifier: Apache-2.0
"""A hand of the size of Shadow's, palm up, and a cube above it, in MuJoCo: lengths, masses, ranges are theirs (NOTICE).

All shapes are primitive; the cube has round edges. Fingers touch it, the fingers beside them and the thumb.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.cube_in_hand.hand import JOINTS, Joint
from safe_transfer_ros.tasks.floor import floor

Array = npt.NDArray[np.float64]

CUBE = "cube"
HALF_EDGE = 0.0334
"""Of the cube, m."""
CUBE_START = (0.0, -0.02, 0.24)
"""Where the cube's centre is when an episode starts, m."""
STIFFNESS = {"wrist": 5.0, "finger": 1.0}
"""Of the servos, N·m/rad."""

_FLAT, _EDGE, _ROUND = 0.0286, 0.0285, 0.005  # half a face, the edges' capsules and their radius, m
_WHITE = (0.92, 0.92, 0.90, 1.0)
_X, _Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
_SKIN, _TIP, _ARM = (0.86, 0.66, 0.52, 1.0), (0.93, 0.78, 0.66, 1.0), (0.42, 0.45, 0.50, 1.0)
_LINK_INERTIA = 1e-5
_BOX, _CAPSULE = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE
_BY_NAME = {joint.name: joint for joint in JOINTS}


class Finger(NamedTuple):
    """One of the four fingers: its name, and where its knuckle is on the palm or the metacarpal, m."""

    name: str
    knuckle: tuple[float, float, float]


class Link(NamedTuple):
    """A link of a finger: a capsule from one joint to the next; m and kg."""

    name: str
    length: float
    radius: float
    capsule: float
    mass: float


FINGERS = (
    Finger("FF", (0.033, 0.0, 0.095)),
    Finger("MF", (0.011, 0.0, 0.099)),
    Finger("RF", (-0.011, 0.0, 0.095)),
    Finger("LF", (-0.017, 0.0, 0.044)),
)
"""From the thumb's side; the last is on a metacarpal of its own."""

LINKS = (
    Link("proximal", 0.045, 0.010, 0.045, 0.014),
    Link("middle", 0.025, 0.00805, 0.025, 0.012),
    Link("distal", 0.0, 0.00705, 0.024, 0.010),
)
_THUMB = (
    Link("proximal", 0.038, 0.013, 0.038, 0.016),
    Link("middle", 0.032, 0.011, 0.032, 0.016),
    Link("distal", 0.0, 0.00918, 0.026, 0.016),
)

FACES = (
    ((1.0, 0.0, 0.0), (0.80, 0.15, 0.12, 1.0)),
    ((-1.0, 0.0, 0.0), (0.95, 0.55, 0.10, 1.0)),
    ((0.0, 1.0, 0.0), (0.10, 0.55, 0.20, 1.0)),
    ((0.0, -1.0, 0.0), (0.15, 0.35, 0.80, 1.0)),
    ((0.0, 0.0, 1.0), (0.95, 0.85, 0.15, 1.0)),
    ((0.0, 0.0, -1.0), (0.55, 0.25, 0.65, 1.0)),
)
"""Normal and colour of the cube's faces, for images."""


def hand_model(*, timestep: float, painted: bool = False) -> mujoco.MjModel:
    """The hand and the cube above a floor that nothing touches: 24 position servos, controls in rad.

    Args:
      timestep: Physics step, s.
      painted: Whether the cube's faces have colours, for images; it moves alike.

    Raises:
      ValueError: if the timestep is not positive.
    """
    spec = floor(timestep)
    spec.compiler.degree = False
    geom, joint = spec.default.geom, spec.default.joint
    geom.contype, geom.conaffinity, geom.friction, geom.rgba = 1, 0, (1.0, 0.005, 0.001), _SKIN
    # By default a cube that meets the palm at 2 m/s sinks into it by 12 mm, so by 5.
    geom.solref[0] = spec.default.pair.solref[0] = 4.0 * timestep
    joint.armature, joint.frictionloss, joint.damping[0] = 0.001, 0.001, 0.1
    _add_cube(spec.worldbody, painted)
    palm = _add_palm(spec.worldbody)
    for finger in FINGERS:
        _add_finger(palm, finger)
    _add_thumb(palm)
    for one, other in touching():
        spec.add_pair(geomname1=one, geomname2=other, condim=1)
    for driven in JOINTS:
        motor = spec.add_actuator(name=driven.name, target=driven.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_position(kp=STIFFNESS["wrist" if driven.name.startswith("WR") else "finger"])
        motor.ctrllimited, motor.ctrlrange = True, (driven.low, driven.high)
    return spec.compile()


def touching() -> Iterator[tuple[str, str]]:
    """Parts of the hand that touch each other, without friction: links beside their like, the thumb's tip and all."""
    for one, other in itertools.pairwise(FINGERS):
        for link in LINKS:
            yield f"{one.name}_{link.name}", f"{other.name}_{link.name}"
    for finger in FINGERS:
        for link in LINKS:
            yield "TH_distal", f"{finger.name}_{link.name}"
    yield "TH_distal", "palm"


def painted_face(normal: tuple[float, float, float], half_edge: float) -> tuple[Array, Array]:
    """Centre and half sizes of the colour on a cube's face, shape (3,) each, m."""
    along = np.abs(normal)
    return half_edge * np.array(normal), half_edge * (0.84 * (1.0 - along) + 0.015 * along)


def _add_cube(world: mujoco.MjsBody, painted: bool) -> None:
    cube = world.add_body(
        name=CUBE, pos=CUBE_START, mass=0.05, ipos=(0.0, 0.0, 0.0), inertia=(6.48e-5,) * 3, explicitinertial=True
    )
    cube.add_freejoint(name=CUBE).damping[0] = 0.001
    # Parts of the hand touch it; the floor does not: the episode is over before it is there.
    touched = {"contype": 0, "conaffinity": 1, "rgba": _WHITE}
    for along, name in zip(np.eye(3), "xyz", strict=True):
        size = HALF_EDGE * along + _FLAT * (1.0 - along)
        cube.add_geom(name=f"{CUBE}_{name}", type=_BOX, size=size, **touched)
        for ends in itertools.product((-_EDGE, _EDGE), repeat=2):
            across = np.insert(ends, int(along.argmax()), 0.0)
            cube.add_geom(
                type=_CAPSULE,
                fromto=(*(across - _EDGE * along), *(across + _EDGE * along)),
                size=(_ROUND, 0.0, 0.0),
                **touched,
            )
    if painted:
        for normal, colour in FACES:
            at, size = painted_face(normal, HALF_EDGE)
            cube.add_geom(type=_BOX, pos=at, size=size, rgba=colour, contype=0)


def _add_palm(world: mujoco.MjsBody) -> mujoco.MjsBody:
    half = np.sqrt(0.5)
    # The hand's z axis, along the fingers, is the world's y; its palm looks along its -y axis: up.
    forearm = world.add_body(name="forearm", pos=(0.0, -0.4, 0.19), quat=(half, -half, 0.0, 0.0))
    forearm.add_geom(
        name="forearm", type=_CAPSULE, fromto=(0.0, 0.0, 0.06, 0.0, 0.0, 0.226), size=(0.03, 0.0, 0.0), rgba=_ARM
    )
    wrist = forearm.add_body(
        name="wrist", pos=(0.0, 0.0, 0.256), mass=0.3, ipos=(0.003, 0.0, 0.016), inertia=(1e-3,) * 3,
        explicitinertial=True,
    )  # fmt: skip
    _add_joint(wrist, "WRJ1", _Y)
    wrist.add_geom(
        name="wrist", type=_CAPSULE, fromto=(0.0, -0.01, 0.0, 0.0, 0.01, 0.0), size=(0.015, 0.0, 0.0), rgba=_ARM
    )
    palm = wrist.add_body(
        name="palm", pos=(0.0, 0.0, 0.034), mass=0.3, ipos=(0.006, 0.0, 0.036), inertia=(1e-3,) * 3,
        explicitinertial=True,
    )  # fmt: skip
    _add_joint(palm, "WRJ0", _X)
    palm.add_geom(name="palm", type=_BOX, pos=(0.011, 0.0, 0.038), size=(0.032, 0.0111, 0.049))
    palm.add_geom(name="heel", type=_BOX, pos=(-0.032, 0.0, 0.014), size=(0.011, 0.0111, 0.025))
    return palm


def _add_finger(palm: mujoco.MjsBody, finger: Finger) -> None:
    base, name = palm, finger.name
    if name == "LF":
        base = _add_link(palm, "LF_metacarpal", finger.knuckle, 0.075, (-0.014, 0.001, 0.014))
        _add_joint(base, "LFJ4", (0.571, 0.0, 0.821))
        base.add_geom(name="LF_metacarpal", type=_BOX, pos=(-0.0165, 0.0, 0.01), size=(0.0095, 0.0111, 0.025))
    knuckle = _add_link(base, f"{name}_knuckle", finger.knuckle, 0.008, (0.0, 0.0, 0.0))
    _add_joint(knuckle, f"{name}J3", _Y)
    body, at = knuckle, 0.0
    for link, joint in zip(LINKS, (f"{name}J2", f"{name}J1", f"{name}J0"), strict=True):
        body = _add_link(body, f"{name}_{link.name}", (0.0, 0.0, at), link.mass, (0.0, 0.0, 0.5 * link.capsule))
        _add_joint(body, joint, _X)
        _add_capsule(body, f"{name}_{link.name}", link)
        at = link.length


def _add_thumb(palm: mujoco.MjsBody) -> None:
    turn = 0.25 * np.pi  # about y
    quarter = (float(np.cos(0.5 * turn)), 0.0, float(np.sin(0.5 * turn)), 0.0)
    base = _add_link(palm, "TH_base", (0.034, -0.009, 0.029), 0.010, (0.0, 0.0, 0.0))
    base.quat = quarter
    _add_joint(base, "THJ4", (0.0, 0.0, -1.0))
    proximal, middle, distal = _THUMB
    first = _add_link(base, "TH_proximal", (0.0, 0.0, 0.0), proximal.mass, (0.0, 0.0, 0.017))
    _add_joint(first, "THJ3", _X)
    hub = _add_link(first, "TH_hub", (0.0, 0.0, proximal.length), 0.002, (0.0, 0.0, 0.0))
    _add_joint(hub, "THJ2", _X)
    second = _add_link(hub, "TH_middle", (0.0, 0.0, 0.0), middle.mass, (0.0, 0.0, 0.016))
    _add_joint(second, "THJ1", _Y)
    tip = _add_link(second, "TH_distal", (0.0, 0.0, middle.length), distal.mass, (0.0, 0.0, 0.016))
    _add_joint(tip, "THJ0", _Y)
    for body, link in ((first, proximal), (second, middle), (tip, distal)):
        _add_capsule(body, f"TH_{link.name}", link)


def _add_link(
    parent: mujoco.MjsBody, name: str, at: tuple[float, ...], mass: float, centre: tuple[float, ...]
) -> mujoco.MjsBody:
    return parent.add_body(
        name=name, pos=at, mass=mass, ipos=centre, inertia=(_LINK_INERTIA,) * 3, explicitinertial=True
    )


def _add_joint(body: mujoco.MjsBody, name: str, axis: tuple[float, float, float]) -> None:
    found: Joint = _BY_NAME[name]
    joint = body.add_joint(
        name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, limited=True, range=(found.low, found.high)
    )
    if name.startswith("WR"):
        joint.damping[0], joint.armature = 0.5, 0.005


def _add_capsule(body: mujoco.MjsBody, name: str, link: Link) -> None:
    tip = link.name == "distal"
    body.add_geom(
        name=name,
        type=_CAPSULE,
        fromto=(0.0, 0.0, 0.0, 0.0, 0.0, link.capsule),
        size=(link.radius, 0.0, 0.0),
        condim=4 if tip else 3,
        rgba=_TIP if tip else _SKIN,
    )
