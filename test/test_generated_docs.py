# SPDX-License-Identifier: Apache-2.0
"""docs/ says of parameters, topics, commands, messages and reasons what the code does: the pages are generated."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.parameters import reference, sections

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "generate_docs.py"


def test_the_generated_pages_are_as_committed() -> None:
    checked = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_of_parameters_has_every_parameter_of_every_node() -> None:
    page = reference.text()
    for node, settings in sections.SECTIONS.items():
        part = page.partition(f"## {node}\n")[2].partition("\n## ")[0]
        for name in settings.__dataclass_fields__:  # type: ignore[attr-defined]
            assert f"| `{name}`" in part, f"{node}.{name}"
    assert "| `action_timeout` *live* | double | 0.1 | 0.001 to 10 |" in page
    assert "| `e_stop_lease` | double, or off | `off` | 0.01 to 60 |" in page


def test_the_tables_have_every_topic() -> None:
    for topic in topics.TOPICS:
        assert f"| `{topic.name}` |" in topics.table()
    assert "| latched | reliable | transient local | 1 |" in topics.qos_table()


def test_the_page_of_messages_has_every_field_with_its_meaning() -> None:
    page = script().messages().replace("\\", "")  # what keeps | and * from being Markdown
    for path in (SCRIPT.parents[1] / "safe_transfer_msgs").glob("[msa]*/*.*"):
        part = page.split(f"\n## {path.stem}\n")[1].split("\n## ")[0]
        assert f"`safe_transfer_msgs/{path.parent.name}/{path.stem}`" in part
        for line in path.read_text().splitlines():
            words = line.split()
            if words and not words[0].startswith(("#", "---")):
                meaning = "".join(line.partition("#")[2].split()[:1])
                assert f"| `{words[1]}` | {words[0]} | {meaning}".rstrip() in part, line
        parts = {"msg": [], "srv": ["Answer:"], "action": ["Result:", "Feedback:"]}[path.parent.name]
        assert [line for line in part.splitlines() if line in ("Answer:", "Result:", "Feedback:")] == parts


def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate_docs", SCRIPT)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_page_without_its_marks_is_refused() -> None:
    module = script()
    with pytest.raises(ValueError, match="no '<!-- topics: generated"):
        module.with_parts("# Interfaces\n")
