# SPDX-License-Identifier: Apache-2.0
"""docs/safety.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from safe_transfer_ros.safety.filter.safety_filter import FilterSettings
from safe_transfer_ros.safety.filter.transitions import transitions_table
from safe_transfer_ros.safety.reasons import reasons_table

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "docs" / "safety.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", [reasons_table, transitions_table], ids=lambda table: table.__name__)
def test_the_tables_are_the_codes(table):
    assert f"-->\n{table()}\n<!-- end -->" in TEXT


def test_the_settings_are_the_codes():
    units = {"torque_rate_limit": "N·m/s", "stop_damping": "N·m·s/rad"}
    for name, value in vars(FilterSettings()).items():
        default = value if isinstance(value, str) else f"{value:g} {units.get(name, 's')}"
        assert f"| {name.removesuffix('_s')} | {default} |" in TEXT


def test_it_says_plainly_what_it_is_not():
    assert "NOT safety-rated" in TEXT


def test_the_tests_it_names_exist():
    named = {word.strip("`(),.;") for word in TEXT.split() if "test_" in word}
    assert named
    for name in named:
        assert (REPOSITORY / name).exists() or list((REPOSITORY / "test" / "safety").rglob(name)), name
