# SPDX-License-Identifier: Apache-2.0
"""Every topic of the graph: content, publisher, QoS and required subscribers.

The nodes, the recorder and the tables of docs/interfaces.md take a topic from here, so that a publisher and its
listeners cannot disagree on a name or a type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock
from safe_transfer_msgs.msg import (
    ActionChunk,
    CriticWeights,
    FilterStatus,
    FrankaState,
    PolicyAction,
    PolicyStatus,
    PolicyWeights,
    SafetyDecision,
    TorqueLimit,
    UnsafetyEstimate,
)
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from safe_transfer_ros import topic_names as names
from safe_transfer_ros.middleware import qos


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic.

    Attributes:
      name: Relative to the graph's namespace.
      kind: Message class.
      offered: Quality of service that its publisher offers.
      heard: What a listener asks for unless it says otherwise.
      meaning: One line.
      publisher: Node that publishes it, or who else does.
      listeners: Nodes that hear it, bag_recorder apart.
      must_hear: Nodes that are lost without the first message: nothing is published before they are there. Those that
        look on, or belong to the hardware, are not waited for. Of a topic with a history: who must hear that.
      rate: How often, in words.
      recorded: Whether bag_recorder takes it.
      any_quality: Whether each publisher is heard, whatever quality of service it offers.
      has_history: Whether every state of it is on `history` too, from where bag_recorder takes it.
    """

    name: str
    kind: Any
    offered: QoSProfile
    heard: QoSProfile
    meaning: str
    publisher: str
    listeners: tuple[str, ...]
    must_hear: tuple[str, ...] = ()
    rate: str
    recorded: bool = True
    any_quality: bool = False
    has_history: bool = False

    @property
    def type_name(self) -> str:
        """Type name as ROS writes it: `sensor_msgs/msg/JointState`."""
        package, section, *_ = self.kind.__module__.split(".")
        return f"{package}/{section}/{self.kind.__name__}"

    @property
    def history(self) -> Topic:
        """Topic on which the recorder receives every state; see `middleware.state_publisher`."""
        return dataclasses.replace(self, name=f"{self.name}_history", offered=qos.LATCHED_RECORD, has_history=False)

    @property
    def latched(self) -> bool:
        """Whether a late listener is given its newest message."""
        return bool(self.offered.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL)

    @property
    def recording(self) -> QoSProfile:
        """QoS that bag_recorder requests."""
        return qos.LATCHED_RECORD if self.latched else qos.RECORD

    def advertise(self, node: Node) -> Publisher:
        """A publisher of it."""
        return node.create_publisher(self.kind, self.name, self.offered)

    def listen(
        self, node: Node, hear: Callable[[Any], None], profile: QoSProfile | None = None, *, raw: bool = False
    ) -> Subscription:
        """A subscription to it.

        Args:
          node: That listens.
          hear: Called with each message.
          profile: In the place of `heard`.
          raw: Whether `hear` gets the serialised message.
        """
        return node.create_subscription(self.kind, self.name, hear, profile or self.heard, raw=raw)


