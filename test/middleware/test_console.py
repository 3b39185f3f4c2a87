# SPDX-License-Identifier: Apache-2.0
"""Neither a full pipe nor a terminal that is held makes a process wait for its own log lines."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

import pytest

PROGRAM = """
import sys
from safe_transfer_ros.middleware import console
console.never_block()
from rclpy.logging import get_logger
for number in range(300):
    get_logger("filter").error(f"torque limit refused {number} " + 80 * "x")
    get_logger("filter").info("hello " + 80 * "x")
    print("told " + 80 * "x")
    print("told " + 80 * "x", file=sys.stderr)
"""


def ends(**streams):
    """Whether the program, which writes twice what a pipe holds, ends: blocked, it would not."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], **streams)
    try:
        return process.wait(timeout=60) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("reader", ["asleep", "gone"])
def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(reader):
    reading, writing = os.pipe()
    if reader == "gone":
        os.close(reading)
    assert ends(stdout=writing, stderr=writing)
    assert os.get_blocking(writing), "the flag of a file that others share is left alone"
    if reader == "asleep":
        assert b"torque limit refused 0 " in os.read(reading, 4096)
        os.close(reading)
    os.close(writing)


def test_a_terminal_that_is_held_costs_lines_and_no_time():
    main, terminal = pty.openpty()
    termios.tcflow(terminal, termios.TCOOFF)  # Ctrl-S
    assert ends(stdout=terminal, stderr=terminal)
    os.close(main)
    os.close(terminal)


def test_what_is_read_arrives_whole_and_a_file_is_written_to_its_end(tmp_path):
    program = (
        "import sys; from safe_transfer_ros.middleware import console; console.never_block(); "
        "print('one'); print('two', file=sys.stderr); raise SystemExit(3)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (3, "one\n", "two\n")
    with (tmp_path / "log").open("a") as log:
        log.write("before\n")
        log.flush()
        subprocess.run([sys.executable, "-c", program], stdout=log, stderr=log)
    assert (tmp_path / "log").read_text() == "before\none\ntwo\n"


def test_closed_streams_are_no_fault():
    program = "from safe_transfer_ros.middleware import console; console.never_block(); print('x')"
    command = f'exec {sys.executable} -c "{program}" >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], timeout=60).returncode == 0
