# SPDX-License-Identifier: Apache-2.0
"""The hand's model against numbers worked out by hand, and its start: nothing is inside anything else."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.cube_in_hand.hand import HIGH, JOINTS, LOW, START
from safe_transfer_ros.tasks.cube_in_hand.scene import CUBE, CUBE_START, HALF_EDGE, hand_model, touching


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return hand_model(timestep=0.0025)


def posed(model: mujoco.MjModel, **angles: float) -> mujoco.MjData:
    """The hand at its start, but for some joints."""
    data = mujoco.MjData(model)
    for joint in JOINTS:
        data.joint(joint.name).qpos = angles.get(joint.name, joint.start)
    mujoco.mj_forward(model, data)
    return data


def test_there_are_24_joints_in_the_order_of_the_motors(model: mujoco.MjModel) -> None:
    names = [joint.name for joint in JOINTS]
    assert len(names) == len(set(names)) == model.nu == 24
    assert names[:6] == ["WRJ1", "WRJ0", "FFJ3", "FFJ2", "FFJ1", "FFJ0"]
    assert names[14:] == ["LFJ4", "LFJ3", "LFJ2", "LFJ1", "LFJ0", "THJ4", "THJ3", "THJ2", "THJ1", "THJ0"]
    assert [model.actuator(index).name for index in range(24)] == names
    assert [model.joint(index + 1).name for index in range(24)] == names
    np.testing.assert_allclose(model.jnt_range[1:], np.stack([LOW, HIGH], axis=1))
    np.testing.assert_allclose(model.actuator_ctrlrange, np.stack([LOW, HIGH], axis=1))
    assert (LOW <= START).all() and (START <= HIGH).all()


def test_masses_and_servos_are_those_stated(model: mujoco.MjModel) -> None:
    fingers, thumb = 4 * (0.008 + 0.014 + 0.012 + 0.010), 0.010 + 0.016 + 0.002 + 0.016 + 0.016
    assert model.body_subtreemass[model.body("wrist").id] == pytest.approx(0.3 + 0.3 + 0.075 + fingers + thumb)
    assert model.body_mass[model.body(CUBE).id] == pytest.approx(0.05)
    np.testing.assert_allclose(model.body_inertia[model.body(CUBE).id], 6.48e-5)
    np.testing.assert_array_equal(model.body_ipos[model.body(CUBE).id], 0.0)  # MuJoCo's default is the body's place
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], [5.0] * 2 + [1.0] * 22)
    np.testing.assert_allclose(model.dof_damping[6:], [0.5] * 2 + [0.1] * 22)


def test_stretched_fingers_are_as_long_as_their_links(model: mujoco.MjModel) -> None:
    """Palm up, the fingers point along the world's y axis, and bend up."""
    straight = {joint.name: 0.0 for joint in JOINTS}
    flat = posed(model, **straight)
    tip = flat.body("FF_distal")
    end = tip.xpos + 0.024 * tip.xmat.reshape(3, 3)[:, 2]
    np.testing.assert_allclose(end, (0.033, -0.4 + 0.29 + 0.095 + 0.045 + 0.025 + 0.024, 0.19), atol=1e-9)
    bent = posed(model, **straight | {"FFJ2": 0.5 * math.pi})
    np.testing.assert_allclose(bent.body("FF_middle").xpos, (0.033, -0.015, 0.19 + 0.045), atol=1e-9)
    np.testing.assert_allclose(flat.geom("FF_distal").xpos, tip.xpos + (0.0, 0.012, 0.0), atol=1e-9)
    lifted = posed(model, **straight | {"WRJ0": 0.5})
    assert lifted.body("MF_distal").xpos[2] > 0.19 + 0.05


def test_the_start_holds_the_cube_just_above_the_palm_and_touches_nothing(model: mujoco.MjModel) -> None:
    data = posed(model)
    assert data.ncon == 0
    np.testing.assert_allclose(data.body(CUBE).xpos, CUBE_START)
    gap = mujoco.mj_geomDistance(model, data, model.geom("cube_z").id, model.geom("palm").id, 0.1, None)
    assert gap == pytest.approx(0.24 - HALF_EDGE - (0.19 + 0.0111), abs=1e-6)


def test_the_cube_is_as_wide_as_stated_with_round_edges(model: mujoco.MjModel) -> None:
    """Along an axis half an edge; along a face's diagonal the edge's capsule."""
    data, along, across = posed(model), 0.0334, math.sqrt(2.0) * 0.0285 + 0.005
    half = math.sqrt(0.5)
    hit = np.zeros(1, dtype=np.int32)
    for direction, expected in (
        ((0.0, 0.0, 1.0), along),
        ((0.0, -1.0, 0.0), along),
        ((0.0, half, half), across),
        ((half, 0.0, half), across),
        ((0.0, -half, half), across),
    ):
        start = np.array(CUBE_START) + 0.05 * np.array(direction)
        distance = mujoco.mj_ray(model, data, start, -np.array(direction), None, 1, -1, hit)
        assert model.geom_bodyid[hit[0]] == model.body(CUBE).id
        assert 0.05 - distance == pytest.approx(expected, abs=1e-6), direction


def test_the_cube_touches_every_part_and_parts_of_the_hand_only_those_listed(model: mujoco.MjModel) -> None:
    cube, floor = model.body(CUBE).id, model.geom("floor")
    parts = [model.geom(index) for index in range(model.ngeom) if index != floor.id]
    of_cube = [part for part in parts if part.bodyid[0] == cube]
    assert len(of_cube) == 15 and not floor.contype[0]
    for part in of_cube:
        assert part.conaffinity[0] == 1 and not part.contype[0] & floor.conaffinity[0]
    for part in parts:
        if part.bodyid[0] != cube:
            assert part.contype[0] == 1 and not part.conaffinity[0], part.name
    pairs = {
        frozenset((model.geom(one).name, model.geom(other).name))
        for one, other in zip(model.pair_geom1, model.pair_geom2, strict=True)
    }
    assert pairs == {frozenset(pair) for pair in touching()} and len(pairs) == 9 + 12 + 1
    crossed = posed(model, FFJ3=-0.436, MFJ3=0.436)
    assert {"FF_proximal", "MF_proximal"} in (
        {model.geom(contact.geom1).name, model.geom(contact.geom2).name} for contact in crossed.contact
    )


def test_paint_changes_nothing_but_the_looks(model: mujoco.MjModel) -> None:
    painted = hand_model(timestep=0.0025, painted=True)
    assert painted.ngeom == model.ngeom + 6
    for one in (model, painted):
        data = posed(one)
        mujoco.mj_step(one, data, 80)
        if one is model:
            expected = data.qpos.copy()
    np.testing.assert_array_equal(data.qpos, expected)


def test_a_cube_thrown_at_the_palm_is_stopped_without_sinking_into_it(model: mujoco.MjModel) -> None:
    data, deepest, fastest = posed(model), 0.0, 0.0
    data.ctrl[:] = START
    data.joint(CUBE).qvel[2] = -2.0
    for _ in range(60):
        mujoco.mj_step(model, data)
        deepest, fastest = min(deepest, data.contact.dist.min(initial=0.0)), max(fastest, data.joint(CUBE).qvel[2])
    assert -0.008 < deepest < 0.0 and fastest < 0.5


def test_a_senseless_timestep_is_refused() -> None:
    with pytest.raises(ValueError, match="timestep"):
        hand_model(timestep=0.0)
