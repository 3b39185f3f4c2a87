# SPDX-License-Identifier: Apache-2.0
"""A graph that fine-tunes a policy on an arm it was not trained for: arguments, checks, processes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.franka import library
from safe_transfer_ros.launching import domain
from safe_transfer_ros.launching.graph import (
    Argument,
    Parameters,
    Process,
    apply_arguments,
    complete,
    namespace,
    on_top,
    read_parameters,
    write_parameters,
)
from safe_transfer_ros.launching.hardware import check_commissioned, check_strictness
from safe_transfer_ros.launching.inputs import check_inputs, told_of_each_other
from safe_transfer_ros.launching.resumed import check_streams, continued, kept_namespace, robot_of
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.franka_robot import FrankaParameters, check_arm
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.record.resume import CONFIG, session_path, sessions
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.graph_learners import LEARNERS

ARGUMENTS = (
    Argument(
        name="robot",
        description="sim: MuJoCo; hardware: a ros2_control arm that is already up; franka: an FR3 by libfranka",
        default="sim",
        choices=("sim", "hardware", "franka"),
    ),
    Argument(
        name="robot_ip",
        description="robot:=franka: address of the arm's control, such as 172.16.0.2",
        parameter="franka_robot.robot_ip",
    ),
    Argument(
        name="timing",
        description="lockstep: as fast as the graph can, repeatable; realtime: wall-clock rates",
        parameter=f"{SHARED}.timing",
        choices=("lockstep", "realtime"),
    ),
    Argument(name="iterations", description="iterations of Algorithm 1", parameter="trainer.iterations"),
    Argument(
        name="limit_rule",
        description="adaptive: PSPT; fixed: T_max from the start on, the unprotected baseline",
        parameter=f"{SHARED}.limit_rule",
        choices=("adaptive", "fixed"),
    ),
    Argument(name="d_safe", description="D_safe, N·m", parameter=f"{SHARED}.d_safe"),
    Argument(
        name="damage_budget",
        description="give the limit up within an iteration when its damage comes to D_safe",
        parameter=f"{SHARED}.damage_budget",
        choices=("true", "false"),
    ),
    Argument(
        name="initial_torque_limit",
        description="limit of the first iteration, N·m",
        parameter=f"{SHARED}.initial_torque_limit",
    ),
    Argument(
        name="torque_limit_floor",
        description="lowest limit, N·m; 0: the smaller of the initial limit and D_safe",
        parameter=f"{SHARED}.torque_limit_floor",
    ),
    Argument(name="t_max", description="T_max, N·m", parameter=f"{SHARED}.torque_limit_max"),
    Argument(
        name="policy", description="policy file, name of a shipped one, or path:function", parameter="trainer.policy"
    ),
    Argument(
        name="critic",
        description="safety critic (safetensors) that may refuse proposals; empty: none",
        parameter="trainer.critic",
    ),
    Argument(
        name="learner",
        description="how the policy learns",
        parameter="trainer.learner",
        choices=LEARNERS,
    ),
    Argument(
        name="perturbation",
        description="named difference of the simulated arm from the nominal one",
        parameter="mujoco_sim.perturbation",
    ),
    Argument(name="seed", description="seed of all random numbers", parameter=f"{SHARED}.seed"),
    Argument(
        name="robot_config",
        description="robot:=hardware, franka: file of this arm: names, limits, settings, on top of hardware.yaml",
        default="",
    ),
    Argument(
        name="commission",
        description="robot:=hardware: report of `safe_transfer commission`; default: the newest about this robot",
        default="",
    ),
    Argument(
        name="allow_uncommissioned",
        description="robot:=hardware: override, recorded in the run directory: drive an arm without a valid report",
        default="false",
        choices=("true", "false"),
    ),
    Argument(
        name="namespace",
        description="ROS namespace of every node and topic, such as left; graphs in different ones can share a domain",
        parameter=f"{SHARED}.namespace",
    ),
    Argument(name="run_dir", description="directory of this run; default: runs/<name>-<date>-<time>"),
    Argument(
        name="resume",
        description="directory of a run to continue; with it only iterations:=, visualize:= and those of robot:=",
    ),
    Argument(name="record", description="record a rosbag2", default="true", choices=("true", "false")),
    Argument(
        name="visualize",
        description="publish /tf and markers of what the safety stack knows, for RViz and Foxglove",
        default="false",
        choices=("true", "false"),
    ),
    Argument(name="config", description="configuration file", default=""),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked run, ready to start."""

    run_dir: Path
    log_dir: Path
    provenance: Path
    parameters_file: Path
    parameters: Parameters
    processes: tuple[Process, ...]
    namespace: str


