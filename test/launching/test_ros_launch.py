# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch` of our launch files, where the launch packages are installed: a ROS installation brings them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="the launch packages come with a ROS installation only")

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
# What `ros2 launch FILE key:=value ...` does (ros2launch.api.launch_a_launch_file).
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
file, *words = sys.argv[1:]
service = LaunchService(argv=words)
arguments = [tuple(word.split(":=", 1)) for word in words]
include = IncludeLaunchDescription(AnyLaunchDescriptionSource(file), launch_arguments=arguments)
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


def launched(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(LAUNCH / f"{name}.launch.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    ("name", "word", "expected"),
    [
        ("pr2_cup_swirl", "tmax:=0.5", "unknown launch argument 'tmax'; did you mean 't_max'?"),
        ("pr2_cup_swirl", "tmax:=", "unknown launch argument 'tmax'"),
        ("pr2_cup_swirl", "trainer.episodes_per_iteratio:=1", "did you mean 'episodes_per_iteration'?"),
        ("panda_push", "trainr.iterations:=1", "did you mean 'trainer'?"),
        ("pr2_cup_swirl", "namespace:=le-ft", "namespace must be words of letters"),
        ("critic_training", "conservativ:=true", "did you mean 'conservative'?"),
    ],
)
def test_an_argument_that_nothing_declares_ends_the_launch(tmp_path: Path, name: str, word: str, expected: str) -> None:
    """It is dropped without a word otherwise: the arm of a person who mistyped its limit moves under another."""
    where = f"out:={tmp_path / 'run'}" if name == "critic_training" else f"run_dir:={tmp_path / 'run'}"
    done = launched(name, where, word)
    assert done.returncode != 0 and expected in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


def test_any_parameter_is_set_by_node_and_name_and_a_namespace_is_of_all(tmp_path: Path) -> None:
    from safe_transfer_ros.bags.read import Bag

    words = (f"run_dir:={tmp_path / 'run'}", "iterations:=1", "trainer.episodes_per_iteration:=1", "namespace:=left")
    done = launched("pr2_cup_swirl", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {summary.topic: summary.count for summary in Bag(tmp_path / "run" / "bag").summary()}
    assert {topic.split("/")[1] for topic in counts} == {"left"}
    assert counts["/left/safety_filter/decision"] == 201, "one episode, as was asked for"
