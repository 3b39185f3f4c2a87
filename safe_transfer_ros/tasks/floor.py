# SPDX-License-Identifier: Apache-2.0
"""Floor on which a task's body stands or drives: where its model begins."""

from __future__ import annotations

import mujoco

FLOOR = "floor"


def floor(timestep: float) -> mujoco.MjSpec:
    """Model of a plane at z = 0 and nothing else, to which a task adds its body.

    Only geoms with contype 1 touch the plane. A state that is not stable stays as it is.

    Args:
      timestep: Physics step, s.

    Raises:
      ValueError: if it is not positive.
    """
    if not timestep > 0.0:
        raise ValueError(f"timestep (s) must be positive, got {timestep}")
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # By default MuJoCo answers an unstable state by starting again from zero and going on.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.worldbody.add_geom(
        name=FLOOR,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0.0, 0.0, 1.0),
        contype=0,
        conaffinity=1,
        rgba=(0.86, 0.85, 0.82, 1.0),
    )
    return spec
