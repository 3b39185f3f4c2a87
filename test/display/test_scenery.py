# SPDX-License-Identifier: Apache-2.0
"""What is shown is what the filter and the monitor go by, in the colours that the manual tells."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.display.push import PushScenery
from safe_transfer_ros.display.scenery import Scenery
from safe_transfer_ros.display.shape import Kind, Shape
from safe_transfer_ros.display.situation import AMBER, BLUE, GREEN, GREY, RED, VERDICT_COLOURS, Situation
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask


def shown(name: str, situation: Situation, seed: int = 0) -> list[Shape]:
    return list(Scenery(make(name, RobotTask), seed).shapes(situation))


def of(shapes: list[Shape], group: str, kind: Kind) -> list[Shape]:
    return [shape for shape in shapes if (shape.group, shape.kind) == (group, kind)]


@pytest.mark.parametrize("task", ["pr2_cup_swirl", "fr3_cup_swirl"])
@pytest.mark.parametrize("wrist", np.linspace(-0.5, 0.5, 9))
def test_the_axis_is_in_the_cone_exactly_where_the_state_is_safe(task: str, wrist: float) -> None:
    cup = make(task, TorqueTask)
    position = cup.robot.home.copy()
    position[5] += wrist
    shapes = shown(task, Situation(position=position))
    [cone] = of(shapes, "safety cone", Kind.TRIANGLES)
    [axis] = of(shapes, "safety cone", Kind.LINES)
    apex, rim = np.array(cone.points[0]), np.array(cone.points[1]) - cone.points[0]
    along = np.array(axis.points[1]) - axis.points[0]
    down = np.array([0.0, 0.0, -1.0])
    half_angle, tilt = (np.degrees(np.arccos(v @ down / np.linalg.norm(v))) for v in (rim, along))
    assert half_angle == pytest.approx(cup.unsafety_limit)
    assert tilt == pytest.approx(float(cup.unsafety(position)), abs=1e-4)
    assert (cone.colour[:3] == GREEN[:3]) == (tilt <= half_angle) and cone.colour[:3] in (GREEN[:3], RED[:3])
    np.testing.assert_allclose(apex, cup.chain.tool_position(position))


def test_both_sides_of_the_cone_are_tried() -> None:
    cup = make("pr2_cup_swirl", TorqueTask)
    tilts = [float(cup.unsafety(cup.robot.home + np.eye(7)[5] * wrist)) for wrist in (0.0, 0.5)]
    assert tilts[0] < cup.unsafety_limit < tilts[1]


def test_a_bar_is_full_at_the_limit_and_signed() -> None:
    torque = np.array([0.3, -0.3, 0.15, 0.0, -0.075, 5.0, 0.29])
    bars = of(shown("pr2_cup_swirl", Situation(torque=torque, torque_limit=0.3)), "torque", Kind.BOX)
    foot = 0.3
    np.testing.assert_allclose([bar.size[2] for bar in bars], [0.15, 0.15, 0.075, 0.002, 0.0375, 0.15, 0.145])
    np.testing.assert_allclose(
        [bar.position[2] - foot for bar in bars], [0.075, -0.075, 0.0375, 0.0, -0.01875, 0.075, 0.0725], atol=1e-12
    )
    assert [bar.colour[:3] == AMBER[:3] for bar in bars] == [True, True, False, False, False, True, False]


@pytest.mark.parametrize("limit", [None, 0.0, -1.0, float("nan")])
def test_no_bars_without_a_limit(limit: float | None) -> None:
    assert not of(shown("fr3_cup_swirl", Situation(torque=np.ones(7), torque_limit=limit)), "torque", Kind.BOX)


@pytest.mark.parametrize(
    ("situation", "colour", "words"),
    [
        (Situation(), GREY, "no safety filter heard"),
        (Situation(mode=Mode.DISARMED, verdict=Verdict.REJECTED), GREY, "DISARMED"),
        (Situation(mode=Mode.HOLDING, reasons=Reason.PROPOSAL_TIMEOUT), AMBER, "HOLDING\nPROPOSAL_TIMEOUT"),
        (Situation(mode=Mode.TRIPPED, reasons=Reason.OPERATOR_STOP), RED, "TRIPPED\nOPERATOR_STOP"),
        (Situation(mode=Mode.ARMED), GREY, "ARMED"),
        (Situation(mode=Mode.ARMED, verdict=Verdict.LEAST_RISKY), BLUE, "ARMED, least risky"),
        (
            Situation(mode=Mode.TRIPPED, silent=True),
            GREY,
            "TRIPPED\nno joint states: what is shown is old",
        ),
    ],
)
def test_the_filter_in_a_colour_and_in_words(situation: Situation, colour: object, words: str) -> None:
    [text] = of(shown("pr2_cup_swirl", situation), "safety filter", Kind.TEXT)
    assert (text.colour, text.text) == (colour, words)


def test_every_verdict_has_a_colour() -> None:
    assert set(VERDICT_COLOURS) == set(Verdict)
    assert VERDICT_COLOURS[Verdict.ACCEPTED] == GREEN and VERDICT_COLOURS[Verdict.REJECTED] == RED


@pytest.mark.parametrize(("x", "safe"), [(0.17, True), (0.18, False), (float("nan"), False)])
def test_a_block_beyond_its_boundary_is_red(x: float, safe: bool) -> None:
    task = make("panda_push_boundary", PushTask)
    pose = np.array([*(np.array([x, 0.0, 0.05]) + task.table_centre), 0.0, 0.0, 0.0, 1.0])
    shapes = shown("panda_push_boundary", Situation(position=task.robot.home, pose=pose))
    [block] = of(shapes, "block", Kind.BOX)
    assert block.size == task.block_size and (block.colour == AMBER) == safe and (block.colour == RED) != safe
    boundary = of(shapes, "push", Kind.LINES)[1]
    corners = np.array(boundary.points) - task.table_centre
    np.testing.assert_allclose(np.abs(corners).max(axis=0), [0.175, 0.075, 0.0])


def test_goal_and_obstacle_are_those_of_the_episode() -> None:
    task = make("panda_push_obstacle", PushTask)
    scenery = PushScenery(task, seed=3)
    for episode in (0, 5, 2):
        start = task.start(generator(Purpose.INITIAL_STATE, 3, episode))
        shapes = list(scenery.shapes(Situation(episode=episode)))
        [goal] = of(shapes, "push", Kind.CYLINDER)
        [obstacle] = of(shapes, "push", Kind.BOX)
        np.testing.assert_allclose(np.array(goal.position[:2]) - task.table_centre[:2], start.goal)
        np.testing.assert_allclose(np.array(obstacle.position[:2]) - task.table_centre[:2], start.obstacle)
