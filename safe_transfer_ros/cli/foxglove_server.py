# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer watch --foxglove`: the topics of a run, live, for Foxglove on this machine.

A process of its own that only listens: it offers its clients nothing to publish to and nothing to call.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from safe_transfer_ros import resources
from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.cli.filter_screen import Listening
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware.topic_relay import RELAYED, TopicRelay
from safe_transfer_ros.middleware.topics import Topic

PORT = 8765
"""Where Foxglove looks for a server unless told otherwise."""
_HOST = "127.0.0.1"
_TURN_SECONDS = 0.1
_NICENESS = 10


class Where(Protocol):
    """Choice of the domain and namespace to listen in."""

    @property
    def listening(self) -> Listening:
        """The domain, the namespace and the run that holds them."""
        ...

    def look(self) -> bool:
        """Look for runs, now and then; true when where to listen is another now."""
        ...


def serve(where: Where, quitting: Sequence[int], *, port: int) -> int:
    """Serve until asked to end.

    Args:
      where: What is served.
      quitting: Not empty any more when it is to end.
      port: Of the loopback interface; 0: any that is free.

    Raises:
      ConfigurationError: the SDK is not installed, or the port is in use.
    """
    server = FoxgloveServer(port)
    os.nice(_NICENESS)
    print(f"Foxglove: open a connection to ws://{_HOST}:{server.port}, and import the layout {_layout()}", flush=True)
    listening, heard = where.listening, 0
    relay = _join(server, listening)
    try:
        while not quitting:
            relay.spin(_TURN_SECONDS)
            heard = heard or server.count
            # What has gone is still shown; a run that begins elsewhere is followed.
            if where.look() and (not heard or where.listening.run):
                relay.close()
                listening, heard, server.count = where.listening, 0, 0
                relay = _join(server, listening)
    finally:
        relay.close()
        server.close()
    return 0


def _join(server: FoxgloveServer, listening: Listening) -> TopicRelay:
    namespace = f"/{listening.namespace.strip('/')}".rstrip("/")
    server.advertise(namespace)
    relay = TopicRelay(server.take, domain=listening.domain, namespace=namespace)
    of = f", {listening.run}" if listening.run else ""
    print(f"listening on ROS domain {listening.domain}{namespace and f', namespace {namespace}'}{of}", flush=True)
    return relay


def _layout() -> Path:
    return resources.path("foxglove/safe_transfer.json")


class FoxgloveServer:
    """Channels of every relayed topic, on the loopback interface.

    Attributes:
      port: Where it is.
      count: Messages taken.
    """

    def __init__(self, port: int) -> None:
        """Start the server, as yet without a channel.

        Raises:
          ConfigurationError: as `serve`.
        """
        self._sdk = _sdk()
        self._context = self._sdk.Context()
        self._channels: dict[str, Any] = {}  # by the topic's name in the graph
        self._latched: dict[int, tuple[Any, bytes]] = {}  # newest message of a latched topic, by its channel's number
        self.count = 0
        try:
            self._server = self._sdk.start_server(
                name="safe_transfer",
                host=_HOST,
                port=port,
                capabilities=[],
                server_listener=_Latecomers(self._latched),
                context=self._context,
            )
        except (RuntimeError, OSError) as error:
            raise ConfigurationError(f"cannot serve on {_HOST}:{port} ({error}): choose another --port") from error
        self.port: int = self._server.port

    def advertise(self, namespace: str) -> None:
        """Offer the topics of a graph, in the place of those of the one before."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._latched.clear()
        definitions = MessageDefinitions()
        for topic in RELAYED:
            text = definitions.find(topic.type_name).text
            schema = self._sdk.Schema(name=topic.type_name, encoding="ros2msg", data=text.encode())
            self._channels[topic.name] = self._sdk.Channel(
                f"{namespace}/{topic.name}", message_encoding="cdr", schema=schema, context=self._context
            )

    def take(self, topic: Topic, data: bytes) -> None:
        """Pass one serialised message on."""
        self.count += 1
        channel, message = self._channels[topic.name], bytes(data)
        if topic.latched:
            self._latched[channel.id()] = (channel, message)
        channel.log(message)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()


class _Latecomers:
    """Gives a client that subscribes late what the topic's publisher has latched."""

    def __init__(self, latched: dict[int, tuple[Any, bytes]]) -> None:
        self._latched = latched

    def on_subscribe(self, client: Any, channel: Any) -> None:
        """Send the newest message again; who has it already gets it twice, which changes nothing."""
        found = self._latched.get(channel.id)
        if found is not None:
            found[0].log(found[1])

    def on_unsubscribe(self, client: Any, channel: Any) -> None:
        """Do nothing; the SDK calls it."""


def _sdk() -> Any:
    try:
        return importlib.import_module("foxglove")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"watch --foxglove needs the Foxglove SDK ({error}): pip install 'foxglove-sdk>=0.30,<1'"
        ) from error