JOINT_STATES = Topic(
    name=names.JOINT_STATES,
    kind=JointState,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="position and velocity of every joint, matched by name",
    publisher="robot",
    listeners=("policy_server", "safety_filter", "unsafety_monitor", "episode_reset", "controller_supervisor"),
    must_hear=("safety_filter", "policy_server", "unsafety_monitor", "bag_recorder"),
    rate="lockstep: 20 Hz of simulated time; real time: 200 Hz; pushes, and robot:=franka: 500 Hz",
)
OBJECT_POSE = Topic(
    name=names.OBJECT_POSE,
    kind=PoseStamped,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="the task's object, where there is one, in the base link's frame, stamped by the robot's clock",
    publisher="robot (perception on an arm)",
    listeners=("policy_server", "safety_filter", "unsafety_monitor"),
    must_hear=("safety_filter", "policy_server", "unsafety_monitor", "bag_recorder"),
    rate="simulated: policy rate",
)
PROPOSALS = Topic(
    name=names.PROPOSALS,
    kind=PolicyAction,
    offered=qos.RECORD,
    heard=qos.PROPOSALS,
    meaning="what the policy proposes; `action_names`: joints, or axes (`tool_x` ...) where an action moves the tool",
    publisher="policy_server",
    listeners=("safety_filter",),
    must_hear=("safety_filter", "bag_recorder"),
    rate="policy rate, 20 Hz; pushes 25 Hz",
)
OUTSIDE_ACTION = Topic(
    name=names.OUTSIDE_ACTION,
    kind=PolicyAction,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="what a policy that is a process of its own proposes, for policy_server to pass on; see policies.md",
    publisher="a process of its own",
    listeners=("policy_server",),
    rate="policy rate or above",
)
OUTSIDE_CHUNK = Topic(
    name=names.OUTSIDE_CHUNK,
    kind=ActionChunk,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="its next actions, where it gives several at once",
    publisher="a process of its own",
    listeners=("policy_server",),
    rate="before the one that is followed is over",
)
CAMERA_IMAGE = Topic(
    name=names.CAMERA_IMAGE,
    kind=Image,
    offered=qos.RECORD,
    heard=qos.COMMAND,
    meaning="what a policy sees whose contract has an image, stamped by the robot's clock; see policies.md",
    publisher="a camera",
    listeners=("policy_server with such a policy",),
    rate="policy rate or above",
)
COMMANDS = Topic(
    name=names.commands("effort_controller"),
    kind=Float64MultiArray,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="torques, N·m, in the controller's order; the name is that of parameter `controller`",
    publisher="safety_filter",
    listeners=("robot", "controller_supervisor"),
    must_hear=("mujoco_sim", "franka_robot", "bag_recorder"),
    rate="one per joint state",
)
DECISIONS = Topic(
    name=names.DECISIONS,
    kind=SafetyDecision,
    offered=qos.RECORD,
    heard=qos.RECORD,
    meaning="what became of a proposal and why; all that is needed to learn from it",
    publisher="safety_filter",
    listeners=("unsafety_monitor", "trainer", "critic_trainer", "critic_shadow"),
    must_hear=("unsafety_monitor", "trainer", "bag_recorder"),
    rate="one per proposal, and one when the arm is stopped",
)
FILTER_STATUS = Topic(
    name=names.FILTER_STATUS,
    kind=FilterStatus,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="mode, cause and torque limit in force",
    publisher="safety_filter",
    listeners=("policy_server", "trainer", "mujoco_sim", "episode_reset", "controller_supervisor", "franka_robot"),
    must_hear=("bag_recorder",),
    rate="on every change of mode or limit, and on refusal",
    has_history=True,
)
EXTERNAL_STOP = Topic(
    name=names.EXTERNAL_STOP,
    kind=Bool,
    offered=qos.STREAM,
    heard=qos.STREAM,
    meaning="true: pressed",
    publisher="an external stop; franka_robot for its arm",
    listeners=("safety_filter",),
    rate="at least once per `e_stop_lease`, unless that is off",
    any_quality=True,
)
PERMISSION = Topic(
    name=names.PERMISSION,
    kind=Bool,
    offered=qos.COMMAND,
    heard=qos.COMMAND,
    meaning="hardware: the controller is active and fed; best effort, as a reliable writer waits for a killed listener",
    publisher="controller_supervisor",
    listeners=("safety_filter", "franka_robot"),
    rate="100 Hz",
    recorded=False,
)
SUPERVISOR_STATUS = Topic(
    name=names.SUPERVISOR_STATUS,
    kind=DiagnosticStatus,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="hardware: OK = active; the message says why not",
    publisher="controller_supervisor",
    listeners=("episode_reset", "operator"),
    rate="on change",
    has_history=True,
)
FRANKA_STATUS = Topic(
    name=names.FRANKA_STATUS,
    kind=DiagnosticStatus,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="robot:=franka: whether the arm is in a motion, what stands against one, why the last one ended",
    publisher="franka_robot",
    listeners=("safety_filter", "controller_supervisor", "operator"),
    rate="on change, and 10 Hz",
    has_history=True,
)
FRANKA_JOINT_STATES = Topic(
    name=names.FRANKA_JOINT_STATES,
    kind=FrankaState,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="robot:=franka: external and sent torques, mode, causes, lost cycles, success rate with each joint state",
    publisher="franka_robot",
    listeners=("operator",),
    rate="that of `joint_states`",
)
RESET_PROPOSALS = Topic(
    name=names.RESET_PROPOSALS,
    kind=PolicyAction,
    offered=qos.STREAM,
    heard=qos.PROPOSALS,
    meaning="hardware: torques of the slow move to the start of an episode",
    publisher="episode_reset",
    listeners=("safety_filter",),
    rate="one per joint state during a move",
)
TORQUE_LIMIT = Topic(
    name=names.TORQUE_LIMIT,
    kind=TorqueLimit,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="the torque limit of an iteration, with a lease",
    publisher="unsafety_monitor",
    listeners=("safety_filter",),
    must_hear=("safety_filter", "bag_recorder"),
    rate="each iteration; renewed four times per lease",
)
UNSAFETY_ESTIMATE = Topic(
    name=names.UNSAFETY_ESTIMATE,
    kind=UnsafetyEstimate,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="what was measured in an iteration, and the limit that follows",
    publisher="unsafety_monitor",
    listeners=("trainer", "safety_filter with `critic_schedule: csc`"),
    must_hear=("trainer", "bag_recorder"),
    rate="each iteration",
)
POLICY_WEIGHTS = Topic(
    name=names.POLICY_WEIGHTS,
    kind=PolicyWeights,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="policy (safetensors and sha256)",
    publisher="trainer",
    listeners=("policy_server", "unsafety_monitor"),
    must_hear=("policy_server", "unsafety_monitor", "bag_recorder"),
    rate="each iteration; version 0 is the pre-trained policy",
)
CRITIC_WEIGHTS = Topic(
    name=names.CRITIC_WEIGHTS,
    kind=CriticWeights,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="safety critic with its model card (safetensors and sha256)",
    publisher="trainer",
    listeners=("safety_filter with `critic: required`",),
    must_hear=("bag_recorder",),
    rate="at start; with a learner that has a critic, each iteration",
)
POLICY_STATUS = Topic(
    name=names.POLICY_STATUS,
    kind=PolicyStatus,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="the policy in use, or why an offer was refused",
    publisher="policy_server",
    listeners=("trainer",),
    must_hear=("trainer", "bag_recorder"),
    rate="on every offer of weights",
)
RUN_CONFIG = Topic(
    name=names.RUN_CONFIG,
    kind=String,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="every node's parameters, as a YAML parameter file",
    publisher="trainer",
    listeners=(),
    must_hear=("bag_recorder",),
    rate="once",
)
DIAGNOSTICS = Topic(
    name=names.DIAGNOSTICS,
    kind=DiagnosticArray,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="state in words, for dashboards; each line bears its node's name",
    publisher="every node of the graph but visualizer",
    listeners=("operator",),
    rate="1 Hz each",
)
CLOCK = Topic(
    name=names.CLOCK,
    kind=Clock,
    offered=qos.RECORD,
    heard=qos.STREAM,
    meaning="simulated time; not recorded, as joint states bear the same stamps",
    publisher="mujoco_sim",
    listeners=("whoever uses it",),
    rate="with each joint state, while it is subscribed",
    recorded=False,
)
ROBOT_DESCRIPTION = Topic(
    name=names.ROBOT_DESCRIPTION,
    kind=String,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="URDF",
    publisher="mujoco_sim, robot_state_publisher, or franka_robot",
    listeners=("controller_supervisor", "`safe_transfer commission`", "RViz, Foxglove"),
    must_hear=("bag_recorder",),
    rate="once",
)
TF = Topic(
    name=names.TF,
    kind=TFMessage,
    offered=qos.STREAM,
    heard=qos.STREAM,
    meaning="pose of each link that a joint moves, in the frame of its parent, stamped as the joint state is",
    publisher="visualizer, or robot_state_publisher",
    listeners=("RViz, Foxglove",),
    rate="`visualizer.rate`",
)
TF_STATIC = Topic(
    name=names.TF_STATIC,
    kind=TFMessage,
    offered=qos.LATCHED,
    heard=qos.LATCHED,
    meaning="pose of every other link",
    publisher="visualizer, or robot_state_publisher",
    listeners=("RViz, Foxglove",),
    rate="once",
)
MARKERS = Topic(
    name=names.MARKERS,
    kind=MarkerArray,
    offered=qos.STREAM,
    heard=qos.STREAM,
    meaning="what the safety stack knows, to look at: visualization.md",
    publisher="visualizer",
    listeners=("RViz, Foxglove",),
    rate="`visualizer.rate`",
)

