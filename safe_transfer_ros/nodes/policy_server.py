# SPDX-License-Identifier: Apache-2.0
"""policy_server: policy in, PolicyAction out; serves the rollout action.

It only proposes. Weights are swapped between episodes only, after name, shape, dtype, finiteness and sha256 were
checked.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from safe_transfer_msgs.action import Rollout
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision
from safe_transfer_msgs.srv import ResetEpisode

from safe_transfer_ros import realtime
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.acting import Acting, NetworkPolicy, ProcessPolicy, acting, answer_of, check_stamp
from safe_transfer_ros.learning.contracted import CameraImage, Sensed
from safe_transfer_ros.learning.policy_file import check_fits, load_policy
from safe_transfer_ros.middleware import bounded, clock, object_pose, reset_refusal, topics
from safe_transfer_ros.middleware.camera import Camera, ImageFormat
from safe_transfer_ros.middleware.episode_pause import EpisodePause
from safe_transfer_ros.middleware.episode_services import EpisodeServices, RolloutStopped
from safe_transfer_ros.middleware.joint_state_reader import ReadState
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.middleware.lifecycle import ManagedNode
from safe_transfer_ros.middleware.listeners import Listeners, all_missing
from safe_transfer_ros.middleware.outside_policy import OutsidePolicy, ReadChunk
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.running_episode import JITTER_NS, RunningEpisode
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.stamps import set_ns, to_ns
from safe_transfer_ros.middleware.waiting import PeerTimeout, until
from safe_transfer_ros.middleware.weights_intake import WeightsIntake
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.policy_server import PolicyServerParameters
from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.chunk import Chunk
from safe_transfer_ros.policies.loading import any_policy_from_bytes
from safe_transfer_ros.policies.policy import DETERMINISTIC, GAUSSIAN, TANH_GAUSSIAN
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.tasks.deployment import in_graph

_DISTRIBUTIONS = {
    GAUSSIAN: PolicyAction.DISTRIBUTION_GAUSSIAN,
    TANH_GAUSSIAN: PolicyAction.DISTRIBUTION_TANH_GAUSSIAN,
    DETERMINISTIC: PolicyAction.DISTRIBUTION_DETERMINISTIC,
}
_STILL = (SafetyDecision.MODE_DISARMED, SafetyDecision.MODE_TRIPPED)


class PolicyServer(ManagedNode):
    """Evaluates the policy on joint states while a rollout is under way."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("policy_server")
        self._experiment, self._settings = declare(self, ExperimentParameters, PolicyServerParameters)
        self._graph = in_graph(self._experiment.task, self._experiment.robot_overrides)
        self._task = self._graph.task
        self._view = self._graph.view(self._experiment.seed, lockstep=self._experiment.lockstep)
        self._period_ns = round(self._task.control_period_s * 1e9)
        self._states = JointStatesHeard(self, self._task.robot.joint_names)
        self._policy: Acting | None = None
        self._episode: RunningEpisode | None = None
        self._busy = False
        self._latest: ReadState | None = None
        self._pose: npt.NDArray[np.float64] | None = None  # newest of the task's object
        self._early_ns = JITTER_NS  # how much earlier than due a joint state may be answered

    def configure(self) -> None:
        """Create topics, services and the rollout action; load the policy file if one is given."""
        self._actions = topics.PROPOSALS.advertise(self)
        topics.JOINT_STATES.listen(self, self._on_raw_joint_state, raw=True)
        if self._graph.tracks_object:
            bounded.listen(self, topics.OBJECT_POSE, self._on_object_pose)
        self._filter: SoleState[FilterStatus] = SoleState(
            self, topics.FILTER_STATUS, self._on_filter_status, self._stop_episode
        )
        self._weights = WeightsIntake(
            self,
            self._experiment.nodes,
            max_bytes=weights.MAX_MESSAGE_BYTES,
            install=self._install,
            running=lambda: self._episode is not None,
        )
        proposals = Listeners(self, self._actions, topics.PROPOSALS, self._experiment.nodes)
        self._listeners = [proposals, self._weights.listeners]
        self._outside = OutsidePolicy(
            self,
            self._graph.action_names,
            hear_action=self._on_outside_action,
            hear_chunk=self._on_outside_chunk,
            stop=self._stop_episode,
        )
        self._camera = Camera(self, seen=self._look_again, stop=self._stop_episode)
        self._at_robot = EpisodeServices(
            self, peer_timeout_s=self._settings.peer_timeout, reset_timeout_s=self._settings.reset_timeout
        )
        self._pause = EpisodePause(self, self._task.robot.name)
        self._server = ActionServer(
            self,
            Rollout,
            "policy_server/rollout",
            execute_callback=self._rollout,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )
        self._action = PolicyAction(action_names=list(self._graph.action_names))
        if self._settings.policy_function:
            controllers.tell(self._settings.policy_function)
        if self._settings.policy:
            _, data = load_policy(self._task, self._settings.policy)
            self._weights.begin_with(data, weights.sha256_of(data))
        for refusal in realtime.request(self._settings.realtime_priority):
            self.get_logger().warning(refusal)

    def deactivate(self) -> None:
        """End the episode under way and tell the filter to stop the arm at once."""
        self._stop_episode("policy_server was deactivated")

    def close(self) -> None:
        """Stop the arm through the filter before leaving."""
        if self._episode is not None:
            self._stop_episode("policy_server is shutting down")
            self._at_robot.disarm_now()

    def _install(self, data: bytes, sha256: str) -> None:
        """Let the policy that weights hold act from now on.

        Raises:
          WeightsError: if they hold none that fits the task; the present one stays.
        """
        policy, _ = any_policy_from_bytes(data, sha256=sha256)
        check_fits(policy, self._task)
        self._policy = acting(policy, self._graph, lockstep=self._experiment.lockstep)
        chunks = self._policy.sends_chunks if isinstance(self._policy, ProcessPolicy) else None
        self._outside.expect(chunks=chunks)
        self._camera.expect(_format(self._policy))
        # A process proposes when it has thought, not when an action is due: in real time half a period earlier will do.
        early = chunks is False and not self._experiment.lockstep
        self._early_ns = self._period_ns // 2 if early else JITTER_NS

    def _on_filter_status(self, message: FilterStatus) -> None:
        if message.mode == SafetyDecision.MODE_TRIPPED:
            self._stop_episode(f"the safety filter has tripped: {message.message}")

    # Rollout ---------------------------------------------------------------------------------------------------------

    def _on_goal(self, goal: Rollout.Goal) -> GoalResponse:
        if self._busy or goal.episodes == 0:
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        self._stop_episode("cancelled")
        return CancelResponse.ACCEPT

    async def _rollout(self, handle: ServerGoalHandle) -> Rollout.Result:
        goal, result = handle.request, Rollout.Result()
        self._busy = True
        try:
            await self._wait_for_versions(goal)
            for index in range(goal.first_episode, goal.first_episode + goal.episodes):
                await self._pause.wait(lambda: handle.is_cancel_requested)
                if handle.is_cancel_requested:
                    raise RolloutStopped("cancelled")
                result.steps += await self._run_episode(goal, index)
                result.episodes += 1
                handle.publish_feedback(Rollout.Feedback(episode=index, step=self._task.horizon))
                self._weights.take_offered()
            result.success = True
            handle.succeed()
        except (PeerTimeout, RolloutStopped) as error:
            result.message = str(error)
            self.get_logger().warning(f"rollout ended after {result.episodes} episodes: {error}")
            await self._at_robot.disarm()
            if handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        finally:
            self._episode = None
            self._busy = False
        return result

    async def _wait_for_versions(self, goal: Rollout.Goal) -> None:
        """The goal names the policy version and limit iteration it is about; never roll out with others."""
        seconds = self._settings.peer_timeout
        await until(
            self,
            lambda: self._policy is not None and self._weights.version == goal.policy_version,
            seconds,
            lambda: f"policy version {goal.policy_version} installed (have {self._weights.version})",
        )
        unheard = partial(all_missing, self._listeners)
        await until(self, lambda: not unheard(), seconds, unheard)
        await until(self, lambda: not self._outside.missing(), seconds, self._outside.missing)
        await until(self, lambda: not self._camera.missing(), seconds, self._camera.missing)
        what = f"torque limit of iteration {goal.limit_iteration} in force at the filter"
        await until(
            self,
            lambda: self._filter.newest is not None and self._filter.newest.iteration == goal.limit_iteration,
            seconds,
            lambda: self._filter.doubt or what,
        )

    async def _run_episode(self, goal: Rollout.Goal, index: int) -> int:
        reset = ResetEpisode.Request(seed=self._experiment.seed, episode=index)
        response = await self._at_robot.reset(reset)
        if not response.success:
            raise RolloutStopped(f"reset_episode failed: {response.message}")
        await self._at_robot.arm()
        self._action.iteration, self._action.episode = goal.iteration, index
        self._action.policy_version = self._weights.version
        episode = RunningEpisode(
            index=index,
            noise=generator(Purpose.ACTION_NOISE, self._experiment.seed, index),
            due_ns=to_ns(response.stamp),
            done=Future(),
        )
        assert self._policy is not None
        self._policy.begin(episode.due_ns)
        self._view.begin(index, episode.due_ns)
        self._episode = episode
        self._look_again()  # in lockstep the first state may have come before the service's answer
        await episode.done
        self._episode = None
        return episode.step

    def _stop_episode(self, why: str) -> None:
        if self._episode is not None and not self._episode.done.done():
            self._episode.done.set_exception(RolloutStopped(why))

    # Proposals -------------------------------------------------------------------------------------------------------

    def _on_raw_joint_state(self, data: bytes) -> None:
        state = self._states.read(data, clock.now_ns())
        if state is not None:  # should no good one follow, the filter misses the proposals
            self._on_joint_state(state)

    def _on_object_pose(self, message: PoseStamped) -> None:
        problem = object_pose.wrong_frame(message, self._task.robot.base_link)
        if problem:  # left out: should no good one follow, the filter misses them
            self.get_logger().error(problem, throttle_duration_sec=5.0)
            return
        pose = object_pose.pose_of(message)
        if not np.isfinite(pose).all():
            self._stop_episode("the pose of the object is not finite")
            return
        self._pose = pose
        self._view.see(to_ns(message.header.stamp), pose)
        self._look_again()

    def _look_again(self) -> None:
        """Look at the newest joint state once more: what it was waiting for may have come."""
        if self._latest is not None:
            self._on_joint_state(self._latest)

    def _on_joint_state(self, state: ReadState) -> None:
        self._latest = state
        episode = self._episode
        if episode is None or episode.done.done():
            return
        if episode.ended and self._experiment.lockstep:
            # Answered until a period after the last decision: the arm is without torque, and no reset can overtake it.
            if state.stamp_ns >= episode.ended_ns + self._period_ns:
                episode.done.set_result(None)
            return
        status = self._filter.newest
        if episode.ended and status is not None and status.mode in _STILL:
            episode.done.set_result(None)
            return
        oldest_ns = episode.oldest_ns(self._task.horizon, self._early_ns)
        if state.stamp_ns < oldest_ns or not self._view.ready(state.stamp_ns):
            return
        # In real time the end of an episode is said again each period until the filter has disarmed: a refused one
        # would otherwise leave the episode without an end.
        answered_ns = self._propose(state, episode, oldest_ns)
        if answered_ns is not None:
            episode.answered(answered_ns, period_ns=self._period_ns, early_ns=self._early_ns)

    def _propose(self, state: ReadState, episode: RunningEpisode, since_ns: int) -> int | None:
        """Publish what the policy answers; stamp of the state that it answers, ns, or None where it does not yet."""
        assert self._policy is not None
        status = self._filter.newest
        if status is None:  # nobody knows what limit the arm is under, or whether the filter is armed
            self._stop_episode(self._filter.doubt or reset_refusal.UNHEARD)
            return None
        action = self._action
        set_ns(action.header.stamp, state.stamp_ns)
        action.step = episode.step
        if not episode.ended:
            episode.over = episode.step > 0 and self._view.over(state.position, state.velocity)
        if episode.over or episode.step == self._task.horizon:
            action.last, action.terminated = True, episode.over
            action.mean = action.stddev = action.bound = action.effort = array("d")
            self._actions.publish(action)
            episode.ended, episode.ended_ns = True, state.stamp_ns
            return state.stamp_ns
        sensed = Sensed(
            stamp_ns=state.stamp_ns,
            position=state.position,
            velocity=state.velocity,
            torque_limit=status.torque_limit,
            observation=self._view.observe(state.position, state.velocity, status.torque_limit),
            object_pose=self._pose,
            image=_image(self._camera),
        )
        try:
            noise = episode.noise.standard_normal(self._policy.noise_size)
            answer = self._policy.answer(sensed, noise, since_ns)
        except weights.WeightsError as error:
            self._stop_episode(f"the policy cannot be evaluated: {error}")
            return None
        if answer is None:
            return None
        act = answer.act
        set_ns(action.header.stamp, answer.stamp_ns)
        action.last = action.terminated = False
        action.actor, action.distribution = act.actor, _DISTRIBUTIONS[act.distribution]
        action.mean = array("d", act.mean.tobytes())
        action.stddev = array("d") if act.stddev is None else array("d", act.stddev.tobytes())
        action.bound = array("d") if act.bound is None else array("d", act.bound.tobytes())
        action.effort = array("d", act.action.tobytes())
        self._actions.publish(action)
        episode.step += 1
        return answer.stamp_ns

    # A policy that is a process of its own ---------------------------------------------------------------------------

    def _on_outside_action(self, proposal: Proposal) -> None:
        answer = answer_of(proposal)
        self._hear_process(answer.stamp_ns, lambda process: process.offer(answer))

    def _on_outside_chunk(self, chunk: ReadChunk) -> None:
        period_ns = round(chunk.period_s * 1e9)
        made = Chunk(stamp_ns=chunk.stamp_ns, period_ns=period_ns, rows=chunk.rows)
        self._hear_process(made.stamp_ns, lambda process: process.offer_chunk(made))

    def _hear_process(self, stamp_ns: int, offer: Callable[[ProcessPolicy], None]) -> None:
        if not isinstance(self._policy, ProcessPolicy):
            return
        try:
            if self._latest is not None:
                check_stamp(stamp_ns, self._latest.stamp_ns, self._task.control_period_s)
            offer(self._policy)
        except weights.WeightsError as error:
            self.get_logger().error(f"outside policy refused: {error}", throttle_duration_sec=1.0)
            return
        self._look_again()


def _format(policy: Acting) -> ImageFormat | None:
    """Format of the images that a policy sees; None: it sees none."""
    rules = policy.image if isinstance(policy, NetworkPolicy) else None
    if rules is None:
        return None
    height, width, channels = rules.shape
    return ImageFormat(height=height, width=width, channels=channels, encoding=rules.encoding)


def _image(camera: Camera) -> CameraImage | None:
    newest = camera.newest
    return None if newest is None else CameraImage(stamp_ns=newest.stamp_ns, pixels=newest.pixels)


def main() -> None:
    """Console entry point."""

    def create(lifetime: Lifetime) -> PolicyServer:
        node = PolicyServer()
        node.bring_up()
        return node

    raise SystemExit(run("policy_server", create))


if __name__ == "__main__":
    main()
