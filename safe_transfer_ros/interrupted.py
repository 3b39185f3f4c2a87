# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a program still imports its modules: one line and exit status 130.

Nothing has begun by then, so the process ends at once. Raised within an import, KeyboardInterrupt would end in a
traceback of whatever was being imported, or in the import error that a library makes of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

EXIT_INTERRUPTED = 130


def end_on_interrupt(program: str) -> None:
    """End this process at once on SIGINT, until something else takes the signal."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{program}: interrupted\n".encode())
        os._exit(EXIT_INTERRUPTED)

    signal.signal(signal.SIGINT, end)


@contextlib.contextmanager
def ending_on_interrupt(program: str) -> Iterator[None]:
    """End this process at once on SIGINT within the block."""
    before = signal.getsignal(signal.SIGINT)
    end_on_interrupt(program)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def came_of_interrupt(error: BaseException | None) -> bool:
    """Whether an error is what some library made of a KeyboardInterrupt, while it was imported late for example."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def started_module(package: str) -> str | None:
    """Name of the module of a package that this process runs as its program; None where it runs something else.

    To be asked while the package itself is imported, which is before its modules are.

    Args:
      package: Full name, whose modules have console scripts of their names or are run by `python -m`.
    """
    if sys.argv[:1] == ["-m"]:  # as runpy leaves it until it has found the module
        of_package = [word for word in sys.orig_argv if word.startswith(f"{package}.")]
        return of_package[0].rpartition(".")[2] if of_package else None
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    folder = os.path.dirname(sys.modules[package].__file__ or "")
    return name if os.path.isfile(os.path.join(folder, f"{name}.py")) else None
