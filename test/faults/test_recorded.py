# SPDX-License-Identifier: Apache-2.0
"""What was published and is not in the bag is counted; and a ledger survives its writer."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.faults import ledger
from safe_transfer_ros.faults.ledger import Kind, Ledger
from safe_transfer_ros.faults.recorded import COMMANDS, STATES, Published, key, missing


def stamped(nanoseconds: int) -> bytes:
    return b"\x00\x01\x00\x00" + struct.pack("<iI", *divmod(nanoseconds, 1_000_000_000)) + bytes(40)


def test_every_message_that_is_not_in_the_bag_is_counted(tmp_path: Path) -> None:
    zero = b"\x00\x01\x00\x00" + bytes(68)
    with BagWriter(tmp_path / "bag") as writer:
        commands = writer.register(COMMANDS, "std_msgs/msg/Float64MultiArray")
        states = writer.register(STATES, "sensor_msgs/msg/JointState")
        for number in range(3):
            writer.write(commands, zero, number, number)
            writer.write(states, stamped(number), number, number)
    two = Published(messages=Counter({key(COMMANDS, zero): 2}), stamps={STATES: {0, 1}})
    one = Published(messages=Counter({key(COMMANDS, zero): 1}), stamps={STATES: {2}})
    assert missing([tmp_path / "bag"], [two, one]) == [0, 0]
    assert missing([tmp_path / "bag"], [two, two]) == [0, 1], "three equal commands were recorded, not four"
    one.stamps[STATES].add(3)
    assert missing([tmp_path / "bag"], [two, one]) == [0, 1]
    assert missing([], [two]) == [4]


def test_a_ledger_is_whole_after_its_writer_was_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from safe_transfer_ros.faults.ledger import Kind, Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for number in range(100): ledger.note(Kind.SENT, number, 0.5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "ledger"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    records = ledger.read(path)
    assert records["stamp_ns"].tolist() == list(range(100))
    Ledger(path).note(Kind.BAD)
    with open(path, "ab") as file:
        file.write(b"half a record")
    assert ledger.read(path, first=100)["kind"].tolist() == [Kind.BAD]
    assert ledger.read(tmp_path / "none").size == 0
