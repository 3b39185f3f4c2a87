# SPDX-License-Identifier: Apache-2.0
"""Commands that the pages show, and those that a command suggests, are accepted."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from safe_transfer_ros.cli import main, run
from safe_transfer_ros.cli.method_studies import STUDIES
from safe_transfer_ros.cli.run import continuing, parse_arguments, pick_graph
from safe_transfer_ros.configuration import field_types
from safe_transfer_ros.parameters.sections import NODES
from safe_transfer_ros.studies.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_THE_PAGE = {"fixed-penalty", "point", "two_joint_reach", "reach_forward"}  # what docs/adding_*.md add themselves

# In a line of its own, as code; a comment, or where its output goes, is the shell's.
COMMAND = re.compile(r"^(?: {4,}|\$ )?safe_transfer (?P<words>[^#>\n]*)", re.MULTILINE)


def shown() -> list[tuple[str, list[str]]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in COMMAND.finditer(text):
            place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append((place, shlex.split(match["words"])))
    return [(place, words) for place, words in found if not OF_THE_PAGE & set(words)]


COMMANDS = shown()


@pytest.mark.parametrize("words", [words for _, words in COMMANDS], ids=[place for place, _ in COMMANDS])
def test_a_command_that_a_page_shows_is_accepted(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    module = importlib.import_module(f"safe_transfer_ros.cli.{main.COMMANDS[words[0]][0]}")
    module.add_parser(parser.add_subparsers(dest="command"))
    options = parser.parse_args(words)
    if options.command == "reproduce":
        assert options.figure in (*EXPERIMENTS, *STUDIES, "all")
    if options.command not in ("up", "run", "commission"):
        return
    known = {argument.name for argument in pick_graph(options.graph).arguments}
    for name in parse_arguments(options.arguments):
        node, dot, parameter = name.partition(".")
        assert parameter in field_types(NODES[node]) if dot else name in known


def test_there_are_commands_on_the_pages() -> None:
    assert len(COMMANDS) > 30


def test_an_interrupted_run_is_continued_on_the_same_arm_in_the_same_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "invocation", lambda: "safe_transfer")
    given = {"robot": "hardware", "namespace": "left", "iterations": "3"}
    command = continuing("panda_push", Path("runs/arm"), given)
    assert command == "safe_transfer up panda_push resume:=runs/arm robot:=hardware namespace:=left"
    assert continuing("panda_push", Path("runs/sim"), {}) == "safe_transfer up panda_push resume:=runs/sim"
