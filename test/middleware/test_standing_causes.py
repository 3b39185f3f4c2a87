# SPDX-License-Identifier: Apache-2.0
"""Permission and stop button after a stall of the filter's own: what waited for it is as old as the stall."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import clock, topics
from safe_transfer_ros.middleware.standing_causes import StandingCauses
from safe_transfer_ros.safety.reasons import Reason

STALL_NS = 5 * 10**9
LEASE_S = 2.0


class Standing:
    """The causes around a filter that stood still for `stalled_ns` before now."""

    def __init__(self, node: Node) -> None:
        self.stalled_ns = 0
        self.causes = StandingCauses(
            node,
            e_stop_lease_s=LEASE_S,
            permission_lease_s=LEASE_S,
            stop=lambda reason: None,
            received=lambda now_ns: now_ns - self.stalled_ns,
        )
        self.causes.watch((), (), ("a",))


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    made = Node("safety_filter", context=context), Node("button", context=context)
    yield made
    for node in made:
        node.destroy_node()
    context.try_shutdown()
    claimed.release()


def test_permission_that_waited_through_a_stall_is_old(nodes: tuple[Node, Node]) -> None:
    standing = Standing(nodes[0])
    assert standing.causes.reasons() & Reason.NO_PERMISSION
    standing.causes._on_permission(Bool(data=True))
    assert not standing.causes.reasons() & Reason.NO_PERMISSION
    standing.stalled_ns = STALL_NS
    standing.causes._on_permission(Bool(data=True))
    assert standing.causes.reasons() & Reason.NO_PERMISSION
    standing.causes.close()


def test_a_button_whose_word_waited_through_a_stall_is_silent(nodes: tuple[Node, Node]) -> None:
    standing = Standing(nodes[0])
    button = topics.EXTERNAL_STOP.advertise(nodes[1])
    deadline = time.monotonic() + 20.0

    def says(expected: str) -> None:
        """Until the newest word of the button has been found and judged."""
        while expected not in standing.causes.described()["external_stop"]:
            assert time.monotonic() < deadline, standing.causes.described()
            button.publish(Bool(data=False))
            time.sleep(0.02)

    says("clear")
    began = clock.now_ns()
    standing.stalled_ns = STALL_NS
    says("is silent")
    assert clock.now_ns() - began < LEASE_S * 1e9, "it was heard all the time"
    standing.stalled_ns = 0
    says("clear")
    standing.causes.close()
