# SPDX-License-Identifier: Apache-2.0
"""Our graph description as a ROS 2 launch description."""

from __future__ import annotations

import os
import sys
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
from launch.events import Shutdown
from launch_ros.actions import Node

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain


def describe(graph: Any) -> LaunchDescription:
    """Launch description of one graph module (its ARGUMENTS and plan())."""
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=[*argument.choices, ""] if argument.choices and not argument.default else argument.choices or None,
        )
        for argument in graph.ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=lambda context: _actions(context, graph))])


def _actions(context: LaunchContext, graph: Any) -> list[Any]:
    given = {
        argument.name: context.launch_configurations[argument.name]
        for argument in graph.ARGUMENTS
        if context.launch_configurations.get(argument.name)
    }
    try:
        # The claim lives as long as the launch process: the context keeps it.
        context.extend_globals({"safe_transfer_domain": domain.claim()})
        plan = graph.plan(given)
    except (ConfigurationError, ValueError) as error:
        raise SystemExit(f"{graph.NAME}: {error}") from error
    number = context.get_locals_as_dict()["safe_transfer_domain"].number
    actions: list[Any] = [
        SetEnvironmentVariable("ROS_DOMAIN_ID", str(number)),
        SetEnvironmentVariable(
            "ROS_AUTOMATIC_DISCOVERY_RANGE", os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        ),
        SetEnvironmentVariable("OMP_NUM_THREADS", "1"),
        LogInfo(msg=f"run directory {plan.run_dir}; to look inside: export ROS_DOMAIN_ID={number}"),
    ]
    report = ExecuteProcess(
        cmd=[sys.executable, "-m", "safe_transfer_ros.cli.main", "report", str(plan.run_dir)], output="screen"
    )
    for process in plan.processes:
        node = Node(
            package="safe_transfer_ros",
            executable=process.node,
            name=process.node,
            parameters=[str(plan.parameters_file)],
            output="screen",
            sigterm_timeout="10",
        )
        actions.append(node)
        over = [report] if process.ends_run else [EmitEvent(event=Shutdown(reason=f"{process.node} has exited"))]
        actions.append(RegisterEventHandler(OnProcessExit(target_action=node, on_exit=over)))
    done = EmitEvent(event=Shutdown(reason="the run is complete"))
    actions.append(RegisterEventHandler(OnProcessExit(target_action=report, on_exit=[done])))
    return actions
