# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md: every command of `safe_transfer` with its arguments, from the parsers themselves."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Iterator

from safe_transfer_ros.cli import main
from safe_transfer_ros.cli.run import arguments_rows, arguments_text

_HEAD = """\
# Commands

<!-- Generated from safe_transfer_ros/cli/ by `python scripts/generate_docs.py`: do not edit. -->

Every command, as `safe_transfer COMMAND --help` prints it. Exit status: 0 done, 2 bad input (one line says what was
expected, what came and how to fix it), 130 interrupted; others are said with the command.
"""
_LAUNCH = """\
## Launch arguments

`run`, `up` and `commission` take them as `key:=value`, as `ros2 launch` does; `node.parameter:=value` sets any other
[parameter](parameters.md). A name that is none is refused.
"""


def text() -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, parser in parsers().items():
        parts += _section(f"safe_transfer {name}", parser, main.COMMANDS[name][1], level=2)
    return "\n".join([*parts, _LAUNCH, *_table(("argument", "meaning", "default"), arguments_rows()), ""])


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Parser of every command, in the order of --help."""
    subparsers = argparse.ArgumentParser(prog="safe_transfer").add_subparsers()
    for module in dict.fromkeys(module for module, _ in main.COMMANDS.values()):
        importlib.import_module(f"safe_transfer_ros.cli.{module}").add_parser(subparsers)
    return {name: subparsers.choices[name] for name in main.COMMANDS}


def _section(title: str, parser: argparse.ArgumentParser, told: str, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {title}\n"
    yield f"{_sentence(told)}\n"
    yield f"```text\nusage: {_synopsis(title, parser)}\n```\n"
    if parser.description and parser.description != told:
        yield _preformatted(parser.description)
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    rows = [(f"`{_written(action)}`", _meaning(action)) for action in _shown(parser)]
    if rows:
        yield from _table(("argument", "meaning"), rows)
        yield ""
    if parser.epilog == arguments_text():
        yield "Launch arguments: see [below](#launch-arguments).\n"
    elif parser.epilog:
        yield _preformatted(parser.epilog)
    for action in nested:
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, found in action.choices.items():
            yield from _section(f"{title} {name}", found, helps[name], level=level + 1)


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments that a reader is told of: positional ones first."""
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    shown = [a for a in parser._actions if not isinstance(a, hidden) and a.help != argparse.SUPPRESS]
    return sorted(shown, key=lambda action: bool(action.option_strings))


def _synopsis(title: str, parser: argparse.ArgumentParser) -> str:
    """Call of a command. Our own, as argparse writes it differently from one Python to the next."""
    words = [title]
    for action in _shown(parser):
        written = _written(action)
        optional = bool(action.option_strings) and not action.required
        words.append(f"[{written}]" if optional else written)
    if any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
        words.append("ACTION ...")
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > 100:
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _written(action: argparse.Action) -> str:
    """An argument with its value."""
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    value = str(value)
    if action.nargs == "+":
        value = f"{value} ..."
    elif action.nargs == "*":
        value = f"[{value} ...]"
    if not action.option_strings:
        return value
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def _meaning(action: argparse.Action) -> str:
    told = (action.help or "") % {"default": action.default}
    if action.choices is not None:
        told = f"{told}; one of: {', '.join(map(str, action.choices))}" if told else ", ".join(map(str, action.choices))
    return told


def _preformatted(told: str) -> str:
    """A description as a paragraph, or as it stands where its lines were set by hand."""
    told = told.strip("\n")
    return f"```text\n{told}\n```\n" if "\n" in told else f"{_sentence(told)}\n"


def _sentence(told: str) -> str:
    return _escaped(f"{told[0].upper()}{told[1:].rstrip('.')}.")


def _escaped(told: str) -> str:
    """Plain words as Markdown: <name> is no HTML."""
    return told.replace("<", "\\<")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_escaped(cell).replace('|', chr(92) + '|') for cell in row)} |"
