# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer commission`: the procedure before a first run on a real arm, with an operator at the terminal."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Sequence

from safe_transfer_ros.cli.interrupts import Interrupts
from safe_transfer_ros.cli.run import GRAPHS, arguments_text, parse_arguments, pick_graph
from safe_transfer_ros.commissioning import report
from safe_transfer_ros.commissioning.identity import identity
from safe_transfer_ros.commissioning.procedure import STEPS, commission
from safe_transfer_ros.commissioning.step import Bench, StepResult, Timeouts
from safe_transfer_ros.configuration import ConfigurationError, build, seconds
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED
from safe_transfer_ros.launching import domain
from safe_transfer_ros.launching.embedded import Launcher, ProcessFailed
from safe_transfer_ros.launching.graph import Parameters, Process, write_parameters
from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.untrusted import printable_lines

START_SECONDS = 30.0
EXIT_FAILED = 1
ANSWERS = {"yes": True, "y": True, "no": False, "n": False}
# In the order they are to be stopped: the supervisor sees zero on the filter's commands, then deactivates.
PROCESSES = (Process(node="controller_supervisor"), Process(node="safety_filter"))
ARMS = ("hardware", "franka")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "commission",
        help="check a real arm before its first run (names, limits, gravity, stops, latency, signs) and write a report",
        description="Steps: " + ", ".join(STEPS) + ". Each motion waits for a yes; Ctrl-C stops the arm at any time. "
        "robot:=hardware requires this report.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=arguments_text(),
    )
    parser.add_argument("graph", help=f"one of: {', '.join(GRAPHS.names())}")
    parser.add_argument("arguments", nargs="*", metavar="key:=value", help="launch arguments, as for the run to come")
    parser.add_argument(
        "--step",
        action="append",
        choices=tuple(STEPS),
        help="run this step only, to find a fault; such a report never passes",
    )
    parser.set_defaults(run=run)


class Terminal:
    """The operator at this terminal."""

    def __init__(self, interrupts: Interrupts) -> None:
        """Ctrl-C is taken while the operator is asked."""
        self._interrupts = interrupts

    def confirm(self, text: str) -> bool:
        """Ask until the answer is a yes or a no; no terminal is a no."""
        question = f"  {printable_lines(text)}\n  Is the cell clear? Type yes to continue, no to end: "
        while True:
            try:
                with self._interrupts.at_once():
                    answer = input(question).strip().lower()
            except EOFError:
                return False
            if answer in ANSWERS:
                return ANSWERS[answer]
            question = "  That is neither yes nor no. Is the cell clear? Type yes to continue, no to end: "

    def tell(self, text: str) -> None:
        """Ask for something to be done now."""
        print(f"  {printable_lines(text)}", flush=True)


def run(options: argparse.Namespace) -> int:
    """Walk through the procedure and write the report."""
    graph = pick_graph(options.graph)
    given = {"robot": "hardware"} | parse_arguments(options.arguments)
    if given["robot"] not in ARMS:
        raise ConfigurationError(f"robot must be one of {', '.join(ARMS)} here, got '{given['robot']}'")
    processes = PROCESSES + ((Process(node="franka_robot"),) if given["robot"] == "franka" else ())
    parameters: Parameters = graph.hardware_parameters(given)
    experiment = build(ExperimentParameters, parameters[SHARED], where="configuration")
    claimed = domain.claim(graph.default_domain(given), namespace=experiment.namespace)
    folder = report.folder() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    write_parameters(parameters, folder / "config.yaml")
    about = identity(
        in_graph(experiment.task, experiment.robot_overrides).task.robot, parameters, ros_domain=claimed.number
    )
    print(
        f"commissioning {about['robot']} (ROS_DOMAIN_ID={claimed.number}); Ctrl-C stops the arm at any time", flush=True
    )
    outcomes: list[StepResult] = []
    ended = ""
    try:
        with (
            Interrupts() as interrupts,
            Launcher(
                processes, folder / "config.yaml", claimed, folder / "logs", namespace=experiment.namespace
            ) as launcher,
        ):
            steps = options.step or tuple(STEPS)
            _walk(launcher, interrupts, parameters, experiment, claimed.number, steps, outcomes)
    except ProcessFailed as error:
        ended = str(error)
    except KeyboardInterrupt:
        ended = "interrupted by the operator"
    passed = report.write(folder / report.NAME, about, outcomes, ended)
    valid = float(parameters["commission"]["valid_days"])
    verdict = "PASSED" if passed else "NOT PASSED"
    print(f"{verdict}{f' ({printable_lines(ended)})' if ended else ''}: {folder / report.NAME}")
    print(
        f"robot:={given['robot']} accepts it for {valid:g} days"
        if passed
        else f"robot:={given['robot']} refuses this arm until it passes"
    )
    return 0 if passed else EXIT_INTERRUPTED if ended.startswith("interrupted") else EXIT_FAILED


def _walk(
    launcher: Launcher,
    interrupts: Interrupts,
    parameters: Parameters,
    experiment: ExperimentParameters,
    ros_domain: int,
    steps: Sequence[str],
    outcomes: list[StepResult],
) -> None:
    # Brings rclpy: not before the arguments are known to be right.
    link_of = importlib.import_module("safe_transfer_ros.commissioning.link").CommissioningLink
    supervisor = build(SupervisorParameters, parameters["controller_supervisor"], where="controller_supervisor")
    filter_ = build(FilterParameters, parameters["safety_filter"], where="safety_filter")

    def alive() -> None:
        interrupts.check()
        launcher.running()

    link = link_of(
        experiment,
        supervisor,
        domain=ros_domain,
        namespace=experiment.namespace,
        process_ids={process.node: launcher.process_id(process.node) for process in PROCESSES},
        alive=alive,
    )
    bench = Bench(
        arm=link,
        operator=Terminal(interrupts),
        settings=build(CommissionParameters, parameters["commission"], where="commission"),
        timeouts=Timeouts(
            torque_limit=filter_.reset_torque_limit,
            action=filter_.action_timeout,
            trip=filter_.trip_timeout,
            joint_state=filter_.joint_state_timeout,
            permission=seconds(filter_.permission_lease),
            command=supervisor.command_timeout,
            rest_tolerance=supervisor.rest_tolerance,
            hardware=seconds(supervisor.hardware_timeout),
            fallback=supervisor.fallback_controller,
        ),
    )
    try:
        link.until(lambda: link.up, START_SECONDS)  # what is wrong when they are not, the steps tell
        for outcome in commission(bench, steps, begun=lambda name: print(f"{name}:", flush=True)):
            outcomes.append(outcome)
            print(f"  {'pass' if outcome.passed else 'FAIL'}  {printable_lines(outcome.says)}", flush=True)
    except BaseException:
        link.trip()  # at once; what the processes do when they are stopped comes on top
        raise
    finally:
        link.close()
