# SPDX-License-Identifier: Apache-2.0
"""Bodies that go along a hallway: how their state is read from the physics'. What they are made of is in scene.py."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.orientation import rotation_about_z, rotation_of

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """Place and motion of a body.

    Attributes:
      position: Of its centre, in the world's frame, shape (..., 3), m.
      rotation: From its frame, x ahead and z up, to the world's, shape (..., 3, 3).
      velocity: Of its centre, in the world's frame, shape (..., 3), m/s.
      angular_velocity: In its own frame, shape (..., 3), rad/s.
      joint_position: Shape (..., joints), rad.
      joint_velocity: The same order, shape (..., joints), rad/s.
    """

    position: Array
    rotation: Array
    velocity: Array
    angular_velocity: Array
    joint_position: Array
    joint_velocity: Array


class Body(abc.ABC):
    """Kind of body.

    Attributes:
      name: By which scene.py knows it.
      actions: Length of an action.
      timestep_s: Physics step, s.
      substeps: Physics steps of a control period.
      joint_range: Of its joints, shape (joints, 2), rad; (0, 2) for a body without.
      radius: Nothing of it is farther from its centre when it stands upright, seen from above, m.
      camera: Place of its camera in its frame, m.
      fovy_deg: Field of view of the camera, upright and across, degrees.
    """

    name: ClassVar[str]
    actions: ClassVar[int]
    timestep_s: ClassVar[float]
    substeps: ClassVar[int] = 10
    joint_range: ClassVar[Array] = np.zeros((0, 2))
    radius: ClassVar[float]
    camera: ClassVar[tuple[float, float, float]]
    fovy_deg: ClassVar[float]

    def sight_m(self, depth: float) -> float:
        """Distance of the farthest point of that depth from the camera that is still in the image, m."""
        edge = math.tan(math.radians(0.5 * self.fovy_deg))
        return depth * math.sqrt(1.0 + 2.0 * edge * edge)

    @abc.abstractmethod
    def start(self, position: Array, heading: float) -> Array:
        """The physics' position coordinates at rest.

        Args:
          position: On the floor, shape (2,), m.
          heading: Of its x axis, rad.
        """

    @abc.abstractmethod
    def motion(self, position: Array, velocity: Array) -> Motion:
        """Read the motion from the physics' coordinates, shape (..., nq), and velocities, shape (..., nv)."""


class PointBody(Body):
    """The point: two slides and a hinge, 50 Hz."""

    name = "point"
    actions = 2
    timestep_s = 0.002
    radius = 0.16
    camera = (0.0, 0.0, 0.15)
    fovy_deg = 90.0

    def start(self, position: Array, heading: float) -> Array:
        """See `Body.start`."""
        return np.array([*position, heading])

    def motion(self, position: Array, velocity: Array) -> Motion:
        """See `Body.motion`."""
        zero, none = np.zeros_like(position[..., 0]), np.zeros((*position.shape[:-1], 0))
        x, y, heading = np.moveaxis(position, -1, 0)
        return Motion(
            position=np.stack([x, y, zero + 0.1], axis=-1),
            rotation=rotation_about_z(heading),
            velocity=np.stack([velocity[..., 0], velocity[..., 1], zero], axis=-1),
            angular_velocity=np.stack([zero, zero, velocity[..., 2]], axis=-1),
            joint_position=none,
            joint_velocity=none,
        )


_FRONT_DEG = ((-10.0, 30.0), (-75.0, 15.0), (-75.0, 0.0))
_REAR_DEG = ((-10.0, 30.0), (0.0, 135.0), (-75.0, 0.0))


class DoggoBody(Body):
    """Doggo: a free body, a waist and four legs of three joints, 10 Hz. Its centre is the waist.

    Attributes:
      joints: In the order of the physics: legs front left, front right, the waist, rear left, rear right. Positive is
        outwards for hip_z, down for hip_y and ankle.
      height: Of its centre at the start, m.
    """

    name = "doggo"
    actions = 12
    timestep_s = 0.01
    joints: ClassVar[tuple[str, ...]] = (
        *(f"{joint}_{leg}" for leg in (1, 2) for joint in ("hip_z", "hip_y", "ankle")),
        "waist",
        *(f"{joint}_{leg}" for leg in (3, 4) for joint in ("hip_z", "hip_y", "ankle")),
    )
    joint_range = np.radians([*_FRONT_DEG * 2, (-30.0, 30.0), *_REAR_DEG * 2])
    height: ClassVar[float] = 0.22
    radius = 0.42
    camera = (0.125, 0.0, 0.2)
    fovy_deg = 100.0

    def start(self, position: Array, heading: float) -> Array:
        """See `Body.start`: legs as they are at angles of zero."""
        turned = (math.cos(0.5 * heading), 0.0, 0.0, math.sin(0.5 * heading))
        return np.array([*position, self.height, *turned, *np.zeros(len(self.joints))])

    def motion(self, position: Array, velocity: Array) -> Motion:
        """See `Body.motion`."""
        return Motion(
            position=position[..., :3],
            rotation=rotation_of(position[..., 3:7]),
            velocity=velocity[..., :3],
            angular_velocity=velocity[..., 3:6],  # a free joint turns in its own frame
            joint_position=position[..., 7:],
            joint_velocity=velocity[..., 6:],
        )
