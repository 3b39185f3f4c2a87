# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the filter's peers, which behave well until a line on stdin commands otherwise.

    python -m safe_transfer_ros.faults.stand_ins ROLE --ledger FILE [--listeners N] [--iteration I --limit L --lease S]

Each is a real rclpy process, so a fault is exact and repeatable without starting the graph again. A line is a behaviour
of the role, kept until the next line, or `extra KIND`: one message of that kind beside the good ones.
"""

from __future__ import annotations

import argparse
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock as ClockMsg
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray

from safe_transfer_ros.faults import proposals
from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.stand_in import StandIn
from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.stamps import set_ns, to_ns
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask

STATE_RATE_HZ = 200.0
PROPOSAL_RATE_HZ = 20.0
INTRUDER_TORQUE = 0.123456789  # what the intruder commands: the observer tells its commands from the filter's by it
BESIDE = "e_stop_beside"  # role of a second stop button
MANY = 20_000  # joints of a message that no robot sends
_SECOND = 1_000_000_000


class Robot(StandIn):
    """Joint states and /clock.

    Behaviours: behave, stop, frozen, nan, inf, wrapped, absurd, reorder, missing, stamps_paused, stamps_back,
    clock_paused, clock_jumping. Extra: garbage, many_names.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Start in the middle of the joints' ranges."""
        super().__init__("robot", options, STATE_RATE_HZ)
        limits = make("pr2_cup_swirl", TorqueTask).robot.limits
        lower, upper = np.maximum(limits.soft_lower, -2.0), np.minimum(limits.soft_upper, 2.0)
        self._middle = (lower + upper) / 2.0
        self._states = topics.JOINT_STATES.advertise(self)
        self._clocks = topics.CLOCK.advertise(self)
        self._clock_message = ClockMsg()
        self._start_ns = time.monotonic_ns() - _SECOND
        self._held: tuple[np.ndarray, np.ndarray, int] | None = None
        numbers = np.zeros(self.n_joints + MANY)
        # Serialised now: making it takes longer than a joint state may be late.
        self._crowd = serialize_message(self._message(self.crowded_names(MANY), numbers, numbers, 0))

    def speaker(self) -> Publisher | None:
        """The joint states' publisher."""
        return self._states

    def act(self) -> None:
        """Publish one joint state, according to the behaviour."""
        behaviour = self.behaviour
        now_ns = time.monotonic_ns() - self._start_ns
        phase = np.pi * now_ns * 1e-9 + np.arange(self.n_joints)
        position, velocity = self._middle + 0.02 * np.sin(phase), 0.02 * np.pi * np.cos(phase)
        names, stamp_ns, kind = self.joints, now_ns, Kind.GOOD
        self._tick(now_ns)
        held = None
        if behaviour in ("frozen", "stamps_paused"):
            held = self._held or (position, velocity, now_ns)
        self._held = held
        if behaviour == "stop":
            return
        if behaviour == "frozen" and held:
            position, velocity, kind = held[0], held[1], Kind.BAD
        elif behaviour == "stamps_paused" and held:
            stamp_ns, kind = held[2], Kind.BAD
        elif behaviour == "stamps_back":
            stamp_ns, kind = now_ns - _SECOND // 2, Kind.BAD
        elif behaviour in ("nan", "inf"):
            position, kind = position.copy(), Kind.BAD
            position[2] = float(behaviour)
        elif behaviour in ("wrapped", "absurd"):
            position, kind = position.copy(), Kind.BAD
            position[-1] += 2.0 * np.pi if behaviour == "wrapped" else 1e308
        elif behaviour == "reorder":
            names, position, velocity = names[::-1], position[::-1], velocity[::-1]
        elif behaviour == "missing":
            names, position, velocity, kind = names[1:], position[1:], velocity[1:], Kind.BAD
        self.send(self._states, self._message(names, position, velocity, stamp_ns), kind, stamp_ns)

    def extra(self, kind: str) -> None:
        """Garbage on joint_states, or a state of very many joints."""
        if kind == "many_names":
            self._states.publish(self._crowd)
            return
        message = self._message(self.joints, self._middle, self._middle, 0)
        self._states.publish(self.garbage(message))

    def _message(self, names: list[str], position: np.ndarray, velocity: np.ndarray, stamp_ns: int) -> JointState:
        message = JointState(name=names, position=array("d", position), velocity=array("d", velocity))
        set_ns(message.header.stamp, stamp_ns)
        return message

    def _tick(self, now_ns: int) -> None:
        if self.behaviour == "clock_paused":
            return
        if self.behaviour == "clock_jumping":
            now_ns += self.random.choice((-500, -1, 1, 500)) * _SECOND
        set_ns(self._clock_message.clock, max(0, now_ns))
        self._clocks.publish(self._clock_message)


