# SPDX-License-Identifier: Apache-2.0
"""A full cup of almonds in MuJoCo: eighty ellipsoids in contact with each other and with a cup led along a path.

The cup goes where it is led, whatever the almonds do: they weigh a tenth of the cup's payload, so their
reaction on the arm is left out. The cup is so deep that it does not lose all of them when it is tilted as far as
an arm that misbehaves tilts it.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.randomness import Purpose, generator

Array = npt.NDArray[np.float64]

RADIUS, DEPTH = 0.0265, 0.080  # inside, m; eighty almonds heap a little above the rim
ALMOND = (0.012, 0.0065, 0.0045)  # semi-axes, m
FRICTION = 0.4  # sliding, almond on almond and on the cup
# A hundred times an almond's own: without a reaction on the cup mass changes no motion, and the contact solver
# converges better when the cup is not a million times heavier than what is in it. kg/m^3.
DENSITY = 80_000.0
# From the cup's centre, m: an almond that lies on the rim is not so far, one that has fallen over it soon is.
LOST_BEYOND = DEPTH / 2 + 0.035
TIMESTEP_S = 0.005
_WALLS, _WALL = 12, 0.005
_LAYER = 0.014
_SETTLE_S, _HOLD_S = 1.5, 0.25
_PARKED = -1000.0
_DIVERGED = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
# A cup that goes no farther and turns no more than this in all of an episode loses nothing, so the contacts need not
# be gone through: the almonds lie as they settled.
_STILL_M, _STILL_RAD = 0.002, math.radians(1.0)


class AlmondCup:
    """A cup with almonds in it, led along given poses.

    Attributes:
      count: Almonds it was filled with.
      lost: Which of them have left it, shape (count,).
    """

    def __init__(self, count: int = 80, seed: int = 0) -> None:
        """Fill an upright cup through a funnel and let the almonds settle.

        Args:
          count: Number of almonds.
          seed: Of how they fall.

        Raises:
          ValueError: if count is not positive.
          FloatingPointError: if the contacts diverged, here and in the other methods.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count
        self.model = _model(count)
        self.data = mujoco.MjData(self.model)
        self.lost = np.zeros(count, dtype=np.bool_)
        rng = generator(Purpose.ALMONDS, seed)
        for almond in range(count):
            # Layers of three, lying flat and apart, let down slowly: almonds that begin inside each other explode.
            angle = 2.0 * math.pi * (almond % 3 + rng.uniform(-0.1, 0.1)) / 3.0 + almond // 3
            yaw = rng.uniform(0.0, math.pi)
            height = _LAYER * (almond // 3 + 1) - DEPTH / 2
            place = (0.014 * math.cos(angle), 0.014 * math.sin(angle), height)
            self._almonds(self.data.qpos)[almond] = (*place, math.cos(yaw), 0.0, 0.0, math.sin(yaw))
        self.model.opt.gravity[2] /= 5.0
        self._still(np.zeros(3), np.eye(3), _SETTLE_S)
        self.model.opt.gravity[2] *= 5.0
        funnel = [g for g in range(self.model.ngeom) if self.model.geom(g).name.startswith("funnel")]
        self.model.geom_contype[funnel] = self.model.geom_conaffinity[funnel] = 0
        self._still(np.zeros(3), np.eye(3), _SETTLE_S)
        self._settled = self._almonds(self.data.qpos).copy()
        self._note_lost(np.zeros(3))

    def place(self, position: Array, rotation: Array) -> None:
        """Put the cup at rest somewhere, with the remaining almonds as they were when it was filled.

        Args:
          position: Of the cup's centre, shape (3,), m.
          rotation: Of the cup, +z its opening, shape (3, 3).
        """
        almonds = self._almonds(self.data.qpos)
        almonds[:] = self._settled
        almonds[:, :3] = position + self._settled[:, :3] @ rotation.T
        turn = _quaternion(rotation)
        for almond in range(self.count):
            mujoco.mju_mulQuat(almonds[almond, 3:], turn, self._settled[almond, 3:])
        self._park()
        self.data.qvel[:] = 0.0
        self._still(position, rotation, _HOLD_S)
        self._note_lost(position)

    def follow(self, position: Array, rotation: Array, period_s: float) -> None:
        """Lead the cup from pose to pose, a period apart; what leaves it is lost.

        Args:
          position: Of the cup's centre, shape (poses, 3), m.
          rotation: Of the cup, +z its opening, shape (poses, 3, 3).
          period_s: Time between poses, s; a multiple of the timestep of the contacts.

        Raises:
          ValueError: if it is not.
        """
        substeps = round(period_s / TIMESTEP_S)
        if substeps < 1 or not math.isclose(substeps * TIMESTEP_S, period_s):
            raise ValueError(f"period_s must be a multiple of {TIMESTEP_S} s, got {period_s}")
        if self._stands_still(position, rotation):
            return
        for at in range(len(position) - 1):
            if self.lost.all():
                return
            velocity = (position[at + 1] - position[at]) / period_s
            turning = _rotation_vector(rotation[at].T @ rotation[at + 1]) / period_s
            for step in range(substeps):
                elapsed = step * TIMESTEP_S
                self.data.qpos[:3] = position[at] + velocity * elapsed
                self.data.qpos[3:7] = _quaternion(rotation[at])
                mujoco.mju_quatIntegrate(self.data.qpos[3:7], turning, elapsed)
                self.data.qvel[:3], self.data.qvel[3:6] = velocity, turning
                mujoco.mj_step(self.model, self.data)
            if at % 10 == 9:
                self._note_lost(position[at + 1])
        self._note_lost(position[-1])

    @staticmethod
    def _stands_still(position: Array, rotation: Array) -> bool:
        moved = np.linalg.norm(position - position[0], axis=1).max()
        cosine = (np.trace(rotation[0].T @ rotation, axis1=1, axis2=2).min() - 1.0) / 2.0
        return bool(moved < _STILL_M and cosine > math.cos(_STILL_RAD))

    def _still(self, position: Array, rotation: Array, seconds: float) -> None:
        for _ in range(round(seconds / TIMESTEP_S)):
            self.data.qpos[:3], self.data.qpos[3:7] = position, _quaternion(rotation)
            self.data.qvel[:6] = 0.0
            mujoco.mj_step(self.model, self.data)

    def _note_lost(self, centre: Array) -> None:
        if any(self.data.warning[kind].number for kind in _DIVERGED):
            raise FloatingPointError(f"the contacts of {self.count} almonds diverged at {self.data.time:.2f} s")
        distance = np.linalg.norm(self._almonds(self.data.qpos)[:, :3] - centre, axis=1)
        self.lost |= ~(distance < LOST_BEYOND)
        self._park()

    def _park(self) -> None:
        """Lost almonds wait far below, each in a place of its own."""
        almonds = self._almonds(self.data.qpos)
        for almond in np.flatnonzero(self.lost):
            almonds[almond] = (float(almond), 0.0, _PARKED, 1.0, 0.0, 0.0, 0.0)
            self.data.qvel[6 * (almond + 1) : 6 * (almond + 2)] = 0.0

    def _almonds(self, qpos: Array) -> Array:
        return qpos[7:].reshape(self.count, 7)


def cup_poses(tool_position: Array, tool_rotation: Array) -> tuple[Array, Array]:
    """Poses of a cup held by a tool whose +x axis points down: the opening is the tool's -x.

    Args:
      tool_position: Shape (..., 3), m.
      tool_rotation: Shape (..., 3, 3).

    Returns:
      Position and rotation of the cup, same shapes.
    """
    opening_up = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    return tool_position, tool_rotation @ opening_up


def _model(count: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # All almonds touch each other, so a step of Newton's method factors one matrix of all. Conjugate gradients cost a
    # sixth of it and lose as many (2 of 80 in the same five episodes, 6.0 and 6.4 at a tilt of 60 degrees).
    spec.option.solver = mujoco.mjtSolver.mjSOL_CG
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.iterations, spec.option.tolerance = 30, 1e-4
    spec.option.ccd_tolerance = 1e-4
    # Where the contacts diverge all almonds would otherwise be put back where the model has them.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    contact = {"condim": 3, "friction": [FRICTION, 0.005, 0.0001], "solref": [0.011, 1.0]}
    funnel = _LAYER * (count // 3 + 2) / 2
    cup = spec.worldbody.add_body(name="cup", gravcomp=1.0)
    cup.add_freejoint()
    # Heavy, so that no contact moves it from where it is led between two steps.
    cup.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[RADIUS + 2 * _WALL, _WALL, 0.0],
        pos=[0.0, 0.0, -DEPTH / 2 - _WALL],
        mass=1000.0,
        **contact,
    )
    for number in range(_WALLS):
        angle = 2.0 * math.pi * number / _WALLS
        out = RADIUS + _WALL
        width = RADIUS * math.tan(math.pi / _WALLS) + 0.003
        turn = [math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]
        for name, height, middle in (("wall", DEPTH / 2, 0.0), ("funnel", funnel, DEPTH / 2 + funnel)):
            cup.add_geom(
                name=f"{name}{number}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[_WALL, width, height],
                pos=[out * math.cos(angle), out * math.sin(angle), middle],
                quat=turn,
                mass=10.0,
                **contact,
            )
    for number in range(count):
        almond = spec.worldbody.add_body(name=f"almond{number}")
        almond.add_freejoint()
        almond.add_geom(type=mujoco.mjtGeom.mjGEOM_ELLIPSOID, size=list(ALMOND), density=DENSITY, **contact)
    return spec.compile()


def _quaternion(rotation: Array) -> Array:
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
    return quaternion


def _rotation_vector(rotation: Array) -> Array:
    vector = np.empty(3)
    mujoco.mju_quat2Vel(vector, _quaternion(rotation), 1.0)
    return vector
