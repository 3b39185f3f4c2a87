# SPDX-License-Identifier: Apache-2.0
"""trainer: coordinates Algorithm 1 (PSPT): rollout, update, limit, next.

It asks policy_server for rollouts, learns from the SafetyDecisions alone, publishes new weights, and does not go on
before both have acknowledged: policy_server the weights, the filter the torque limit the monitor has derived.
"""

from __future__ import annotations

import dataclasses
import time
import traceback
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse
from rclpy.action.client import ClientGoalHandle
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from safe_transfer_msgs.action import FineTune, Rollout
from safe_transfer_msgs.msg import (
    FilterStatus,
    PolicyStatus,
    PolicyWeights,
    SafetyDecision,
    UnsafetyEstimate,
)
from std_msgs.msg import String

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.middleware import bounded, topics
from safe_transfer_ros.middleware.critic_sender import CriticSender
from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.listeners import Listeners, all_missing
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import EXIT_BAD_INPUT, Lifetime, run
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.waiting import PeerTimeout, answer, until
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.sections import SHARED, document
from safe_transfer_ros.parameters.trainer import TrainerParameters
from safe_transfer_ros.policies import weights
from safe_transfer_ros.record.episode import Episode, EpisodeError, count_interventions, episodes_from_decisions
from safe_transfer_ros.record.iteration import ROWS, IterationRecord, append, iteration_record, read
from safe_transfer_ros.record.resume import CHECKPOINTS
from safe_transfer_ros.record.returns import RETURNS, returns_of
from safe_transfer_ros.record.returns import append as append_returns
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.graph_learners import LEARNERS, Beginning, PolicyUpdates


class FineTuningStopped(RuntimeError):
    """Raised when fine-tuning ends early; the text says why."""


