# SPDX-License-Identifier: Apache-2.0
"""Keys of a real pseudo-terminal, one at a time, and the terminal given back."""

from __future__ import annotations

import os
import pty
import select
import termios
import time
from collections.abc import Iterator

import pytest

from safe_transfer_ros.cli.keys import KeyReader, in_front


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    person, terminal = pty.openpty()
    yield person, terminal
    for end in (person, terminal):
        try:
            os.close(end)
        except OSError:
            pass


def typed(ends: tuple[int, int], keys: bytes) -> str:
    with KeyReader(ends[1]) as reader:
        os.write(ends[0], keys)
        read, deadline = "", time.monotonic() + 5.0
        while not read.endswith(".") and time.monotonic() < deadline:
            read += reader.read()
        return read


def test_keys_come_without_enter_and_without_echo(ends: tuple[int, int]) -> None:
    assert typed(ends, b"tT r.") == "tT r."
    os.set_blocking(ends[0], False)
    with pytest.raises(BlockingIOError):
        os.read(ends[0], 100)


@pytest.mark.parametrize("sequence", [b"\x1b[A", b"\x1bOP", b"\x1b[15~", b"\x1b[8;24;80t", b"\x1b[1;5r"])
def test_a_cursor_or_function_key_is_no_letter(ends: tuple[int, int], sequence: bytes) -> None:
    assert typed(ends, sequence + b".") == "."


def test_escape_does_not_swallow_the_key_after_it(ends: tuple[int, int]) -> None:
    assert typed(ends, b"\x1bt.") == "t."


def test_ctrl_s_and_ctrl_z_do_not_stop_us(ends: tuple[int, int]) -> None:
    assert typed(ends, b"\x13\x1at.") == "\x13\x1at.", "they arrive as keys like any other"


@pytest.mark.parametrize("failing", [False, True])
def test_the_terminal_is_given_back_and_keys_not_read_are_dropped(ends: tuple[int, int], failing: bool) -> None:
    before = termios.tcgetattr(ends[1])
    try:
        with KeyReader(ends[1]):
            assert termios.tcgetattr(ends[1]) != before
            os.write(ends[0], b"rm\n")
            assert select.select([ends[1]], [], [], 5.0)[0]
            if failing:
                raise RuntimeError
    except RuntimeError:
        pass
    assert termios.tcgetattr(ends[1]) == before
    os.set_blocking(ends[1], False)
    with pytest.raises(BlockingIOError):
        os.read(ends[1], 100)


def test_a_terminal_that_goes_away_closes_the_reader(ends: tuple[int, int]) -> None:
    with KeyReader(ends[1]) as reader:
        assert reader.read() == "" and not reader.closed
        os.close(ends[0])
        assert reader.read() == "" and reader.closed


def test_keys_need_a_terminal_of_ours(ends: tuple[int, int]) -> None:
    read, write = os.pipe()
    assert not in_front(read)
    assert not in_front(-1)
    assert not in_front(ends[1]), "a terminal, but not the one this process group is in front of"
    os.close(read)
    os.close(write)
