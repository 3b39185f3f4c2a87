# SPDX-License-Identifier: Apache-2.0
"""Our graph description as a ROS 2 launch description."""

from __future__ import annotations

import signal
from collections.abc import Collection, Sequence
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown, matches_action
from launch.events.process import SignalProcess
from launch_ros.actions import Node

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.launching import domain
from safe_transfer_ros.launching.fine_tuning import FineTuningGraph
from safe_transfer_ros.launching.graph import Argument, Parameters, Process, read_parameters
from safe_transfer_ros.middleware import dds

# What launch_ros keeps among the arguments: SetParameter, SetRemap, PushRosNamespace.
_OF_ROS = ("global_params", "ros_remaps", "ros_namespace")


def describe(graph: FineTuningGraph) -> LaunchDescription:
    """Launch description of a graph."""
    configured = read_parameters(graph.configuration)
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.explained() + _from_configuration(argument, configured),
            choices=_choices(argument),
        )
        for argument in graph.arguments
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=lambda context: _actions(context, graph))])


def _actions(context: LaunchContext, graph: FineTuningGraph) -> list[Any]:
    given = given_arguments(context, [argument.name for argument in graph.arguments])
    try:
        # The claim lives as long as the launch process: the context keeps it.
        claimed = domain.claim(graph.default_domain(given), namespace=graph.namespace(given))
        context.extend_globals({"safe_transfer_domain": claimed})
        plan = graph.plan(given)
    except (ValueError, OSError) as error:
        raise SystemExit(f"{graph.name}: {error}") from error
    claimed.serves(plan.run_dir)
    number = claimed.number
    actions: list[Any] = [
        SetEnvironmentVariable("ROS_DOMAIN_ID", str(number)),
        *(SetEnvironmentVariable(name, value) for name, value in dds.environment().items()),
        SetEnvironmentVariable("OMP_NUM_THREADS", "1"),
        SetEnvironmentVariable("ROS_LOG_DIR", str(plan.log_dir)),  # what each node's logger says, as `up` keeps it
        SetEnvironmentVariable("PYTHONSAFEPATH", "1"),  # nothing is imported from the folder we are started in
        LogInfo(msg=f"run directory {plan.run_dir}; to look inside: export ROS_DOMAIN_ID={number}"),
    ]
    report = ExecuteProcess(
        cmd=module_command("safe_transfer_ros.cli.main", "report", str(plan.run_dir)), output="screen"
    )
    nodes = {
        process.node: Node(
            package="safe_transfer_ros",
            executable=process.node,
            name=process.node,
            namespace=plan.namespace,
            parameters=[str(plan.parameters_file)],
            output="both",  # the screen, and launch's own log
            sigterm_timeout="10",
        )
        for process in plan.processes
    }
    finished = False

    def on_exit(process: Process, event: Any) -> list[Any]:
        """The run is over: close the bag, then report. Anything else that ends by itself ends everything."""
        nonlocal finished
        if process.ends_run and event.returncode == 0:
            finished = True
            recorder = nodes.get("bag_recorder")
            if recorder is None:
                return [report]
            matches = matches_action(recorder)
            return [EmitEvent(event=SignalProcess(signal_number=signal.SIGINT, process_matcher=matches))]
        if finished and process.node == "bag_recorder":
            return [report]
        if process.optional:
            return [LogInfo(msg=f"{process.node} has ended; the run goes on without it")]
        return [EmitEvent(event=Shutdown(reason=f"{process.node} has ended"))]

    for process in plan.processes:
        actions.append(nodes[process.node])

        def handler(event: Any, context: LaunchContext, process: Process = process) -> Any:
            return None if context.is_shutdown else on_exit(process, event)

        actions.append(RegisterEventHandler(OnProcessExit(target_action=nodes[process.node], on_exit=handler)))
    done = EmitEvent(event=Shutdown(reason="the run is complete"))
    actions.append(RegisterEventHandler(OnProcessExit(target_action=report, on_exit=[done])))
    return actions


def given_arguments(context: LaunchContext, declared: Collection[str]) -> dict[str, str]:
    """Launch arguments as typed, those that nothing declares among them: `ros2 launch` drops these without a word.

    Where another launch file includes ours, its own arguments come along: it has to include ours in a
    `GroupAction(forwarding=False)`, with the arguments that are meant.

    Args:
      context: Of the launch.
      declared: Names of the arguments that are declared; one of these that is empty was not given.
    """
    given = {
        name: text
        for name, text in context.launch_configurations.items()
        if name not in _OF_ROS and (text or name not in declared)
    }
    pushed = context.launch_configurations.get("ros_namespace")
    return given | {"namespace": f"{pushed}/{given.get('namespace', '')}"} if pushed else given


def only_declared(arguments: Sequence[DeclareLaunchArgument], launch_file: str) -> OpaqueFunction:
    """An action that ends the launch, naming the nearest known argument, where one was typed that nothing declares."""
    declared = [argument.name for argument in arguments]

    def check(context: LaunchContext) -> None:
        for name in given_arguments(context, declared):
            if name not in declared:
                raise SystemExit(f"{launch_file}: unknown launch argument '{name}'; {nearest(name, declared)}")

    return OpaqueFunction(function=check)


def _choices(argument: Argument) -> list[str] | None:
    """Choices of an argument; with "" where the configuration file has a value."""
    return [*argument.choices, *([] if argument.default else [""])] if argument.choices else None


def _from_configuration(argument: Argument, configured: Parameters) -> str:
    """Value when the argument is not given, for --show-args."""
    node, _, parameter = argument.parameter.rpartition(".")
    value = configured.get(node, {}).get(parameter)
    return "" if value is None else f" (configuration file: {value})"
