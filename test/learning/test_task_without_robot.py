# SPDX-License-Identifier: Apache-2.0
"""A task that has no robot is trained, evaluated and made by Gymnasium as ours are, without an edit in the package."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from point_task import Point

from safe_transfer_ros import environments
from safe_transfer_ros.learning.environment import environment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.studies.learner_run import LearnerRun, compute
from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.transfer.constrained.method import LearnerSettings


@pytest.fixture
def point():
    task.register("point")(Point)
    environments.register_environments("elsewhere")
    yield "point"
    del task.TASKS._things["point"], gymnasium.registry["elsewhere/Point-v0"]


@pytest.mark.filterwarnings(
    "ignore:.*Box observation space.*", "ignore:.*Box action spaces.*", "ignore:.*symmetric and.*"
)
def test_a_point_learns_what_our_tasks_learn(point: str) -> None:
    check_env(gymnasium.make("elsewhere/Point-v0").unwrapped, skip_render_check=True)
    curves = compute(
        LearnerRun(
            task=point,
            iterations=12,
            episodes=20,
            settings=LearnerSettings(critic_updates=20, log_std=-2.0),
        )
    )
    assert curves["evaluation_success"][-1] > curves["success_rate"][0] + 0.2
    with environment(point) as where:
        still = type("Out", (), {"distribution": lambda self, seen: (5.0 * seen, np.full(2, 1e-3))})()
        found = evaluate(still, where, episodes=20, seed=0)
    assert found.failures_per_episode == 1.0 and found.success_rate == 0.0 and found.mean_cost == 1.0


def test_where_a_robot_is_needed_it_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="cannot be done by a graph"):
        in_graph(point)
    with pytest.raises(ValueError, match="'point' is not a TorqueTask"):
        task.make(point, TorqueTask)
