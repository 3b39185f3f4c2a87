# SPDX-License-Identifier: Apache-2.0
"""The pushes: what succeeds and what fails, told by scripted pushes in simulation and by scenes made by hand."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from safe_transfer_ros.robots.inverse_kinematics import joint_position_at
from safe_transfer_ros.robots.task_space import TaskSpaceController
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.rotations import rotation_vector, tilt_deg, turned_by, upright
from safe_transfer_ros.tasks.push.scripted import ScriptedPush, from_above, past_obstacle
from safe_transfer_ros.tasks.push.task import PushScene, PushTask, motion_between
from safe_transfer_ros.tasks.push.tasks import PushBoundary, PushObstacle, PushObstacleMovable, PushTopple
from safe_transfer_ros.tasks.task import available, make
from safe_transfer_ros.tasks.torque_task import TorqueTask

TOPPLE, BOUNDARY, OBSTACLE, MOVABLE = PushTopple(), PushBoundary(), PushObstacle(), PushObstacleMovable()


def _scene(**fields: Any) -> PushScene:
    values = {
        "tool": np.array([-0.1, 0.0, 0.03]),
        "tool_velocity": np.zeros(3),
        "block": np.array([0.0, 0.0, 0.05]),
        "orientation": np.array([1.0, 0.0, 0.0, 0.0]),
        "block_velocity": np.zeros(3),
        "block_spin": np.zeros(3),
        "goal": np.array([0.12, 0.0]),
        "obstacle": np.zeros(3),
        "touched": np.array(False),
    }
    return PushScene(**{**values, **{key: np.asarray(value) for key, value in fields.items()}})


def _leaning(degrees: float) -> np.ndarray:
    return np.roll(Rotation.from_euler("zy", [40.0, degrees], degrees=True).as_quat(), 1)


def _push(
    task: PushTask, *, height: float, speed: float, aim: Any = None, around: bool = False, count: int = 8
) -> dict[str, np.ndarray]:
    """How episodes end in which a block is pushed to its goal, or to an aim; "touched": whether any state failed."""
    env = PushVectorEnv(task, count, threads=1, autoreset=False)
    env.reset(seed=0)
    script = ScriptedPush(task, count, height=height, speed=speed, aim=aim)
    ended, touched = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    last: dict[str, np.ndarray] = {key: np.zeros(count, dtype=bool) for key in ("failure", "success")}
    total = np.zeros(count)
    for _ in range(task.horizon):
        scenes = env.simulation.scenes()
        _, reward, terminated, truncated, info = env.step(
            past_obstacle(task, scenes) if around else script.action(scenes)
        )
        total += np.where(ended, 0.0, reward)
        for key, values in last.items():
            values[~ended] = info[key][~ended]
        touched |= info["failure"]
        ended |= terminated | truncated
        if ended.all():
            break
    env.close()
    return {**last, "ended": ended, "return": total, "touched": touched}


def test_low_push_brings_the_block_to_the_goal() -> None:
    for task, height in ((TOPPLE, 0.04), (BOUNDARY, 0.03)):
        outcome = _push(task, height=height, speed=0.12)
        assert outcome["success"].all() and not outcome["failure"].any()
        # .24 m of way less the 3 cm that are left, the ball's approach, and 1 for the goal.
        assert (outcome["return"] > 2.9).all()


def test_push_at_three_quarters_of_its_height_topples_the_block() -> None:
    outcome = _push(TOPPLE, height=0.08, speed=0.15)
    assert outcome["failure"].all() and outcome["ended"].all() and not outcome["success"].any()


def test_push_aside_crosses_the_boundary_and_falls_from_the_table() -> None:
    for task, height in ((BOUNDARY, 0.03), (TOPPLE, 0.04)):
        outcome = _push(task, height=height, speed=0.10, aim=np.array([-0.08, 0.3]), count=4)
        assert outcome["failure"].all() and outcome["ended"].all()


def test_straight_push_hits_the_obstacle_and_one_around_it_does_not() -> None:
    straight = _push(OBSTACLE, height=0.02, speed=0.25)
    assert straight["touched"].all() and straight["ended"].all()
    around = _push(OBSTACLE, height=0.02, speed=0.25, around=True)
    assert around["success"].all() and not around["touched"].any()
    # Nothing for the steps at the goal, -1 for the others.
    assert (around["return"] > -50.0).all() and (around["return"] < -20.0).all()
    assert (straight["return"][~straight["success"]] == -50.0).all()


def test_ball_alone_counts_as_touching_the_obstacle() -> None:
    env = PushVectorEnv(OBSTACLE, 1, threads=1, autoreset=False)
    env.reset(seed=0)
    obstacle = env.simulation.scenes().obstacle[0, :2]
    for waypoint in ((-0.18, 0.15), (0.0, 0.15), obstacle):
        for _ in range(15):
            error = waypoint - env.simulation.scenes().tool[0, :2]
            *_, info = env.step(np.r_[np.clip(error * 8.0 / OBSTACLE.greatest_speed, -0.3, 0.3), 0.0][None])
    assert info["failure"].all()
    env.close()


def test_a_movable_obstacle_gives_way_to_a_straight_push_and_one_around_it_leaves_it_where_it_is() -> None:
    count, found = 12, {}
    for around in (False, True):
        env = PushVectorEnv(MOVABLE, count, threads=1, autoreset=False)
        env.reset(seed=0)
        stood, costs = env.simulation.scenes().obstacle, []
        for _ in range(MOVABLE.horizon):
            *_, info = env.step(from_above(MOVABLE, env.simulation.scenes(), around=around))
            costs.append(info["cost"])
        scene = env.simulation.scenes()
        moved = np.linalg.norm((scene.obstacle - stood)[:, :2], axis=1)
        found[around] = (np.any(costs, axis=0), moved, MOVABLE.at_goal(scene))
        # The table bears it at every step: felt is what else touches it, and that alone moves it.
        assert (moved[~found[around][0]] < 1e-4).all()
        env.close()
    touched, moved, arrived = found[False]
    assert touched.mean() > 0.8 and (moved[touched] > 0.005).mean() > 0.8 and arrived.mean() > 0.8
    touched, _, arrived = found[True]
    assert touched.mean() < 0.4 and arrived.mean() > 0.8


def test_in_a_movable_obstacles_way_cube_and_goal_are_anywhere_and_it_is_between_them() -> None:
    starts = [MOVABLE.start(np.random.default_rng(seed)) for seed in range(300)]
    block, goal, obstacle = (
        np.array([getattr(start, name) for start in starts]) for name in ("block", "goal", "obstacle")
    )
    for drawn in (block, goal):
        assert (np.abs(drawn) <= 0.15).all() and (drawn.min(axis=0) < -0.14).all() and (drawn.max(axis=0) > 0.14).all()
    assert (np.linalg.norm(goal - block, axis=1) >= 0.16).all()
    off = np.linalg.norm(obstacle - 0.5 * (block + goal), axis=1)
    assert off.max() <= 0.02 + 1e-12 and off.max() > 0.015
    for start in starts:
        turned = _scene(tool=MOVABLE.tool_start, block=[*start.block, 0.02], obstacle=MOVABLE.obstacle_at(start))
        assert not MOVABLE.touching(turned.tool, turned.block, turned.orientation, turned.obstacle)


def test_the_movable_obstacles_reward_is_of_the_goal_alone_and_follows_from_the_observation() -> None:
    before, there = _scene(), _scene(block=[0.10, 0.0, 0.02])
    pushed = dataclasses.replace(there, touched=np.array(True))
    assert (MOVABLE.reward(before, pushed), OBSTACLE.reward(before, pushed)) == (0.0, -1.0)
    assert not MOVABLE.succeeded(pushed) and MOVABLE.reward(before, before) == -1.0
    assert MOVABLE.goal is not None and OBSTACLE.goal is None
    rng = np.random.default_rng(0)
    for place in rng.uniform(-0.15, 0.15, (50, 2)):
        scene = _scene(block=[*place, 0.02], goal=[0.05, 0.03])
        seen = MOVABLE.observe(scene)
        away = np.linalg.norm(seen[MOVABLE.goal.reached] - seen[MOVABLE.goal.wanted])
        assert (away <= MOVABLE.goal.tolerance) == (MOVABLE.reward(scene, scene) == 0.0)


@pytest.mark.parametrize(
    ("task", "fields", "failed"),
    [
        (TOPPLE, {"orientation": _leaning(29.9)}, False),
        (TOPPLE, {"orientation": _leaning(30.1)}, True),
        (TOPPLE, {"orientation": -_leaning(30.1)}, True),
        (TOPPLE, {"block": [0.0, 0.0999, 0.05]}, False),
        (TOPPLE, {"block": [0.0, 0.1001, 0.05]}, True),
        (TOPPLE, {"block": [np.nan, 0.0, 0.05]}, True),
        (TOPPLE, {"orientation": [np.nan, 0.0, 0.0, 0.0]}, True),
        (TOPPLE, {"orientation": [1.0, np.nan, 0.0, 0.0]}, True),
        (BOUNDARY, {"block": [0.1749, -0.0749, 0.05]}, False),
        (BOUNDARY, {"block": [0.1751, 0.0, 0.05]}, True),
        (BOUNDARY, {"block": [0.0, -0.0751, 0.05]}, True),
        (BOUNDARY, {"orientation": _leaning(80.0)}, False),
        (OBSTACLE, {"touched": True}, True),
        (OBSTACLE, {"block": [0.3, 0.0, 0.02]}, False),
    ],
)
def test_failure_is_exactly_as_defined(task: PushTask, fields: dict[str, Any], failed: bool) -> None:
    assert task.failed(_scene(**fields)) == failed


def test_success_needs_the_goal_and_no_failure() -> None:
    assert TOPPLE.succeeded(_scene(block=[0.0901, 0.0, 0.05]))
    assert not TOPPLE.succeeded(_scene(block=[0.0899, 0.0, 0.05]))
    assert not TOPPLE.succeeded(_scene(block=[0.12, 0.0, 0.02], orientation=_leaning(90.0)))
    assert OBSTACLE.succeeded(_scene(block=[0.0701, 0.0, 0.02]))
    assert not OBSTACLE.succeeded(_scene(block=[0.12, 0.0, 0.02], touched=True))


def test_rewards_are_those_worked_out_by_hand() -> None:
    before = _scene(tool=[-0.06, 0.0, 0.03], block=[0.0, 0.0, 0.05])
    after = _scene(tool=[-0.02, 0.0, 0.03], block=[0.02, 0.0, 0.05])
    # 2 cm nearer to the goal, the ball 2 cm nearer to the block.
    assert TOPPLE.reward(before, after) == pytest.approx(0.2 + 0.05)
    assert TOPPLE.reward(after, before) == pytest.approx(-0.25)
    there = dataclasses.replace(after, block=np.array([0.10, 0.0, 0.05]))
    assert TOPPLE.reward(before, there) == pytest.approx(1.0 - 0.15 + 1.0)
    sparse = PushTopple(reward="sparse")
    assert (sparse.reward(before, after), sparse.reward(before, there)) == (0.0, 1.0)
    assert (OBSTACLE.reward(before, after), OBSTACLE.reward(before, there)) == (-1.0, 0.0)
    with pytest.raises(ValueError, match="reward must be one of"):
        PushTopple(reward="dance")


def test_observation_is_all_the_scene_in_order_of_one() -> None:
    scene = _scene(
        tool=[-0.1, 0.02, 0.03],
        tool_velocity=[0.15, 0.0, -0.15],
        orientation=-_leaning(10.0),
        block_velocity=[0.03, 0.0, 0.0],
        block_spin=[0.1, 0.2, 0.3],
        goal=[0.12, -0.05],
        obstacle=[0.01, 0.02, 0.02],
    )
    seen = TOPPLE.observe(scene)
    np.testing.assert_allclose(
        seen,
        [-1.0, 0.2, 0.3, 1.0, 0.0, -1.0, 0.0, 0.0, 0.5, *_leaning(10.0), 0.2, 0.0, 0.0, 0.1, 0.2, 0.3, 1.2, -0.5],
    )
    np.testing.assert_array_equal(BOUNDARY.observe(scene), seen)
    around = Rotation.from_euler("zy", [40.0, 10.0], degrees=True).as_rotvec()
    np.testing.assert_allclose(
        OBSTACLE.observe(scene),
        [-1.0, 0.2, 0.3, 0.15, 0.0, -0.15, 0.0, 0.0, 0.5, *around, 0.03, 0.0, 0.0, 0.1, 0.2, 0.2, 1.2, -0.5, 0.2],
    )
    many = PushScene(**{f.name: np.stack([getattr(scene, f.name)] * 3) for f in dataclasses.fields(scene)})
    for task in (TOPPLE, BOUNDARY, OBSTACLE, MOVABLE):
        np.testing.assert_array_equal(task.observe(many)[1], task.observe(scene))


def test_actions_are_fractions_of_the_greatest_speed_and_boundary_keeps_its_height() -> None:
    at = np.array([0.5, 0.0, 0.025])
    np.testing.assert_allclose(TOPPLE.increment(np.array([0.5, -2.0, 1.0]), at), [0.003, -0.006, 0.006])
    np.testing.assert_allclose(BOUNDARY.increment(np.array([0.5, -2.0]), at), [0.003, -0.006, 0.005])
    np.testing.assert_allclose(OBSTACLE.increment(np.array([1.0, 0.0, -9.0]), at), [0.05, 0.0, -0.05])


@pytest.mark.parametrize("task", [TOPPLE, BOUNDARY, OBSTACLE, MOVABLE])
def test_arm_reaches_every_corner_of_the_tools_box_within_its_soft_limits(task: PushTask) -> None:
    controller = TaskSpaceController(task.robot)
    limits = task.robot.limits
    for corner in itertools.product(*zip(task.leash.lower, task.leash.upper, strict=True)):
        q = joint_position_at(controller, task.robot, np.array(corner))
        assert (q > limits.soft_lower + 0.02).all() and (q < limits.soft_upper - 0.02).all(), corner


def test_poses_tell_how_a_body_moved() -> None:
    rng = np.random.default_rng(0)
    first, turn = Rotation.random(20, rng=rng), Rotation.from_rotvec(rng.normal(size=(20, 3)))
    before, after = (np.roll(r.as_quat(), 1, axis=1) for r in (first, turn * first))
    shift = rng.normal(size=(20, 3))
    velocity, spin = motion_between((np.zeros((20, 3)), before), (shift, -after), 0.5)
    np.testing.assert_allclose(velocity, 2.0 * shift)
    np.testing.assert_allclose(spin, 2.0 * turn.as_rotvec(), atol=1e-12)
    np.testing.assert_allclose(rotation_vector(before), first.as_rotvec(), atol=1e-12)
    np.testing.assert_allclose(turned_by(before, before), 0.0, atol=1e-15)
    lean = np.degrees(np.arccos(first.as_matrix()[:, 2, 2]))
    np.testing.assert_allclose(tilt_deg(before), lean, atol=1e-9)
    assert (upright(before)[:, 0] >= 0.0).all()


def test_tasks_are_known_by_name_and_not_mistaken_for_torque_tasks() -> None:
    kinds = ("boundary", "obstacle", "obstacle_movable", "topple")
    names = ("fr3_push_boundary", *(f"panda_push_{kind}" for kind in kinds))
    assert (
        available(PushTask) == names and not set(names) & set(available(TorqueTask)) and set(names) < set(available())
    )
    assert isinstance(make("panda_push_topple", PushTask, reward="sparse"), PushTopple)
    with pytest.raises(ValueError, match="'panda_push_topple' is not a TorqueTask"):
        make("panda_push_topple", TorqueTask)
