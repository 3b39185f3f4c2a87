# SPDX-License-Identifier: Apache-2.0
"""Doggo and the point in their hallways, against numbers worked out by hand: masses, motors, what they touch."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.floor import FLOOR, floor
from safe_transfer_ros.tasks.hallway.body import DoggoBody, PointBody
from safe_transfer_ros.tasks.hallway.course import Hall, Poles
from safe_transfer_ros.tasks.hallway.doggo import add_doggo
from safe_transfer_ros.tasks.hallway.scene import BODY, CAMERA, hallway_model
from safe_transfer_ros.tasks.hallway.simulation import HallwaySimulation
from safe_transfer_ros.tasks.hallway.task import HallwayDoggoPoles

HALL = Hall(half_width=1.5, length=20.0, passage=0.9)


def doggo() -> mujoco.MjModel:
    spec = floor(0.01)
    add_doggo(spec, BODY, contype=3)
    return spec.compile()


def test_doggo_weighs_what_its_parts_do_and_has_the_joints_it_says() -> None:
    model = doggo()

    def capsule(length: float) -> float:
        return math.pi * 0.032**2 * length + 4.0 / 3.0 * math.pi * 0.032**3

    upper, lower = math.hypot(0.098, 0.0566, 0.05), math.hypot(0.1176, 0.0679, 0.1)
    mass = 2.0 * 0.5 * math.pi * 0.075**2 * 0.2 + 4.0 * 5.0 * (capsule(upper) + capsule(lower))
    assert model.body_mass.sum() == pytest.approx(mass) and 0.02 < mass < 0.03
    body = DoggoBody()
    assert tuple(model.joint(number).name for number in range(1, model.njnt)) == body.joints
    np.testing.assert_allclose(model.jnt_range[1:], body.joint_range, atol=1e-12)
    motors = [model.actuator(number).name for number in range(model.nu)]
    assert motors == [joint for joint in body.joints if joint != "waist"] and model.nu == body.actions == 12
    data = mujoco.MjData(model)
    data.ctrl[:] = 5.0  # beyond the range
    mujoco.mj_forward(model, data)
    driven = np.delete(data.qfrc_actuator[6:], body.joints.index("waist"))
    np.testing.assert_allclose(driven, 0.0125, atol=1e-12)


def test_doggo_stands_on_its_feet_and_is_alike_on_both_sides() -> None:
    model, body = doggo(), DoggoBody()
    data = mujoco.MjData(model)
    data.qpos[:] = body.start(np.array([0.3, -0.2]), 0.7)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    farthest = max(
        float(np.hypot(*(data.geom_xpos[geom] - data.body(BODY).xpos)[:2])) for geom in range(1, model.ngeom)
    )
    assert farthest < body.radius
    mujoco.mj_step(model, data, 300)
    motion = body.motion(data.qpos.copy(), data.qvel.copy())
    assert 0.15 < motion.position[2] < 0.2 and motion.rotation[2, 2] > 0.99
    assert {model.geom(contact.geom1).name for contact in data.contact} == {FLOOR} and data.ncon == 4
    np.testing.assert_allclose(motion.rotation[:2, 0], [math.cos(0.7), math.sin(0.7)], atol=0.02)
    angles = dict(zip(body.joints, motion.joint_position, strict=True))
    for left, right in (("1", "2"), ("3", "4")):
        for joint in ("hip_z", "hip_y", "ankle"):
            assert angles[f"{joint}_{left}"] == pytest.approx(angles[f"{joint}_{right}"], abs=0.02)


def test_doggos_legs_go_where_their_joints_say() -> None:
    """Outwards for hip_z, down for hip_y, and a bent ankle stretched ahead by a negative angle."""
    model, body = doggo(), DoggoBody()

    def foot(leg: str, **angles: float) -> np.ndarray:
        data = mujoco.MjData(model)
        data.qpos[:] = body.start(np.zeros(2), 0.0)
        for joint, angle in angles.items():
            data.qpos[7 + body.joints.index(f"{joint}_{leg}")] = angle
        mujoco.mj_kinematics(model, data)
        shin = data.body(f"shin_{leg}")
        side = 1.0 if leg in "13" else -1.0
        return np.asarray(shin.xpos + shin.xmat.reshape(3, 3) @ (-0.1176, -0.0679 * side, -0.1))

    for leg, left in (("1", 1.0), ("2", -1.0), ("3", 1.0), ("4", -1.0)):
        still = foot(leg)
        np.testing.assert_allclose(still[:2], [0.2 * (1.0 if leg in "12" else -1.0) - 0.0196, left * 0.0887], atol=1e-3)
        assert foot(leg, ankle=-1.0)[0] > still[0] + 0.05
        assert foot(leg, hip_y=0.3)[0] < still[0] - 0.02
        knee = mujoco.MjData(model)
        knee.qpos[:] = body.start(np.zeros(2), 0.0)
        knee.qpos[7 + body.joints.index(f"hip_z_{leg}")] = 0.3
        mujoco.mj_kinematics(model, knee)
        assert left * knee.body(f"shin_{leg}").xpos[1] > 0.1 + 0.0566 + 0.02


def test_random_torques_do_not_upset_the_physics() -> None:
    simulation = HallwaySimulation(HallwayDoggoPoles(), 4)
    rng = np.random.default_rng(0)
    for row in range(4):
        simulation.place(row, simulation.task.start(rng))
    for _ in range(150):
        simulation.step(np.sign(rng.standard_normal((4, 12))))
    motion = simulation.motions()
    assert np.isfinite(simulation.state).all() and np.abs(motion.joint_velocity).max() < 40.0
    assert (np.abs(motion.position[:, 1]) < 1.5).all() and (motion.position[:, 2] > 0.05).all()
    simulation.close()


@pytest.mark.parametrize(("body", "floor_too"), [(PointBody(), False), (DoggoBody(), True)], ids=["point", "doggo"])
def test_a_body_touches_obstacles_and_sides_and_only_doggo_the_floor(
    body: PointBody | DoggoBody, floor_too: bool
) -> None:
    """Put where each of them is, it has contacts that only their sensor tells; its own parts have none."""
    model = hallway_model(body, Poles(HALL), 2)
    data = mujoco.MjData(model)

    def told(x: float, y: float, poles: list[tuple[float, float]]) -> list[bool]:
        mujoco.mj_resetData(model, data)
        data.qpos[:] = body.start(np.array([x, y]), 0.0)
        if floor_too:
            data.qpos[2] = 0.17
        for number, pole in enumerate(poles):
            data.mocap_pos[number] = (*pole, 0.5)
        mujoco.mj_forward(model, data)
        on_floor = {contact.geom1 for contact in data.contact} | {contact.geom2 for contact in data.contact}
        assert (model.geom(FLOOR).id in on_floor) == floor_too
        return [bool(value > 0.0) for value in data.sensordata]

    assert model.sensor(0).name == "touch_sides" and model.sensor(2).name == "touch_obstacle_1_0"
    assert told(0.0, 0.0, [(5.0, 0.0), (7.0, 0.0)]) == [False, False, False]
    assert told(5.0, 0.1, [(5.0, 0.0), (7.0, 0.0)]) == [False, True, False]
    assert told(7.0, 0.1, [(5.0, 0.0), (7.0, 0.0)]) == [False, False, True]
    assert told(2.0, 1.45, [(5.0, 0.0), (7.0, 0.0)]) == [True, False, False]
    assert model.cam_fovy[model.camera(CAMERA).id] == body.fovy_deg
    np.testing.assert_allclose(model.cam_pos[model.camera(CAMERA).id], body.camera)
