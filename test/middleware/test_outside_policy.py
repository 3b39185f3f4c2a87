# SPDX-License-Identifier: Apache-2.0
"""Messages of a policy that is a process of its own: of one publisher, whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from listener_bench import ListenerBench, started
from rclpy.context import Context
from rclpy.publisher import Publisher
from safe_transfer_msgs.msg import ActionChunk, PolicyAction

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.outside_policy import CHUNK_BYTES, OutsidePolicy, read_chunk
from safe_transfer_ros.safety.joint_order import JointOrder

ORDER = JointOrder(("a", "b"))


def chunk(**fields: Any) -> ActionChunk:
    message = ActionChunk(action_names=["b", "a"], length=3, period=0.05, actions=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    message.header.stamp.sec, message.header.stamp.nanosec = 2, 5
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_rows_come_in_the_tasks_order() -> None:
    found = read_chunk(chunk(), ORDER)
    np.testing.assert_array_equal(found.rows, [[2, 1], [4, 3], [6, 5]])
    assert (found.stamp_ns, found.period_s) == (2_000_000_005, 0.05)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (chunk(actions=[1.0] * 5), "it is not whole: expected 3 rows of 2 actions, got 5 numbers"),
        (chunk(actions=[1.0] * 7), "it is not whole"),
        (chunk(length=2), "it is not whole: expected 2 rows of 2 actions, got 6 numbers"),
        (chunk(length=0, actions=[]), "it is not whole: expected 0 rows"),
        (chunk(length=2**32 - 1), "it is not whole"),
        (chunk(action_names=["a"], length=6), "action_names are not the task's: .*missing"),
        (chunk(action_names=["a", "a"]), "action_names are not the task's"),
        (chunk(actions=[1.0] * 5 + [float("nan")]), "numbers that are not finite"),
    ],
)
def test_what_is_not_whole_is_refused(message: ActionChunk, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_chunk(message, ORDER)


class Bench(ListenerBench):
    """A node that hears a process, and others that are one."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.heard: list[Any] = []
        self.stopped: list[str] = []
        self.link = OutsidePolicy(
            self.nodes[0],
            ("a", "b"),
            hear_action=self.heard.append,
            hear_chunk=self.heard.append,
            stop=self.stopped.append,
        )

    def publisher(self, topic: topics.Topic) -> Publisher:
        return topic.advertise(self.node(f"process_{len(self.nodes)}"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with started(Bench) as bench:
        yield bench


def action(**fields: Any) -> PolicyAction:
    message = PolicyAction(action_names=["b", "a"], mean=[1.0, 2.0], effort=[1.0, 2.0], distribution=2)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_only_what_is_expected_and_whole_is_heard(bench: Bench) -> None:
    link, actions = bench.link, bench.publisher(topics.OUTSIDE_ACTION)
    chunks = bench.publisher(topics.OUTSIDE_CHUNK)
    assert link.missing() == ""  # of a policy that is none
    bench.until(lambda: min(actions.get_subscription_count(), chunks.get_subscription_count()) == 1, "the listener")
    link.expect(chunks=False)
    bench.until(lambda: not link.missing(), "the process")
    refused = (
        action(last=True),
        action(effort=[1.0, float("nan")]),
        action(effort=[1.0]),
        action(action_names=["a", "c"]),
        action(distribution=9),
        action(distribution=0),  # a Gaussian without a standard deviation
        action(actor="x" * 100_000),
    )
    for message in refused:
        actions.publish(message)
    actions.publish(action(step=7))
    bench.until(lambda: bool(bench.heard), "the proposal")
    assert [(proposal.step, proposal.effort.tolist()) for proposal in bench.heard] == [(7, [2.0, 1.0])]
    link.expect(chunks=True)
    chunks.publish(chunk(length=9000, actions=[0.0] * 18_000, action_names=["a", "b"]))
    assert 18_000 * 8 < CHUNK_BYTES
    chunks.publish(chunk(length=20_000, actions=[0.0] * 40_000))
    chunks.publish(chunk(length=1))
    for _ in range(100):
        actions.publish(action())  # not expected any more
    chunks.publish(chunk(period=0.1))
    bench.until(lambda: len(bench.heard) >= 3, "the chunks")
    assert [len(read.rows) for read in bench.heard[1:]] == [9000, 3] and not bench.stopped


def test_a_process_that_is_not_there_is_told_and_of_two_none_is_believed(bench: Bench) -> None:
    link = bench.link
    link.expect(chunks=True)
    assert link.missing() == (
        "the policy is a process of its own, and nothing publishes outside_policy/chunk yet: start it"
    )
    first, second = bench.publisher(topics.OUTSIDE_CHUNK), bench.publisher(topics.OUTSIDE_CHUNK)
    bench.until(lambda: "has 2 publishers" in link.missing(), "both")
    bench.until(lambda: min(first.get_subscription_count(), second.get_subscription_count()) == 1, "the listener")
    first.publish(chunk())
    bench.until(lambda: bool(bench.stopped), "the end of the episode")
    assert "outside_policy/chunk has 2 publishers, expected one" in bench.stopped[0] and not bench.heard
