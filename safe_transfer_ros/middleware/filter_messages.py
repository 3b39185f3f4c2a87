# SPDX-License-Identifier: Apache-2.0
"""Conversion between the safety filter's rules and ROS messages."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision

from safe_transfer_ros.middleware.stamps import set_ns, to_ns
from safe_transfer_ros.safety.filter.control_loop import Decision
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution, Proposal, law_of
from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.reasons import NOT_TAKEN, Reason, Verdict
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.tasks.view import View

CRITIC_REFUSED = "critic refused"
"""How FilterStatus.message begins when a critic was refused."""

Array = npt.NDArray[np.float64]
_EMPTY = array("d")
_NOTHING = np.empty(0)
_NUMBERS = {law: number for number, law in enumerate(LAWS)}


def read_proposal(message: PolicyAction, order: JointOrder) -> Proposal:
    """A proposal with its joints, or axes of motion, in our order; with a `fault` where they could not be matched."""
    mean = stddev = effort = _NOTHING
    fault = Reason.NONE
    bound: Array | None = None
    count = len(message.action_names)
    distribution = law_of(message.distribution)
    try:
        indices = order.indices(message.action_names)
        if distribution is None:
            fault = Reason.PROPOSAL_NOT_FINITE
        elif not message.last:
            spread, bounds = len(message.stddev), len(message.bound)
            if not len(message.mean) == len(message.effort) == count or not {spread, bounds} <= {count, 0}:
                fault = Reason.PROPOSAL_WRONG_LENGTH
            else:
                mean, effort = np.frombuffer(message.mean)[indices], np.frombuffer(message.effort)[indices]
                if spread:
                    stddev = np.frombuffer(message.stddev)[indices]
                elif distribution is Distribution.DETERMINISTIC:
                    stddev = np.zeros(len(indices))  # so that what is recorded has one value a joint
                bound = np.frombuffer(message.bound)[indices] if bounds else None
    except JointOrderError:
        fault = Reason.PROPOSAL_WRONG_JOINTS
    return Proposal(
        stamp_ns=to_ns(message.header.stamp),
        iteration=message.iteration,
        episode=message.episode,
        step=message.step,
        last=message.last,
        policy_version=message.policy_version,
        mean=mean,
        stddev=stddev,
        effort=effort,
        distribution=distribution or Distribution.GAUSSIAN,
        bound=bound,
        actor=message.actor,
        terminated=message.terminated,
        fault=fault,
    )


class DecisionMessage:
    """The SafetyDecision of each decision: one message, filled anew each time."""

    def __init__(self, graph: TaskInGraph, view: View) -> None:
        """Prepare for a task, seen by the filter's own view."""
        self._view = view
        self._message = SafetyDecision(joint_names=list(graph.task.robot.joint_names))
        self._message.action_names = list(graph.action_names)

    def fill(self, rules: SafetyFilter, decision: Decision, critic_version: str) -> SafetyDecision:
        """Fill the message from a decision. Without a proposal, iteration, episode and step stay the last ones.

        Args:
          rules: After the cycle in which it was.
          decision: What to record.
          critic_version: Of the critic that was asked; empty without one.
        """
        message, proposal, verdict = self._message, decision.proposal, decision.verdict
        set_ns(message.header.stamp, decision.stamp_ns)
        if proposal is not None:
            message.iteration, message.episode, message.step = proposal.iteration, proposal.episode, proposal.step
            message.policy_version, message.actor = proposal.policy_version, proposal.actor
            message.distribution = _NUMBERS[proposal.distribution]
        message.last = verdict is Verdict.EPISODE_END
        message.terminated = message.last and proposal is not None and proposal.terminated
        message.mode, message.verdict, message.reasons = rules.mode, verdict, decision.reasons
        message.position = array("d", rules.position.tobytes())
        message.velocity = array("d", rules.velocity.tobytes())
        pose = rules.object_pose
        message.object_pose = _EMPTY if pose is None else array("d", pose.tobytes())
        observation = self._view.observe(rules.position, rules.velocity, rules.torque_limit)
        message.observation = array("d", observation.tobytes())
        if proposal is None or proposal.last or proposal.fault:
            message.proposed_mean = message.proposed_stddev = message.proposed_effort = message.chosen = _EMPTY
            message.proposed_bound = _EMPTY
        else:
            message.proposed_mean = array("d", proposal.mean.tobytes())
            message.proposed_stddev = array("d", proposal.stddev.tobytes())
            message.proposed_bound = _EMPTY if proposal.bound is None else array("d", proposal.bound.tobytes())
            message.proposed_effort = array("d", proposal.effort.tobytes())
            message.chosen = _EMPTY if verdict in NOT_TAKEN else array("d", rules.chosen.tobytes())
        message.applied_effort = array("d", rules.applied.tobytes())
        message.torque_limit = rules.torque_limit
        message.limit_iteration = rules.guard.iteration
        message.risk = rules.risk
        message.critic_version = critic_version
        return message


def status_message(
    rules: SafetyFilter, *, accepted: bool, unheard: str, critic_version: str, text: str
) -> FilterStatus:
    """Mode, cause and limit in force, not stamped.

    Args:
      rules: The filter's.
      accepted: Whether the limit offered last was taken.
      unheard: Nodes of the graph that do not receive the filter yet; empty if all do that must.
      critic_version: Of the newest critic accepted; empty without one.
      text: Why a limit was refused, or the arm stopped.
    """
    guard = rules.guard
    return FilterStatus(
        mode=rules.mode,
        cause=int(rules.cause),
        iteration=guard.iteration,
        torque_limit=guard.in_force,
        accepted=accepted,
        lease_lost=guard.lost,
        critic_version=critic_version,
        connected=not unheard,
        message=text or unheard,
    )
