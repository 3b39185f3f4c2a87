# SPDX-License-Identifier: Apache-2.0
"""What `safe_transfer doctor` says of a Franka arm: library, cable, control interface, one line each."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from safe_transfer_ros.cli import doctor_franka
from safe_transfer_ros.cli.finding import BAD, GOOD, WEAK
from safe_transfer_ros.franka import library
from safe_transfer_ros.franka.exchange import WORDS

NOBODY = "127.0.0.99"  # nothing listens there
QUIET = """PING 172.16.0.2 (172.16.0.2) 1200(1228) bytes of data.

--- 172.16.0.2 ping statistics ---
200 packets transmitted, {received} received, {lost}% packet loss, time 1990ms
"""
TIMES = "rtt min/avg/max/mdev = 0.101/0.152/{longest}/0.040 ms\n"


@pytest.mark.parametrize(
    ("lost", "longest", "verdict", "says"),
    [
        ("0", "0.401", GOOD, "172.16.0.2 answers a ping in 0.15 ms, 0.40 ms at most, 0 % lost"),
        ("0", "1.301", WEAK, "every answer within 1 ms: a cable of its own"),
        ("0.5", "0.401", BAD, "0.5 % lost: the arm wants every answer"),
    ],
)
def test_a_ping_is_judged_by_its_longest_answer_and_by_what_is_lost(
    lost: str, longest: str, verdict: str, says: str
) -> None:
    said = QUIET.format(received=200, lost=lost) + TIMES.format(longest=longest)
    found = doctor_franka.judge_ping("172.16.0.2", said)
    assert found.verdict == verdict and says in str(found)


@pytest.mark.parametrize("said", ["", "ping: connect: Network is unreachable", QUIET.format(received=0, lost="100")])
def test_an_arm_that_answers_no_ping_is_told(said: str) -> None:
    found = doctor_franka.judge_ping("172.16.0.2", said)
    assert (found.verdict, found.what) == (BAD, "172.16.0.2 does not answer a ping")


def test_without_the_library_it_is_a_fault_only_where_an_arm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "missing", lambda: "pylibfranka has no wheel for aarch64: robot:=franka needs x86-64")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert [finding.verdict for finding in doctor_franka.examine("")] == [WEAK]
    found = list(doctor_franka.examine("172.16.0.2"))
    assert found[0].verdict == BAD and "no wheel for aarch64" in found[0].what
    assert [finding.what for finding in found[1:]] == ["ping is not installed, so the cable was not tried"]


def test_a_control_interface_that_nobody_serves_is_told_with_the_librarys_words() -> None:
    pytest.importorskip("pylibfranka", exc_type=ImportError)
    [found] = doctor_franka.connect(NOBODY)
    assert found.verdict == BAD and "NetworkException" in found.what and "activate FCI in Desk" in found.fix


def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("program", 1.0)

    monkeypatch.setattr(subprocess, "run", late)
    [found] = doctor_franka.connect(NOBODY)
    assert found.verdict == BAD and "no answer within" in found.what


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        (5, "as a Panda (FER) does: drive it through ros2_control, robot:=hardware"),
        (9, "as an FR3 with a system before 5.9 does: update it in Desk"),
        (11, "newer than this wheel"),
    ],
)
def test_another_version_of_the_protocol_is_told_with_whose_it_is(version: int, fix: str) -> None:
    said = library.told(
        f"libfranka: Incompatible library version (server version: {version}, library version: 10). Please"
    )
    assert said.startswith(f"the arm answers in version {version} of the network protocol") and fix in said
    assert len(said.encode()) < WORDS, "it fits into the arm's status"
    assert library.told("UDP receive: Timeout") == "UDP receive: Timeout"
