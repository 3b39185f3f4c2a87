# SPDX-License-Identifier: Apache-2.0
"""A message's size is looked at before the message."""

from __future__ import annotations

import ast
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from listener_bench import alone
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.serialization import serialize_message
from safe_transfer_msgs.msg import PolicyAction, TorqueLimit

from safe_transfer_ros.middleware import bounded, topics

PACKAGE = Path(bounded.__file__).parents[1]
# A simulated arm is none whose motors anybody guards, and the recorder takes bytes as they come.
LISTENERS = sorted(path for path in (PACKAGE / "nodes").glob("*.py") if path.stem not in ("mujoco_sim", "__init__"))


@pytest.mark.parametrize(
    "file",
    [*LISTENERS, *(PACKAGE / f"middleware/{name}.py" for name in ("sole_state", "outside_policy", "standing_causes"))],
    ids=lambda path: path.stem,
)
def test_no_node_makes_a_message_before_its_size_is_looked_at(file: Path) -> None:
    """Who acts on a topic takes it as bytes, or by `bounded.listen`."""
    for call in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        assert call.func.attr != "create_subscription", f"{file.name}:{call.lineno}"
        if call.func.attr == "listen" and ast.unparse(call.func.value) != "bounded":
            raw = [word.value for word in call.keywords if word.arg == "raw"]
            assert raw and ast.unparse(raw[0]) == "True", f"{file.name}:{call.lineno}"


def test_a_message_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    data = serialize_message(TorqueLimit(iteration=3))
    assert bounded.read(data, TorqueLimit, len(data)).iteration == 3
    with pytest.raises(
        bounded.MessageError, match=f"of {len(data)} bytes, expected at most {len(data) - 1}"
    ) as refused:
        bounded.read(data, TorqueLimit, len(data) - 1)
    assert refused.value.oversized


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 40, b"\x00\x01\x00\x00" + b"\xff" * 40])
def test_bytes_that_are_no_message_are_refused_as_that(data: bytes) -> None:
    with pytest.raises(bounded.MessageError, match="no PolicyAction") as refused:
        bounded.read(data, PolicyAction)
    assert not refused.value.oversized


@pytest.fixture
def node() -> Iterator[Node]:
    with alone("bounded") as node:
        yield node


def test_a_subscription_takes_the_good_and_tells_of_the_rest(node: Node) -> None:
    taken: list[PolicyAction] = []
    refused: list[bounded.MessageError] = []
    publisher = topics.PROPOSALS.advertise(node)
    bounded.listen(node, topics.PROPOSALS, taken.append, refused=refused.append)
    executor = EventsExecutor(context=node.context)
    executor.add_node(node)
    while publisher.get_subscription_count() < 1:
        executor.spin_once(timeout_sec=0.01)
    large = PolicyAction(step=2, effort=array("d", bytes(3_000_000)))
    for message in (
        PolicyAction(step=1),
        serialize_message(large),
        b"\x00\x01\x00\x00" + b"\xff" * 99,
        PolicyAction(step=3),
    ):
        publisher.publish(message)
    deadline = time.monotonic() + 20.0
    while len(taken) + len(refused) < 4 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.01)
    executor.shutdown()  # it holds the node's subscriptions: they would be seen for as long as this process lives
    assert [message.step for message in taken] == [1, 3]
    assert [error.oversized for error in refused] == [True, False]