class FineTuningGraph:
    """A graph that fine-tunes a policy on one robot.

    Attributes:
      name: Of the graph and of its launch file.
      arguments: Launch arguments.
      configuration: Its configuration file.
    """

    def __init__(
        self,
        name: str,
        arguments: tuple[Argument, ...] = ARGUMENTS,
        translate: Callable[[Mapping[str, str]], Mapping[str, str]] = dict,
        *,
        configuration: Path | None = None,
    ) -> None:
        """Describe a graph.

        Args:
          name: See the class.
          arguments: See the class.
          translate: Launch arguments in, the same as `FineTuningGraph` and parameters know them out.
          configuration: See the class; None: config/<name>.yaml of this package.
        """
        self.name, self.arguments, self._translate, self._configuration = name, arguments, translate, configuration

    @property
    def configuration(self) -> Path:
        """See the class.

        Raises:
          FileNotFoundError: if none was given and this package has none of the graph's name.
        """
        return self._configuration or resources.path(f"config/{self.name}.yaml")

    def default_domain(self, given: Mapping[str, str]) -> int | None:
        """Domain of the robot, unless ROS_DOMAIN_ID is set; a simulation takes any free domain."""
        return 0 if given.get("robot") in ("hardware", "franka") else None

    def namespace(self, given: Mapping[str, str]) -> str:
        """Namespace of the graph of `plan(given)`, such as "/left"; empty: the root.

        Raises:
          ConfigurationError: as `plan`.
        """
        given = self._translate(given)
        if given.get("resume"):
            return kept_namespace(Path(given["resume"]).absolute(), given)
        return str(self._configured(given)[0][SHARED]["namespace"])

    def plan(self, given: Mapping[str, str]) -> Plan:
        """Check everything that can be checked before a process starts, then create the run directory.

        Args:
          given: Launch arguments as text; the rest take the configuration file's values.

        Raises:
          ConfigurationError, weights.WeightsError: one line, what is wrong and how to fix it; nothing was written.
        """
        given = self._translate(given)
        if given.get("resume"):
            return self._resumed(Path(given["resume"]).absolute(), given)
        parameters, own = self._configured(given)
        run_dir = Path(own["run_dir"] or f"runs/{self.name}-{time.strftime('%Y%m%d-%H%M%S')}").absolute()
        parameters.setdefault("trainer", {})["run_dir"] = str(run_dir)
        parameters.setdefault("bag_recorder", {})["bag"] = str(run_dir / "bag")
        parameters = told_of_each_other(complete(parameters))
        check_streams(parameters, "leave random_streams out of the configuration to run it with the present one")
        robot = own["robot"]
        evidence = {} if robot == "sim" else self._commissioned(parameters, given)
        if robot == "franka":
            _check_franka(parameters)
        check_inputs(parameters)
        _create(run_dir)
        processes = _processes(robot, record=own["record"] == "true", visualize=own["visualize"] == "true")
        return _session(run_dir, parameters, evidence, processes, session=0)

    def hardware_parameters(self, given: Mapping[str, str]) -> Parameters:
        """Parameters of the nodes of `plan(given)` on hardware, for `safe_transfer commission`.

        Raises:
          ConfigurationError: as `plan`, but for the report of a commissioning.
        """
        given = self._translate(given)
        parameters = complete(self._configured(given)[0])
        check_strictness(parameters)
        if given["robot"] == "franka":
            _check_franka(parameters)
        _fill_in_budget(parameters)
        return parameters

    def _commissioned(self, parameters: Parameters, given: Mapping[str, str]) -> dict[str, Any]:
        """See `check_commissioned`."""
        asked_for = domain.from_environment()
        ros_domain = self.default_domain({"robot": "hardware"}) if asked_for is None else asked_for
        return check_commissioned(parameters, given, ros_domain=ros_domain or 0)

    def _configured(self, given: Mapping[str, str]) -> tuple[Parameters, dict[str, str]]:
        """Parameters as files and arguments give them, and the arguments that the graph handles itself."""
        parameters, own = apply_arguments(self._layers(given), given, self.arguments)
        shared = parameters.setdefault(SHARED, {})
        shared["namespace"] = namespace(str(shared.get("namespace", "")))
        return parameters, own

    def _layers(self, given: Mapping[str, str]) -> Parameters:
        """The configuration file, on hardware with ours for hardware and the robot's on top.

        What a robot's own file leaves out has our value for hardware, never the laxer one of a simulation.
        """
        config = Path(given["config"]) if given.get("config") else self.configuration
        layers = read_parameters(config)
        if given.get("robot") not in ("hardware", "franka"):
            return layers
        layers = on_top(layers, read_parameters(resources.path("config/hardware.yaml")))
        if given["robot"] == "franka":
            layers = on_top(layers, read_parameters(resources.path("config/franka.yaml")))
        chosen = given.get("robot_config")
        return on_top(layers, read_parameters(Path(chosen))) if chosen else layers

    def _resumed(self, run_dir: Path, given: Mapping[str, str]) -> Plan:
        """The session that goes on where the run in `run_dir` left off, under that run's own configuration."""
        allowed = ("resume", "iterations", "robot", "commission", "allow_uncommissioned", "namespace", "visualize")
        defaults = {argument.name: argument.default for argument in self.arguments}  # `ros2 launch` gives them all
        others = sorted(
            name for name, text in given.items() if text not in ("", defaults.get(name)) and name not in allowed
        )
        if others:
            raise ConfigurationError(f"resume:= continues the run as it was: leave out {', '.join(others)}")
        session = sessions(run_dir)
        parameters = continued(run_dir, given)
        self._check_robot(run_dir, parameters)
        nodes = build(ExperimentParameters, parameters[SHARED], where=self.name).nodes
        robot = robot_of(nodes)
        check_inputs(parameters)
        _check_room(run_dir)
        evidence = {} if robot == "sim" else self._commissioned(parameters, given)
        if robot == "franka":
            _check_franka(parameters)
        visualize = given.get("visualize") == "true"
        processes = _processes(robot, record="bag_recorder" in nodes, visualize=visualize)
        return _session(run_dir, parameters, evidence, processes, session=session)

    def _check_robot(self, run_dir: Path, parameters: Parameters) -> None:
        """Refuse a run of another graph, by its robot."""
        configured = self._configured(self._translate({}))[0][SHARED]
        own = in_graph(str(configured.get("task", ExperimentParameters.task))).task.robot.name
        recorded = in_graph(parameters[SHARED]["task"]).task.robot.name
        if recorded != own:
            raise ConfigurationError(
                f"{run_dir} is a run of {parameters[SHARED]['task']} on {recorded}, got graph {self.name}, whose "
                f"robot is {own}: name the graph that it was started with"
            )


