# SPDX-License-Identifier: Apache-2.0
"""Files are whole at every moment, a folder has one holder, and a table reads back what was written."""

from __future__ import annotations

import ast
import errno
import math
import os
import subprocess
import sys
import threading
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import safe_transfer_ros
from safe_transfer_ros import files
from safe_transfer_ros.files import CsvTable, FolderLock, TableError, replaced, write_atomically, write_rows


@dataclass(frozen=True, kw_only=True)
class Sample:
    count: int
    share: float
    note: str


class SampleError(ValueError):
    pass


TABLE = CsvTable(Sample, SampleError)
ROWS = [Sample(count=1, share=0.1, note="a, b"), Sample(count=-2, share=1e-320, note='"quoted"')]
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


def left_beside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".partial")]


# Whole or not at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "expected"), [("é\r\n", "é\r\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_the_content_is_there_byte_for_byte(tmp_path: Path, content: str | bytes, expected: bytes) -> None:
    write_atomically(tmp_path / "file", "what was there before")
    write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == expected and not left_beside(tmp_path)


def test_what_fails_half_way_leaves_the_old_content_and_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def write() -> None:
        with replaced(path) as beside:
            beside.write_text("half of the n")
            assert path.read_text() == "old"
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert path.read_text() == "old" and not left_beside(tmp_path)


def test_it_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, done = tmp_path / "file", []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def taken(beside: Path, target: Path) -> Path:
        done.append(f"replace {target.name}")
        return replace(beside, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", taken)
    write_atomically(path, "new")
    beside, *rest = done
    assert beside.endswith(".partial") and rest == ["replace file", tmp_path.name]


def test_permissions_are_those_of_the_file_before_and_else_the_usual_ones(tmp_path: Path) -> None:
    kept, usual, ours = tmp_path / "kept", tmp_path / "usual", tmp_path / "ours"
    kept.write_text("old")
    kept.chmod(0o640)
    usual.write_text("as open() makes it")
    for path in (kept, ours):
        write_atomically(path, "new")
    assert kept.stat().st_mode & 0o777 == 0o640
    assert ours.stat().st_mode == usual.stat().st_mode


def test_two_threads_do_not_write_into_each_other(tmp_path: Path) -> None:
    path, names, together = tmp_path / "file", set(), threading.Barrier(2)

    def write() -> None:
        with replaced(path) as beside:
            names.add(beside.name)
            together.wait(10)
            beside.write_text("x")

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 2 and path.read_text() == "x"


def test_no_other_file_of_the_package_replaces_files_by_hand() -> None:
    package = Path(safe_transfer_ros.__file__).parent
    for file in sorted(set(package.rglob("*.py")) - {package / "files.py"}):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                # str.replace takes two arguments, dataclasses.replace keywords; Path.replace and rename take one.
                by_hand = node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords
                assert not by_hand and ast.unparse(node.func) not in ("os.replace", "os.rename"), (
                    f"{file}:{node.lineno} replaces a file: use files.write_atomically"
                )


def test_rows_of_a_runs_own_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [{"x": 1, "y": "b"}, {"x": 2}])
    assert (tmp_path / "a.csv").read_bytes() == b"x,y\n1,b\n2,\n"
    with pytest.raises(ValueError, match="z"):
        write_rows(tmp_path / "a.csv", [{"x": 1}, {"z": 2}])
    assert (tmp_path / "a.csv").read_bytes() == b"x,y\n1,b\n2,\n"


