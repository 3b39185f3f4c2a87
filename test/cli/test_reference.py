# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md has every command, argument and launch argument; that it is as committed: test/test_generated_docs.py."""

from __future__ import annotations

import argparse
import re

import pytest

from safe_transfer_ros.cli import main, reference
from safe_transfer_ros.launching.fine_tuning import ARGUMENTS

PAGE = reference.text()


def part(title: str) -> str:
    """A section with what is nested in it."""
    return re.split(rf"^## {re.escape(title)}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_argument_of_a_command_is_there(command: str) -> None:
    section, parser = part(f"safe_transfer {command}"), reference.parsers()[command]
    for action in parser._actions:
        if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            name = re.escape((action.option_strings or [action.metavar or action.dest])[-1])
            assert re.search(rf"^\| `\[?{name}[^`]*` \| \S", section, re.MULTILINE), f"{name}: no help"
    assert "--help" not in section.split("```")[1]


def test_actions_of_a_command_are_sections_in_it() -> None:
    assert "### safe_transfer bag check" in part("safe_transfer bag")
    assert "| `--mapping YAML` |" in part("safe_transfer bag")


def test_every_launch_argument_is_there_once() -> None:
    for argument in ARGUMENTS:
        assert len(re.findall(rf"^\| {argument.name} \|", PAGE, re.MULTILINE)) == 1, argument.name
    assert "| t_max | T_max, N·m | pr2_cup_swirl: 3.0, panda_push: 10.0" in PAGE


def test_a_placeholder_is_no_html() -> None:
    assert "runs/pretrain-\\<task>" in PAGE
