# SPDX-License-Identifier: Apache-2.0
"""ROS time stamps as whole nanoseconds and back."""

from builtin_interfaces.msg import Time

_SECOND = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Stamp in nanoseconds."""
    return int(stamp.sec) * _SECOND + int(stamp.nanosec)


def set_ns(stamp: Time, nanoseconds: int) -> None:
    """Write nanoseconds into a stamp in place."""
    stamp.sec, stamp.nanosec = divmod(nanoseconds, _SECOND)
