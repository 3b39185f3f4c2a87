# SPDX-License-Identifier: Apache-2.0
"""The operator's connection to the filter: receives its messages, and requests a trip or a reset.

A guest in the graph: it publishes nothing, has no parameters, and where it can its subscriptions are best effort, so
that a viewer that is stopped or slow does not burden the filter. Everything runs on the caller's thread in `spin`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.task import Future
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision, UnsafetyEstimate
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.middleware import clock, qos, topics
from safe_transfer_ros.middleware.guest import Guest
from safe_transfer_ros.middleware.operator_request import Call, Request
from safe_transfer_ros.middleware.publishers import identities, publisher_names

GRAPH_PERIOD_S = 0.5
_PARTICIPANT = 12  # bytes of a DDS identifier that are its participant's
_REMEMBERED = 20  # calls kept while nothing answers


class Listener(Protocol):
    """Receiver of the filter's messages; `now` is the steady clock, s."""

    def on_status(self, message: FilterStatus, now: float) -> None:
        """safety_filter/status."""

    def on_decision(self, message: SafetyDecision, now: float) -> None:
        """safety_filter/decision."""

    def on_diagnostics(self, message: DiagnosticArray, now: float) -> None:
        """diagnostics, of whichever node."""

    def on_estimate(self, message: UnsafetyEstimate, now: float) -> None:
        """unsafety_monitor/estimate."""

    def on_filters(self, announced: frozenset[Hashable], now: float) -> None:
        """Process the identities of the filters in the graph; a killed one stays announced for some 20 s."""

    def on_robot(self, simulated: bool) -> None:
        """Process whether joint states come from mujoco_sim alone; not called while nobody publishes them."""

    def may_be_asked(self, announced: frozenset[Hashable], *, alone: bool) -> bool:
        """Whether a request sent now reaches the filter that is meant; with `alone`, no other either."""


class OperatorLink:
    """One operator's connection to the filter on one ROS domain, until it is closed."""

    def __init__(self, listener: Listener, *, domain: int, namespace: str = "") -> None:
        """Join the graph.

        Args:
          listener: Told everything that arrives.
          domain: ROS domain.
          namespace: The graph's namespace; empty: the root.

        Raises:
          ValueError: if the namespace is not a ROS name.
          OSError: if other machines reach this process, which nobody has asked for.
        """
        self._listener = listener
        self._guest = Guest("operator", domain=domain, namespace=namespace)
        self._node = self._guest.node
        self._listen()
        self._clients: dict[str, Client] = {
            "trip": self._node.create_client(Trigger, "safety_filter/trip"),
            "reset": self._node.create_client(Trigger, "safety_filter/reset"),
            "pause": self._node.create_client(SetBool, "policy_server/pause"),
        }
        self._calls: dict[str, list[Future]] = {name: [] for name in self._clients}
        self._next_look = 0.0

    def _listen(self) -> None:
        listener = self._listener
        for topic, profile, hear in (
            (topics.FILTER_STATUS, qos.LATCHED, listener.on_status),
            (topics.DECISIONS, qos.VIEW, listener.on_decision),
            (topics.DIAGNOSTICS, qos.VIEW, listener.on_diagnostics),
            (topics.UNSAFETY_ESTIMATE, qos.LATCHED, listener.on_estimate),
        ):

            def callback(message: Any, hear: Any = hear) -> None:
                hear(message, clock.now_s())

            topic.listen(self._node, callback, profile)

    def close(self) -> None:
        """Leave the graph."""
        self._guest.close()

    def spin(self, seconds: float) -> None:
        """Process messages for `seconds`."""
        self._guest.spin(seconds)
        now = clock.now_s()
        if now >= self._next_look:
            self._next_look = now + GRAPH_PERIOD_S
            self._listener.on_filters(self._announced(), now)
            robots = publisher_names(self._node, topics.JOINT_STATES.name)
            if robots:
                self._listener.on_robot(robots == {"mujoco_sim"})

    def _announced(self) -> frozenset[Hashable]:
        """Identities of the filter processes: what their endpoints' identifiers begin with is a participant's."""
        return frozenset(gid[:_PARTICIPANT] for gid in identities(self._node, topics.FILTER_STATUS.name))

    def trip(self) -> Request:
        """Ask for stop torque, latched; poll the request, it asks again until it is answered."""
        return Request(name="trip", send=lambda: self._call("trip"), since=clock.now_s(), insistent=True)

    def reset(self) -> Request:
        """Request to leave TRIPPED, once; the filter refuses while the cause stands."""
        return Request(name="reset", send=lambda: self._call("reset"), since=clock.now_s(), insistent=False)

    def pause(self, wanted: bool) -> Request:
        """Request that no further episode begins, or that they go on; sent once."""
        name = "pause" if wanted else "resume"

        def send() -> Call | None:
            return self._call("pause", SetBool.Request(data=wanted))

        return Request(name=name, send=send, since=clock.now_s(), insistent=False)

    def _call(self, name: str, request: Any = None) -> Call | None:
        client = self._clients[name]
        # Looked up now, not half a second ago: a request must not reach the filter of another run.
        allowed = self._listener.may_be_asked(self._announced(), alone=name != "trip")
        if not allowed or not client.service_is_ready():
            return None
        calls = self._calls[name]
        if len(calls) >= _REMEMBERED:
            client.remove_pending_request(calls.pop(0))
        calls.append(client.call_async(Trigger.Request() if request is None else request))
        return calls[-1]
