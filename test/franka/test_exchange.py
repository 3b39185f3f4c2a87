# SPDX-License-Identifier: Apache-2.0
"""Two processes share the newest record, and neither can hold the other up or show it a half-written one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from safe_transfer_ros.franka.exchange import SIZE, Exchange, Reader, Writer

WRITE_FOR_EVER = """
import sys
from safe_transfer_ros.franka.exchange import Exchange, Writer
writer = Exchange(int(sys.argv[1])).states(Writer)
state, number = writer.record[0], 0
while True:
    number += 1
    state["cycle"] = number
    state["position"] = state["velocity"] = state["effort"] = state["sent"] = number
    state["answered"] = number
    writer.publish()
"""


def test_the_newest_record_is_read_once() -> None:
    exchange = Exchange()
    writer, reader = exchange.commands(Writer), exchange.commands(Reader)
    assert not reader.read() and not reader.record["torque"].any()
    for value in (1.0, 2.0):
        writer.record[0]["torque"] = value
        writer.publish()
    assert reader.read() and (reader.record["torque"] == 2.0).all()
    assert not reader.read()


def test_what_is_not_published_is_not_seen() -> None:
    exchange = Exchange()
    writer, reader = exchange.orders(Writer), exchange.orders(Reader)
    writer.record[0]["number"] = 3
    assert not reader.read() and reader.record[0]["number"] == 0


def test_the_three_records_do_not_touch_each_other() -> None:
    exchange = Exchange()
    ends = [(kind(Writer), kind(Reader)) for kind in (exchange.commands, exchange.orders, exchange.states)]
    for number, (writer, _) in enumerate(ends, start=1):
        writer.record.view(np.uint8)[:] = number
        writer.publish()
    for number, (_, reader) in enumerate(ends, start=1):
        assert reader.read() and (reader.record.view(np.uint8) == number).all()


def test_a_half_written_record_is_not_read_and_the_one_before_stands() -> None:
    exchange = Exchange()
    writer, reader = exchange.commands(Writer), exchange.commands(Reader)
    writer.record[0]["torque"] = 1.0
    writer.publish()
    assert reader.read()
    writer._number[0] += 1  # killed in the middle of the next
    writer._shared[:] = 7
    assert not reader.read() and (reader.record["torque"] == 1.0).all()
    heir = exchange.commands(Writer)
    heir.record[0]["torque"] = 2.0
    heir.publish()
    assert reader.read() and (reader.record["torque"] == 2.0).all()


def test_memory_of_another_size_is_refused() -> None:
    descriptor = os.memfd_create("other")
    os.ftruncate(descriptor, SIZE - 8)
    with pytest.raises(ValueError, match=f"expected {SIZE} bytes of shared memory"):
        Exchange(descriptor)
    os.close(descriptor)


def test_a_record_is_whole_whatever_the_writer_is_doing_even_when_it_is_killed() -> None:
    exchange = Exchange()
    reader = exchange.states(Reader)
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(exchange.descriptor)], pass_fds=[exchange.descriptor]
    )
    try:
        seen = longest_ns = 0
        deadline = time.monotonic() + 30.0
        while seen < 2000 and time.monotonic() < deadline:
            began = time.monotonic_ns()
            new = reader.read()
            longest_ns = max(longest_ns, time.monotonic_ns() - began)
            if new:
                record = reader.record[0]
                number = record["cycle"]
                whole = [(record[name] == number).all() for name in ("position", "velocity", "effort", "sent")]
                assert all(whole) and record["answered"] == number
                seen += 1
        assert seen == 2000
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    began = time.monotonic()
    reader.read()
    reader.read()
    assert time.monotonic() - began < 1.0
