# SPDX-License-Identifier: Apache-2.0
"""Single key presses from a terminal, which is given back as it was."""

from __future__ import annotations

import os
import re
import select
import termios
from types import TracebackType

# Cursor and function keys, and what terminals answer by themselves. A letter after a lone Escape is kept: it was typed.
_CONTROL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.)?")
_LOCAL, _INPUT, _CHARACTERS = 3, 0, 6  # places in what tcgetattr gives


def in_front(descriptor: int) -> bool:
    """Whether this is a terminal and ours to read from and draw on, not that of a background job."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


class KeyReader:
    """Reads keys as they are pressed, without echo; a context manager.

    Ctrl-C still interrupts. Ctrl-Z and Ctrl-S are off: a view that stands still would go on showing an old state, and
    would not see the next key.
    """

    def __init__(self, terminal: int) -> None:
        """Prepare; nothing is changed before the context is entered.

        Args:
          terminal: File descriptor, of standard input say.
        """
        self._terminal = terminal
        self._saved: list[object] | None = None
        self.closed = False  # the terminal has gone away

    def __enter__(self) -> KeyReader:
        """Take single keys from now on."""
        self._saved = list(termios.tcgetattr(self._terminal))
        settings = termios.tcgetattr(self._terminal)
        settings[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
        settings[_INPUT] &= ~termios.IXON
        off = bytes([os.fpathconf(self._terminal, "PC_VDISABLE")])
        for place, value in ((termios.VMIN, 1), (termios.VTIME, 0), (termios.VSUSP, off)):
            settings[_CHARACTERS][place] = value
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the terminal back as it was; keys not read yet are dropped, not handed to the shell."""
        if self._saved is not None:
            try:
                termios.tcsetattr(self._terminal, termios.TCSAFLUSH, self._saved)  # type: ignore[arg-type]
            except termios.error:  # it has gone away
                pass

    def read(self) -> str:
        """The keys pressed since the last call, in order; never waits."""
        if self.closed or not select.select([self._terminal], [], [], 0.0)[0]:
            return ""
        try:
            pressed = os.read(self._terminal, 1024)
        except OSError:
            pressed = b""
        self.closed = not pressed
        return _CONTROL_SEQUENCE.sub("", pressed.decode(errors="ignore"))
