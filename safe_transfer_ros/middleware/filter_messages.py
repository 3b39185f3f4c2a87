# SPDX-License-Identifier: Apache-2.0
"""What the safety filter's rules say, as messages, and a policy's message as they want it."""

from __future__ import annotations

from array import array

import numpy as np
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision

from safe_transfer_ros.middleware.stamps import set_ns, to_ns
from safe_transfer_ros.safety.filter.safety_filter import Proposal, SafetyFilter
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.tasks.view import View

CRITIC_REFUSED = "critic refused"
"""How FilterStatus.message begins when a critic was refused."""

_EMPTY = array("d")
_NOT_TAKEN = (Verdict.REJECTED, Verdict.STOPPED)


def read_proposal(message: PolicyAction, order: JointOrder) -> Proposal | Reason:
    """A proposal with its joints, or axes of motion, in our order, or why there is none."""
    try:
        indices = order.indices(message.action_names)
        mean, stddev = np.frombuffer(message.mean), np.frombuffer(message.stddev)
        effort = np.frombuffer(message.effort)
        if not message.last:
            if not len(mean) == len(stddev) == len(effort) == len(message.action_names):
                return Reason.PROPOSAL_WRONG_LENGTH
            mean, stddev, effort = mean[indices], stddev[indices], effort[indices]
    except JointOrderError:
        return Reason.PROPOSAL_WRONG_JOINTS
    except (IndexError, ValueError):
        return Reason.PROPOSAL_WRONG_LENGTH
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
    )


class DecisionMessage:
    """The SafetyDecision of each decision: one message, filled anew each time."""

    def __init__(self, graph: TaskInGraph, view: View) -> None:
        """For a task, seen by the filter's own view."""
        self._view = view
        self._message = SafetyDecision(joint_names=list(graph.task.robot.joint_names))
        self._message.action_names = list(graph.action_names)

    def fill(
        self,
        rules: SafetyFilter,
        verdict: Verdict,
        reasons: int,
        stamp_ns: int,
        *,
        answers: PolicyAction | None,
        proposal: Proposal | None,
        critic_version: str,
    ) -> SafetyDecision:
        """What was decided.

        Args:
          rules: After the cycle in which it was.
          verdict: What became of the proposal.
          reasons: Of all cycles since the decision before.
          stamp_ns: Of the joint state it was decided on.
          answers: The message it answers; none for a stop that nobody proposed. Then its numbers stay the last ones.
          proposal: Its content, where that was whole.
          critic_version: Of the critic that was asked; empty without one.
        """
        message = self._message
        set_ns(message.header.stamp, stamp_ns)
        if answers is not None:
            message.iteration, message.episode, message.step = answers.iteration, answers.episode, answers.step
            message.policy_version = answers.policy_version
        message.last = verdict is Verdict.EPISODE_END
        message.terminated = message.last and answers is not None and answers.terminated
        message.mode, message.verdict, message.reasons = rules.mode, verdict, reasons
        message.position = array("d", rules.position.tobytes())
        message.velocity = array("d", rules.velocity.tobytes())
        pose = rules.object_pose
        message.object_pose = _EMPTY if pose is None else array("d", pose.tobytes())
        observation = self._view.observe(rules.position, rules.velocity, rules.torque_limit)
        message.observation = array("d", observation.tobytes())
        if proposal is None or proposal.last:
            message.proposed_mean = message.proposed_stddev = message.proposed_effort = message.chosen = _EMPTY
        else:
            message.proposed_mean = array("d", proposal.mean.tobytes())
            message.proposed_stddev = array("d", proposal.stddev.tobytes())
            message.proposed_effort = array("d", proposal.effort.tobytes())
            message.chosen = _EMPTY if verdict in _NOT_TAKEN else array("d", rules.chosen.tobytes())
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
      unheard: Who of the graph does not hear the filter yet; empty if everybody does who must.
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
