# SPDX-License-Identifier: Apache-2.0
"""The robot and the task of docs/adding_a_robot_or_task.md work as written there."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from safe_transfer_ros.robots import description
from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

DOCUMENT = Path(__file__).parents[2] / "docs" / "adding_a_robot_or_task.md"


class _Still:
    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(observation), 2)), np.full(2, 0.1)


@pytest.mark.filterwarnings("ignore:.*Box (observation|action) space.*", "ignore:.*Box action spaces.*")
def test_documented_robot_and_task_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCUMENT.read_text()
    urdf, facts, task_file = (
        textwrap.dedent(block)
        for block in re.findall(r"^ *```(?:xml|python)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    )
    monkeypatch.setattr(description, "ROBOTS", description.ROBOTS.copy())
    monkeypatch.setattr(task, "TASKS", task.TASKS.copy())
    (tmp_path / "arm.urdf").write_text(urdf)
    namespace: dict[str, Any] = {"__name__": "documented"}
    exec(facts, namespace)
    arm = dataclasses.replace(namespace["TWO_JOINT_ARM"], urdf=str(tmp_path / "arm.urdf"))
    description.ROBOTS.add(arm.name, arm)
    exec(task_file, namespace)

    reach = task.make("reach_forward")
    assert reach.robot.joint_names == ("shoulder", "wrist")
    check_env(TorqueEnv(reach, torque_limit=1.0), skip_render_check=True)
    with VectorTorqueEnv(reach, threads=1) as env:
        batch = env.rollout(_Still(), torque_limits=[0.1, 3.0], seed=0)
    assert batch.observation.shape == (2, 51, 5)
    single = TorqueEnv(reach)
    single.reset(seed=0, options={"episode": 1, "torque_limit": 3.0})
    for step in range(50):
        *_, info = single.step(batch.proposed[1, step])
    np.testing.assert_array_equal(info["position"], batch.position[1, -1])
