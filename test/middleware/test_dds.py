# SPDX-License-Identifier: Apache-2.0
"""How our processes talk: the middleware takes our profiles, and the user's own go first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros import resources
from safe_transfer_ros.faults import network
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import dds

NODE = """
import rclpy
from std_msgs.msg import Bool
rclpy.init()
rclpy.create_node("probe").create_publisher(Bool, "a", 1)
"""


def complaints(profiles: Path) -> str:
    environment = os.environ | {dds.PROFILES: str(profiles), "ROS_DOMAIN_ID": "99"}
    done = subprocess.run([sys.executable, "-c", NODE], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [dds.LOCAL, dds.NETWORK])
def test_the_middleware_reads_our_profiles(name: str, tmp_path: Path) -> None:
    assert complaints(resources.path(f"config/{name}")) == ""
    wrong = tmp_path / name
    wrong.write_text(re.sub("heartbeat_?[Pp]eriod", "heartbeats", resources.path(f"config/{name}").read_text()))
    assert "heartbeats" in complaints(wrong), "a name that is not known would have been told"


RENAMED = {
    "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles": "http://www.eprosima.com",
    "heartbeatPeriod": "heartbeat_period",
    "FASTRTPS_DEFAULT_PROFILES_FILE": "FASTDDS_DEFAULT_PROFILES_FILE",
    "Fast DDS 2": "Fast DDS 3",
    "fastdds_network.xml": "fastdds3_network.xml",
}
"""What Fast DDS 2 has, and what it is in Fast DDS 3."""


@pytest.mark.parametrize(("two", "three"), [*zip(dds.FILES[2], dds.FILES[3], strict=True)])
def test_both_generations_of_the_middleware_are_told_the_same(two: str, three: str) -> None:
    told = resources.path(f"config/{two}").read_text()
    for old, new in RENAMED.items():
        told = told.replace(old, new)
    assert told == resources.path(f"config/{three}").read_text()


@pytest.mark.parametrize(("rclpy", "expected"), [("7.1.4", 2), ("9.1.2", 3), ("10.0.0", 3), ("3.3.15", 2)])
def test_the_generation_goes_by_the_distribution(rclpy: str, expected: int) -> None:
    assert dds.fast_dds(rclpy) == expected


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (dds.RANGE, dds.PROFILES, dds.TRANSPORTS, "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "expected", "reach"),
    [
        ({}, {dds.RANGE: "SYSTEM_DEFAULT", dds.PROFILES: dds.profiles(dds.LOCAL)}, ""),
        ({dds.RANGE: "LOCALHOST"}, {dds.RANGE: "SYSTEM_DEFAULT", dds.PROFILES: dds.profiles(dds.LOCAL)}, ""),
        (
            {dds.RANGE: "SUBNET"},
            {dds.RANGE: "SUBNET", dds.PROFILES: dds.profiles(dds.NETWORK), dds.TRANSPORTS: "UDPv4"},
            "range SUBNET",
        ),
        ({dds.PROFILES: "/own.xml"}, {dds.RANGE: "SYSTEM_DEFAULT", dds.PROFILES: "/own.xml"}, "profiles of /own.xml"),
    ],
)
def test_the_users_environment_goes_first(
    nothing_set: None, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, str], reach: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert dds.environment() == expected
    assert reach in dds.beyond_this_machine() and bool(reach) is bool(dds.beyond_this_machine())


# From the word to go on it says who it is, with a ! once it has heard the other; until the other says so too. Then it
# tells whom it heard, and which sockets (from /proc/net/udp) and Fast DDS's shared memory it has.
TALKER = """
import os, sys, time, rclpy
from std_msgs.msg import String
who, seconds, other = sys.argv[1:]
rclpy.init()
node = rclpy.create_node(f"talker_{who}")
heard = set()
node.create_subscription(String, "talk", lambda message: heard.add(message.data), 10)
publisher = node.create_publisher(String, "talk", 10)
print("ready", flush=True)
input()
end, more = time.monotonic() + float(seconds), 20
while time.monotonic() < end and more:
    publisher.publish(String(data=who + "!" * bool({other, f"{other}!"} & heard)))
    rclpy.spin_once(node, timeout_sec=0.05)
    more -= f"{other}!" in heard
