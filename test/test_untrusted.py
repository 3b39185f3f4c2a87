# SPDX-License-Identifier: Apache-2.0
"""What strangers wrote: YAML and files within bounds, text without control characters; and one loader for all of it."""

from __future__ import annotations

import ast
import os
import time
from pathlib import Path

import pytest

import safe_transfer_ros
from safe_transfer_ros.bounds import YAML_BYTES, YAML_DEPTH, YAML_VALUES
from safe_transfer_ros.untrusted import (
    OutOfBoundsError,
    UntrustedError,
    load_yaml,
    printable,
    printable_lines,
    read_text,
    read_yaml,
)

PACKAGE = Path(safe_transfer_ros.__file__).parent
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGE_BOMB = "m0: &m0 {k: v, l: v}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BOMB, "aliases written out"),
        (MERGE_BOMB, "aliases written out"),
        ("a: &a [*a]", "holds itself at line 1"),
        ("a: &a {b: {c: *a}}", "holds itself"),
        ("[" * 100_000, f"nested more than {YAML_DEPTH} deep"),
        ("{a: " * 5_000, f"nested more than {YAML_DEPTH} deep"),
        ("- 1\n" * (YAML_VALUES + 1), "holds more than"),
        ("x: " + "9" * 5_000, "unquoted value"),
        ("x: " + "1:" * 5_000 + "1", "unquoted value"),
        ("#" * (YAML_BYTES + 1), "longer than"),
    ],
    ids=range(10),
)
def test_what_no_honest_file_holds_is_refused_at_once(text: str, line: str) -> None:
    began = time.process_time()
    with pytest.raises(OutOfBoundsError, match=line) as error:
        load_yaml(text, "bag/metadata.yaml")
    assert "\n" not in str(error.value) and str(error.value).startswith("bag/metadata.yaml ")
    assert time.process_time() - began < 8.0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2", r"is not YAML: did not find expected ',' or '\]' \(line 2, column 1\)"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("!!bool maybe", "cannot be read"),
        ("!!int ''", "cannot be read"),
        ("!!timestamp soon", "cannot be read"),
        ("!!python/object/apply:os.system [true]", "constructor for the tag"),
        ("? [a]\n: b", "unhashable key"),
        ("*nothing", "undefined alias"),
        ("a: \x1b[2J", "control characters"),
        ("a: 1\nb: 2\na: 3", r"'a' is given twice \(line 3, column 1\)"),
        ("a: {b: 1}\na: {c: 2}", "'a' is given twice"),
        ("d: {<<: {x: 1, x: 2}}", "'x' is given twice"),
        ("d: {<<: [{y: 1}, {x: 1, x: 2}]}", "'x' is given twice"),
        ("a: &a {x: 0}\nd: {<<: *a, y: 1, y: 1}", "'y' is given twice"),
        ("{a: {b: &b {<<: {x: 0}, x: 1, x: 2}}, c: {<<: *b}}", "'x' is given twice"),
        ("a\n--- \nb", "another document"),
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text: str, line: str) -> None:
    with pytest.raises(UntrustedError, match=line) as error:
        load_yaml(text, "m.yaml")
    assert "\n" not in str(error.value) and str(error.value).startswith("m.yaml ")


def test_honest_yaml_is_read() -> None:
    text = "a: &here {b: [1, 2.5, yes, null, 'x']}\nc: *here\nd:\n  <<: *here\n  e: 1\n"
    expected = {"b": [1, 2.5, True, None, "x"]}
    assert load_yaml(text, "m.yaml") == {"a": expected, "c": expected, "d": expected | {"e": 1}}
    assert load_yaml("", "m.yaml") is None
    files = "".join(f"- {{path: bag_{i}.mcap, count: {i}}}\n" for i in range(10_000))
    assert len(load_yaml(files, "metadata.yaml")) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 0, z: 5}\nb: &b {<<: *a, x: 1}\nc: {<<: *b}\n",
        # What is merged stands deeper than who merges it, and is put together before it is read itself.
        "a: &a {x: 0, z: 5}\nd: {e: {b: &b {<<: *a, x: 1}}}\nc: {<<: *b}\n",
        "a: &a {x: 0, z: 5}\nd: {e: {b: &b {<<: *a, x: 1}}}\nf: [{<<: *b}]\nc: {<<: [*b, *a]}\n",
        "d: {e: {b: &b {<<: {x: 0, z: 5}, x: 1}}}\nc: {<<: *b, x: 1}\n",
    ],
)
def test_a_mapping_may_be_merged_that_has_merged_another_and_its_own_keys_win(text: str) -> None:
    read = load_yaml(text, "m.yaml")
    assert read["c"] == {"x": 1, "z": 5} == (read["b"] if "b" in read else read["d"]["e"]["b"])


def test_sections_given_twice_are_merged_as_ros_does_and_values_never() -> None:
    text = "a:\n  p: {x: 1}\nb: {p: {y: 2}}\na:\n  p: {z: 3}\n"
    assert load_yaml(text, "p.yaml", merge_sections=2) == {"a": {"p": {"x": 1, "z": 3}}, "b": {"p": {"y": 2}}}
    with pytest.raises(UntrustedError, match="'p' is given twice"):
        load_yaml(text, "p.yaml", merge_sections=1)
    with pytest.raises(UntrustedError, match="'x' is given twice"):
        load_yaml("a: {p: {x: 1}}\na: {p: {x: 1}}", "p.yaml", merge_sections=2)
    with pytest.raises(UntrustedError, match="'a' is given twice"):
        load_yaml("a: {p: 1}\na: 3", "p.yaml", merge_sections=2)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.yaml")
    for path in (tmp_path / "metadata.yaml", Path("/dev/zero"), tmp_path):
        with pytest.raises(OutOfBoundsError, match="a regular file is expected"):
            read_text(path)


def test_another_encoding_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "l.yaml"
    path.write_bytes("torque: 3 # N·m".encode("latin-1"))
    with pytest.raises(UntrustedError, match=r"l.yaml is not UTF-8 text: byte 13 is 0xb7; save it as UTF-8"):
        read_yaml(path)


def test_control_characters_never_get_through() -> None:
    assert printable("arm\x1b[2J\r\n\u202e\x9b1m") == "arm\\x1b[2J\\x0d\\x0a\\u202e\\x9b1m"
    assert printable("0.5 N·m, 20 °C, Δ") == "0.5 N·m, 20 °C, Δ"
    assert printable_lines("one\n\ttwo\x1b[m") == "one\n        two\\x1b[m"


def test_nobody_else_in_the_package_reads_yaml() -> None:
    """A loader of its own would lack the bounds."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "untrusted.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml":
                assert "load" not in node.attr.lower() and node.attr not in ("parse", "compose", "scan"), file
