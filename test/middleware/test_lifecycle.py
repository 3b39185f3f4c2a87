# SPDX-License-Identifier: Apache-2.0
"""What a lifecycle node put into the graph when it was configured leaves it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.action import ActionClient, ActionServer
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from safe_transfer_msgs.action import Rollout
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.lifecycle import ManagedNode

SUCCESS = TransitionCallbackReturn.SUCCESS


class Listener:
    """A node beside another, as one that no executor turns is."""

    def __init__(self, beside: ManagedNode, name: str) -> None:
        self._beside = beside
        self.node = Node(name, context=beside.context)

    def close(self) -> None:
        assert self._beside.get_name() == "everything", "the node itself is still there"
        self.node.destroy_node()


class Everything(ManagedNode):
    """Has one of each before it is configured, and one of each from then on."""

    fails = False

    def __init__(self, context: Context) -> None:
        super().__init__("everything", context=context)
        self.create("before")

    def create(self, when: str) -> None:
        self.create_publisher(Bool, f"{when}/out", qos.STREAM)
        self.create_subscription(Bool, f"{when}/in", lambda _: None, qos.STREAM)
        self.create_service(Trigger, f"{when}/service", lambda _, answer: answer)
        self.create_client(Trigger, f"{when}/client")
        self.create_timer(1.0, lambda: None)
        ActionServer(self, Rollout, f"{when}/action", lambda _: Rollout.Result())
        ActionClient(self, Rollout, f"{when}/other")

    def configure(self) -> None:
        self.create("configured")
        for name in ("beside", "beside_too"):
            self.keep(Listener(self, name))
        if self.fails:
            raise ValueError("cannot be")

    def counts(self) -> list[int]:
        kinds = (self.publishers, self.subscriptions, self.services, self.clients, self.timers, self.waitables)
        return [len(list(kind)) for kind in kinds]


def soon(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true: the graph hears of its nodes a moment later, from a thread of its own."""
    until = time.monotonic() + 10.0
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def has_left(node: Everything, *names: str) -> bool:
    return soon(lambda: not set(names) & set(node.get_node_names()))


@pytest.fixture
def node() -> Iterator[Everything]:
    claimed = domain.claim()  # held for as long as the node is there
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    made = Everything(context)
    yield made
    made.release()  # else nodes beside it, and so their participant, stay in the domain that the next test may get
    made.destroy_node()
    rclpy.shutdown(context=context)
    claimed.release()


def test_cleanup_leaves_what_was_there_before(node: Everything) -> None:
    before = node.counts()
    for _ in range(3):
        assert node.trigger_configure() == SUCCESS
        assert all(now > then for now, then in zip(node.counts(), before, strict=True))
        assert node.trigger_activate() == SUCCESS
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert node.counts() == before
        assert has_left(node, "beside", "beside_too"), "nor a node beside it"
    assert node.count_publishers("configured/out") == 0 and node.count_publishers("before/out") == 1


def test_a_timer_that_was_due_when_it_was_destroyed_does_not_call(node: Everything) -> None:
    """An executor may hold its callback then: what that needs is gone, and the process would end by a defect."""
    called: list[int] = []
    timer = node.create_timer(60.0, lambda: called.append(1))
    held = timer.callback
    held()
    assert called == [1]
    node.destroy_timer(timer)
    held()
    assert called == [1]


def test_a_configuration_that_failed_leaves_nothing_either(node: Everything) -> None:
    before = node.counts()
    node.fails = True
    assert node.trigger_configure() != SUCCESS
    assert node.counts() == before and has_left(node, "beside")
    node.fails = False
    assert node.trigger_configure() == SUCCESS


def test_a_node_that_ends_without_a_cleanup_lets_go_of_what_it_kept(node: Everything) -> None:
    assert node.trigger_configure() == SUCCESS
    assert soon(lambda: {"beside", "beside_too"} <= set(node.get_node_names()))
    node.release()
    assert has_left(node, "beside", "beside_too")
    node.release()