class Policy(StandIn):
    """Proposals. Behaviours: behave, silent, slow, permuted, and all of `proposals.BAD`.

    Extra: the same kinds, and many_names.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Answer the newest joint state heard."""
        super().__init__("policy", options, PROPOSAL_RATE_HZ)
        self._actions = topics.PROPOSALS.advertise(self)
        topics.JOINT_STATES.listen(self, self._on_state)
        self._stamp_ns = self._first_ns = 0
        self._step = 0
        self._not_before = 0.0
        numbers = array("d", bytes(8 * (self.n_joints + MANY)))
        crowd = PolicyAction(action_names=self.crowded_names(MANY), mean=numbers, stddev=numbers, effort=numbers)
        self._crowd = serialize_message(crowd)

    def _on_state(self, message: JointState) -> None:
        self._stamp_ns = to_ns(message.header.stamp)

    def speaker(self) -> Publisher | None:
        """The proposals' publisher."""
        return self._actions

    def act(self) -> None:
        """Publish one proposal for the newest joint state."""
        behaviour = self.behaviour
        if not self._stamp_ns or behaviour == "silent":
            return
        if behaviour == "slow":
            now = time.monotonic()
            if now < self._not_before:
                return
            self._not_before = now + self.random.uniform(0.05, 0.35)
        good = "alternating" if self.options.gentle else "good"
        self._propose(good if behaviour in ("behave", "slow") else behaviour)

    def extra(self, kind: str) -> None:
        """Publish one more proposal of a kind."""
        if kind == "many_names":
            self._actions.publish(self._crowd)
        else:
            self._propose(kind)

    def _propose(self, kind: str) -> None:
        self._first_ns = self._first_ns or self._stamp_ns
        self._step += 1
        message = PolicyAction(iteration=self.options.iteration, step=self._step)
        stamp_ns = self._stamp_ns
        if kind == "old_stamps":
            stamp_ns = self._first_ns
        elif kind == "future_stamps":
            stamp_ns += _SECOND // 2
        set_ns(message.header.stamp, stamp_ns)
        message.action_names, effort = proposals.make(kind, self.joints, self._step)
        message.mean, message.stddev, message.effort = effort, [0.3] * len(effort), effort
        good = kind not in proposals.BAD
        if kind == "garbage":
            self._actions.publish(self.garbage(message))
            return
        self.send(self._actions, message, Kind.GOOD if good else Kind.BAD, stamp_ns, self._step)


class Monitor(StandIn):
    """Torque limits under a lease. Behaviours: behave, silent. Extra: raised, raised_a_little, above_ceiling, nan,
    old_iteration, next, garbage.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Renew four times a lease, as the real one does."""
        super().__init__("monitor", options, 4.0 / options.lease)
        self._limits = topics.TORQUE_LIMIT.advertise(self)
        self._iteration: int = options.iteration
        self._not_before = 0.0

    def speaker(self) -> Publisher | None:
        """The limits' publisher."""
        return self._limits

    def act(self) -> None:
        """Renew the limit."""
        if self.behaviour == "behave" and time.monotonic() > self._not_before:
            self._offer(self._iteration, self.options.limit, Kind.GOOD)

    def extra(self, kind: str) -> None:
        """Publish a limit that must be refused, or `next`: a newer iteration with the same limit."""
        limit = self.options.limit
        # A latched topic holds one message: a renewal right behind this one would replace it before it is read.
        self._not_before = time.monotonic() + self.options.lease / 8.0
        if kind == "garbage":
            self._limits.publish(self.garbage(TorqueLimit(iteration=self._iteration, torque_limit=limit)))
        elif kind == "next":
            self._iteration += 1
            self._offer(self._iteration, limit, Kind.GOOD)
        else:
            iteration, value = {
                "raised": (self._iteration + 1, 1.2 * limit),
                "raised_a_little": (self._iteration + 1, 1.04 * limit),
                "above_ceiling": (self._iteration + 1, 1.04 * limit),
                "nan": (self._iteration + 1, float("nan")),
                "old_iteration": (self._iteration - 1, limit),
            }[kind]
            self._offer(iteration, value, Kind.BAD)

    def _offer(self, iteration: int, limit: float, kind: Kind) -> None:
        message = TorqueLimit(iteration=iteration, torque_limit=limit)
        seconds, rest = divmod(self.options.lease, 1.0)
        message.lease.sec, message.lease.nanosec = int(seconds), int(rest * 1e9)
        self.send(self._limits, message, kind, iteration, limit)


