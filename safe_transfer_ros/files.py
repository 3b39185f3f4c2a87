# SPDX-License-Identifier: Apache-2.0
"""Files that are whole at every moment: atomic writing, a lock on a folder, and CSV tables of a dataclass's rows."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import io
import os
import stat
import threading
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from safe_transfer_ros.bounds import TABLE_BYTES
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Row = TypeVar("Row")
_WHAT = {int: "a whole number", float: "a number", str: "text"}


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically: either the old content or the new one is there, never a part.

    The content is on the disk when this returns. A file that is replaced keeps its permissions.

    Args:
      path: The file; its folder must exist.
      content: Text is written as UTF-8, line ends as they are.

    Raises:
      OSError: if it cannot be written; the old file is then as it was.
    """
    with replaced(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Path beside a file, for what writes to a path: it takes the file's place when the block ends without an error.

    See `write_atomically` for what is promised.
    """
    # Of this thread alone: two writers of one file do not write into each other's.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}.partial")
    try:
        yield beside
        with beside.open("rb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV of rows whose columns only the run decides, atomically; the first row names the columns.

    Raises:
      ValueError: if a row has another column than the first; missing ones are left empty.
      OSError: if it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


class FolderLock:
    """A folder that is one process's alone; the kernel gives it back however the process ends."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        """Take it.

        Args:
          folder: It must exist.
          name: Of the file in it that is locked and stays there; None locks the folder itself and leaves nothing there.

        Raises:
          BlockingIOError: if another holder has it.
          OSError: if it cannot be opened or locked; some network file systems lock no folders.
        """
        path, flags = (folder, os.O_RDONLY) if name is None else (folder / name, os.O_RDWR | os.O_CREAT)
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TableError(ValueError):
    """A table cannot be used. The message names the file, the line and the column."""


class CsvTable(Generic[Row]):
    """CSV files of one dataclass's rows: a header of the field names, a line per row, exact when read again.

    Attributes:
      columns: Names of the columns, in order.
      kinds: Type of each column: int, float or str.
      header: First line of a file, without its end.
    """

    def __init__(self, row: type[Row], error: type[ValueError] = TableError, *, first: Sequence[str] = ()) -> None:
        """Describe the files.

        Args:
          row: A dataclass whose fields are int, float or str.
          error: Raised where a file is not such a table.
          first: Fields that stand first, where files that exist already have them; the others follow.
        """
        kinds = typing.get_type_hints(row)
        self._row, self._error = row, error
        names = [field.name for field in dataclasses.fields(row)]  # type: ignore[arg-type]
        self.kinds: dict[str, Any] = {name: kinds[name] for name in (*first, *names)}
        for name, kind in self.kinds.items():
            if kind not in _WHAT:
                raise TypeError(f"{row.__name__}.{name} must be int, float or str to be a column, got {kind}")
        self.columns = tuple(self.kinds)
        self.header = ",".join(self.columns)

    def line(self, row: Row) -> str:
        """A row as a line of the file, its end included.

        Raises:
          ValueError: if a text holds a line break: a row is one line.
        """
        values = [self._text(name, getattr(row, name)) for name in self.columns]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue()

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write a whole file, atomically."""
        write_atomically(path, "".join([f"{self.header}\n", *map(self.line, rows)]))

    def append(self, path: Path, rows: Sequence[Row], *, check: Callable[[Sequence[Row]], None] | None = None) -> None:
        """Add rows to a file, creating it with its header.

        They reach the disk before this returns, all or none; half a line that a crash left behind is removed first.
        Where an error is raised the rows before stay, and a file that was not there may be there, without a row.

        Args:
          path: The file.
          rows: Added at its end.
          check: Sees the rows that are there before anything is written; raises to keep the new ones out.

        Raises:
          ValueError: of the table's kind, if the file has other columns or a line that cannot be read.
          OSError: if it cannot be written.
        """
        text = "".join(map(self.line, rows))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            known = self.parse(content[:end].decode("utf-8", "replace"), path)
            if check is not None:
                check(known)
            if end == 0:
                text = f"{self.header}\n{text}"
            file.seek(end)
            file.truncate(end)
            try:
                _write_all(file.fileno(), text.encode())
            except OSError:
                file.truncate(end)
                raise
            os.fsync(file.fileno())
        if end == 0:  # it may be new: its name is to be on the disk too
            _sync_folder(path.parent)

    def read(self, path: Path, *, extra_columns: bool = False) -> list[Row]:
        """Rows of a file in its order; half a line at its end is left out.

        Args:
          path: The file.
          extra_columns: Take columns that are in the file and not in the rows, in any order; they are ignored.

        Raises:
          ValueError: of the table's kind, if the file cannot be read, has other columns, or a value is not of its
            column's type.
        """
        try:
            text = read_bytes(path, most_bytes=TABLE_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise self._error(f"cannot read {path}: {error.strerror or error}") from error
        except UntrustedError as error:
            raise self._error(str(error)) from None
        return self.parse(text[: text.rfind("\n") + 1], path, extra_columns=extra_columns)

    def parse(self, text: str, path: Path, *, extra_columns: bool = False) -> list[Row]:
        """Rows of a file's text, see `read`; `path` is for the error's words."""
        first, *lines = text.split("\n")[:-1] or [self.header]
        header = first.rstrip("\r").split(",")
        missing = [name for name in self.columns if name not in header]
        if missing or not (extra_columns or tuple(header) == self.columns):
            what = f"lacks the columns {', '.join(missing)}" if missing else f"has the columns {first[:200]}"
            raise self._error(f"{path} {what}: expected the columns {self.header}")
        return [self._parsed(line, header, f"{path}, line {number}") for number, line in enumerate(lines, start=2)]

    def _parsed(self, line: str, header: Sequence[str], where: str) -> Row:
        try:
            values = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise self._error(f"{where}: {error}") from None
        if len(values) != len(header):
            raise self._error(f"{where}: expected {len(header)} values, got {len(values)}")
        texts = dict(zip(header, values, strict=True))
        found = {}
        for name, kind in self.kinds.items():
            try:
                found[name] = kind(texts[name])
            except ValueError:
                raise self._error(f"{where}, column {name}: expected {_WHAT[kind]}, got '{texts[name][:60]}'") from None
        return self._row(**found)

    def _text(self, name: str, value: Any) -> str:
        kind = self.kinds[name]
        if kind is str:
            if "\n" in value or "\r" in value:
                raise ValueError(f"column {name} cannot hold a line break: {value[:60]!r}")
            return str(value)
        return repr(kind(value))  # the shortest text that reads back as the same number


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    """Flush the name to the disk too, where the file system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