# A folder's lock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, ".lock"])
def test_a_folder_has_one_holder_and_is_free_when_its_process_is_gone(tmp_path: Path, name: str | None) -> None:
    program = (
        "import sys, time; from pathlib import Path; from safe_transfer_ros.files import FolderLock; "
        f"lock = FolderLock(Path(sys.argv[1]), {name!r}); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path, name)
    holder.kill()
    holder.wait()
    with FolderLock(tmp_path, name), pytest.raises(BlockingIOError):
        FolderLock(tmp_path, name)
    lock = FolderLock(tmp_path, name)
    lock.close()
    lock.close()
    assert [path.name for path in tmp_path.iterdir()] == [name] * (name is not None)


def test_a_lock_that_is_refused_or_given_back_holds_no_file(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with FolderLock(tmp_path):
        for _ in range(10):
            with pytest.raises(BlockingIOError):
                FolderLock(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


# Tables ---------------------------------------------------------------------------------------------------------------


@given(st.lists(st.builds(Sample, count=st.integers(), share=st.floats(), note=LINES)))
def test_what_is_written_is_read_back_exactly(tmp_path_factory: pytest.TempPathFactory, rows: list[Sample]) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    TABLE.write(path, rows[:1])
    for row in rows[1:]:
        TABLE.append(path, [row])
    assert list(map(repr, map(astuple, TABLE.read(path)))) == list(map(repr, map(astuple, rows)))  # NaN is itself


def test_the_file_is_a_plain_csv(tmp_path: Path) -> None:
    TABLE.append(tmp_path / "a.csv", ROWS)
    assert (tmp_path / "a.csv").read_text() == 'count,share,note\n1,0.1,"a, b"\n-2,1e-320,"""quoted"""\n'
    TABLE.write(tmp_path / "b.csv", ROWS)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()
    assert TABLE.header == "count,share,note" and TABLE.columns == ("count", "share", "note")


def test_the_name_of_a_new_file_is_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, done, sync = tmp_path / "a.csv", [], os.fsync

    def synced(descriptor: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    TABLE.append(path, ROWS[:1])
    assert done == ["a.csv", tmp_path.name]
    TABLE.append(path, ROWS[1:])
    assert done[2:] == ["a.csv"], "the name was there before"
    assert TABLE.read(path) == ROWS


def test_half_a_line_is_left_out_and_removed_by_the_next_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    TABLE.write(path, ROWS[:1])
    with path.open("a") as file:
        file.write("7,0.2")
    assert TABLE.read(path) == ROWS[:1]
    TABLE.append(path, ROWS[1:])
    assert TABLE.read(path) == ROWS and "7,0.2" not in path.read_text()


def test_a_full_disk_leaves_the_rows_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    TABLE.write(path, ROWS[:1])

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_all", full)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        TABLE.append(path, ROWS[1:])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count,share\n", r"a\.csv lacks the columns note: expected the columns count,share,note"),
        ("count,share,note,more\n", r"a\.csv has the columns count,share,note,more: expected"),
        ("share,count,note\n", r"a\.csv has the columns share,count,note: expected"),
        ("count,share,note\n1,2,x\n1.5,2,x\n", r"a\.csv, line 3, column count: expected a whole number, got '1\.5'"),
        ("count,share,note\n1,much,x\n", r"a\.csv, line 2, column share: expected a number, got 'much'"),
        ("count,share,note\n1,2\n", r"a\.csv, line 2: expected 3 values, got 2"),
        ("count,share,note\n\n", r"a\.csv, line 2: expected 3 values, got 0"),
        ('count,share,note\n1,2,"x\n', r"a\.csv, line 2: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_such_table_is_named_and_not_touched(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SampleError, match=message):
        TABLE.read(path)
    with pytest.raises(SampleError, match=message):
        TABLE.append(path, ROWS)
    assert path.read_text() == text


def test_columns_of_others_are_ignored_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("more,note,share,count\nx,n,nan,3\n")
    (row,) = TABLE.read(tmp_path / "a.csv", extra_columns=True)
    assert (row.count, row.note) == (3, "n") and math.isnan(row.share)


def test_a_check_of_the_rows_there_keeps_a_row_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    TABLE.write(path, ROWS[:1])

    def refuse(rows: list[Sample]) -> None:
        raise SampleError(f"{len(rows)} rows are enough")

    with pytest.raises(SampleError, match="1 rows are enough"):
        TABLE.append(path, ROWS[1:], check=refuse)
    assert TABLE.read(path) == ROWS[:1]
    with pytest.raises(SampleError, match="0 rows are enough"):
        TABLE.append(tmp_path / "new.csv", ROWS, check=refuse)
    assert TABLE.read(tmp_path / "new.csv") == []


def test_what_cannot_be_a_line_or_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column note cannot hold a line break"):
        TABLE.write(tmp_path / "a.csv", [Sample(count=1, share=1.0, note="a\nb")])
    assert not (tmp_path / "a.csv").exists()

    @dataclass
    class Nested:
        parts: list

    with pytest.raises(TypeError, match="Nested.parts must be int, float or str"):
        CsvTable(Nested)
    with pytest.raises(TableError, match="cannot read .*none.csv: No such file"):
        CsvTable(Sample).read(tmp_path / "none.csv")
