# SPDX-License-Identifier: Apache-2.0
"""The robot in MuJoCo: a model built from the description, perturbed on request, and one arm to step.

Fixed links are fused into the moving ones (half as much again in speed); the tool frame survives as a site.
Nothing collides. A step starts the constraint solver cold, so the next state is a function of position,
velocity and torque alone: `mujoco.rollout`, the in-process environment and the simulated robot in the ROS
graph then give the same numbers.
"""

from __future__ import annotations

import dataclasses
import math

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.registry import Registry
from safe_transfer_ros.robots.description import RobotDescription

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Perturbation:
    """Difference of a simulated robot from the one the policy was trained on.

    Factors apply to every moving body, payload included, and every joint. Scale the armature with the rest:
    with the motors' inertia kept, a robot of a tenth of the mass is hardly any lighter.

    Attributes:
      mass: Factor on each link's mass.
      damping: Factor on each joint's viscous friction.
      inertia: Factor on each link's moments of inertia about its own centre of mass.
      armature: Factor on each joint's motor inertia.
      frictionloss: Coulomb friction added to each joint, N·m.
      joint_friction: Coulomb friction added to single ones as well, by driven joint, N·m; empty: none.
    """

    mass: float = 1.0
    damping: float = 1.0
    inertia: float = 1.0
    armature: float = 1.0
    frictionloss: float = 0.0
    joint_friction: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no robot can be.

        Raises:
          ValueError: if mass or inertia is not positive, anything else negative, or a value not finite.
        """
        values = dataclasses.asdict(self)
        single = [("joint_friction", value) for value in values.pop("joint_friction")]
        for name, value in (*values.items(), *single):
            positive = name in ("mass", "inertia")
            if not math.isfinite(value) or value < 0.0 or (positive and value == 0.0):
                bound = "positive" if positive else "not negative"
                raise ValueError(f"perturbation: {name} must be finite and {bound}, got {value}")


class UnstableSimulationError(RuntimeError):
    """The physics step diverged; the simulated robot has no state any more."""


NOMINAL = Perturbation()

PERTURBATIONS: Registry[Perturbation] = Registry("perturbation")
for _name, _perturbation in {
    "nominal": NOMINAL,
    # PSPT's own: "all masses and damping parameters ... and moments of inertia by a factor of 10", and nothing else.
    "literal": Perturbation(mass=0.1, damping=0.1, inertia=0.1),
    "tenth": Perturbation(mass=0.1, damping=0.1, inertia=0.1, armature=0.1),
    "thirtieth": Perturbation(mass=1 / 30, damping=1 / 30, inertia=1 / 30, armature=1 / 30),
    # Inertia a tenth, as PSPT has it: with the armature / 100 a 5 ms step is no longer stable.
    "hundredth": Perturbation(mass=0.01, damping=0.01, inertia=0.1, armature=0.1),
    "light_sticky": Perturbation(mass=0.1, damping=0.1, inertia=0.1, armature=0.1, frictionloss=0.2),
}.items():
    PERTURBATIONS.add(_name, _perturbation)


def perturbation(name: str) -> Perturbation:
    """A named perturbation.

    Raises:
      ValueError: if the name is unknown; names the nearest known one.
    """
    return PERTURBATIONS[name]


def build_model(
    description: RobotDescription, perturbed: Perturbation = NOMINAL, timestep: float = 0.005
) -> mujoco.MjModel:
    """MuJoCo model of the arm alone: a motor per driven joint, named as the joint, in the description's order.

    Args:
      description: The robot.
      perturbed: How the model differs from the description.
      timestep: Physics step, s.

    Returns:
      A model with `nu` = number of driven joints, a site named as the tool link, gravity compensation if the
      robot has it.

    Raises:
      ValueError: if the timestep is not positive, joint_friction is not of its joints, or the URDF does not compile.
    """
    spec = arm_spec(description, perturbed, timestep)
    add_motors(spec, description)
    return spec.compile()


def arm_spec(
    description: RobotDescription, perturbed: Perturbation = NOMINAL, timestep: float = 0.005
) -> mujoco.MjSpec:
    """The arm as a specification to be added to: without motors; its links have shapes but touch nothing.

    The arguments and errors are those of `build_model`. What is added later is not perturbed.
    """
    if not (math.isfinite(timestep) and timestep > 0.0):
        raise ValueError(f"the timestep must be a positive number of seconds, got {timestep}")
    spec = mujoco.MjSpec.from_string(description.urdf)
    spec.compiler.fusestatic = True
    spec.option.timestep = timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # By default MuJoCo answers an unstable state by starting again from zero and going on.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    tool = spec.body(description.tool_link)
    if tool is None:
        raise ValueError(f"the URDF of '{description.name}' has no link '{description.tool_link}'")
    tool.add_site(name=description.tool_link)
    if description.payload is not None:
        held = tool.add_body(name=description.payload.name)
        held.mass, held.inertia = description.payload.mass, description.payload.principal_inertia()
        held.ipos = [0.0, 0.0, 0.0]
        held.explicitinertial = True
    if description.gravity_compensated:
        for body in spec.bodies[1:]:
            body.gravcomp = 1.0
    for geom in spec.geoms:
        geom.contype = geom.conaffinity = 0
        # A link without <inertial> would get a mass from its shape.
        geom.mass = 0.0
    for name, armature in zip(description.joint_names, description.armature, strict=True):
        spec.joint(name).armature = float(armature)
    _perturb(spec, perturbed)
    if len(perturbed.joint_friction) not in (0, len(description.joint_names)):
        raise ValueError(
            f"joint_friction must have one value for each of {', '.join(description.joint_names)}, got "
            f"{len(perturbed.joint_friction)}"
        )
    for name, friction in zip(description.joint_names, perturbed.joint_friction, strict=False):
        spec.joint(name).frictionloss += friction
    return spec


def add_motors(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add a torque motor per driven joint, named as the joint, in the description's order."""
    for name in description.joint_names:
        spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT).set_to_motor()