heard = {name.rstrip("!") for name in heard}
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
own = {os.readlink(file) for file in files if os.path.islink(file)}
rows = [line.split() for line in open("/proc/net/udp").readlines()[1:]]
sockets = sorted({row[1].split(":")[0] for row in rows if f"socket:[{row[9]}]" in own})
print("heard", *sorted(heard))
print("sockets", *sockets)
print("shared", *{line.split()[-1] for line in open("/proc/self/maps") if "/dev/shm/fast" in line})
"""
LOOPBACK = "0100007F"


def talk(
    who: str, number: int, until: str, *, seconds: float, environment: dict[str, str], within: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """A process of its own in domain `number`; `within` is what enters another network."""
    clean = {name: value for name, value in os.environ.items() if name not in (dds.RANGE, dds.PROFILES, dds.TRANSPORTS)}
    return subprocess.Popen(
        [*within, sys.executable, "-c", TALKER, who, str(seconds), until],
        env=clean | environment | {"ROS_DOMAIN_ID": str(number)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(*processes: subprocess.Popen[str]) -> list[dict[str, set[str]]]:
    """What each has heard and its sockets, once all were there at the same time."""
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        output, _ = process.communicate(timeout=100)
        assert process.returncode == 0
        answers.append({line.split()[0]: set(line.split()[1:]) for line in output.splitlines()})
    return answers


def test_a_file_that_is_closed_while_sockets_are_looked_for_is_none(tmp_path: Path, nothing_set: None) -> None:
    """Threads of the middleware open and close files while a process begins."""
    (tmp_path / "fd").mkdir()
    (tmp_path / "net").mkdir()
    (tmp_path / "fd" / "3").symlink_to("socket:[77]")
    (tmp_path / "net" / "udp").write_text("header\n" + " ".join(["0:", "00000000:1CE8", *"2345678", "77"]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda _: ["3", "4"])
        assert dds.unintended_reach(tmp_path).startswith("other machines reach 1 sockets of this process")


@pytest.mark.parametrize("default", [{}, {dds.RANGE: "LOCALHOST"}], ids=["nothing_set", "localhost"])
def test_every_socket_of_ours_is_bound_to_the_loopback_and_a_default_participant_of_this_machine_is_reached(
    nothing_set: None, monkeypatch: pytest.MonkeyPatch, default: dict[str, str]
) -> None:
    """The default one is ros2_control, say, that somebody started in another terminal.

    Nor do we share memory, with it or among us: a process that is stopped while it holds a lock there stops who writes.
    """
    claimed = domain.claim()
    number = claimed.number
    for name, value in default.items():  # a person may well have set it for both
        monkeypatch.setenv(name, value)
    ours = talk("ours", number, "other", seconds=40.0, environment=dds.environment())
    other = talk("other", number, "ours", seconds=40.0, environment=default)
    us, them = said(ours, other)
    assert us["heard"] == them["heard"] == {"ours", "other"}
    assert us["sockets"] == {LOOPBACK}
    assert us["shared"] == set()
    assert them["sockets"] - {LOOPBACK} and them["shared"], "one of whom this is not true is seen"


def test_nor_do_we_share_memory_where_other_machines_may_join(
    nothing_set: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = domain.claim()
    monkeypatch.setenv(dds.RANGE, "SUBNET")
    pair = [talk(who, claimed.number, to, seconds=40.0, environment=dds.environment()) for who, to in ("ab", "ba")]
    for one in said(*pair):
        assert one["heard"] == {"a", "b"} and one["shared"] == set()


@pytest.mark.parametrize(
    ("profile", "hears"),
    [(dds.LOCAL, False), (dds.NETWORK, True)],
    ids=lambda value: str(value),
)
def test_a_peer_on_the_network_that_sends_to_our_address_does_not_join(profile: str, hears: bool) -> None:
    """With the profile for networks it does, under the range LOCALHOST too: so it could."""
    refusal = network.why_not()
    if refusal:
        pytest.skip(f"no network namespaces here: {refusal}")
    with network.Cable("safe_transfer_dds") as cable:
        seconds = 60.0 if hears else 8.0
        # LOCALHOST is what we said of ourselves before: it keeps nobody out who sends to us.
        reach = "LOCALHOST" if profile == dds.NETWORK else "SYSTEM_DEFAULT"
        ours = talk(
            "ours", 98, "peer", seconds=seconds, environment={dds.RANGE: reach, dds.PROFILES: dds.profiles(profile)}
        )
        peer = talk(
            "peer",
            98,
            "ours",
            seconds=seconds,
            environment={dds.RANGE: "SUBNET", "ROS_STATIC_PEERS": "10.77.0.1"},
            within=cable.to_far,
        )
        us, them = said(ours, peer)
    assert ("peer" in us["heard"], "ours" in them["heard"]) == (hears, hears)


# A node whose middleware did not read our profiles: what it reads says nothing, and we take it that ours are read

NODE_OF_OURS = """
import sys
from rclpy.node import Node
from safe_transfer_ros.middleware import dds, process
dds.set_defaults = lambda: None
class Probe(Node):
    def close(self): pass
def create(lifetime):
    node = Probe("probe")
    node.create_timer(0.05, lambda: lifetime.end())
    return node
dds.environment = lambda: {ours!r}
sys.exit(process.run("probe", create))
"""


@pytest.mark.parametrize("read", [True, False])
def test_a_node_whose_sockets_hear_other_machines_ends_and_says_why(nothing_set: None, read: bool) -> None:
    ours = dds.environment()
    environment = os.environ | {"ROS_DOMAIN_ID": "99"} | (ours if read else {})
    program = [sys.executable, "-c", NODE_OF_OURS.format(ours=ours)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "other machines reach" in done.stderr) == ((0, False) if read else (2, True)), done.stderr
