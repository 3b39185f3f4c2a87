# SPDX-License-Identifier: Apache-2.0
"""Entry point of the `safe_transfer` command: one module per subcommand, errors in one line."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import select
import signal
import sys

from safe_transfer_ros import __version__
from safe_transfer_ros.configuration import ConfigurationError, nearest
from safe_transfer_ros.interpreter import shadowed
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED, came_of_interrupt, ending_on_interrupt
from safe_transfer_ros.untrusted import printable_lines

EXIT_BAD_INPUT = 2
EXIT_READER_LEFT = 128 + signal.SIGPIPE  # as a shell reports it

_NEEDS_ROS = ("run", "up", "watch", "commission", "fault-campaign")

# Subcommand -> its module and its line in --help, the same as the module gives. Only the module that is asked for is
# imported: some bring torch or matplotlib along.
COMMANDS = {
    "run": ("run", "fine-tune with the adaptive limit, then with a fixed limit, and report both"),
    "up": ("run", "run one graph as `ros2 launch` would, until it is done or Ctrl-C"),
    "pretrain": ("pretrain", "train a policy on the unperturbed robot, in simulation"),
    "train": ("train", "train a task from scratch: CSC and its baselines, off-policy methods"),
    "correct": ("correct", "make a policy or a controller that works into one that is safe"),
    "import-policy": (
        "import_policy",
        "make a policy of stable-baselines3, torch, ONNX or a process of its own fit for a graph",
    ),
    "reproduce": ("reproduce", "reproduce the experiments behind PSPT's figures, in simulation"),
    "report": ("report", "write report.html of a run; given a bag, recompute every number first"),
    "bag": ("bag", "inspect a recording, repair it, convert it to transitions"),
    "doctor": ("doctor", "check this machine for simulation and for a real arm; status 1 if something must be fixed"),
    "commission": (
        "commission",
        "check a real arm before its first run (names, limits, gravity, stops, latency, signs) and write a report",
    ),
    "controller-urdf": ("controller_urdf", "remove <safety_controller> from a robot description, for a real arm"),
    "completion": ("completion", 'print completion for bash: eval "$(safe_transfer completion)"'),
    "watch": ("watch", "live view of the safety filter for its operator, with keys to trip and to reset it"),
    "fault-campaign": (
        "fault_campaign",
        "inject faults into real processes and check the filter's promises; status 1 if one was broken",
    ),
    "train-critic": ("train_critic", "train a safety critic from recordings, offline"),
    "critic-study": ("critic_study", "compare safety critics as gates, with and without the adaptive limit"),
    "shadow-report": (
        "shadow",
        "evaluate a candidate critic on recordings: what it would have refused, and how often rightly",
    ),
    "promote": ("shadow", "replace the active critic by a candidate"),
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
      Exit status: 0 done, 2 bad input (one line says what and how to fix it), 130 interrupted, 141 nobody reads the
      output any more.
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
    command = arguments[0] if arguments else "--help"
    if command in COMMANDS:
        with ending_on_interrupt("safe_transfer"):
            importlib.import_module(f"safe_transfer_ros.cli.{COMMANDS[command][0]}").add_parser(subparsers)
    elif command.startswith("-"):
        for name, (_, text) in COMMANDS.items():
            subparsers.add_parser(name, help=text)
    else:
        parser.error(f"unknown command '{printable_lines(command)}'; {nearest(command, COMMANDS)}")
    options, others = parser.parse_known_args(arguments)
    if others:
        options = _with_late_words(parser, options, others)
    # A shell starts background jobs with SIGINT ignored, and Python leaves it so: Ctrl-C must work there as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # N?m where N·m cannot be shown
    try:
        if options.command in _NEEDS_ROS:
            _check_ros()
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError as error:
        if not _reader_left():
            print(f"safe_transfer: {printable_lines(error)}", file=sys.stderr)
            return EXIT_BAD_INPUT
        return EXIT_READER_LEFT
    except Exception as error:
        if came_of_interrupt(error):
            return _interrupted()
        if not isinstance(error, ValueError | OSError):
            raise
        print(f"safe_transfer: {printable_lines(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT


def _reader_left() -> bool:
    """Whether nobody reads our output any more, as behind `| head`; then nothing more is written there."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors are told unasked
    if not output.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _with_late_words(
    parser: argparse.ArgumentParser, options: argparse.Namespace, others: list[str]
) -> argparse.Namespace:
    """Take launch arguments from behind an option, which argparse leaves over; end the program on anything else."""
    taken = getattr(options, "arguments", None)
    unknown = [word for word in others if not _is_launch_argument(word)]
    if taken is None or unknown:
        parser.error(f"unrecognized arguments: {' '.join(others)}{_hint(unknown, others) if taken is not None else ''}")
    options.arguments = [*taken, *others]
    return options


def _is_launch_argument(word: str) -> bool:
    return ":=" in word and not word.startswith("-")


def _hint(unknown: list[str], words: list[str]) -> str:
    """Spelling of a launch argument that was written as an option; empty where none was."""
    flag = next((word for word in unknown if word.startswith("--")), "")
    name, _, value = flag.lstrip("-").partition("=")
    if not name:
        return ""
    after = words[words.index(flag) + 1 :]
    value = value or (after[0] if after and not after[0].startswith("-") else "VALUE")
    return f"; launch arguments are written key:=value: did you mean {name.replace('-', '_')}:={value}?"


def _check_ros() -> None:
    """Refuse to start where children would import another ROS than this environment's.

    Raises:
      ConfigurationError: names it, and how to do without.
    """
    place = shadowed("rclpy")
    if place is not None:
        raise ConfigurationError(
            f"rclpy would be imported from {place}, and not from this environment: a ROS installation is sourced in "
            f"this shell (PYTHONPATH). Prefix the command with scripts/in_venv.sh, which hides it, or use a shell "
            "without it"
        )


def _interrupted() -> int:
    print("safe_transfer: interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
