# SPDX-License-Identifier: Apache-2.0
"""Items of work for the tests of workers: importable by name in another process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def square_once_lost(item: tuple[int, str]) -> int:
    """Dies the first time it comes to the item that has a file to remember it by."""
    number, marker = item
    if marker and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail_on_three(number: int) -> int:
    if number == 3:
        raise ArithmeticError("three is too much")
    return number


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()
