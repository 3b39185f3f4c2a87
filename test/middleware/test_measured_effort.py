# SPDX-License-Identifier: Apache-2.0
"""Efforts as joint states tell them, in our order, less what carries the arm; anything else is not told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from listener_bench import alone
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware.bounded import LARGEST_BYTES
from safe_transfer_ros.middleware.measured_effort import MeasuredEffort
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.dynamics import ArmDynamics

ROBOT = load("panda")
N = ROBOT.joint_count
NAMES = list(ROBOT.joint_names)
POSITION = np.asarray(ROBOT.home) + 0.1
EFFORT = np.linspace(-1.0, 2.0, N)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with alone("measuring") as node:
        yield node


def told(measured: MeasuredEffort, **fields: object) -> np.ndarray:
    whole = {"name": NAMES, "position": POSITION.tolist(), "effort": EFFORT.tolist()}
    measured._on_joint_state(serialize_message(JointState(**(whole | fields))))
    return measured.beyond_rest()


def test_efforts_come_by_name(node: Node) -> None:
    measured = MeasuredEffort(node, ROBOT, with_gravity=False)
    assert np.isnan(measured.beyond_rest()).all(), "nothing was heard"
    np.testing.assert_array_equal(told(measured), EFFORT)
    mixed = told(
        measured,
        name=["other", *NAMES[::-1]],
        position=[0.0, *POSITION[::-1].tolist()],
        effort=[9.0, *EFFORT[::-1].tolist()],
    )
    np.testing.assert_array_equal(mixed, EFFORT)
    assert measured.heard_ns > 0


def test_an_arm_that_measures_what_carries_it_is_at_rest_under_it(node: Node) -> None:
    measured = MeasuredEffort(node, ROBOT, with_gravity=True)
    carrying = ArmDynamics(ROBOT).gravity_torque(POSITION)
    assert np.abs(carrying).max() > 5.0
    np.testing.assert_allclose(told(measured, effort=carrying.tolist()), 0.0, atol=1e-9)
    np.testing.assert_allclose(told(measured, effort=(carrying + EFFORT).tolist()), EFFORT, atol=1e-9)
    assert np.isnan(told(measured, position=[float("nan")] * N)).all(), "where the arm is decides what carries it"


@pytest.mark.parametrize(
    "fields",
    [
        {"effort": []},
        {"effort": EFFORT[:-1].tolist()},
        {"name": NAMES[:-1], "position": POSITION[:-1].tolist(), "effort": EFFORT[:-1].tolist()},
        {"name": [*NAMES[:-1], NAMES[0]]},
        {"name": [*NAMES, "x" * LARGEST_BYTES], "position": [*POSITION, 0.0], "effort": [*EFFORT, 0.0]},
    ],
    ids=["none", "one short", "a joint missing", "a joint twice", "too long"],
)
@pytest.mark.parametrize("with_gravity", [False, True])
def test_what_is_not_told_is_not_a_number(node: Node, fields: dict[str, object], with_gravity: bool) -> None:
    measured = MeasuredEffort(node, ROBOT, with_gravity=with_gravity)
    told(measured)
    assert np.isnan(told(measured, **fields)).all()


def test_a_grippers_joint_state_hides_nothing(node: Node) -> None:
    measured = MeasuredEffort(node, ROBOT, with_gravity=False)
    told(measured)
    heard_ns = measured.heard_ns
    for said in (serialize_message(JointState(name=["finger"], effort=[9.0])), b"\x00\x01\x00\x00garbage", b""):
        measured._on_joint_state(said)
        np.testing.assert_array_equal(measured.beyond_rest(), EFFORT)
    assert measured.heard_ns == heard_ns, "it is no sign of life either"
