# SPDX-License-Identifier: Apache-2.0
"""Advice per reason of the filter's interventions: effect, usual cause, fix. For the manual; no node imports it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from safe_transfer_ros.safety.reasons import REASON_TEXT, Reason


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Advice to a person who meets a reason.

    Attributes:
      effect: Consequence for the arm and the run.
      cause: Usual cause.
      fix: Action of the reader.
    """

    effect: str
    cause: str
    fix: str


_BOUNDED = "The torque is bounded and the run goes on."
_REFUSED = (
    "The proposal is refused as a whole. The accepted one before it stands until it is `action_timeout` old; "
    "then HOLDING, and TRIPPED after `trip_timeout`."
)
_STOPPED = "TRIPPED: stop torque, latched. A trip within an episode ends the run."
_BLIND = "TRIPPED where the filter was armed: stop torque, latched. A trip within an episode ends the run."

ADVICE: Final = MappingProxyType(
    {
        Reason.CLAMPED_TORQUE_LIMIT: Advice(
            effect=_BOUNDED,
            cause="The torque limit is low, as it is at the start of every run.",
            fix="None: the limit grows as the arm shows itself safe. Where it stays low, look in the report for what "
            "bounds it: the unsafety rate, or `d_safe`.",
        ),
        Reason.CLAMPED_EFFORT_LIMIT: Advice(
            effect=_BOUNDED,
            cause="The torque limit is above what a joint's motor may give, the `effort` of the robot description.",
            fix="None. A lower `t_max`, or a corrected description where its number is wrong.",
        ),
        Reason.CLAMPED_TORQUE_RATE: Advice(
            effect=_BOUNDED,
            cause="The policy's torque jumps from one proposal to the next: exploration noise, mostly.",
            fix="None. Less noise by `trainer.stddev_factor`.",
        ),
        Reason.PROPOSAL_NOT_FINITE: Advice(
            effect=_REFUSED,
            cause="The policy has diverged, or a controller sends a distribution that cannot be: a standard deviation "
            "of zero or below, a sample beyond its bound.",
            fix="Continue from an earlier policy (`policy:=runs/<name>/checkpoints/policy_NNNNN.safetensors`) with a "
            "smaller `trainer.max_kl`; in a controller of your own check the arrays of PolicyAction.",
        ),
        Reason.PROPOSAL_WRONG_LENGTH: Advice(
            effect=_REFUSED,
            cause="An array of PolicyAction has not one value per name, or the message is larger than 64 KiB.",
            fix="Fill `mean`, `stddev` and `effort` in the order of `action_names`, one value each.",
        ),
        Reason.PROPOSAL_WRONG_JOINTS: Advice(
            effect=_REFUSED,
            cause="The controller was written for another robot or task.",
            fix="Name every joint of the task's robot, or every axis of the tool's motion, once; the order is free.",
        ),
        Reason.PROPOSAL_STALE: Advice(
            effect=_REFUSED,
            cause="The policy answers too late (a busy machine, a large network), answers one joint state twice, or "
            "stamps proposals by a clock of its own.",
            fix="Copy the stamp of the joint state that is answered. Where the policy is slow: fewer processes, "
            "`timing:=lockstep` in simulation, real-time scheduling on an arm.",
        ),
        Reason.PROPOSAL_FROM_FUTURE: Advice(
            effect=_REFUSED,
            cause="The proposal has the time of sending, or another machine's, as its stamp.",
            fix="Copy the stamp of the joint state that is answered.",
        ),
        Reason.PROPOSAL_TIMEOUT: Advice(
            effect="HOLDING with stop torque after `action_timeout`; a fresh proposal goes on. TRIPPED after "
            "`trip_timeout`, which ends the run.",
            cause="The policy's process ended, hangs or is not scheduled; or all its proposals were refused, and then "
            "another reason stands beside this one.",
            fix="Read the log of policy_server (`logs/`) and the other reasons of the same decision. On a busy machine "
            "`safe_transfer doctor` says what would help.",
        ),
        Reason.JOINT_STATE_STALE: Advice(
            effect=_BLIND,
            cause="The arm's driver or the simulation stopped, the network was cut, or the machine did not run the "
            "processes in time.",
            fix="Is the driver alive (`ros2 topic hz /joint_states`)? On a busy machine: fewer processes, "
            "`timing:=lockstep` in simulation, `safety_filter.realtime_priority` on an arm.",
        ),
        Reason.JOINT_STATE_FROZEN: Advice(
            effect=_BLIND,
            cause="The driver died behind ros2_control, which repeats its last values with fresh stamps; or friction "
            "holds an arm whose encoder is coarse.",
            fix="Start the driver again. For the second: a longer `safety_filter.frozen_timeout`.",
        ),
        Reason.JOINT_STATE_NOT_FINITE: Advice(
            effect=_BLIND,
            cause="An encoder or its driver fails.",
            fix="Find which joint in the recording (`joint_states`), and correct the driver.",
        ),
        Reason.JOINT_STATE_WRONG_JOINTS: Advice(
            effect="The joint state is left out and counted. Where no good one follows in time: JOINT_STATE_STALE.",
            cause="The arm publishes other joints than its description has, or arrays of another length. (A state that "
            "names no joint of ours, a gripper's, is not meant.)",
            fix="Compare the names on `joint_states` with the robot description.",
        ),
        Reason.LIMIT_LEASE_LOST: Advice(
            effect="The lowest limit, `torque_limit_floor`, is in force until a newer iteration's limit is accepted.",
            cause="The node unsafety_monitor ended or hangs.",
            fix="Read the log of unsafety_monitor (`logs/`); continue the run with `resume:=`.",
        ),
        Reason.LIMIT_REFUSED: Advice(
            effect="Nothing changes: the limit before it stands, and its lease runs on.",
            cause="A message broke a rule: an old iteration number, more than 5 % above the last one, outside floor "
            "and ceiling, no proposal accepted since the last one, or sent while the filter was armed.",
            fix="Find who publishes `unsafety_monitor/torque_limit` besides unsafety_monitor. The filter's log names "
            "the rule.",
        ),
        Reason.CRITIC_RISK: Advice(
            effect="Another sample of the policy's distribution is applied, the first safe one or the least risky. A "
            "deterministic policy has no other: its proposal is refused.",
            cause="The critic's estimate is above epsilon: a risky action, or one unlike the data it was trained with.",
            fix="None where it is right. Where it refuses nearly everything: `safe_transfer shadow-report`, and train "
            "it with recordings of this arm.",
        ),
        Reason.CRITIC_FAILED: Advice(
            effect=_REFUSED,
            cause="It was later than `safety_filter.critic_timeout`, as on a busy machine, or its answer was no usable "
            "number.",
            fix="Real-time scheduling, a smaller critic (`safe_transfer train-critic --hidden`), or a longer timeout.",
        ),
        Reason.SECOND_PUBLISHER: Advice(
            effect="TRIPPED, and neither armed nor reset as long as both are there. It ends the run.",
            cause="Two graphs in one ROS domain and namespace, a controller beside policy_server, a driver that "
            "publishes our joints twice; or a node that was killed and started again: its predecessor stays in the "
            "graph for 20 s.",
            fix="`ros2 topic info --verbose TOPIC` names the publishers. End one of them, wait 20 s, reset.",
        ),
        Reason.OPERATOR_STOP: Advice(
            effect=_STOPPED,
            cause="A key in `safe_transfer watch`, the service `safety_filter/trip`, or an external stop: pressed, or "
            "silent for longer than `safety_filter.e_stop_lease`.",
            fix="When the cell is clear: release the stop, reset, and continue with `resume:=`.",
        ),
        Reason.SHUTDOWN: Advice(
            effect="Stop torque is published, then nothing more.",
            cause="The run ended, or was told to.",
            fix="None.",
        ),
        Reason.NOT_ARMED: Advice(
            effect="The proposal is refused.",
            cause="A controller proposes before it has armed the filter, or after the end of an episode.",
            fix="Call `safety_filter/arm` first (`examples/own_controller.py`).",
        ),
        Reason.CLOCK_WENT_BACK: Advice(
            effect="TRIPPED where the filter was armed.",
            cause="The steady clock of the machine went back: a virtual machine that was restored, for example.",
            fix="Start the graph again.",
        ),
        Reason.CLAMPED_SOFT_POSITION: Advice(
            effect=_BOUNDED,
            cause="A joint is near the end of its travel.",
            fix="None. Where it happens all the time, the task's start or the policy leads there.",
        ),
        Reason.CLAMPED_SOFT_VELOCITY: Advice(
            effect=_BOUNDED,
            cause="A joint is near the speed it may have: a policy trained without soft limits, a light arm.",
            fix="None. A lower `t_max` where the policy fights the bound.",
        ),
        Reason.NO_PERMISSION: Advice(
            effect=_STOPPED,
            cause="On an arm: the controller or the hardware is not active, an operator deactivated it, or "
            "controller_supervisor ended.",
            fix="`controller_supervisor/status` says which, and keeps the cause as `last_stop`. Reset, then activate "
            "again.",
        ),
        Reason.OBJECT_POSE_STALE: Advice(
            effect=_BLIND,
            cause="Perception stopped, lost the object, or publishes in another frame than the arm's base link.",
            fix="Publish `object_pose` at least once per `safety_filter.object_timeout`, stamped by the robot's clock.",
        ),
        Reason.OBJECT_POSE_FROZEN: Advice(
            effect=_BLIND,
            cause="Perception repeats its last estimate, or publishes one without the noise of a measurement.",
            fix="Publish measurements only; or a longer `safety_filter.object_frozen_timeout`.",
        ),
        Reason.OBJECT_POSE_NOT_FINITE: Advice(
            effect=_BLIND,
            cause="Perception fails: NaN, or a quaternion of length zero.",
            fix="Publish nothing where there is no estimate.",
        ),
        Reason.GRAVITY_FAILED: Advice(
            effect="The last g(q) stands, so the arm is not dropped. TRIPPED where the filter was armed.",
            cause="The model of the arm raises, or gives something that is no torque.",
            fix="Check masses and inertias of the robot description; the filter's log has the error.",
        ),
        Reason.JOINT_STATE_IMPLAUSIBLE: Advice(
            effect="The joint state is refused. TRIPPED where the filter was armed.",
            cause="A position wraps by a turn, a unit is wrong (degrees), an encoder jumps, or the simulated arm "
            "diverged.",
            fix="Find the joint in the recording. A driver must publish rad, without wrapping.",
        ),
        Reason.DAMAGE_BUDGET_SPENT: Advice(
            effect="A low limit is in force for the rest of the iteration: its mean damage stays within D_safe.",
            cause="The arm was less safe than was predicted from the iteration before.",
            fix="None. Where it happens often: a smaller policy step (`trainer.max_kl`) or less noise "
            "(`trainer.stddev_factor`).",
        ),
        Reason.ARM_STOPPED: Advice(
            effect=_STOPPED,
            cause="With `robot:=franka`: a reflex (a collision, too many of its cycles without an answer), the "
            "user stop, guiding by hand, another program's motion, or a cable. The filter's status, "
            "`franka_robot/status` and `/diagnostics` name which (`standing`).",
            fix="Remove the cause. After a reflex: `ros2 service call /franka_robot/recover std_srvs/srv/Trigger`. "
            "Then reset and activate; refused as long as the cause stands.",
        ),
    }
)
"""Advice for every reason."""


def text() -> str:
    """Every reason with its advice as Markdown, for docs/troubleshooting.md."""
    return "\n\n".join(
        f"### {reason.name}\n\n{words[0].upper()}{words[1:]}.\n\n"
        f"- Effect: {ADVICE[reason].effect}\n- Cause: {ADVICE[reason].cause}\n- Fix: {ADVICE[reason].fix}"
        for reason, words in REASON_TEXT.items()
    )
