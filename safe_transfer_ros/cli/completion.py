# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer completion`: a script that completes commands, graphs and launch arguments in bash."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping

GRAPH_COMMANDS = ("up", "run", "commission")

_SCRIPT = """\
# Completion of safe_transfer in bash: eval "$(safe_transfer completion)"
_safe_transfer() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]:-}} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{commands}'
  else
    case "$command" in
      {graph_commands}) words='{graphs} {arguments}' ;;
      *) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case "${{COMPREPLY[*]:-}}" in *:=) compopt -o nospace 2>/dev/null ;; esac
}}
complete -o bashdefault -F _safe_transfer safe_transfer
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    text = 'print completion for bash: eval "$(safe_transfer completion)"'
    parser = subparsers.add_parser("completion", help=text, description=text)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    from safe_transfer_ros.cli.main import COMMANDS
    from safe_transfer_ros.cli.run import ARGUMENTS, GRAPHS

    print(script(COMMANDS, GRAPHS.names(), [argument.name for argument in ARGUMENTS]), end="")
    return 0


def script(commands: Mapping[str, object], graphs: Iterable[str], arguments: Iterable[str]) -> str:
    """The script for these words."""
    return _SCRIPT.format(
        commands=" ".join(commands),
        graph_commands="|".join(GRAPH_COMMANDS),
        graphs=" ".join(graphs),
        arguments=" ".join(f"{name}:=" for name in ("task", *arguments)),
    )
