# SPDX-License-Identifier: Apache-2.0
"""What other nodes are called, and what they say, stands in our logs without control characters."""

from __future__ import annotations

import subprocess

from safe_transfer_ros.interpreter import program_command

PROGRAM = r"""
from safe_transfer_ros.middleware.printable_logs import escape_control_characters
escape_control_characters()
escape_control_characters()
from rclpy.logging import get_logger
logger = get_logger("safety_filter")
for number in range(3):
    logger.error(f"unknown joints: a\x1b[2Jb {number}\nsecond line", once=True)
    logger.warning("one of three", once=True)
logger.info("torque 0.5 N·m")
"""


def test_log_lines_are_printable_and_callers_are_still_told_apart() -> None:
    done = subprocess.run(program_command(PROGRAM), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "unknown joints: a\\x1b[2Jb 0\nsecond line" in said and "\x1b[2J" not in said
    assert said.count("unknown joints") == 1 and said.count("one of three") == 1 and "0.5 N·m" in said
