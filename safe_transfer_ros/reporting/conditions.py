# SPDX-License-Identifier: Apache-2.0
"""Conditions under which a run was made, for the head of its report: the arm, and the critic that judged."""

from __future__ import annotations

from collections import Counter

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.graph import messages
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.critics.safety_critic import LoadedCritic, critic_from_bytes
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.reporting.run import Run, bags_of
from safe_transfer_ros.topic_names import CRITIC_WEIGHTS
from safe_transfer_ros.untrusted import printable


def on_hardware(run: Run) -> bool:
    """Whether the run drove an arm by ros2_control, by the nodes of its graph."""
    graph = str(run.parameter("trainer", "graph", ""))
    if graph:
        return "controller_supervisor" in graph.split(",")
    return run.parameter("safety_filter", "permission_lease", "off") not in ("off", 0.0)  # before runs had `graph`


def arm(run: Run) -> str:
    """The arm that was driven, in words; empty where it is not known."""
    if on_hardware(run):
        name = "an arm" if run.task is None else run.task.robot.name
        if "franka_robot" in str(run.parameter("trainer", "graph", "")).split(","):
            return f"{name} by libfranka (robot:=franka)"
        return f"{name} by ros2_control (robot:=hardware)"
    perturbation = run.parameter("mujoco_sim", "perturbation")
    return f"simulated arm “{perturbation}”" if perturbation else ""


def critics(run: Run) -> list[str]:
    """The critics that judged proposals, a line each: version, origin, epsilon, certificate; none without one."""
    if run.parameter("safety_filter", "critic", "none") != "required":
        return []
    counts: Counter[str] = Counter()
    for detail in run.details:
        counts.update(detail.critics)
    origin = run.parameter("trainer", "critic") or f"made by learner {run.parameter('trainer', 'learner', 'unknown')}"
    if not counts:
        return [f"A critic was required ({printable(str(origin))}); which one judged is not known without the bag."]
    sent = _sent(run)
    lines = [
        f"Critic {printable(version)} judged {count:,} decisions, {_threshold(run, sent.get(version))}."
        for version, count in counts.items()
    ]
    return [f"Origin: {printable(str(origin))}.", *(lines if len(lines) <= 4 else _shortened(lines))]


def _shortened(lines: list[str]) -> list[str]:
    return [*lines[:2], f"{len(lines) - 3} more, each trained on from the one before.", lines[-1]]


def _threshold(run: Run, sent: LoadedCritic | None) -> str:
    """Largest risk that was accepted, and whether the critic was certified for it."""
    own = run.parameter("safety_filter", "critic_epsilon", 0.0)
    told = f"epsilon {own:.4g} (critic_epsilon)" if own else "epsilon unknown"
    if sent is not None and not own:
        told = f"epsilon {sent.number('epsilon'):.4g} (its model card)"
    if run.parameter("safety_filter", "critic_schedule", "fixed") == "csc":
        told = f"{told} at most, less by critic_schedule csc"
    if sent is None:
        return told
    return f"{told}, {'certified' if sent.certified else 'NOT certified'} by its training"


def _sent(run: Run) -> dict[str, LoadedCritic]:
    """The critics that were sent and can be read, by version."""
    found: dict[str, LoadedCritic] = {}
    for path in bags_of(run.path):
        try:
            for _, message, _ in messages(Bag(path), (CRITIC_WEIGHTS,)):
                loaded = critic_from_bytes(bytes(message.data), name="the critic recorded", sha256=message.sha256)
                loaded.number("epsilon")
                found[loaded.version] = loaded
        except (BagError, WeightsError, AttributeError):  # the versions are in the decisions all the same
            continue
    return found
