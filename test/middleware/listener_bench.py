# SPDX-License-Identifier: Apache-2.0
"""Nodes in the hands of one test, in a ROS domain of their own: one alone, or one that listens and others it hears."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.task import Future

from safe_transfer_ros.launching import domain


@contextmanager
def own_domain() -> Iterator[Context]:
    """A domain that is held for as long as the nodes in it are there."""
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    yield context
    context.try_shutdown()
    claimed.release()


@contextmanager
def alone(name: str, namespace: str = "") -> Iterator[Node]:
    """A node in a domain of its own."""
    with own_domain() as context:
        node = Node(name, context=context, namespace=namespace)
        yield node
        node.destroy_node()


class ListenerBench:
    """What is tested listens at the first of `nodes`; the others are turned by nobody, as they only publish."""

    def __init__(self, context: Context) -> None:
        self.context, self.nodes = context, [Node("listener", context=context)]
        self.executor = EventsExecutor(context=context)  # as the nodes have
        self.executor.add_node(self.nodes[0])
        self._never = Future(executor=self.executor)

    def node(self, name: str) -> Node:
        """Another node."""
        node = Node(name, context=self.context)
        self.nodes.append(node)
        return node

    def turn(self, seconds: float = 0.01) -> None:
        self.executor.spin_until_future_complete(self._never, timeout_sec=seconds)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, f"not so: {what}; {vars(self)}"
            self.turn()


B = TypeVar("B", bound=ListenerBench)


@contextmanager
def started(kind: Callable[[Context], B]) -> Iterator[B]:
    """A bench in a domain of its own."""
    with own_domain() as context:
        bench = kind(context)
        yield bench
        bench.executor.shutdown()
        for node in bench.nodes:
            node.destroy_node()