def _perturb(spec: mujoco.MjSpec, perturbed: Perturbation) -> None:
    """Scale a model before it is compiled.

    Scaling a compiled model and calling mj_setConst would leave `stat.meaninertia`, by which the solver
    judges its convergence, at the old robot's value.
    """
    for body in spec.bodies:
        body.mass *= perturbed.mass
        # MuJoCo reads one of the two; the other is unset.
        body.inertia = np.asarray(body.inertia) * perturbed.inertia
        body.fullinertia = np.asarray(body.fullinertia) * perturbed.inertia
    for joint in spec.joints:
        joint.damping = np.asarray(joint.damping) * perturbed.damping
        joint.armature *= perturbed.armature
        joint.frictionloss += perturbed.frictionloss


def check_stable(velocity: Array, timestep: float) -> None:
    """Raise on velocities that are not physical any more.

    Raises:
      UnstableSimulationError: if a velocity is not finite or beyond any that a step could resolve.
    """
    # Half a turn in one step; NaN compares false.
    bound = math.pi / timestep
    fastest = np.abs(velocity).max()
    if not fastest < bound:
        raise UnstableSimulationError(
            f"the simulation diverged (joint speed {fastest:.3g} rad/s, bound {bound:.3g}); use a milder "
            "perturbation or a shorter timestep"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class JointAddresses:
    """Addresses of joints in MuJoCo's arrays, every field of shape (n_joints,).

    Attributes:
      position: Indices into qpos.
      velocity: Indices into qvel.
      motor: Indices into ctrl.
    """

    position: npt.NDArray[np.int64]
    velocity: npt.NDArray[np.int64]
    motor: npt.NDArray[np.int64]


def joint_addresses(model: mujoco.MjModel, joint_names: tuple[str, ...]) -> JointAddresses:
    """Look up joints and the motors named as they are.

    Raises:
      ValueError: if a joint or its motor is missing from the model.
    """
    indices: dict[mujoco.mjtObj, list[int]] = {}
    for kind, count in ((mujoco.mjtObj.mjOBJ_JOINT, model.njnt), (mujoco.mjtObj.mjOBJ_ACTUATOR, model.nu)):
        known = {mujoco.mj_id2name(model, kind, index): index for index in range(count)}
        for name in joint_names:
            if name not in known:
                raise ValueError(f"the model has no joint and motor named '{name}': {nearest(name, known)}")
        indices[kind] = [known[name] for name in joint_names]
    joints = indices[mujoco.mjtObj.mjOBJ_JOINT]
    return JointAddresses(
        position=model.jnt_qposadr[joints].astype(np.int64),
        velocity=model.jnt_dofadr[joints].astype(np.int64),
        motor=np.array(indices[mujoco.mjtObj.mjOBJ_ACTUATOR], dtype=np.int64),
    )


class ArmSimulation:
    """One arm in MuJoCo, seen through its joint names.

    Attributes:
      model: The model stepped.
      data: Its state.
      joint_names: Joints, in the order of every array given or returned.
    """

    def __init__(self, model: mujoco.MjModel, joint_names: tuple[str, ...]) -> None:
        """Look up each joint and its motor by name.

        Raises:
          ValueError: if a joint or its motor is missing from the model.
        """
        self.model = model
        self.data = mujoco.MjData(model)
        self.joint_names = tuple(joint_names)
        addresses = joint_addresses(model, self.joint_names)
        self._q, self._v, self._u = addresses.position, addresses.velocity, addresses.motor

    @property
    def position(self) -> Array:
        """Joint positions, shape (n_joints,), rad; a copy."""
        position: Array = self.data.qpos[self._q]
        return position

    @property
    def velocity(self) -> Array:
        """Joint velocities, shape (n_joints,), rad/s; a copy."""
        velocity: Array = self.data.qvel[self._v]
        return velocity

    @property
    def time(self) -> float:
        """Simulated time since the last reset, s."""
        return float(self.data.time)

    def reset(self, position: Array, velocity: Array | float = 0.0) -> None:
        """Put the arm at a joint position and velocity, time zero.

        Raises:
          ValueError: if a shape is wrong or a value is not finite.
        """
        position = self._checked(position, "position", "rad")
        velocity = self._checked(np.broadcast_to(velocity, position.shape), "velocity", "rad/s")
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._q] = position
        self.data.qvel[self._v] = velocity

    def step(self, torque: Array, substeps: int = 1) -> None:
        """Hold a torque for some physics steps.

        Args:
          torque: Shape (n_joints,), N·m. The model bounds it by each joint's effort limit.
          substeps: Physics steps.

        Raises:
          ValueError: if the shape is wrong or a value is not finite: MuJoCo would drop every motor's torque
            for that step and only warn, a real controller would deactivate.
        """
        self.data.ctrl[self._u] = self._checked(torque, "torque", "N·m")
        self.data.qacc_warmstart[:] = 0.0
        mujoco.mj_step(self.model, self.data, substeps)
        check_stable(self.data.qvel, self.model.opt.timestep)

    def _checked(self, values: Array, what: str, unit: str) -> Array:
        array = np.asarray(values, dtype=np.float64)
        if array.shape != self._q.shape:
            raise ValueError(f"{what} must have shape {self._q.shape} ({unit}, one per joint), got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{what} must be finite ({unit}), got {array.tolist()}; the simulation was not changed")
        return array
