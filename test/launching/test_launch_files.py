# SPDX-License-Identifier: Apache-2.0
"""The launch files as text: the launch packages are on no package registry, so nothing here can run them."""

from __future__ import annotations

import ast
from pathlib import Path

from safe_transfer_ros.parameters.critic_shadow import CriticShadowParameters
from safe_transfer_ros.parameters.critic_trainer import CriticTrainerParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters

LAUNCH = Path(__file__).parents[2] / "launch"


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name]


def test_critic_training_takes_the_task_and_hands_it_to_every_node() -> None:
    tree = ast.parse((LAUNCH / "critic_training.launch.py").read_text())
    declared = {ast.literal_eval(call.args[0]) for call in calls(tree, "DeclareLaunchArgument")}
    assert {"task", "out", "candidate"} <= declared
    nodes = calls(tree, "Node")
    assert len(nodes) == 2
    for node in nodes:
        [parameters] = [keyword.value for keyword in node.keywords if keyword.arg == "parameters"]
        names = {
            ast.literal_eval(key) for item in ast.walk(parameters) if isinstance(item, ast.Dict) for key in item.keys
        }
        [executable] = [ast.literal_eval(k.value) for k in node.keywords if k.arg == "executable"]
        settings = {"critic_trainer": CriticTrainerParameters, "critic_shadow": CriticShadowParameters}[executable]
        known = {*ExperimentParameters.__dataclass_fields__, *settings.__dataclass_fields__}
        assert "task" in names <= known
