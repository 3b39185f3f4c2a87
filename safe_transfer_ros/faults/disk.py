# SPDX-License-Identifier: Apache-2.0
"""A small disk of its own (tmpfs) that can be filled to the last byte."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from pathlib import Path

_BLOCK = 1 << 16


class SmallDisk:
    """Mounted on a folder; use as a context manager."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size` bytes on `folder`."""
        self.folder, self._size = folder, size
        self._ballast = folder / "ballast"

    def __enter__(self) -> SmallDisk:
        """Mount it.

        Raises:
          OSError: this machine does not allow it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.folder)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise OSError(f"a small disk cannot be mounted: {done.stderr.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount it; its content is lost."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True)

    def fill(self) -> None:
        """Leave not one byte free."""
        with open(self._ballast, "ab", buffering=0) as file:
            size = _BLOCK
            while size:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def relieve(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


def why_not() -> str:
    """Reason why this machine cannot do it; empty if it can."""
    try:
        with tempfile.TemporaryDirectory() as folder, SmallDisk(Path(folder), _BLOCK):
            return ""
    except OSError as error:
        return str(error)
