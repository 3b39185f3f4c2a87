# SPDX-License-Identifier: Apache-2.0
"""critic_shadow: a candidate critic beside the active one, on live traffic, without acting.

Every proposal is judged as it would be applied; a line of CSV says what the candidate says of it, what the active
critic said, and how long it took. What it would have been right about: `safe_transfer shadow-report` on the recording.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from rclpy.node import Node
from safe_transfer_msgs.msg import SafetyDecision

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.safety_critic import load_critic
from safe_transfer_ros.middleware import bounded, topics
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.parameters.critic_shadow import CriticShadowParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.tasks.deployment import in_graph

COLUMNS = ("stamp_ns", "iteration", "episode", "step", "risk", "refuses", "active_risk", "active_version", "latency_us")


class CriticShadow(Node):
    """Judges, writes, does nothing else."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Load the candidate, open the file, then listen."""
        super().__init__("critic_shadow")
        experiment, settings = declare(self, ExperimentParameters, CriticShadowParameters)
        for name in ("candidate", "out"):
            if not getattr(settings, name):
                raise ConfigurationError(f"critic_shadow: parameter '{name}' is missing")
        self._graph = in_graph(experiment.task, experiment.robot_overrides)
        task = self._graph.task
        loaded = load_critic(settings.candidate, observation_size=task.observation_size, action_size=task.action_size)
        self._critic, self._epsilon = loaded.critic, loaded.number("epsilon")
        self._order = JointOrder(self._graph.action_names)
        Path(settings.out).parent.mkdir(parents=True, exist_ok=True)  # the trainer beside it may come later
        self._file = open(settings.out, "x", newline="", buffering=1)
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        bounded.listen(self, topics.DECISIONS, self._on_decision)

    def _on_decision(self, message: SafetyDecision) -> None:
        if not message.proposed_effort:
            return
        try:
            order = self._order.indices(message.action_names)
        except JointOrderError:
            return  # the filter has refused it and says so
        limit = np.minimum(self._graph.action_bound, self._graph.gate_limit(message.torque_limit))
        proposed, observation = np.frombuffer(message.proposed_effort), np.frombuffer(message.observation)[None]
        if len(proposed) != len(message.action_names) or observation.shape[1] != self._graph.task.observation_size:
            self.get_logger().error(
                f"a decision of step {message.step} is left out: {len(proposed)} efforts for "
                f"{len(message.action_names)} names, {observation.shape[1]} observations for a task of "
                f"{self._graph.task.observation_size}",
                throttle_duration_sec=5.0,
            )
            return
        applied = np.clip(proposed[order], -limit, limit)[None]
        start = time.perf_counter_ns()
        risk = float(self._critic.risk(observation, applied)[0])
        taken = (time.perf_counter_ns() - start) / 1e3
        place = (to_ns(message.header.stamp), message.iteration, message.episode, message.step)
        refuses = int(not risk <= self._epsilon)
        self._writer.writerow((*place, risk, refuses, message.risk, message.critic_version, f"{taken:.1f}"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("critic_shadow", CriticShadow, niceness=5))


if __name__ == "__main__":
    main()
