# SPDX-License-Identifier: Apache-2.0
"""critic_trainer: a safety critic from SafetyDecisions, live or replayed by `ros2 bag play`.

It collects until it has its episodes or is told to stop, then trains as `safe_transfer train-critic` does; the same
decisions give the same critic. What it collected stays in <out>/transitions for that command.
"""

from __future__ import annotations

from pathlib import Path

from rclpy.node import Node

from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
from safe_transfer_ros.bags.live import LiveTransitions
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.training import Check, CriticSettings, TrainingSettings, train_critic
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.parameters.critic_trainer import CriticTrainerParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.tasks.deployment import in_graph

_CHECK_EVERY_S = 0.5


class CriticTrainer(Node):
    """Subscribes raw, collects, trains once."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Open the folder, then listen."""
        super().__init__("critic_trainer")
        experiment, self._settings = declare(self, ExperimentParameters, CriticTrainerParameters)
        if not self._settings.out:
            raise ConfigurationError("critic_trainer: parameter 'out' is missing: name the folder to write")
        self._lifetime, self._seed = lifetime, experiment.seed
        self._out = Path(self._settings.out)
        self._collected = LiveTransitions(
            self._out / "transitions", in_graph(experiment.task, experiment.robot_overrides)
        )
        self._episodes = 0
        topics.DECISIONS.listen(self, self._collected.add, raw=True)
        self.create_timer(_CHECK_EVERY_S, self._look)

    def _look(self) -> None:
        before = self._collected.left_out
        self._collected.flush()
        if self._collected.left_out > before:
            self.get_logger().error(f"a decision is left out: {self._collected.refusal}", throttle_duration_sec=5.0)
        wanted = self._settings.episodes
        if wanted and self._collected.counts.ended >= wanted:
            self._lifetime.end()

    def close(self) -> None:
        """Train from the collected decisions, write the critic and print what came out."""
        transitions = self._collected.close()
        print(f"critic_trainer: {self._collected.counts.describe()}", flush=True)
        if self._collected.left_out:
            print(
                f"critic_trainer: {self._collected.left_out} decisions left out: {self._collected.refusal}", flush=True
            )
        settings = self._settings
        try:
            card = train_critic(
                transitions,
                TrainingSettings(
                    critic=CriticSettings(
                        gamma=settings.gamma,
                        alpha=CSC_ALPHA if settings.conservative else 0.0,
                        members=settings.members,
                    ),
                    epsilon=settings.epsilon,
                    updates=settings.updates,
                    seed=self._seed,
                ),
                transitions.about,
                self._out,
                _say,
            )
        except ValueError as error:
            print(f"critic_trainer: {error}", flush=True)
            return
        for reason in card["against"]:
            print(f"critic_trainer: not certified: {reason}", flush=True)
        print(f"critic_trainer: {self._out / 'critic.safetensors'}", flush=True)


def _say(check: Check) -> None:
    print(f"critic_trainer: {check.updates} updates, Brier score {check.brier:.4f}", flush=True)


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("critic_trainer", CriticTrainer, niceness=10))


if __name__ == "__main__":
    main()
