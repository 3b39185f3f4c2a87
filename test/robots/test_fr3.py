# SPDX-License-Identifier: Apache-2.0
"""The FR3's URDF says what Franka publishes, and urdf/fr3.xml is the same arm."""

from __future__ import annotations

import copy
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from safe_transfer_ros import resources
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.fr3_speed import FR3_SPEED
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.simulation import build_model
from safe_transfer_ros.safety.filter.envelope import Envelope, EnvelopeSettings
from safe_transfer_ros.tasks.deployment import in_graph

ROBOT = load("fr3")
FOR_FRANKA_SIM = mujoco.MjModel.from_xml_path(str(resources.path("urdf/fr3.xml")))
# "Limits for Franka Research 3" of Franka's FCI documentation: lower, upper, velocity, effort.
PUBLISHED = (
    (-2.7437, 2.7437, 2.62, 87.0),
    (-1.7837, 1.7837, 2.62, 87.0),
    (-2.9007, 2.9007, 2.62, 87.0),
    (-3.0421, -0.1518, 2.62, 87.0),
    (-2.8065, 2.8065, 5.26, 12.0),
    (0.5445, 4.5169, 4.18, 12.0),
    (-3.0159, 3.0159, 5.26, 12.0),
)


def test_limits_equal_the_published_numbers() -> None:
    limits = ROBOT.limits
    assert ROBOT.joint_names == tuple(f"fr3_joint{number}" for number in range(1, 8))
    for index, (lower, upper, velocity, effort) in enumerate(PUBLISHED):
        assert (limits.lower[index], limits.upper[index]) == (lower, upper)
        assert (limits.velocity[index], limits.effort[index]) == (velocity, effort)
    np.testing.assert_allclose(limits.soft_lower - limits.lower, 0.1, atol=1e-12)
    np.testing.assert_allclose(limits.upper - limits.soft_upper, 0.1, atol=1e-12)
    assert (limits.soft_lower < ROBOT.home).all() and (ROBOT.home < limits.soft_upper).all()


def test_the_speed_that_the_arm_bears_is_the_published_one() -> None:
    """Far from the ends the description's; .1 rad before the end of joint 1: -0.3 + sqrt(12 * 0.1064) = 0.83."""
    slowest, fastest = FR3_SPEED.bounds(np.array([0.0, 0.0, 0.0, -1.6, 0.0, 2.5, 0.0]))
    np.testing.assert_array_equal(fastest, ROBOT.limits.velocity)
    np.testing.assert_array_equal(slowest, -ROBOT.limits.velocity)
    near = np.array([2.6437, -1.6837, 0.0, -0.1518, 0.0, 0.5445, 3.5])
    slowest, fastest = FR3_SPEED.bounds(near)
    assert fastest[0] == pytest.approx(-0.3 + np.sqrt(12.0 * 0.1064))
    assert slowest[1] == pytest.approx(0.2 - np.sqrt(2.0 * 2.585 * 0.1081))
    assert fastest[3] == slowest[5] == fastest[6] == 0.0


