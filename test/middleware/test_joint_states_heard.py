# SPDX-License-Identifier: Apache-2.0
"""A joint state that cannot be used is left out and counted, and missed when no good one follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from listener_bench import alone
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard

MS = 1_000_000


def said(*names: str) -> bytes:
    return serialize_message(JointState(name=names, position=[1.0] * len(names), velocity=[2.0] * len(names)))


@pytest.fixture
def node() -> Iterator[Node]:
    with alone("listener") as node:
        yield node


def test_a_grippers_state_is_left_out_and_counted_by_itself(node: Node) -> None:
    heard = JointStatesHeard(node, ("a", "b"))
    assert heard.fresh(0, 1.0) == "no joint state has come"
    assert heard.read(said("finger"), 1 * MS) is None
    assert heard.fresh(1 * MS, 1.0) == "no joint state has come; 1 name no joint of ours"
    state = heard.read(said("b", "a"), 2 * MS)
    assert state is not None and heard.fresh(2 * MS, 1.0) is state
    for _ in range(3):
        assert heard.read(said("finger", "finger"), 3 * MS) is None
    assert (heard.of_others, heard.left_out, heard.problem) == (4, 0, ""), "nothing is wrong with it"
    assert heard.fresh(3 * MS, 1.0) is state, "the good one before it stands until it is too old"
    assert heard.fresh(1002 * MS, 1.0) is state
    assert heard.fresh(1002 * MS + 1, 1.0) == "no joint state for 1 s; 4 name no joint of ours"
    assert isinstance(heard.fresh(1 * MS, 1.0), str), "a clock that went back tells no age"


@pytest.mark.parametrize("names", [("a",), ("b", "finger"), ("a", "a", "b"), ()])
def test_a_state_of_ours_that_lacks_a_joint_is_a_fault(node: Node, names: tuple[str, ...]) -> None:
    heard = JointStatesHeard(node, ("a", "b"))
    assert heard.read(said(*names), 1 * MS) is None
    assert (heard.of_others, heard.left_out) == (0, 1)
    assert heard.read(said("finger"), 2 * MS) is None
    told = str(heard.fresh(2 * MS, 1.0))
    assert told.startswith("no joint state has come; the newest cannot be used: joint names do not fit: "), told


def test_bytes_that_are_no_joint_state_are_left_out_too(node: Node) -> None:
    heard = JointStatesHeard(node, ("a",))
    for data in (b"", b"\x00", b"\x00\x01\x00\x00\xff\xff\xff\xff", said("a")[:-9]):
        assert heard.read(data, 0) is None
    assert heard.left_out == 4 and heard.problem
    assert heard.read(said("a"), 0) is not None and not heard.problem
