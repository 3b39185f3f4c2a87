# SPDX-License-Identifier: Apache-2.0
"""Handling of unusable joint states: left out and counted, and missed when no good one follows.

A gripper or a second arm may publish its own on the same topic: nothing is wrong with these, so they are counted by
themselves and not told. One rule for every node that listens.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node

from safe_transfer_ros.middleware.joint_state_reader import (
    JointStateError,
    JointStateReader,
    OtherJointStateError,
    ReadState,
)


class JointStatesHeard:
    """Reader of joint states in the order of arrival.

    Attributes:
      newest: The newest one that could be used, and when it came, steady ns; None before the first.
      left_out: How many could not.
      of_others: How many were of other joints than ours.
      problem: Why the newest of ours could not; empty if it could.
    """

    def __init__(self, node: Node, names: Sequence[str]) -> None:
        """Have heard nothing.

        Args:
          node: That listens.
          names: Its joints, in its order.
        """
        self._node, self._reader = node, JointStateReader(names)
        self.newest: tuple[ReadState, int] | None = None
        self.left_out = self.of_others = 0
        self.problem = ""

    def read(self, data: bytes, now_ns: int) -> ReadState | None:
        """Read one message, received at steady time `now_ns`; None where it is left out."""
        try:
            state = self._reader.read(data)
        except OtherJointStateError:
            self.of_others += 1
            return None
        except JointStateError as error:
            self.left_out += 1
            self.problem = str(error)
            self._node.get_logger().warning(
                f"{self.left_out} joint states left out: {error}", throttle_duration_sec=5.0
            )
            return None
        self.problem = ""
        self.newest = (state, now_ns)
        return state

    def fresh(self, now_ns: int, age_s: float) -> ReadState | str:
        """The newest one if it is at most `age_s` old, else why there is none."""
        if self.newest is not None and 0 <= now_ns - self.newest[1] <= age_s * 1e9:
            return self.newest[0]
        what = "no joint state has come" if self.newest is None else f"no joint state for {age_s:g} s"
        if self.problem:
            return f"{what}; the newest cannot be used: {self.problem}"
        return f"{what}; {self.of_others} name no joint of ours" if self.of_others else what
