# SPDX-License-Identifier: Apache-2.0
"""Soft limits: position bounds velocity, velocity bounds effort, as on the PR2.

Near the end of a joint's travel the speed it may still have shrinks with the distance left, and at the speed it
may have the torque that would make it faster shrinks to nothing; beyond, the bound turns round and pushes back.
It is what URDF's <safety_controller> and the PR2's own joint controllers do:

    v_lower = clip(-k_position (q - soft_lower), -v, v)      e_lower = -k_velocity (dq - v_lower)
    v_upper = clip(-k_position (q - soft_upper), -v, v)      e_upper = -k_velocity (dq - v_upper)
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftLimits:
    """Bounds of each joint's velocity, and their gains; every field of shape (n_joints,), copied, read-only.

    Attributes:
      soft_lower: Position from which v_lower is positive, rad; -inf where there is none.
      soft_upper: Position from which v_upper is negative, rad; inf where there is none.
      velocity: Speed limit, rad/s, > 0; inf where there is none.
      k_position: rad/s of allowed speed per rad of distance, 1/s, > 0; inf: position bounds nothing.
      k_velocity: N·m of allowed torque per rad/s of speed left, N·m·s/rad, > 0; inf: velocity bounds nothing, and so
        neither does position.
    """

    soft_lower: Array
    soft_upper: Array
    velocity: Array
    k_position: Array
    k_velocity: Array

    def __post_init__(self) -> None:
        """Check the numbers and write "no bound" as an infinite limit under a gain of one, where inf x 0 cannot be.

        Raises:
          ValueError: if a field is not a vector of the others' length, a limit is NaN or a gain or speed not positive.
        """
        given = {field.name: np.array(getattr(self, field.name), dtype=np.float64) for field in fields(self)}
        shapes = {values.shape for values in given.values()}
        if len(shapes) != 1 or given["velocity"].ndim != 1 or given["velocity"].size == 0:
            raise ValueError(f"soft limits must be vectors of one length, got shapes {sorted(shapes)}")
        for name in ("velocity", "k_position", "k_velocity"):
            if not (given[name] > 0.0).all():
                raise ValueError(f"{name} must be > 0 (inf where a joint has none), got {given[name]}")
        lower, upper, speed, k_position, k_velocity = given.values()
        if not (lower < upper).all():
            raise ValueError(f"soft_lower must be below soft_upper, got {lower} and {upper}")
        free = np.isinf(k_velocity)
        speed[free], k_velocity[free] = np.inf, 1.0
        free = free | np.isinf(k_position)
        lower[free], upper[free], k_position[free] = -np.inf, np.inf, 1.0
        for name, values in given.items():
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def rows(self) -> list[tuple[float, ...]]:
        """One tuple per joint, in the order of the fields."""
        return list(zip(*(getattr(self, field.name).tolist() for field in fields(self)), strict=True))


def soft_velocity_bounds(limits: SoftLimits, position: Array) -> tuple[Array, Array]:
    """Velocities that position allows, v_lower and v_upper of the module's equations.

    Args:
      limits: For n_joints joints.
      position: Shape (..., n_joints), rad, finite.

    Returns:
      Lower and upper bound, shape (..., n_joints) each, rad/s.
    """
    with np.errstate(over="ignore"):
        lower = -limits.k_position * (position - limits.soft_lower)
        upper = -limits.k_position * (position - limits.soft_upper)
    return (
        np.minimum(np.maximum(lower, -limits.velocity), limits.velocity),
        np.minimum(np.maximum(upper, -limits.velocity), limits.velocity),
    )


def soft_effort_bounds(limits: SoftLimits, velocity: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Torques that velocity allows, e_lower and e_upper of the module's equations, before any effort limit.

    Args:
      limits: For n_joints joints.
      velocity: Shape (..., n_joints), rad/s, finite.
      lower: v_lower, same shape, rad/s.
      upper: v_upper, same shape, rad/s.

    Returns:
      Lower and upper bound, same shape, N·m. Both may have one sign: then the joint has to be pushed back.
    """
    with np.errstate(over="ignore"):
        return -limits.k_velocity * (velocity - lower), -limits.k_velocity * (velocity - upper)
