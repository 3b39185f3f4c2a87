# SPDX-License-Identifier: Apache-2.0
"""Goals, rewards, drops and observation of the cube's tasks against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.cube_in_hand.hand import HIGH, LOW, START
from safe_transfer_ros.tasks.cube_in_hand.task import CubeInHand, CubeInHandQuarter, HandState, euler_angles
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.sqrl.method import settings_of
from safe_transfer_ros.transfer.training import TrainingPlan


def turned(*angles: float) -> np.ndarray:
    """The quaternion of three hinges in series, about x, y and z, as MuJoCo has it."""
    orientation = np.empty(4)
    mujoco.mju_euler2Quat(orientation, np.array(angles), "xyz")
    return orientation


def state(**changes: Any) -> HandState:
    held = HandState(
        joint_position=START,
        position=np.zeros(3),
        orientation=turned(0.0, 0.0, 0.0),
        velocity=np.zeros(3),
        angular_velocity=np.zeros(3),
    )
    return dataclasses.replace(held, **{name: np.asarray(value) for name, value in changes.items()})


def test_euler_angles_are_those_of_three_hinges_in_series() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1.0, 1.0, (200, 3)) * (math.pi, 0.5 * math.pi, math.pi)
    orientations = np.stack([turned(*one) for one in angles])
    np.testing.assert_allclose(euler_angles(orientations), angles, atol=1e-7)
    np.testing.assert_allclose(euler_angles(-orientations), angles, atol=1e-7)
    upright = euler_angles(turned(0.3, 0.5 * math.pi, 0.0))
    assert np.isfinite(upright).all() and upright[1] == pytest.approx(0.5 * math.pi, abs=1e-6)


@pytest.mark.parametrize(
    ("angles", "goal", "expected"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 1.5), 1.5),
        ((0.0, 0.0, 1.5), (0.0, 0.0, 1.5), 0.0),
        ((0.3, 0.4, 0.0), (0.0, 0.0, 0.0), 0.5),
        # 3 rad and 2.2 rad the other way are 1.083 rad apart, not 5.2.
        ((-3.0, 0.0, 0.0), (2.2, 0.0, 0.0), 2.0 * math.pi - 5.2),
        ((0.0, 0.0, 3.1), (0.0, 0.0, -3.1), 2.0 * math.pi - 6.2),
    ],
)
def test_error_takes_the_shorter_way_about_each_axis(
    angles: tuple[float, ...], goal: tuple[float, ...], expected: float
) -> None:
    assert CubeInHand().error(state(orientation=turned(*angles)), np.array(goal)) == pytest.approx(expected, abs=1e-9)


def test_reward_is_seven_times_the_error_and_five_hundred_for_a_drop() -> None:
    task, goal = CubeInHand(), np.array([0.0, 0.0, 1.5])
    assert task.reward(state(), goal) == pytest.approx(-10.5)
    assert task.reward(state(orientation=turned(0.0, 0.0, 1.5)), goal) == pytest.approx(0.0, abs=1e-9)
    assert task.reward(state(position=(0.0, 0.0, -0.11)), goal) == pytest.approx(-510.5)


def test_a_drop_is_a_fall_by_more_than_ten_centimetres() -> None:
    task = CubeInHand()
    heights = np.array([0.2, -0.099, -0.101, math.nan, -math.inf])
    positions = np.zeros((5, 3))
    positions[:, 2] = heights
    dropped = task.dropped(state(position=positions))
    np.testing.assert_array_equal(dropped, [False, False, True, True, True])


def test_goals_are_turns_about_one_axis_drawn_one_by_one() -> None:
    task = CubeInHand()
    drawn = np.stack([task.goals(np.random.default_rng(seed)) for seed in range(200)])
    assert drawn.shape == (200, 3, 3)
    angle = 0.75 * math.pi
    kinds = {(0.0, 0.0, -angle), (0.0, 0.0, angle), (angle, 0.0, 0.0), (-angle, 0.0, 0.0)}
    assert {tuple(goal) for goal in (drawn.reshape(-1, 3) + 0.0).tolist()} == kinds
    assert 0.15 < (drawn[:, 0] == drawn[:, 1]).all(axis=1).mean() < 0.35  # each for itself


def test_a_goal_holds_for_35_steps() -> None:
    steps = np.array([0, 34, 35, 69, 70, 99, 100])
    np.testing.assert_array_equal(CubeInHand().goal_number(steps), [0, 0, 1, 1, 2, 2, 2])


def test_pre_training_turns_by_quarters_and_the_task_by_an_eighth_more() -> None:
    task, source = CubeInHand(), CubeInHand(**CubeInHand.source_settings)
    assert (task.turn, source.turn) == pytest.approx((0.75 * math.pi, 0.5 * math.pi))
    assert CubeInHandQuarter().turn == source.turn and not CubeInHandQuarter.source_settings
    np.testing.assert_allclose(np.abs(source.goals(np.random.default_rng(0))).max(axis=1), 0.5 * math.pi)


def test_sqrl_has_the_papers_settings_here() -> None:
    found = settings_of(TrainingPlan(task="cube_in_hand", settings=LearnerSettings(), episodes=2))
    assert (found.epsilon, found.gamma) == (0.1, 0.7)


def test_targets_are_linear_on_either_side_of_the_start() -> None:
    task = CubeInHand()
    np.testing.assert_allclose(task.targets(np.zeros(24)), START)
    np.testing.assert_allclose(task.targets(np.ones(24)), HIGH)
    np.testing.assert_allclose(task.targets(-np.ones((2, 24))), [LOW, LOW])
    np.testing.assert_allclose(task.targets(np.full(24, 0.5)), 0.5 * (START + HIGH))
    np.testing.assert_allclose(task.targets(np.full(24, -0.25)), 0.75 * START + 0.25 * LOW)


def test_observation_is_in_the_stated_order() -> None:
    task, actions = CubeInHand(), np.arange(7 * 24.0).reshape(7, 24)
    seen = task.observe(
        state(
            position=(0.01, 0.02, -0.05),
            orientation=turned(0.1, -0.2, 0.3),
            velocity=(1.0, 2.0, 3.0),
            angular_velocity=(4.0, 5.0, 6.0),
        ),
        np.array([7.0, 8.0, 9.0]),
        actions,
    )
    assert seen.shape == (task.observation_size,)
    np.testing.assert_array_equal(seen[:24], START)
    expected = [0.1, 0.2, -0.5, 0.1, -0.2, 0.3, 1.0, 2.0, 3.0, 0.4, 0.5, 0.6, 7.0, 8.0, 9.0]
    np.testing.assert_allclose(seen[24:39], expected)
    np.testing.assert_array_equal(seen[39:], np.arange(168.0))


@pytest.mark.parametrize("turn", [0.0, -1.0, math.pi, math.nan])
def test_a_senseless_turn_is_refused(turn: float) -> None:
    with pytest.raises(ValueError, match="turn must be an angle between"):
        CubeInHand(turn=turn)