TOPICS: tuple[Topic, ...] = tuple(topic for topic in list(globals().values()) if isinstance(topic, Topic))
"""All of them."""


def of_controller(controller: str) -> tuple[Topic, ...]:
    """All topics, the commands under the effort controller's name."""
    return tuple(commands(controller) if topic is COMMANDS else topic for topic in TOPICS)


def commands(controller: str) -> Topic:
    """The commands, under the name that the effort controller gives them."""
    return dataclasses.replace(COMMANDS, name=names.commands(controller))


def table() -> str:
    """The topics as a Markdown table, for docs/interfaces.md."""
    rows = ["| topic | type | from -> to | QoS | rate | what |", "|---|---|---|---|---|---|"]
    for topic in sorted(TOPICS, key=lambda topic: topic.name):
        package, _, kind = topic.type_name.split("/")
        type_name = kind if package == "safe_transfer_msgs" else f"{package}/{kind}"
        to = ", ".join(topic.listeners) or "bag"
        quality = qos.name_of(topic.offered)
        if topic.heard is not topic.offered:
            quality += f"; heard as {qos.name_of(topic.heard)}"
        if topic.any_quality:
            quality += "; any other is heard too"
        rows.append(
            f"| `{topic.name}` | {type_name} | {topic.publisher} -> {to} | {quality} | {topic.rate} | {topic.meaning} |"
        )
    return "\n".join(rows)


def qos_table() -> str:
    """The classes of quality of service as a Markdown table, for docs/interfaces.md."""
    rows = ["| class | reliability | durability | depth | for |", "|---|---|---|---|---|"]
    for name, (profile, purpose) in qos.CLASSES.items():
        reliability, durability = (
            value.name.lower().replace("_", " ") for value in (profile.reliability, profile.durability)
        )
        rows.append(f"| {name} | {reliability} | {durability} | {profile.depth} | {purpose} |")
    return "\n".join(rows)
