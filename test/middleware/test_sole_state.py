# SPDX-License-Identifier: Apache-2.0
"""A state is believed while one node publishes it, and not a moment longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from listener_bench import ListenerBench, started
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from safe_transfer_msgs.msg import FilterStatus

from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.sole_state import SoleState


class Bench(ListenerBench):
    """A node that acts on the filter's status, and others that publish it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.heard: list[int] = []
        self.doubts: list[str] = []
        self.state: SoleState[FilterStatus] = SoleState(
            self.nodes[0],
            topics.FILTER_STATUS,
            lambda message: self.heard.append(message.iteration),
            self.doubts.append,
        )

    def publisher(self, name: str) -> tuple[Node, Publisher]:
        node = self.node(name)
        return node, topics.FILTER_STATUS.advertise(node)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with started(Bench) as bench:
        yield bench


def test_a_second_publisher_ends_belief_until_it_has_gone(bench: Bench) -> None:
    state = bench.state
    assert (state.newest, state.doubt) == (None, ""), "nobody is no stranger"
    _, own = bench.publisher("safety_filter")
    own.publish(FilterStatus(iteration=1))
    bench.until(lambda: state.newest is not None and state.newest.iteration == 1, "the latched state")
    stranger, second = bench.publisher("stranger")
    bench.until(lambda: bool(bench.doubts), "the doubt, before the stranger has said anything")
    assert state.newest is None, "what was heard before may be the stranger's"
    assert state.doubt == bench.doubts[0]
    assert "safety_filter/status has 2 publishers, expected one: safety_filter, stranger" in state.doubt
    bench.until(lambda: second.get_subscription_count() == 1, "the stranger being heard")
    second.publish(FilterStatus(iteration=99))
    own.publish(FilterStatus(iteration=2))
    bench.turn(0.5)
    assert bench.heard == [1] and state.newest is None, "neither is believed"
    stranger.destroy_node()
    bench.until(lambda: state.newest is not None, "the latched state once more")
    assert (state.newest.iteration, state.doubt) == (2, ""), "what was said meanwhile is not lost"
    own.publish(FilterStatus(iteration=3))
    bench.until(lambda: bench.heard == [1, 2, 3], "the next one")
    assert len(bench.doubts) == 1, "told once"


def test_whoever_publishes_is_counted_whatever_it_offers(bench: Bench) -> None:
    """A publisher that this listener cannot even hear makes it doubtful all the same."""
    _, own = bench.publisher("safety_filter")
    own.publish(FilterStatus(iteration=1))
    bench.until(lambda: bench.heard == [1], "the latched state")
    volatile = bench.node("stranger")
    volatile.create_publisher(FilterStatus, topics.FILTER_STATUS.name, qos.VIEW)
    bench.until(lambda: bench.state.doubt != "", "the doubt")


def test_a_message_is_a_look_too(bench: Bench) -> None:
    for timer in list(bench.nodes[0].timers):
        bench.nodes[0].destroy_timer(timer)
    _, own = bench.publisher("safety_filter")
    own.publish(FilterStatus(iteration=1))
    bench.until(lambda: bench.heard == [1], "the latched state")
    _, second = bench.publisher("stranger")
    bench.until(lambda: second.get_subscription_count() == 1, "the stranger being heard")
    bench.until(lambda: bench.nodes[0].count_publishers(topics.FILTER_STATUS.name) == 2, "its being seen")
    second.publish(FilterStatus(iteration=99))
    bench.until(lambda: bool(bench.doubts), "the doubt")
    assert bench.heard == [1] and bench.state.newest is None