def _fill_in_budget(parameters: Parameters) -> None:
    """Tell the filter how many decision periods an iteration has: a damage budget is for these."""
    horizon = in_graph(parameters[SHARED]["task"]).task.horizon
    parameters["safety_filter"]["budget_periods"] = parameters["trainer"]["episodes_per_iteration"] * horizon


def _session(
    run_dir: Path,
    parameters: Parameters,
    evidence: Mapping[str, Any],
    processes: tuple[Process, ...],
    *,
    session: int,
) -> Plan:
    parameters_file = session_path(run_dir, CONFIG, session)
    parameters["trainer"]["config_file"] = str(parameters_file)
    _fill_in_budget(parameters)
    parameters[SHARED]["graph"] = ",".join(process.node for process in processes)
    write_parameters(parameters, parameters_file)
    if evidence:
        session_path(run_dir, "commission.yaml", session).write_text(yaml.safe_dump(dict(evidence), sort_keys=False))
    return Plan(
        run_dir=run_dir,
        log_dir=session_path(run_dir, "logs", session),
        provenance=session_path(run_dir, "run.yaml", session),
        parameters_file=parameters_file,
        parameters=parameters,
        processes=processes,
        namespace=parameters[SHARED]["namespace"],
    )


def _check_franka(parameters: Parameters) -> None:
    """Check what robot:=franka needs, and tell the arm's process of the one limit that no message tells."""
    franka = parameters["franka_robot"]
    settings = build(FrankaParameters, franka, where="franka_robot")
    experiment = build(ExperimentParameters, parameters[SHARED], where="configuration")
    robot = in_graph(experiment.task, experiment.robot_overrides).task.robot
    # No wheel helps there, so it is said first.
    refusal = library.unreachable("panda" if robot.name == "panda" else settings.arm) or library.missing()
    if refusal:
        raise ConfigurationError(f"robot:=franka: {refusal}")
    if not franka["robot_ip"]:
        raise ConfigurationError("robot:=franka needs the address of the arm's control: robot_ip:=172.16.0.2")
    check_arm(robot, experiment, settings)
    franka["reset_torque_limit"] = parameters["safety_filter"]["reset_torque_limit"]


def _processes(robot: str, *, record: bool, visualize: bool) -> tuple[Process, ...]:
    # In the order they are to be stopped: who proposes first, who records last.
    processes = [Process(node="trainer", ends_run=True), Process(node="policy_server")]
    if robot != "sim":  # the supervisor before the filter: it sees zero on the commands, then deactivates
        processes += [Process(node="episode_reset"), Process(node="controller_supervisor")]
    processes += [Process(node="safety_filter"), Process(node="unsafety_monitor")]
    if robot != "hardware":
        processes.append(Process(node="franka_robot" if robot == "franka" else "mujoco_sim"))
    if record:
        processes.append(Process(node="bag_recorder"))
    if visualize:  # the last to be stopped: were it to hang, nothing would wait for it
        processes.append(Process(node="visualizer", optional=True))
    return tuple(processes)


def _create(run_dir: Path) -> None:
    if run_dir.exists() and any(run_dir.iterdir() if run_dir.is_dir() else [run_dir]):
        raise ConfigurationError(f"run_dir {run_dir} already holds something: choose another, or remove it")
    _check_room(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)


def _check_room(run_dir: Path) -> None:
    existing = next(parent for parent in (run_dir, *run_dir.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise ConfigurationError(f"cannot write to {existing}: choose another run_dir")
    free = shutil.disk_usage(existing).free
    if free < MINIMUM_FREE_BYTES:
        raise ConfigurationError(
            f"only {free / 1e6:.0f} MB free where {run_dir} would be, {MINIMUM_FREE_BYTES / 1e6:.0f} MB are needed: "
            "free some, choose another run_dir, or record:=false"
        )


# A 60-iteration run records about 100 MB; the recorder itself stops cleanly when the disk fills up later.
MINIMUM_FREE_BYTES = 500_000_000