class EStop(StandIn):
    """An external stop; of role e_stop_beside one of best effort. Behaviours: behave (released), press, silent."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Tell its state at 50 Hz."""
        super().__init__(options.role, options, 50.0)
        profile = qos.COMMAND if options.role == BESIDE else topics.EXTERNAL_STOP.offered
        self._publisher = self.create_publisher(Bool, topics.EXTERNAL_STOP.name, profile)

    def act(self) -> None:
        """Publish whether it is pressed."""
        if self.behaviour != "silent":
            pressed = self.behaviour == "press"
            self.send(self._publisher, Bool(data=pressed), Kind.BAD if pressed else Kind.GOOD, 0)


class Intruder(StandIn):
    """A publisher where only one may be. Behaviours: behave (absent), proposals, commands, limits, states, status."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Stay away."""
        super().__init__("intruder", options, 50.0)
        self._joined: dict[str, Publisher] = {}
        self._walked = 0  # iterations that its limits have gone up

    def act(self) -> None:
        """Publish on the commanded topic, or leave."""
        profile: QoSProfile = qos.STREAM
        for name in [name for name in self._joined if name != self.behaviour]:
            self.destroy_publisher(self._joined.pop(name))
        if self.behaviour == "behave":
            return
        topic, kind = {
            "proposals": (topics.PROPOSALS.name, PolicyAction),
            "commands": (topics.COMMANDS.name, Float64MultiArray),
            "limits": (topics.TORQUE_LIMIT.name, TorqueLimit),
            "states": (topics.JOINT_STATES.name, JointState),
            "status": (topics.FILTER_STATUS.name, FilterStatus),
        }[self.behaviour]
        if self.behaviour not in self._joined:
            self.ledger.note(Kind.BAD)
            self._joined[self.behaviour] = self.create_publisher(kind, topic, profile)
            return
        torque = [INTRUDER_TORQUE] * self.n_joints
        message: Any = Float64MultiArray(data=torque)
        if kind is PolicyAction:
            message = PolicyAction(action_names=self.joints, mean=torque, stddev=torque, effort=torque)
        elif kind is TorqueLimit:
            self._walked += 1
            message = TorqueLimit(iteration=self.options.iteration + self._walked, torque_limit=self.options.limit)
            message.lease.sec = 1
        elif kind is FilterStatus:
            message = FilterStatus(mode=SafetyDecision.MODE_ARMED, connected=True)
        elif kind is JointState:
            message = JointState(name=self.joints, position=torque, velocity=torque)
            set_ns(message.header.stamp, time.monotonic_ns())
        self._joined[self.behaviour].publish(message)


class Witness(StandIn):
    """Witness of the torque that the robot reports: for a robot that the observer cannot reach."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Listen."""
        super().__init__("witness", options, 1.0)
        topics.JOINT_STATES.listen(self, self._on_state, qos.RECORD)

    def act(self) -> None:
        """Do nothing."""

    def _on_state(self, message: JointState) -> None:
        self.ledger.note(Kind.GOOD, to_ns(message.header.stamp), float(np.abs(message.effort).max(initial=0.0)))


ROLES: dict[str, Callable[[argparse.Namespace], StandIn]] = {
    "robot": Robot,
    "policy": Policy,
    "monitor": Monitor,
    "e_stop": EStop,
    BESIDE: EStop,
    "intruder": Intruder,
    "witness": Witness,
}


def main() -> None:
    """Entry point of one stand-in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=tuple(ROLES))
    parser.add_argument("--ledger", required=True, help="file to append to")
    parser.add_argument("--listeners", type=int, default=1, help="publish when this many subscribers are there")
    parser.add_argument("--seed", type=int, default=0, help="of delays and garbage")
    parser.add_argument("--priority", type=int, default=0, help="SCHED_FIFO priority; 0: none")
    parser.add_argument("--gentle", action="store_true", help="policy: torques that leave a real arm where it is")
    parser.add_argument("--iteration", type=int, default=0, help="monitor: iteration to start at")
    parser.add_argument("--limit", type=float, default=0.1, help="monitor: torque limit, N·m")
    parser.add_argument("--lease", type=float, default=1.0, help="monitor: lease of each limit, s")
    options = parser.parse_args()

    def create(lifetime: Lifetime) -> StandIn:
        node = ROLES[options.role](options)
        node.begin()
        return node

    raise SystemExit(run(options.role, create))


if __name__ == "__main__":
    main()
