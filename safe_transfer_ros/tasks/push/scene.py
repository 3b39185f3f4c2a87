# SPDX-License-Identifier: Apache-2.0
"""A pushing task in MuJoCo: the arm, a table's plane, the block, the obstacle, which stands fast or can be pushed.

Of the arm only the ball of its pushing rod touches anything, and not the table. The table is a plane: a block whose
centre passes its edge would fall, and counts as failed before it could.
"""

from __future__ import annotations

import mujoco

from safe_transfer_ros.robots.simulation import NOMINAL, Perturbation, add_motors, arm_spec
from safe_transfer_ros.robots.task_space_motors import add_task_space_motors
from safe_transfer_ros.tasks.push.task import PushTask

BLOCK, OBSTACLE, BALL, TOUCH = "block", "obstacle", "ball", "obstacle_touch"

# Bits of who touches whom: the block the table, the ball and the obstacle; the ball the obstacle.
_TABLE, _PUSHED = 1, 2

# Of a contact sensor: what it tells, which contacts it tells of where they are many.
_FOUND, _UNREDUCED = 1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0


def push_model(
    task: PushTask,
    perturbed: Perturbation = NOMINAL,
    *,
    torque_limit: float | None = None,
    torque_motors: bool = False,
    timestep: float | None = None,
    shapes: bool = False,
) -> mujoco.MjModel:
    """The task's scene, the robot's base at the origin.

    Args:
      task: The task.
      perturbed: How the robot differs from its description.
      torque_limit: Bound on every joint's torque beside its own effort limit, N·m; with task-space motors only.
      torque_motors: A torque motor per joint, as the robot has them, instead of the task-space motors.
      timestep: Physics step, s; the task's if not given.
      shapes: Whether the arm's links keep their shapes, which are only to be looked at.

    Raises:
      ValueError: if the torque limit is not positive, or given for torque motors.
    """
    if torque_motors and torque_limit is not None:
        raise ValueError("torque motors obey what they are sent: bound the torque before (safety/filter/envelope.py)")
    spec = arm_spec(task.robot, perturbed, task.timestep_s if timestep is None else timestep)
    # Friction equal in all directions, with fewer constraints than a pyramid's.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.compiler.discardvisual = not shapes
    if torque_motors:
        add_motors(spec, task.robot)
    else:
        add_task_space_motors(spec, task.robot, torque_limit)
    if shapes:
        spec.worldbody.add_light(pos=(0.2, 0.8, 2.0), dir=(0.1, -0.35, -1.0), diffuse=(0.5, 0.5, 0.5))
        spec.add_texture(
            name="sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            rgb1=(0.95, 0.95, 0.94),
            width=16,
            height=96,
        )
    (ball,) = spec.body(task.robot.tool_link).geoms
    _surface(ball, task.friction, _PUSHED, _PUSHED)
    table = spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=task.table_centre, size=(1.0, 1.0, 0.1)
    )
    _surface(table, task.friction, _TABLE, 0)
    x, y, z = task.table_centre
    block = spec.worldbody.add_body(name=BLOCK, pos=(x, y, z + 0.5 * task.block_size[2]))
    block.add_freejoint()
    shape = block.add_geom(
        name=BLOCK,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.5 * edge for edge in task.block_size],
        mass=task.block_mass,
        rgba=(0.8, 0.45, 0.1, 1.0),
    )
    _surface(shape, task.friction, _TABLE | _PUSHED, _TABLE | _PUSHED)
    if task.obstacle_size is not None:
        half = 0.5 * task.obstacle_size
        moves = task.obstacle_mass is not None
        obstacle = spec.worldbody.add_body(name=OBSTACLE, pos=(x, y, z + half), mocap=not moves)
        cube = obstacle.add_geom(
            name=OBSTACLE, type=mujoco.mjtGeom.mjGEOM_BOX, size=(half, half, half), rgba=(0.7, 0.1, 0.1, 1.0)
        )
        if moves:
            obstacle.add_freejoint()
            cube.mass = task.obstacle_mass
            ball.name = BALL
            _surface(cube, task.friction, _TABLE | _PUSHED, _TABLE | _PUSHED)
            _add_contacts(spec)
        else:
            _surface(cube, task.friction, _PUSHED, _PUSHED)
            _add_touch(spec, obstacle, half)
    return spec.compile()


def _add_touch(spec: mujoco.MjSpec, obstacle: mujoco.MjsBody, half: float) -> None:
    """Sense the load on an obstacle that nothing else bears on."""
    felt = 1.1 * half
    obstacle.add_site(name=TOUCH, type=mujoco.mjtGeom.mjGEOM_BOX, size=(felt, felt, felt), rgba=(0, 0, 0, 0))
    spec.add_sensor(name=TOUCH, type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=TOUCH)


def _add_contacts(spec: mujoco.MjSpec) -> None:
    """Count the contacts of the obstacle with the block and the ball: a touch sensor would feel the table, too."""
    for other in (BLOCK, BALL):
        sensor = spec.add_sensor(
            name=f"{TOUCH}_{other}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_GEOM,
            objname=OBSTACLE,
            reftype=mujoco.mjtObj.mjOBJ_GEOM,
            refname=other,
        )
        sensor.intprm[:3] = (_FOUND, _UNREDUCED, 1)


def _surface(geom: mujoco.MjsGeom, friction: float, contype: int, conaffinity: int) -> None:
    geom.condim = 4
    geom.friction = (friction, 0.005, 0.0001)
    geom.contype, geom.conaffinity = contype, conaffinity
