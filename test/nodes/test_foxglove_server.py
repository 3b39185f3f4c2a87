# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer watch --foxglove`, as Foxglove speaks to it: a websocket, channels, serialised messages."""

from __future__ import annotations

import contextlib
import json
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import graph_runs
import pytest
from listener_bench import alone
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from safe_transfer_msgs.msg import SafetyDecision
from std_msgs.msg import String

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.cli import foxglove_server
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware import topics

pytest.importorskip("foxglove", reason="the extra foxglove is not installed")
client = pytest.importorskip("websockets.sync.client")


@pytest.fixture
def node() -> Iterator[Node]:
    """A stand-in for a graph in namespace /left."""
    with alone("graph", namespace="/left") as node:
        yield node


def serving(node: Node, *words: str) -> subprocess.Popen[str]:
    where = ("--domain", str(node.context.get_domain_id()), "--namespace", "left")
    command = graph_runs.command("watch", "--foxglove", *where, *words)
    return subprocess.Popen(
        command, env=graph_runs.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Viewer:
    """What Foxglove does when a connection is opened."""

    def __init__(self, port: int) -> None:
        self._stack = contextlib.ExitStack()
        connection = client.connect(f"ws://127.0.0.1:{port}", subprotocols=["foxglove.sdk.v1"], max_size=None)
        self._socket = self._stack.enter_context(connection)
        self.info = json.loads(self._socket.recv(timeout=10))
        self.channels: dict[str, dict] = {}

    def find_channels(self, count: int) -> None:
        while len(self.channels) < count:
            said = self._socket.recv(timeout=10)
            if isinstance(said, str) and json.loads(said)["op"] == "advertise":
                self.channels |= {channel["topic"]: channel for channel in json.loads(said)["channels"]}

    def subscribe(self, topic: str, number: int) -> None:
        asked = {"op": "subscribe", "subscriptions": [{"id": number, "channelId": self.channels[topic]["id"]}]}
        self._socket.send(json.dumps(asked))

    def next(self, number: int) -> bytes:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            said = self._socket.recv(timeout=20)
            if isinstance(said, bytes) and said[0] == 1 and struct.unpack_from("<I", said, 1)[0] == number:
                return said[13:]
        raise AssertionError(f"no message of subscription {number}")

    def close(self) -> None:
        self._stack.close()


def listeners(port: int) -> set[str]:
    """Addresses of this machine that a port is listened on, as the kernel writes them."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def test_foxglove_is_given_what_the_graph_says_and_can_say_nothing(node: Node) -> None:
    description, decisions = topics.ROBOT_DESCRIPTION.advertise(node), topics.DECISIONS.advertise(node)
    description.publish(String(data="<robot/>"))
    process = serving(node, "--port", "0")
    assert process.stdout is not None
    port = int(process.stdout.readline().split("ws://127.0.0.1:")[1].split(",")[0])
    assert "namespace /left" in process.stdout.readline()
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.05):
            decisions.publish(SafetyDecision(step=3, torque_limit=0.7))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        assert listeners(port) == {"0100007F"}, "the loopback interface alone"
        first = Viewer(port)
        assert first.info["capabilities"] == [], "no client publishes, calls or sets anything"
        expected = {f"/left/{topic.name}" for topic in topics.TOPICS if topic.recorded}
        first.find_channels(len(expected) - 2)
        assert expected - set(first.channels) == {"/left/trainer/policy_weights", "/left/trainer/critic_weights"}
        channel = first.channels["/left/safety_filter/decision"]
        assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
        assert channel["schemaName"] == "safe_transfer_msgs/msg/SafetyDecision"
        assert channel["schema"] == MessageDefinitions().find(channel["schemaName"]).text
        first.subscribe("/left/safety_filter/decision", 1)
        decision = deserialize_message(first.next(1), SafetyDecision)
        assert (decision.step, decision.torque_limit) == (3, 0.7)
        # Whoever comes later is given what is latched.
        late = Viewer(port)
        late.find_channels(len(expected) - 2)
        late.subscribe("/left/robot_description", 2)
        assert deserialize_message(late.next(2), String).data == "<robot/>"
        first.close()
        late.close()
        second = serving(node, "--port", str(port))
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2 and f"cannot serve on 127.0.0.1:{port}" in err and "choose another --port" in err
    finally:
        over.set()
        publisher.join()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err and "failed" not in err, err


def test_without_the_sdk_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foxglove", None)
    with pytest.raises(ConfigurationError, match=r"needs the Foxglove SDK .*: pip install 'foxglove-sdk>=0.30,<1'"):
        foxglove_server.FoxgloveServer(0)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--port", "9"), "add --foxglove, or leave it out"),
        (("--foxglove", "--once"), "choose one"),
        (("--foxglove", "--port", "70000"), "from 0 (any that is free) to 65535, got 70000"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    from safe_transfer_ros.cli.main import main

    assert main(["watch", *words]) == 2
    assert line in capsys.readouterr().err
