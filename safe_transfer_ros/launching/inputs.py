# SPDX-License-Identifier: Apache-2.0
"""Inputs of a graph: the policy, the function or the critic that it is to run with, checked before a process starts."""

from __future__ import annotations

from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.critics.gate import CriticGate
from safe_transfer_ros.critics.safety_critic import read_critic_file
from safe_transfer_ros.launching.graph import Parameters
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.robots.overrides import RobotOverrides
from safe_transfer_ros.robots.simulation import perturbation
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.graph_learners import LEARNERS


def told_of_each_other(parameters: Parameters) -> Parameters:
    """The parameters, with what follows for one node from those of another."""
    return _with_controller(_with_critic(parameters))


def _with_critic(parameters: Parameters) -> Parameters:
    """The filter has to ask a critic where the trainer sends one; a learner's own no training could have certified."""
    if LEARNERS[parameters["trainer"]["learner"]].learns_critic:
        parameters["safety_filter"].update(critic="required", critic_uncertified=True)
    elif parameters["trainer"]["critic"]:
        parameters["safety_filter"]["critic"] = "required"
    return parameters


def _with_controller(parameters: Parameters) -> Parameters:
    """Name the function that is the policy to the nodes that act with it and learn from it, for resumed runs too."""
    trainer = parameters["trainer"]
    if controllers.is_function(trainer["policy"]):
        trainer["policy"] = controllers.absolute(trainer["policy"])
        trainer["policy_function"] = parameters["policy_server"]["policy_function"] = trainer["policy"]
    return parameters


def check_inputs(parameters: Parameters) -> None:
    """Check files, and what of the parameters must go together, before a process starts.

    Raises:
      ConfigurationError, WeightsError: one line, what is wrong and how to fix it.
    """
    graph = in_graph(parameters[SHARED]["task"], RobotOverrides.of(parameters[SHARED]))
    name, learner = parameters["trainer"]["policy"], LEARNERS[parameters["trainer"]["learner"]]
    if parameters["trainer"]["policy_function"]:
        controllers.tell(parameters["trainer"]["policy_function"])
    policy, _ = load_policy(graph.task, name)
    if policy.kind != "gaussian" and not learner.any_kind:
        raise ConfigurationError(
            f"policy {name} is a '{policy.kind}' one, and learner {parameters['trainer']['learner']} takes Gaussian "
            "policies: learner:=none runs it as it is"
        )
    if learner.kinds and policy.kind not in learner.kinds:
        raise ConfigurationError(
            f"policy {name} is a '{policy.kind}' one, and learner {parameters['trainer']['learner']} takes "
            f"{' and '.join(learner.kinds)} ones, as `safe_transfer train sqrl TASK --phase pretrain` makes them"
        )
    if learner.learns_critic and parameters["trainer"]["critic"]:
        raise ConfigurationError(
            f"learner {parameters['trainer']['learner']} sends the filter a critic of its own: leave out critic:="
        )
    if graph.torques and not learner.torques:
        raise ConfigurationError(
            f"learner {parameters['trainer']['learner']} takes tasks of tool motions, the pushes, and the actions of "
            f"{graph.task.name} are torques: choose another learner or graph"
        )
    acts = learner.serves or policy.kind
    monitor = build(MonitorParameters, parameters["unsafety_monitor"], where="unsafety_monitor")
    monitor.check_actions(graph.torques)
    build(ExperimentParameters, parameters[SHARED], where="configuration").governor(monitor)  # what goes together
    if monitor.kl == "per_state" and acts != "gaussian":
        raise ConfigurationError(
            f"unsafety_monitor.kl: 'per_state' compares Gaussian policies, and what acts here is a '{acts}' one "
            f"(policy {name}): choose bound or measured"
        )
    perturbation(parameters["mujoco_sim"]["perturbation"])
    settings = build(FilterParameters, parameters["safety_filter"], where="safety_filter")
    if learner.own_epsilon and (settings.critic_epsilon or settings.critic_schedule != "fixed"):
        raise ConfigurationError(
            f"learner {parameters['trainer']['learner']} masks by the epsilon on its policy's card, and holds its "
            "updates by it: leave out safety_filter.critic_epsilon and critic_schedule"
        )
    gate = CriticGate(graph, settings, seed=0) if settings.critic == "required" else None
    if gate is not None and not learner.learns_critic:
        refusal = gate.offer(read_critic_file(parameters["trainer"]["critic"]), name=parameters["trainer"]["critic"])
        if refusal:
            raise ConfigurationError(f"trainer.critic: {refusal}")
