# SPDX-License-Identifier: Apache-2.0
"""mujoco_sim: a simulated arm that looks like ros2_control to the rest of the graph.

Lockstep: after a reset it publishes a joint state, waits for the one command that answers it, simulates one control
period, publishes the next. Real time: joint states at their rate by the wall clock; commands that cease turn into zero
torque, as hardware should do by itself.
"""

from __future__ import annotations

from array import array

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMsg
from safe_transfer_msgs.srv import ResetEpisode
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

from safe_transfer_ros.middleware import clock, object_pose, topics
from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.listeners import Listeners, all_missing
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import EXIT_BAD_INPUT, Lifetime, run
from safe_transfer_ros.middleware.reset_refusal import ResetRefusal
from safe_transfer_ros.middleware.sole_state import SoleState
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.mujoco_sim import SimulatorParameters
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import Perturbation, UnstableSimulationError, perturbation
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.simulated import simulated


class MujocoSim(Node):
    """Simulated robot with joint states, commands, its description, /clock and the reset_episode service."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Declare parameters, build the model, wait for the first reset."""
        super().__init__("mujoco_sim")
        self._lifetime = lifetime
        experiment, settings = declare(self, ExperimentParameters, SimulatorParameters)
        graph = in_graph(experiment.task, experiment.robot_overrides)
        self._lockstep: bool = experiment.lockstep
        robot = graph.task.robot
        self._effort_limit = robot.limits.effort
        self._simulated = simulated(graph, _perturbation(settings))
        self._arm = self._simulated.arm
        period_s = graph.state_period_s(lockstep=True) if self._lockstep else 1.0 / settings.joint_state_rate
        self._substeps = max(1, round(period_s / graph.physics_step_s))
        self._period_ns = self._substeps * round(graph.physics_step_s * 1e9)
        self._pose_every = max(1, round(graph.task.control_period_s * 1e9 / self._period_ns))
        self._since_reset = 0  # joint states
        self._command_timeout = settings.command_timeout
        self._time_ns = 0
        self._torque = np.zeros(len(robot.joint_names))
        self._command_time = -np.inf
        self._refused = 0  # commands

        self._state = JointState(name=list(robot.joint_names))
        self._state.header.frame_id = "base_link"
        self._clock_message = ClockMsg()
        self._states = topics.JOINT_STATES.advertise(self)
        self._poses = topics.OBJECT_POSE.advertise(self) if graph.tracks_object else None
        self._base_link = robot.base_link
        self._clock_publisher = topics.CLOCK.advertise(self)
        self._description = topics.ROBOT_DESCRIPTION.advertise(self)
        self._description.publish(String(data=robot.urdf))
        self._command_order = JointOrder(robot.joint_names).indices(experiment.command_joints(robot.joint_names))
        topics.commands(experiment.controller).listen(self, self._on_command)
        published = [(self._states, topics.JOINT_STATES), (self._description, topics.ROBOT_DESCRIPTION)]
        if self._poses is not None:
            published.append((self._poses, topics.OBJECT_POSE))
        self._listeners = [Listeners(self, each, topic, experiment.nodes) for each, topic in published]
        self._refusal = ResetRefusal(SoleState(self, topics.FILTER_STATUS), experiment.nodes)
        Diagnostics(self, robot.name, self._health)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._offer = self.create_timer(0.02, self._offer_resets, clock=self._steady)
        self._simulated.place(generator(Purpose.INITIAL_STATE, experiment.seed, 0))
        self._awaiting_command = False
        if not self._lockstep:
            self._start = clock.now_s()
            self._ticks = 0
            self.create_timer(self._period_ns / 1e9, self._tick, clock=self._steady)

    def close(self) -> None:
        """Do nothing: nothing outlives the process."""

    def _offer_resets(self) -> None:
        """Serve resets once all required subscribers are connected: the first joint state is sent only once."""
        missing = self._missing()
        if missing:
            self.get_logger().info(f"no episode yet: {missing}", throttle_duration_sec=5.0, skip_first=True)
            return
        self.destroy_timer(self._offer)
        self.create_service(ResetEpisode, "reset_episode", self._on_reset)

    def _missing(self) -> str:
        """Listeners that no episode begins without; empty where all are there."""
        return all_missing(self._listeners)

    def _health(self) -> Health:
        missing = self._missing()
        refused = f"{self._refused} commands refused: not one finite torque per joint" if self._refused else ""
        return Health(
            message=refused or (f"no episode yet: {missing}" if missing else "simulating"),
            attention=bool(missing or refused),
            values={"simulated_time_s": f"{self._time_ns * 1e-9:.3f}", "commands_refused": str(self._refused)},
        )

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        response.message = self._refusal.why()
        if response.message:
            return response
        self._simulated.place(generator(Purpose.INITIAL_STATE, int(request.seed), int(request.episode)))
        self._torque[:] = 0.0
        self._time_ns += self._period_ns
        self._since_reset = 0
        self._publish()
        self._awaiting_command = True
        response.success = True
        set_ns(response.stamp, self._time_ns)
        return response

    def _on_command(self, message: Float64MultiArray) -> None:
        torque = np.frombuffer(message.data)
        if torque.shape != self._torque.shape or not np.isfinite(torque).all():
            # As JointGroupEffortController does with a wrong length: zero effort, loudly.
            self._refused += 1
            self.get_logger().error(
                f"command refused ({len(torque)} values, expected {len(self._torque)} finite ones): zero torque",
                throttle_duration_sec=1.0,
            )
            torque = np.zeros_like(self._torque)
        np.clip(torque[self._command_order], -self._effort_limit, self._effort_limit, out=self._torque)
        self._command_time = clock.now_s()
        if self._lockstep and self._awaiting_command:
            self._advance()

    def _tick(self) -> None:
        now = clock.now_s()
        if now - self._command_time > self._command_timeout:
            self._torque[:] = 0.0
        # Keep up with the wall clock; after a stall of the process, skip rather than race through missed periods.
        due = int((now - self._start) * 1e9 / self._period_ns)
        steps = min(due - self._ticks, 4)
        self._ticks = due
        for _ in range(steps):
            self._advance()

    def _advance(self) -> None:
        try:
            self._arm.step(self._torque, self._substeps)
        except UnstableSimulationError as error:
            self._lifetime.end(EXIT_BAD_INPUT, f"mujoco_sim: {error}")
            return
        self._time_ns += self._period_ns
        self._publish()

    def _publish(self) -> None:
        if self._poses is not None and self._since_reset % self._pose_every == 0:  # a camera's rate, the policy's
            pose = self._simulated.object_pose
            assert pose is not None
            self._poses.publish(object_pose.pose_message(self._base_link, self._time_ns, pose))
        self._since_reset += 1
        state = self._state
        set_ns(state.header.stamp, self._time_ns)
        state.position = array("d", self._arm.position.tobytes())
        state.velocity = array("d", self._arm.velocity.tobytes())
        state.effort = array("d", self._torque.tobytes())
        self._states.publish(state)
        if self._clock_publisher.get_subscription_count():  # none of our nodes goes by it
            self._clock_message.clock = state.header.stamp
            self._clock_publisher.publish(self._clock_message)


def _perturbation(settings: SimulatorParameters) -> Perturbation:
    named = perturbation(settings.perturbation)
    return Perturbation(
        mass=named.mass * settings.mass,
        inertia=named.inertia * settings.inertia,
        damping=named.damping * settings.damping,
        armature=named.armature * settings.armature,
        frictionloss=named.frictionloss + settings.frictionloss,
    )


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("mujoco_sim", MujocoSim))


if __name__ == "__main__":
    main()
