# SPDX-License-Identifier: Apache-2.0
"""Chunks of a process of its own are read whole or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safe_transfer_msgs.msg import ActionChunk

from safe_transfer_ros.middleware.outside_policy import read_chunk
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