@pytest.mark.parametrize("torque_limit", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_constant_torque_drives_a_joint_into_the_arms_speed_limit(torque_limit: float, sign: float) -> None:
    """The filter's envelope every other cycle, two cycles late, on the arm as franka-sim has it; joint after joint."""
    model = copy.copy(FOR_FRANKA_SIM)
    model.opt.gravity[:] = 0.0  # the arm's own part
    data = mujoco.MjData(model)
    soft = in_graph("fr3_cup_swirl").task.soft_limits
    for joint in range(7):
        mujoco.mj_resetData(model, data)
        data.qpos[:] = ROBOT.home
        envelope = Envelope(ROBOT.limits.effort, EnvelopeSettings(), soft)
        wanted, late = np.zeros(7), [np.zeros(7)] * 3
        wanted[joint] = sign * torque_limit
        fastest = 0.0
        for cycle in range(3000):
            if cycle % 2 == 0:
                envelope.apply(wanted, torque_limit, 0.002, state=(data.qpos.copy(), data.qvel.copy()))
            late = [*late[1:], envelope.previous]
            data.qfrc_applied[:] = late[0]
            mujoco.mj_step(model, data)
            least, most = FR3_SPEED.bounds(data.qpos)
            assert (least <= data.qvel).all() and (data.qvel <= most).all(), (joint, cycle, data.qpos, data.qvel)
            fastest = max(fastest, abs(data.qvel[joint]))
        assert fastest > 0.2, "it moved"


def test_nothing_in_the_description_can_hold_a_torque() -> None:
    assert "<safety_controller" not in ROBOT.urdf.split("-->")[-1]


def test_the_flange_is_where_the_documentation_puts_it() -> None:
    """At zero Denavit and Hartenberg's lengths add up: a4 and a5 cancel, a7 = .088; d1 + d3 + d5 - .107."""
    flange = SerialChain(ROBOT).tool_position(np.zeros(7))
    np.testing.assert_allclose(flange, [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107], atol=1e-12)


def test_the_arm_for_franka_sim_is_the_arm_of_the_description() -> None:
    ours, theirs = build_model(ROBOT), FOR_FRANKA_SIM
    names = [theirs.joint(index).name for index in range(theirs.njnt)]
    assert names == list(ROBOT.joint_names)
    np.testing.assert_allclose(theirs.jnt_range, np.stack([ROBOT.limits.lower, ROBOT.limits.upper], axis=1))
    np.testing.assert_array_equal(theirs.dof_armature, ROBOT.armature)
    random = np.random.default_rng(5)
    for _ in range(3):
        position = random.uniform(ROBOT.limits.lower, ROBOT.limits.upper)
        inertia, gravity = zip(*(_dynamics(model, position) for model in (ours, theirs)), strict=True)
        np.testing.assert_allclose(*inertia, atol=1e-5)
        np.testing.assert_allclose(*gravity, atol=1e-3)


def elements(name: str) -> dict[str, str]:
    """Joints and links of a robot's URDF, by kind and name, as text; Panda's are told by an FR3's names."""
    root = ElementTree.fromstring(load(name).urdf.replace("panda_", "fr3_"))
    return {
        f"{element.tag} {element.get('name')}": "".join(ElementTree.tostring(element, encoding="unicode").split())
        for element in root
        if element.tag in ("joint", "link")
    }


def test_the_pusher_is_this_arm_with_the_pandas_hand_and_rod() -> None:
    pusher, arm, panda = elements("fr3_pusher"), elements("fr3"), elements("panda")
    own = {f"link fr3_link{number}" for number in range(9)} | {f"joint fr3_joint{number}" for number in range(1, 9)}
    assert own <= pusher.keys() and pusher == {name: arm[name] for name in own} | {
        name: panda[name] for name in pusher.keys() - own
    }
    assert pusher.keys() - own == panda.keys() - own
    robot, other = load("fr3_pusher"), load("panda")
    for name, values in vars(robot.limits).items():
        np.testing.assert_array_equal(values, getattr(ROBOT.limits, name), err_msg=name)
    np.testing.assert_allclose(
        SerialChain(robot).tool_position(robot.home), SerialChain(other).tool_position(other.home), atol=1e-9
    )
    assert (robot.limits.soft_lower < robot.home).all() and (robot.home < robot.limits.soft_upper).all()


def test_the_pushers_gains_are_critical_for_what_they_are_said_to_be() -> None:
    gains = load("fr3_pusher").task_space
    assert gains is not None and gains.posture_joint == "fr3_joint3"
    assert gains.damping == pytest.approx(2.0 * np.sqrt(gains.stiffness * 3.0), rel=0.02)
    assert gains.rotational_damping == pytest.approx(2.0 * np.sqrt(gains.rotational_stiffness * 0.15), rel=0.02)


def _dynamics(model: mujoco.MjModel, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inertia matrix, kg m2, and g(q), N m, at rest."""
    data = mujoco.MjData(model)
    data.qpos[:] = position
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    return inertia, data.qfrc_bias.copy()
