# SPDX-License-Identifier: Apache-2.0
"""Log lines without control characters, as they contain names and messages of other nodes.

A joint name may hold the escape codes that clear a terminal; the log of a node is read on one, live or later.
"""

from __future__ import annotations

from typing import Any

from rclpy.impl import rcutils_logger

from safe_transfer_ros.untrusted import printable_lines

_NAME = "rclpy_logging_rcutils_log"
_original: Any = getattr(rcutils_logger._rclpy, _NAME)


def escape_control_characters() -> None:
    """Show control characters as escapes in every log call of this process; a second call changes nothing.

    At the last step before the middleware: rclpy tells callers apart by their stack frames, for `once` and throttling.
    """
    setattr(rcutils_logger._rclpy, _NAME, _log)


def _log(severity: Any, name: str, message: Any, *where: Any) -> Any:
    return _original(severity, name, printable_lines(message), *where)
