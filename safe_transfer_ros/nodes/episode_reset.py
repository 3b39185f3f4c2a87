# SPDX-License-Identifier: Apache-2.0
"""episode_reset: on hardware, puts the arm into the start of an episode by a slow move; serves `reset_episode`.

It proposes, as policy_server does, and the safety filter decides: armed for a reset it takes proposals from here only,
under a low limit of its own. The move begins when an operator has activated the controller, and ends at once when the
filter trips or somebody cancels.
"""

from __future__ import annotations

import threading
import time
from array import array
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.task import Future
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision
from safe_transfer_msgs.srv import ResetEpisode
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.middleware import clock, topics
from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.reset_refusal import ResetRefusal
from safe_transfer_ros.middleware.service_thread import ServiceThread
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.parameters.episode_reset import ResetParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.slow_move import MoveTime, SlowMove, following_torque
from safe_transfer_ros.tasks.deployment import in_graph

ANSWER_SECONDS = 2.0
DISARMED_SECONDS = 0.5  # in which the word that the filter has disarmed may still be on its way
FRESH_SECONDS = 0.5  # age of a joint state that a move may begin at
CONFIRM = "ros2 service call /episode_reset/confirm std_srvs/srv/Trigger"


class ResetFailed(RuntimeError):
    """Raised when the arm was not brought to the start; the text says why."""


@dataclass(kw_only=True)
class Reset:
    """One reset under way."""

    seed: int
    episode: int
    done: threading.Event = field(default_factory=threading.Event)
    failure: str = ""
    move: SlowMove | None = None
    time: MoveTime = field(default_factory=MoveTime)


