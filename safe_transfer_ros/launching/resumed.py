# SPDX-License-Identifier: Apache-2.0
"""Parameters of a run that continues where it left off: its own, and what must be as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safe_transfer_ros.configuration import ConfigurationError, build, parse
from safe_transfer_ros.launching.graph import Parameters, complete, namespace, read_parameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.randomness import SCHEME
from safe_transfer_ros.record.resume import CONFIG, left_off, session_path, sessions


def continued(run_dir: Path, given: Mapping[str, str]) -> Parameters:
    """Parameters of the next session of a run, under the configuration of its last one.

    Args:
      run_dir: Its directory.
      given: Launch arguments; `iterations`, `robot` and `namespace` count.

    Raises:
      ConfigurationError: it cannot go on; says why, and what to do.
    """
    recorded = _recorded(run_dir)
    check_streams(recorded, f"{run_dir} cannot continue with the same numbers, start a run with a new run_dir")
    parameters = moved(complete(recorded), run_dir)
    parameters[SHARED]["namespace"] = kept_namespace(run_dir, given)
    experiment = build(ExperimentParameters, parameters[SHARED], where=str(run_dir))
    monitor = build(MonitorParameters, parameters["unsafety_monitor"], where="unsafety_monitor")
    _check_robot(run_dir, experiment, given)
    start = left_off(run_dir, experiment.governor(monitor), memory=_memory_before(run_dir))
    trainer = parameters["trainer"]
    planned = experiment.first_iteration + trainer["iterations"]
    wanted = parse(given.get("iterations") or planned, int, "iterations")
    if start.iteration >= wanted:
        raise ConfigurationError(
            f"{run_dir} has all its {start.iteration} iterations: add iterations:=N with N > {start.iteration}"
        )
    parameters[SHARED].update(first_iteration=start.iteration, first_torque_limit=start.torque_limit)
    parameters["unsafety_monitor"]["benefit_memory"] = start.memory
    trainer.update(policy=str(start.policy), iterations=wanted - start.iteration)
    parameters["bag_recorder"]["bag"] = str(session_path(run_dir, "bag", sessions(run_dir)))
    return complete(parameters)


def kept_namespace(run_dir: Path, given: Mapping[str, str]) -> str:
    """Namespace in which a run continues: its own.

    Raises:
      ConfigurationError: another was given, or the run cannot be read.
    """
    kept = str(_recorded(run_dir)[SHARED].get("namespace", ""))
    if given.get("namespace") and namespace(given["namespace"]) != kept:
        raise ConfigurationError(
            f"{run_dir} is a run in namespace {kept or '/'}, got namespace:={given['namespace']}: what one arm has "
            "earned is not for another. Leave out namespace"
        )
    return kept


def check_streams(parameters: Parameters, fix: str) -> None:
    """Refuse numbers of another version of the random streams.

    Raises:
      ConfigurationError: the parameters name another version; ends with `fix`.
    """
    version = parameters[SHARED]["random_streams"]
    if version != SCHEME:
        raise ConfigurationError(f"random_streams is {version}, this package draws from version {SCHEME}: {fix}")


def _recorded(run_dir: Path) -> Parameters:
    """The configuration of a run's last session."""
    parameters = read_parameters(session_path(run_dir, CONFIG, max(sessions(run_dir) - 1, 0)))
    parameters.setdefault(SHARED, {}).setdefault(
        "random_streams", 1
    )  # what does not say so is from before they had names
    return parameters


def _memory_before(run_dir: Path) -> str:
    """Memory of the limit's rule when the run began."""
    first = read_parameters(session_path(run_dir, CONFIG, 0))
    return str(first.get("unsafety_monitor", {}).get("benefit_memory", ""))


def _check_robot(run_dir: Path, experiment: ExperimentParameters, given: Mapping[str, str]) -> None:
    here, there = given.get("robot", "sim"), robot_of(experiment.nodes)
    if here != there:
        raise ConfigurationError(
            f"{run_dir} is a run of robot:={there}, got robot:={here}: what one arm has earned, its torque limit "
            f"too, is not for the other. Give robot:={there}"
        )


def robot_of(nodes: tuple[str, ...]) -> str:
    """Launch argument `robot` of a run, by the nodes of its graph."""
    if "franka_robot" in nodes:
        return "franka"
    return "hardware" if "controller_supervisor" in nodes else "sim"


def moved(parameters: Parameters, run_dir: Path) -> Parameters:
    """The parameters with every path inside the run's directory where that directory is now.

    It may have been copied or moved since they were written; what the copy goes on with is the copy's.
    """
    before = Path(parameters["trainer"]["run_dir"])

    def here(value: Any) -> Any:
        if not isinstance(value, str) or not before.is_absolute():
            return value
        return str(run_dir / Path(value).relative_to(before)) if Path(value).is_relative_to(before) else value

    moved = {node: {name: here(value) for name, value in own.items()} for node, own in parameters.items()}
    moved["trainer"]["run_dir"] = str(run_dir)
    return moved
