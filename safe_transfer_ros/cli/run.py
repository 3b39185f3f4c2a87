# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer up` and `safe_transfer run`: run a graph, show its progress, write the report."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from safe_transfer_ros.cli.log_follower import LogFollower
from safe_transfer_ros.cli.progress import RunProgress
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.interpreter import invocation
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED
from safe_transfer_ros.launching import domain
from safe_transfer_ros.launching.embedded import Launcher, ProcessFailed
from safe_transfer_ros.launching.fine_tuning import ARGUMENTS, FineTuningGraph
from safe_transfer_ros.launching.graph import Argument, Parameters, default_of, read_parameters
from safe_transfer_ros.learning.policy_file import shipped
from safe_transfer_ros.middleware import dds
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.record.iteration import ROWS, read
from safe_transfer_ros.record.resume import CONFIG, session_path, sessions
from safe_transfer_ros.registry import Registry
from safe_transfer_ros.reporting.provenance import write_provenance
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.untrusted import printable


def _gives_graph(name: str, thing: object) -> None:
    if not callable(thing):
        raise ValueError(f"a graph must be a function that gives a FineTuningGraph, got {thing!r}")


GRAPHS: Registry[Callable[[], FineTuningGraph]] = Registry(
    "graph", group="safe_transfer_ros.graphs", check=_gives_graph
)
"""What gives each graph, by name; another package adds its own by an entry point in the group."""
POLL_SECONDS = 0.2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both subcommands."""
    run = subparsers.add_parser(
        "run",
        help="fine-tune with the adaptive limit, then with a fixed limit, and report both",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=arguments_text(),
    )
    run.add_argument("--no-compare", action="store_true", help="skip the second run with the limit fixed at T_max")
    run.set_defaults(run=run_and_compare)
    up = subparsers.add_parser(
        "up",
        help="run one graph as `ros2 launch` would, until it is done or Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=arguments_text(),
    )
    up.add_argument(
        "--no-report", action="store_true", help="do not write the report; `safe_transfer report RUN` writes it later"
    )
    up.set_defaults(run=bring_up)
    for parser in (run, up):
        parser.add_argument("graph", help=f"one of: {', '.join(GRAPHS.names())}")
        parser.add_argument("arguments", nargs="*", metavar="key:=value", help="launch arguments, see below")


def bring_up(options: argparse.Namespace) -> int:
    """`safe_transfer up`."""
    exit_code, run_dir = _one_run(pick_graph(options.graph), parse_arguments(options.arguments))
    if not options.no_report:
        _finish(run_dir, None)
    return exit_code


def run_and_compare(options: argparse.Namespace) -> int:
    """`safe_transfer run`."""
    graph, given = pick_graph(options.graph), parse_arguments(options.arguments)
    if options.no_compare:
        exit_code, run_dir = _one_run(graph, given)
        _finish(run_dir, None)
        return exit_code
    resumed = Path(given["resume"]).absolute() if given.get("resume") else None
    if resumed is not None and not given.get("iterations") and _finished(resumed) and not _finished(_fixed(resumed)):
        exit_code, run_dir, explained = 0, resumed, False  # it was the second of the two that was interrupted
    else:
        (exit_code, run_dir), explained = _one_run(graph, given, command="run"), True
    compared: Path | None = None
    arguments = comparison(run_dir, given) if exit_code == 0 else None
    if arguments is not None:
        print("\nThe same again with the limit fixed at T_max, the unprotected baseline:")
        exit_code, compared = _one_run(graph, arguments, command="run", continues=run_dir, explained=explained)
        _finish(compared, None, quiet=True)
    elif _fixed(run_dir).is_dir():
        compared = _fixed(run_dir)
    _finish(run_dir, compared)
    return exit_code


def comparison(run_dir: Path, given: Mapping[str, str]) -> dict[str, str] | None:
    """Launch arguments of the same run with the limit fixed; None where it is not to be compared, or was.

    Args:
      run_dir: Of the finished run.
      given: Its launch arguments.
    """
    if given.get("robot") in ("hardware", "franka"):
        print("No comparison with a fixed limit: an arm is not driven without protection for it.")
        return None
    session = max(sessions(run_dir) - 1, 0)
    first, last = (read_parameters(session_path(run_dir, CONFIG, number)) for number in (0, session))
    if first[SHARED]["limit_rule"] != "adaptive":
        return None
    beside, planned = _fixed(run_dir), _planned(last)
    if _rows(beside):
        # Beside the first, with the same seed: the one difference is the rule for the limit.
        return None if _rows(beside) >= planned else {"resume": str(beside), "iterations": str(planned)}
    if not given.get("resume"):
        return dict(given) | {"limit_rule": "fixed", "run_dir": str(beside)}
    kept = {name: given[name] for name in ("namespace", "visualize") if given.get(name)}
    record = "true" if "bag_recorder" in first[SHARED]["graph"].split(",") else "false"
    as_run = {"config": str(run_dir / CONFIG), "iterations": str(planned), "record": record}
    return kept | as_run | {"limit_rule": "fixed", "run_dir": str(beside)}


def _fixed(run_dir: Path) -> Path:
    """Directory of the run that a run is compared with."""
    return Path(f"{run_dir}-fixed")


def _planned(parameters: Parameters) -> int:
    return int(parameters[SHARED]["first_iteration"]) + int(parameters["trainer"]["iterations"])


def _rows(run_dir: Path) -> int:
    """Finished iterations of a run."""
    return len(read(run_dir / ROWS)) if (run_dir / ROWS).exists() else 0


def _finished(run_dir: Path) -> bool:
    """Whether a run has all its iterations."""
    config = session_path(run_dir, CONFIG, max(sessions(run_dir) - 1, 0))
    return config.exists() and _rows(run_dir) >= _planned(read_parameters(config))


def _one_run(
    graph: FineTuningGraph,
    given: dict[str, str],
    *,
    command: str = "up",
    continues: Path | None = None,
    explained: bool = False,
) -> tuple[int, Path]:
    """One graph from start to end.

    Args:
      graph: The graph.
      given: Launch arguments.
      command: Subcommand that goes on with it when it is interrupted.
      continues: Run directory that this subcommand is to be given; None: its own.
      explained: Whether what the columns of its progress mean was said before.

    Returns:
      The exit status and the run directory.
    """
    claimed = domain.claim(graph.default_domain(given), namespace=graph.namespace(given))
    plan = graph.plan(given)
    claimed.serves(plan.run_dir)
    shared = plan.parameters[SHARED]
    first = int(shared["first_iteration"])
    iterations = _planned(plan.parameters)
    write_provenance(plan.provenance)
    reach = dds.beyond_this_machine() or "this machine only"
    print(f"run directory {plan.run_dir}   (ROS_DOMAIN_ID={claimed.number}, {reach})")
    print(f"live view, with a key to trip the filter, in another terminal: {invocation()} watch")
    exit_code = 0
    # On hardware a person has something to do, and waits for it to be said: `ready`, or what is missing.
    supervised = "controller_supervisor" in (process.node for process in plan.processes)
    supervisor = LogFollower(plan.log_dir / "controller_supervisor.log", "controller_supervisor")
    # Each kind of warning once: a joint that stands still does so in iteration after iteration.
    monitor = LogFollower(plan.log_dir / "unsafety_monitor.log", "unsafety_monitor", repeats=False)
    trainer = LogFollower(plan.log_dir / "trainer.log", "trainer")
    table = plan.run_dir / ROWS
    with RunProgress(table, iterations, float(shared["d_safe"]), done=first, explained=explained) as progress:
        try:
            with (
                interrupt_on_sigterm(),
                Launcher(
                    plan.processes, plan.parameters_file, claimed, plan.log_dir, namespace=plan.namespace
                ) as launcher,
            ):
                while launcher.running():
                    progress.update()
                    for line in supervisor.lines() if supervised else ():
                        progress.say(f"controller: {printable(line)}")
                    for line in monitor.lines():
                        progress.say(f"warning: {printable(line)}")
                    for line in launcher.lost():
                        progress.say(f"warning: {line}")
                    for line in trainer.lines()[-1:]:
                        progress.now(line)
                    time.sleep(POLL_SECONDS)
        except ProcessFailed as error:
            exit_code = error.exit_code
            print(f"safe_transfer: {error}\n  logs: {plan.log_dir}", file=sys.stderr)
        except KeyboardInterrupt:
            exit_code = EXIT_INTERRUPTED
        progress.update()
        for line in monitor.lines():
            progress.say(f"warning: {printable(line)}")
    claimed.release()
    if exit_code == EXIT_INTERRUPTED:
        print(
            f"interrupted after {progress.done} of {iterations} iterations; what was recorded is kept", file=sys.stderr
        )
    if exit_code and (progress.done or continues):
        told = continuing(graph.name, continues or plan.run_dir, given, command=command)
        print(f"to continue: {told}", file=sys.stderr)
    return exit_code, plan.run_dir


def continuing(graph: str, run_dir: Path, given: Mapping[str, str], *, command: str = "up") -> str:
    """The command that goes on with a run, on the same kind of arm and in the same namespace."""
    where = "".join(f" {name}:={given[name]}" for name in ("robot", "namespace") if given.get(name))
    return f"{invocation()} {command} {graph} resume:={run_dir}{where}"


def _finish(run_dir: Path, compared: Path | None, *, quiet: bool = False) -> None:
    # These bring matplotlib: not before the graph has run.
    from safe_transfer_ros.reporting.page import cautions, headline
    from safe_transfer_ros.reporting.report import write
    from safe_transfer_ros.reporting.run import load

    try:
        run = load(run_dir)
        page = write(run, None if compared is None else load(compared))
    except (ValueError, OSError) as error:
        print(f"safe_transfer: no report: {printable(error)}", file=sys.stderr)
        return
    if not quiet:
        print("\n".join([headline(run), *cautions(run), f"report: {page}"]))


@contextlib.contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM to the launcher ends the run as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def pick_graph(name: str) -> FineTuningGraph:
    """The description of a graph; ConfigurationError names the nearest known one."""
    return GRAPHS[name]()


def _ours(name: str) -> Callable[[], FineTuningGraph]:
    """Gives a graph of this package; its module is imported only when it is picked."""
    return lambda: importlib.import_module(f"safe_transfer_ros.launching.{name}").GRAPH


OURS = ("pr2_cup_swirl", "panda_push", "fr3_cup_swirl", "fr3_push")
for _name in OURS:
    GRAPHS.add(_name, _ours(_name))


def parse_arguments(arguments: list[str]) -> dict[str, str]:
    """Launch arguments as typed: `key:=value`."""
    given: dict[str, str] = {}
    for text in arguments:
        name, separator, value = text.partition(":=")
        if not separator or not name:
            raise ConfigurationError(f"launch arguments are written key:=value, got '{text}'")
        given[name] = value
    return given


def arguments_text() -> str:
    """Table of the launch arguments with their defaults and values, for --help."""
    lines = ["launch arguments (key:=value; node.parameter:=value sets any other parameter), with their defaults:"]
    width = max(len(argument.name) for argument in ARGUMENTS) + 2
    lines += [
        f"  {name:{width}}{meaning}{f' [{default}]' if default else ''}" for name, meaning, default in arguments_rows()
    ]
    lines.append(f"policies that are shipped: {', '.join(shipped())}")
    lines.append(f"perturbations: {', '.join(PERTURBATIONS.names())}")
    return "\n".join(lines)


def arguments_rows() -> list[tuple[str, str, str]]:
    """Name, meaning with its values, and default of every launch argument."""
    rows = [("task", "panda_push: topple, boundary or obstacle", "boundary")]
    configured = {name: read_parameters(pick_graph(name).configuration) for name in OURS}
    for argument in ARGUMENTS:
        choices = f" ({'|'.join(argument.choices)})" if argument.choices else ""
        rows.append((argument.name, f"{argument.explained()}{choices}", _default(argument, configured)))
    return rows


def _default(argument: Argument, configured: Mapping[str, Parameters]) -> str:
    """Value of an argument that is not given: one for all graphs, or that of each."""
    if not argument.parameter:
        return argument.default
    node, _, parameter = argument.parameter.rpartition(".")
    usual = default_of(node, parameter)
    values = {graph: str(found.get(node, {}).get(parameter, usual)).lower() for graph, found in configured.items()}
    if len(set(values.values())) > 1:
        return ", ".join(f"{graph}: {value}" for graph, value in values.items())
    return next(iter(values.values()))