class EpisodeReset(Node):
    """Follows a slow reference to the start position, through the filter."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Declare parameters, create topics and services."""
        super().__init__("episode_reset")
        experiment, self._settings = declare(self, ExperimentParameters, ResetParameters)
        self._graph = in_graph(experiment.task, experiment.robot_overrides)
        robot = self._graph.task.robot
        self._states = JointStatesHeard(self, robot.joint_names)
        self._stiffness = self._settings.stiffness * robot.limits.effort
        self._damping = self._settings.damping * robot.limits.effort
        self._confirmed = threading.Event()
        self._lock = threading.Lock()
        self._reset: Reset | None = None
        self._waits_for = ""  # what an operator has to do before the move
        self._failure = ""  # of the newest reset
        n = len(robot.joint_names)
        self._action = PolicyAction(action_names=list(robot.joint_names), stddev=[1e-3] * n)
        self._actions = topics.RESET_PROPOSALS.advertise(self)
        topics.JOINT_STATES.listen(self, self._on_joint_state, raw=True)
        status: SoleState[FilterStatus] = SoleState(self, topics.FILTER_STATUS, self._on_filter, self._end)
        self._refusal = ResetRefusal(status, experiment.nodes)
        self._supervisor: SoleState[DiagnosticStatus] = SoleState(self, topics.SUPERVISOR_STATUS)
        self._arm = self.create_client(SetBool, "safety_filter/arm_reset")
        self.create_service(Trigger, "episode_reset/confirm", self._on_confirm)
        self.create_service(Trigger, "episode_reset/cancel", self._on_cancel)
        Diagnostics(self, robot.name, self._health)
        self._requests = ServiceThread(self, {"reset_episode": (ResetEpisode, self._on_reset)})

    def close(self) -> None:
        """End a move under way; without proposals the filter stops the arm."""
        self._end("episode_reset is ending")
        self._requests.close()

    # What arrives ----------------------------------------------------------------------------------------------------

    def _health(self) -> Health:
        reset, left_out = self._reset, {"joint_states_left_out": str(self._states.left_out)}
        if reset is None:
            return Health(message=self._failure or "no move", attention=bool(self._failure), values=left_out)
        moving = f"moving to the start of episode {reset.episode}"
        return Health(message=self._waits_for or moving, attention=bool(self._waits_for), values=left_out)

    def _on_filter(self, message: FilterStatus) -> None:
        if message.mode == SafetyDecision.MODE_TRIPPED:
            self._end(f"the safety filter has tripped: {message.message}")

    def _on_confirm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        waiting = self._reset is not None and self._reset.move is None
        if waiting:
            self._confirmed.set()
        response.success, response.message = waiting, "" if waiting else "no episode waits for it"
        return response

    def _on_cancel(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._end("cancelled")
        response.success = True
        return response

    def _end(self, failure: str) -> None:
        reset = self._reset
        if reset is not None and not reset.done.is_set():
            reset.failure = failure
            reset.done.set()

    def _on_joint_state(self, data: bytes) -> None:
        state = self._states.read(data, clock.now_ns())
        if state is None:  # should no good one follow, the filter misses them too, and trips
            return
        reset = self._reset
        if reset is None or reset.move is None or reset.done.is_set():
            return
        stamp_ns, position, velocity = state
        move, elapsed = reset.move, reset.time.at(time.monotonic())
        settings = self._settings
        off, speed = np.abs(move.goal - position).max(), np.abs(velocity).max()
        if elapsed > move.duration and off < settings.position_tolerance and speed < settings.velocity_tolerance:
            reset.done.set()
            return
        reference = move.reference(elapsed)
        if np.abs(reference[0] - position).max() > settings.tracking_tolerance:
            self._end(
                f"the arm is {np.abs(reference[0] - position).max():.2f} rad behind: something holds it, or "
                "reset_torque_limit is too low for its friction"
            )
            return
        if elapsed > move.duration + settings.settling_time:
            self._end(f"still {off:.3f} rad from the start, {speed:.3f} rad/s: raise stiffness or position_tolerance")
            return
        torque = following_torque(position, velocity, reference, self._stiffness, self._damping)
        set_ns(self._action.header.stamp, stamp_ns)
        self._action.step += 1
        self._action.mean = self._action.effort = array("d", torque.tobytes())
        self._actions.publish(self._action)

    # The service, in a thread of its own -----------------------------------------------------------------------------

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        reset = Reset(seed=int(request.seed), episode=int(request.episode))
        deadline = time.monotonic() + DISARMED_SECONDS
        while self._reset is None and self._refusal.why() and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            running = self._reset
            response.message = self._refusal.why() if running is None else ""
            if running is None and not response.message:
                self._reset = reset
        if response.message:
            return response
        if running is not None:  # a request that was sent again
            if (running.seed, running.episode) != (reset.seed, reset.episode):
                response.message = f"episode {running.episode} is being prepared: cancel that first"
                return response
            running.done.wait()
            reset = running
        else:
            try:
                self._bring_to_start(reset)
            except ResetFailed as error:
                reset.failure = reset.failure or str(error)
            finally:
                reset.done.set()
                self._reset, self._waits_for, self._failure = None, "", reset.failure
        response.success, response.message = not reset.failure, reset.failure
        if self._states.newest is not None:
            set_ns(response.stamp, self._states.newest[0].stamp_ns)
        return response

    def _permitted(self) -> bool:
        """Whether the supervisor says that the controller is active."""
        status = self._supervisor.newest
        return status is not None and status.level == DiagnosticStatus.OK

    def _bring_to_start(self, reset: Reset) -> None:
        self._confirmed.clear()
        if not self._permitted():
            self._waits_for = "waiting for an operator to activate the controller: see controller_supervisor"
            self.get_logger().warning(self._waits_for)
        self._until(reset, self._permitted, "the controller was not activated")
        if self._settings.confirm_each_episode:
            self._waits_for = f"episode {reset.episode} waits for an operator: {CONFIRM}"
            self.get_logger().warning(self._waits_for)
            self._until(reset, self._confirmed.is_set, "no confirmation came")
        self._waits_for = ""
        state = self._states.fresh(clock.now_ns(), FRESH_SECONDS)
        if isinstance(state, str):
            raise ResetFailed(state)
        goal = self._graph.start_position(generator(Purpose.INITIAL_STATE, reset.seed, reset.episode))
        self._armed(True)
        try:
            reset.move = SlowMove(state.position, goal, self._settings.speed)
            reset.done.wait()
        finally:
            self._armed(False)
        if reset.failure:
            raise ResetFailed(reset.failure)

    def _until(self, reset: Reset, condition: object, failure: str) -> None:
        seconds = self._settings.confirmation_timeout
        deadline = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            if reset.done.wait(0.05):
                raise ResetFailed(reset.failure)
            if time.monotonic() > deadline:
                raise ResetFailed(f"{failure} within {seconds:g} s")

    def _armed(self, wanted: bool) -> None:
        """Arm the filter for the move, or disarm it."""
        if not self._arm.wait_for_service(timeout_sec=ANSWER_SECONDS):
            raise ResetFailed("the safety filter is not there")
        future: Future = self._arm.call_async(SetBool.Request(data=wanted))
        deadline = time.monotonic() + ANSWER_SECONDS
        while not future.done():
            if time.monotonic() > deadline:
                raise ResetFailed(f"no answer of the safety filter within {ANSWER_SECONDS:g} s")
            time.sleep(0.002)
        answer = future.result()
        if answer is None or not answer.success:
            raise ResetFailed(f"the filter refused to {'arm' if wanted else 'disarm'}: {answer and answer.message}")


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("episode_reset", EpisodeReset))


if __name__ == "__main__":
    main()
