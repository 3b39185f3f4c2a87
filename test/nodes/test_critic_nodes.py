# SPDX-License-Identifier: Apache-2.0
"""critic_trainer and critic_shadow as processes: what comes over DDS gives the critic that the recording gives."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import graph_runs
import numpy as np
import pytest
import rclpy
from decision_bags import decision, write
from hand_made_critic import critic_file
from rclpy.context import Context
from rclpy.node import Node
from safe_transfer_msgs.msg import SafetyDecision
from synthetic_run import Messages

from safe_transfer_ros.bags.live import LiveTransitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.critics.safety_critic import load_critic
from safe_transfer_ros.critics.training import CriticSettings, TrainingSettings, train_critic
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, MESSAGES = in_graph("pr2_cup_swirl"), Messages()
TASK = GRAPH.task
EPISODES, STEPS = 10, 20
DATA = [decision(MESSAGES, TASK, e, s, STEPS) for e in range(EPISODES) for s in range(STEPS + 1)]


def test_live_and_recorded_decisions_are_the_same_transitions(tmp_path: Path) -> None:
    live = LiveTransitions(tmp_path / "live", GRAPH)
    for message in DATA:
        live.add(message)
    collected = live.close()
    recorded, counts = write_transitions([Bag(write(tmp_path / "bag", DATA))], GRAPH, tmp_path / "recorded")
    assert counts == live.counts and counts.ended == EPISODES
    for name in ("observation", "applied", "cost", "chain", "next_mean", "reward", "truncated"):
        np.testing.assert_array_equal(collected[name], recorded[name])


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    claimed = domain.claim()
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number))
    os.environ["ROS_DOMAIN_ID"] = str(claimed.number)
    critic_file(tmp_path / "candidate.safetensors", threshold=0.26)
    given = {
        "critic_trainer": {"out": tmp_path / "out", "episodes": EPISODES, "updates": 60, "gamma": 0.5},
        "critic_shadow": {"candidate": tmp_path / "candidate.safetensors", "out": tmp_path / "new" / "shadow.csv"},
    }
    started = []
    for node, parameters in given.items():
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        command = [sys.executable, "-m", f"safe_transfer_ros.nodes.{node}", "--ros-args", *words]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    yield started
    for process in started:
        process.kill()
        process.communicate()
    del os.environ["ROS_DOMAIN_ID"]


def test_decisions_over_dds_train_the_critic_of_the_recording(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    context = Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    node = Node("decisions", context=context)
    publisher = node.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
    deadline = time.monotonic() + 60.0
    while publisher.get_subscription_count() < 2:
        assert time.monotonic() < deadline, "the nodes do not listen"
        time.sleep(0.05)
    for wrong in ({"proposed_effort": np.ones(1)}, {"observation": np.ones(3)}, {"observation": np.empty(0)}):
        publisher.publish(decision(MESSAGES, TASK, EPISODES, 0, STEPS, **wrong))  # ends neither node, and is no row
    for message in DATA:
        publisher.publish(message)
        time.sleep(0.002)
    output, _ = processes[0].communicate(timeout=90.0)
    assert processes[0].returncode == 0, output
    node.destroy_node()
    rclpy.shutdown(context=context)

    recorded, _ = write_transitions([Bag(write(tmp_path / "bag", DATA))], GRAPH, tmp_path / "recorded")
    settings = TrainingSettings(critic=CriticSettings(gamma=0.5), updates=60)
    train_critic(recorded, settings, recorded.about, tmp_path / "offline")
    live, offline = (load_critic(tmp_path / folder / "critic.safetensors") for folder in ("out", "offline"))
    for name, array in offline.parameters.items():
        np.testing.assert_array_equal(array, live.parameters[name])
    assert live.card["data"]["digest"] == offline.card["data"]["digest"]

    rows = list(csv.DictReader((tmp_path / "new" / "shadow.csv").open()))
    assert len(rows) == EPISODES * STEPS
    # Each episode proposes more than the limit, .5, from episode 1 on, so the candidate refuses.
    assert {row["refuses"] for row in rows if int(row["episode"]) > 0} == {"1"}
    assert rows[0]["refuses"] == "0" and float(rows[0]["risk"]) < 0.1
