# SPDX-License-Identifier: Apache-2.0
"""A program in a terminal of its own, as a person sees it and types to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable

_HOME = "\x1b[H"  # a new picture begins
_CONTROL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)")


class Terminal:
    """Runs a command as the foreground job of a pseudo-terminal; a context manager that kills what still runs."""

    def __init__(self, command: list[str], environment: dict[str, str], columns: int = 80, rows: int = 24) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._settings = termios.tcgetattr(self._slave)
        self._output = bytearray()
        clean = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            command,
            env=clean | {"TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        threading.Thread(target=self._collect, daemon=True).start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        with contextlib.suppress(OSError):
            os.close(self._master)

    def _collect(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._output += os.read(self._master, 65536)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def raw(self) -> str:
        """All that was written, control sequences included."""
        return self._output.decode(errors="replace")

    def picture(self) -> str:
        """The newest picture that was drawn whole (the one before the last, which may be half there), words only."""
        pictures = self.raw().split(_HOME)
        return _CONTROL.sub("", pictures[-2] if len(pictures) > 2 else "")

    def shows(self, *words: str) -> bool:
        """Whether the picture has all these words, wherever its lines are broken."""
        text = " ".join(re.sub(r"[│┃]", " ", self.picture()).split())
        return all(word in text for word in words)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}; the screen:\n{self.picture()}"
            assert self.process.poll() is None or condition(), f"ended before {what}:\n{self.raw()}"
            time.sleep(0.02)

    def ends(self, seconds: float = 15.0) -> int:
        """Wait for the program's end and return its exit status; the terminal must be as it was."""
        status = self.process.wait(seconds)
        time.sleep(0.1)  # what it wrote last is still on its way through the terminal
        assert termios.tcgetattr(self._slave) == self._settings, "the terminal's settings were not restored"
        assert self.raw().count("\x1b[?1049h") == self.raw().count("\x1b[?1049l"), "the alternate screen was not left"
        assert self.raw().count("\x1b[?25l") <= self.raw().count("\x1b[?25h"), "the cursor was left hidden"
        return status
