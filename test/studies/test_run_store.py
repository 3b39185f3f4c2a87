# SPDX-License-Identifier: Apache-2.0
"""What a finished run is held against: our code, and the packages of others that made its numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from safe_transfer_ros.studies.run_store import code_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "digested"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "part.py").write_text("ONE = 1\n")
    (tmp_path / "digested_alone.py").write_text("ONE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def digest(*modules: str) -> str:
    code_digest.cache_clear()
    return code_digest(*modules)


def test_the_digest_is_that_of_every_file_of_the_packages_given(package: Path) -> None:
    before = {names: digest(*names) for names in ((), ("digested.part",), ("digested",), ("digested_alone",))}
    assert before[("digested.part",)] == before[("digested",)] == digest("digested", "digested.part")
    assert len({*before.values()}) == 3
    (package / "digested" / "other.py").write_text("TWO = 2\n")
    (package / "digested_alone.py").write_text("ONE = 2\n")
    after = {names: digest(*names) for names in before}
    assert after[()] == before[()]
    assert all(after[names] != before[names] for names in before if names)


def test_what_is_made_of_no_files_counts_for_nothing() -> None:
    assert digest("sys") == digest("no_such_package") == digest()