class Trainer(Node):
    """Learns from what the filter records, one iteration at a time."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Load the policy, create the topics; with `autostart`, begin once the graph is complete."""
        super().__init__("trainer")
        self._lifetime = lifetime
        self._experiment, self._settings = declare(self, ExperimentParameters, TrainerParameters)
        self._graph = in_graph(self._experiment.task, self._experiment.robot_overrides)
        self._task = self._graph.task
        self._learning = self._start_learning()
        self._run_dir = Path(self._settings.run_dir) if self._settings.run_dir else None
        self._version = self._experiment.first_iteration
        self._decisions: list[SafetyDecision] = []
        # An episode has one decision a step, and some for what was refused; what is far beyond is somebody's flood.
        self._most_decisions = 10 * self._settings.episodes_per_iteration * (self._task.horizon + 1)
        self._dropped = 0
        self._doubt = ""  # why the decisions of this iteration may not all be the filter's
        self._episodes_seen = 0
        self._policy_status = PolicyStatus()
        self._estimate = UnsafetyEstimate()
        self._estimated = -1
        self._goal: ClientGoalHandle | None = None
        self._busy = False
        self._started = 0.0

        self._weights = topics.POLICY_WEIGHTS.advertise(self)
        self._critic = CriticSender(self)
        self._run_config = topics.RUN_CONFIG.advertise(self)
        published = ((self._weights, topics.POLICY_WEIGHTS), (self._run_config, topics.RUN_CONFIG))
        self._listeners = [Listeners(self, each, topic, self._experiment.nodes) for each, topic in published]
        self._listeners.append(self._critic.listeners(self._experiment.nodes))
        bounded.listen(self, topics.DECISIONS, self._on_decision)
        bounded.listen(self, topics.POLICY_STATUS, self._on_status)
        self._filter: SoleState[FilterStatus] = SoleState(self, topics.FILTER_STATUS)
        bounded.listen(self, topics.UNSAFETY_ESTIMATE, self._on_estimate)
        Diagnostics(self, self._task.robot.name, self._health)
        self._rollouts = ActionClient(self, Rollout, "policy_server/rollout")
        self._server = ActionServer(
            self,
            FineTune,
            "trainer/fine_tune",
            execute_callback=self._serve,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )

    def _start_learning(self) -> PolicyUpdates:
        settings, seed = self._settings, self._experiment.seed
        if settings.policy_function:
            controllers.tell(settings.policy_function)
        _, policy = load_policy(self._task, settings.policy)
        return LEARNERS[settings.learner].begin(
            Beginning(
                graph=self._graph,
                policy=policy,
                stddev_factor=settings.stddev_factor if self._experiment.first_iteration == 0 else 1.0,
                max_kl=settings.max_kl,
                leave_one_out=settings.leave_one_out,
                seed=seed,
                checkpoints=Path(settings.run_dir) / CHECKPOINTS if settings.run_dir else None,
                first_iteration=self._experiment.first_iteration,
                experience=tuple(Path(path.strip()) for path in settings.experience.split(",") if path.strip()),
            )
        )

    def close(self) -> None:
        """Cancel the rollout under way: the policy server then stops the arm through the filter."""
        if self._goal is not None:
            self._goal.cancel_goal_async()

    # What the others say ---------------------------------------------------------------------------------------------

    def _on_decision(self, message: SafetyDecision) -> None:
        self._doubt = self._doubt or second_publisher(self, topics.DECISIONS.name) or ""
        if len(self._decisions) < self._most_decisions:
            self._decisions.append(message)
            self._episodes_seen += message.last
            if message.last:
                self._tell_episodes(int(message.iteration))
        else:
            self._dropped += 1

    def _tell_episodes(self, iteration: int) -> None:
        """Log how far the rollouts are; an iteration of a real arm takes minutes."""
        text = f"iteration {iteration}: {self._episodes_seen} of {self._settings.episodes_per_iteration} episodes"
        self.get_logger().info(text, throttle_duration_sec=5.0)

    def _health(self) -> Health:
        count = self._settings.episodes_per_iteration
        now = f"iteration {self._version}: {self._episodes_seen} of {count} episodes" if self._goal else "no rollout"
        dropped = f"{self._dropped} decisions beyond {self._most_decisions}" if self._dropped else ""
        return Health(
            message="; ".join(filter(None, (self._doubt, dropped))) or now,
            attention=bool(self._doubt or dropped),
            values={"iteration": str(self._version), "episodes": str(self._episodes_seen)},
        )

    def _on_status(self, message: PolicyStatus) -> None:
        self._policy_status = message

    @property
    def _filter_status(self) -> FilterStatus:
        """Newest status of the filter; one that permits nothing while none is believed."""
        return self._filter.newest or FilterStatus(message=self._filter.doubt)

    def _on_estimate(self, message: UnsafetyEstimate) -> None:
        second = second_publisher(self, topics.UNSAFETY_ESTIMATE.name)
        if second:
            refused = f"estimate of iteration {message.iteration} not taken: {second}"
            self.get_logger().error(refused, throttle_duration_sec=1.0)
            return
        self._estimate, self._estimated = message, int(message.iteration)

    # The fine_tune action --------------------------------------------------------------------------------------------

    def _on_goal(self, goal: FineTune.Goal) -> GoalResponse:
        if self._busy or self._settings.autostart or goal.iterations == 0:
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        self.close()
        return CancelResponse.ACCEPT

    async def _serve(self, handle: ServerGoalHandle) -> FineTune.Result:
        result = FineTune.Result()

        def report(record: IterationRecord) -> None:
            result.iterations += 1
            feedback = FineTune.Feedback(iterations=handle.request.iterations, d_safe=self._experiment.d_safe)
            for name, value in record.as_dict().items():
                setattr(feedback, name, value)
            handle.publish_feedback(feedback)

        try:
            await self._fine_tune(int(handle.request.iterations), report, lambda: handle.is_cancel_requested)
            result.success = True
            handle.succeed()
        except (PeerTimeout, FineTuningStopped, EpisodeError) as error:
            result.message = str(error)
            handle.canceled() if handle.is_cancel_requested else handle.abort()
        return result

    async def background(self) -> None:
        """Fine-tune with `autostart` for the configured number of iterations, then end the process."""
        if not self._settings.autostart:
            return
        try:
            await self._fine_tune(self._settings.iterations, lambda record: None, lambda: False)
            self._lifetime.end(0)
        except (PeerTimeout, FineTuningStopped, EpisodeError, OSError) as error:
            self._lifetime.end(EXIT_BAD_INPUT, f"trainer: {error}")
        except Exception:
            traceback.print_exc()
            self._lifetime.end(1, "trainer: stopped by a defect, see above")

    # Algorithm 1 -----------------------------------------------------------------------------------------------------

    async def _fine_tune(
        self, iterations: int, report: Callable[[IterationRecord], None], cancelled: Callable[[], bool]
    ) -> None:
        self._busy = True
        try:
            await self._complete_graph()
            self._started = time.monotonic() - self._earlier_sessions_s()
            self._send_critic()
            self._publish_weights(iteration=0, steps=0, kl=0.0)
            first = self._version
            for iteration in range(first, first + iterations):
                if cancelled():
                    raise FineTuningStopped("cancelled")
                record = await self._iterate(iteration)
                # What `ros2 launch` shows of a run; `safe_transfer up` has a bar.
                done = f"iteration {iteration} ({iteration + 1}/{first + iterations})"
                self.get_logger().info(f"{done}  {record.summary(self._experiment.d_safe)}")
                report(record)
        finally:
            self._busy = False

    def _earlier_sessions_s(self) -> float:
        """Wall time of the iterations a resumed run has behind it, s."""
        if self._run_dir is None or self._experiment.first_iteration == 0:
            return 0.0
        rows = read(self._run_dir / ROWS)
        return rows[-1].wall_time_s if rows else 0.0

    async def _complete_graph(self) -> None:
        """Wait until every peer is there, and heard where it must be: the others see to that before they say so."""
        unheard = partial(all_missing, self._listeners)
        await until(
            self,
            lambda: self._rollouts.server_is_ready() and self._filter_status.connected and not unheard(),
            self._settings.peer_timeout,
            lambda: (
                "policy_server's rollout action, and trainer and filter heard by their graph "
                f"({unheard() or self._filter_status.message or 'no word from the filter'})"
            ),
            period=0.05,
        )
        self._run_config.publish(String(data=self._configuration()))

    def _configuration(self) -> str:
        """The run's parameters as YAML, so that the bag alone says how it came about."""
        if self._settings.config_file:
            return Path(self._settings.config_file).read_text()
        own = {SHARED: self._experiment, "trainer": self._settings}
        return yaml.safe_dump(document({node: dataclasses.asdict(values) for node, values in own.items()}))

    async def _iterate(self, iteration: int) -> IterationRecord:
        seconds = self._settings.peer_timeout
        await until(
            self,
            lambda: self._policy_status.version == self._version,
            seconds,
            lambda: (
                f"policy_server with weights version {self._version} ({self._policy_status.message or 'no answer'})"
            ),
        )
        await until(
            self,
            lambda: self._filter.newest is not None and self._filter.newest.iteration == iteration,
            seconds,
            lambda: (
                f"torque limit of iteration {iteration} at the filter ({self._filter_status.message or 'no answer'})"
            ),
        )
        await until(
            self,
            lambda: not self._critic.version or self._critic.settled(self._filter_status),
            seconds,
            lambda: f"critic {self._critic.version} at the filter ({self._filter_status.message or 'no answer'})",
        )
        episodes = await self._roll_out(iteration)
        kl = self._learning.update(episodes, iteration)
        self._version = iteration + 1
        self._send_critic()
        steps = sum(len(episode.proposed) for episode in episodes)
        self._publish_weights(iteration=iteration, steps=steps, kl=kl)
        await until(
            self, lambda: self._estimated == iteration, seconds, f"unsafety_monitor's estimate of iteration {iteration}"
        )
        return self._keep(iteration, episodes)

    async def _roll_out(self, iteration: int) -> list[Episode]:
        """Run one rollout goal and return the complete decisions of its episodes."""
        seconds = self._settings.peer_timeout
        count = self._settings.episodes_per_iteration
        self._decisions, self._episodes_seen, self._dropped, self._doubt = [], 0, 0, ""
        self._tell_episodes(iteration)
        goal = Rollout.Goal(
            iteration=iteration,
            episodes=count,
            first_episode=iteration * count,
            policy_version=self._version,
            limit_iteration=iteration,
        )
        handle = await answer(self, self._rollouts.send_goal_async(goal), seconds, "policy_server/rollout")
        if not handle.accepted:
            raise FineTuningStopped("policy_server refused the rollout: another one is under way")
        self._goal = handle
        outcome = (await handle.get_result_async()).result
        self._goal = None
        if not outcome.success:
            raise FineTuningStopped(f"rollout of iteration {iteration} ended early: {outcome.message}")
        what = f"all {count} episodes of iteration {iteration} as decisions of the filter"
        await until(self, lambda: self._episodes_seen >= count, seconds, what)
        if self._doubt:
            raise FineTuningStopped(f"iteration {iteration} is not learned from: {self._doubt}")
        if self._dropped:
            raise FineTuningStopped(
                f"iteration {iteration}: {self._dropped} decisions beyond {self._most_decisions}: "
                "something floods the filter with proposals"
            )
        return episodes_from_decisions(self._decisions)

    def _send_critic(self) -> None:
        """Send the filter the critic that the next episodes are to be judged by, if it is another than the last."""
        learned = self._learning.critic()
        if learned is None:
            if self._settings.critic:
                self._critic.send_file(Path(self._settings.critic), self._version)
            return
        self._critic.send(learned, self._version)
        if self._run_dir is not None:
            write_atomically(self._checkpoints() / f"critic_{self._version:05d}.safetensors", learned)

    def _checkpoints(self) -> Path:
        assert self._run_dir is not None
        folder = self._run_dir / CHECKPOINTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _publish_weights(self, *, iteration: int, steps: int, kl: float) -> None:
        metadata = {"task": self._task.name, "version": str(self._version), "policy": self._settings.policy}
        data = self._learning.policy(metadata)
        message = PolicyWeights(
            version=self._version,
            iteration=iteration,
            steps=steps,
            kl=kl,
            kl_bound=self._learning.kl_bound,
            data=array("B", data),
            sha256=weights.sha256_of(data),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._weights.publish(message)
        if self._run_dir is not None:
            write_atomically(self._checkpoints() / f"policy_{self._version:05d}.safetensors", data)

    def _keep(self, iteration: int, episodes: list[Episode]) -> IterationRecord:
        record = iteration_record(
            episodes,
            self._estimate,
            self._task,
            interventions=count_interventions(self._decisions),
            wall_time_s=time.monotonic() - self._started,
        )
        if self._run_dir is not None:
            # The row last: an iteration that has one is not done again.
            append_returns(self._run_dir / RETURNS, returns_of(episodes, self._task))
            append(self._run_dir / ROWS, record)
        return record


def main() -> None:
    """Console entry point."""

    def create(lifetime: Lifetime) -> Trainer:
        return Trainer(lifetime)

    raise SystemExit(run("trainer", create, niceness=5))


if __name__ == "__main__":
    main()
