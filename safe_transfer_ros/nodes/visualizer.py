# SPDX-License-Identifier: Apache-2.0
"""visualizer: /tf and markers of what the safety stack knows, for RViz and Foxglove.

It looks on. Nothing listens to it, nothing waits for it, a run goes on without it: it hears with best effort what
others publish, keeps the newest, and makes a picture of it at its own rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision

from safe_transfer_ros.display.scenery import Scenery
from safe_transfer_ros.display.situation import Situation
from safe_transfer_ros.middleware import bounded, clock, object_pose, qos, topics
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.middleware.marker_messages import markers
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.publishers import publisher_names
from safe_transfer_ros.middleware.transform_messages import transforms
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.visualizer import VisualizerParameters
from safe_transfer_ros.robots.link_tree import LinkTree
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict
from safe_transfer_ros.tasks.deployment import in_graph

SILENT_SECONDS = 1.0
IDLE_SECONDS = 1.0  # without a new joint state the picture is renewed this often, so that it does not fade


class Visualizer(Node):
    """Keeps the newest of what it hears, draws it at a fixed rate."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Declare parameters, then listen."""
        super().__init__("visualizer")
        experiment, self._settings = declare(self, ExperimentParameters, VisualizerParameters)
        graph = in_graph(experiment.task, experiment.robot_overrides)
        self._robot = graph.task.robot
        self._tree = LinkTree(self._robot)
        self._scenery = Scenery(graph.task, experiment.seed)
        self._order = JointOrder(self._robot.joint_names)
        self._heard = JointStatesHeard(self, self._robot.joint_names)
        self._newest: dict[str, bytes] = {}  # topic -> message, read when it is drawn
        self._drawn_stamp, self._drawn_ns = -1, 0

        topics.JOINT_STATES.listen(self, self._keep(topics.JOINT_STATES), qos.VIEW, raw=True)
        topics.DECISIONS.listen(self, self._keep(topics.DECISIONS), qos.VIEW, raw=True)
        topics.FILTER_STATUS.listen(self, self._keep(topics.FILTER_STATUS), raw=True)
        if graph.tracks_object:
            topics.OBJECT_POSE.listen(self, self._keep(topics.OBJECT_POSE), qos.VIEW, raw=True)
        self._markers = topics.MARKERS.advertise(self)
        self._moving: Publisher | None = None
        self._fixed: Publisher | None = None
        self._look_for_others()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._settings.rate, self._draw, clock=steady)
        self.create_timer(1.0, self._look_for_others, clock=steady)

    def close(self) -> None:
        """Do nothing: what was drawn fades by itself."""

    def _keep(self, topic: topics.Topic) -> Any:
        def keep(data: bytes) -> None:
            self._newest[topic.name] = data

        return keep

    def _look_for_others(self) -> None:
        """Publish transforms as long as nobody else does who is made for it: two would make the arm jump."""
        wanted = self._settings.transforms
        if wanted == "auto":
            named = publisher_names(self, topics.TF.name) | publisher_names(self, topics.TF_STATIC.name)
            others = any("robot_state_publisher" in name for name in named)
            wanted = "never" if others else "always"
        if wanted == "always" and self._moving is None:
            self._moving, self._fixed = topics.TF.advertise(self), topics.TF_STATIC.advertise(self)
            self._fixed.publish(transforms(self._tree.fixed, self.get_clock().now().nanoseconds))
        elif wanted == "never" and self._moving is not None and self._fixed is not None:
            self.get_logger().info("a robot_state_publisher publishes the transforms: ours cease")
            self.destroy_publisher(self._moving)
            self.destroy_publisher(self._fixed)
            self._moving = self._fixed = None

    def _draw(self) -> None:
        now_ns = clock.now_ns()
        data = self._newest.pop(topics.JOINT_STATES.name, None)
        if data is not None:
            self._heard.read(data, now_ns)
        state, heard_ns = self._heard.newest or (None, 0)
        new = state is not None and state.stamp_ns != self._drawn_stamp
        if not new and now_ns - self._drawn_ns < IDLE_SECONDS * 1e9:
            return
        self._drawn_ns = now_ns
        stamp_ns = 0 if state is None else state.stamp_ns
        position = state.position if state is not None and np.isfinite(state.position).all() else None
        if new and position is not None and self._moving is not None:
            self._moving.publish(transforms(self._tree.moving(position), stamp_ns))
        self._drawn_stamp = stamp_ns if state is not None else -1
        situation = self._situation(position, silent=state is None or now_ns - heard_ns > SILENT_SECONDS * 1e9)
        self._markers.publish(markers(self._scenery.shapes(situation), self._robot.base_link, stamp_ns))

    def _situation(self, position: Any, *, silent: bool) -> Situation:
        """Read the newest message of each topic; what cannot be read is as what was not heard."""
        decision: SafetyDecision | None = self._read(topics.DECISIONS)
        status: FilterStatus | None = self._read(topics.FILTER_STATUS)
        mode = None if status is None else _member(Mode, status.mode)
        armed = mode is Mode.ARMED and decision is not None
        reasons = decision.reasons if armed and decision is not None else 0 if status is None else status.cause
        return Situation(
            position=position,
            pose=self._pose(),
            torque=self._torque(decision),
            torque_limit=None if status is None else float(status.torque_limit),
            mode=mode,
            verdict=None if decision is None else _member(Verdict, decision.verdict),
            reasons=Reason(int(reasons) & sum(Reason)),
            episode=0 if decision is None else int(decision.episode),
            silent=silent,
        )

    def _read(self, topic: topics.Topic) -> Any:
        data = self._newest.get(topic.name)
        if data is None:
            return None
        try:
            return bounded.read(data, topic.kind)
        except bounded.MessageError as error:
            self.get_logger().warning(f"{topic.name}: {error}", throttle_duration_sec=5.0)
            del self._newest[topic.name]
            return None

    def _torque(self, decision: SafetyDecision | None) -> Any:
        if decision is None:
            return None
        try:
            order = self._order.indices(decision.joint_names)
            torque = np.frombuffer(decision.applied_effort)[order]
        except (JointOrderError, IndexError):
            return None
        return torque if np.isfinite(torque).all() else None

    def _pose(self) -> Any:
        message: PoseStamped | None = self._read(topics.OBJECT_POSE)
        if message is None or object_pose.wrong_frame(message, self._robot.base_link):
            return None
        pose = object_pose.pose_of(message)
        return pose if np.isfinite(pose).all() else None


def _member(kind: Any, number: int) -> Any:
    """A number as a member of an enumeration; None where it stands for none."""
    return kind(number) if number in set(kind) else None


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("visualizer", Visualizer, niceness=10))


if __name__ == "__main__":
    main()
