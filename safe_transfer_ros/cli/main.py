# SPDX-License-Identifier: Apache-2.0
"""Entry point of the `safe_transfer` command: one module per subcommand, errors in one line."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from safe_transfer_ros import __version__
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED, came_of_interrupt, ending_on_interrupt
from safe_transfer_ros.untrusted import printable_lines

EXIT_BAD_INPUT = 2

# Subcommand -> its module. Only the one that is asked for is imported: some bring torch or matplotlib along.
_MODULES = {
    "run": "run",
    "up": "run",
    "pretrain": "pretrain",
    "train": "train",
    "correct": "correct",
    "reproduce": "reproduce",
    "report": "report",
    "bag": "bag",
    "doctor": "doctor",
    "commission": "commission",
    "controller-urdf": "controller_urdf",
    "watch": "watch",
    "fault-campaign": "fault_campaign",
    "train-critic": "train_critic",
    "critic-study": "critic_study",
    "shadow-report": "shadow",
    "promote": "shadow",
}

_EPILOG = """\
A first run:
  safe_transfer run pr2_cup_swirl            fine-tune on the perturbed arm, compare with a fixed limit, write a report
  safe_transfer up pr2_cup_swirl timing:=realtime iterations:=3
  safe_transfer watch                        in another terminal: what the safety filter does, live; t trips it
  safe_transfer report runs/<name>           write the report of a run again
  safe_transfer report runs/<name>/bag       recompute every number from the recording alone

A software protective stop, not a safety-rated one: see docs/safety.md before any of this moves a real arm.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand.

    Args:
      arguments: Command line without the program's name; None takes the process's.

    Returns:
      Exit status: 0 done, 2 bad input (one line says what and how to fix it), 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="safe_transfer",
        description="Fine-tune learned torque policies on an arm without exceeding a damage bound.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"safe_transfer {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    arguments = sys.argv[1:] if arguments is None else arguments
    asked_for = _MODULES.get(arguments[0]) if arguments else None
    with ending_on_interrupt("safe_transfer"):
        for module in [asked_for] if asked_for else dict.fromkeys(_MODULES.values()):
            importlib.import_module(f"safe_transfer_ros.cli.{module}").add_parser(subparsers)
    options = parser.parse_args(arguments)
    # A shell starts background jobs with SIGINT ignored, and Python leaves it so: Ctrl-C must work there as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if came_of_interrupt(error):
            return _interrupted()
        if not isinstance(error, ValueError | OSError):
            raise
        print(f"safe_transfer: {printable_lines(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT


def _interrupted() -> int:
    print("safe_transfer: interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
