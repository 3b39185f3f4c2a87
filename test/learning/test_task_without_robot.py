# SPDX-License-Identifier: Apache-2.0
"""A task that has no robot is trained, evaluated and made by Gymnasium as ours are, without an edit in the package."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from point_task import Point, PointEnv

from safe_transfer_ros import environments
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.studies.learner_run import LearnerRun, compute
from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector_environment import SingleRowEnv
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings


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
    with TaskEnvironment(point) as where:
        still = type("Out", (), {"distribution": lambda self, seen: (5.0 * seen, np.full(2, 1e-3))})()
        found = evaluate(still, where, episodes=20, seed=0)
    assert found.failures_per_episode == 1.0 and found.success_rate == 0.0 and found.mean_cost == 1.0


def test_where_a_robot_is_needed_it_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="nothing measures where an obstacle is that can be pushed away"):
        in_graph("panda_push_obstacle_movable")
    with pytest.raises(ValueError, match="cannot be done by a graph"):
        in_graph(point)
    with pytest.raises(ValueError, match="'point' is not a TorqueTask"):
        task.make(point, TorqueTask)


def test_one_row_is_a_gymnasium_environment_of_numbered_episodes() -> None:
    with pytest.raises(ValueError, match="expected one row .* got num_envs=2"):
        SingleRowEnv(PointEnv(Point(), 2, autoreset=False))
    with pytest.raises(ValueError, match="expected one row .*SAME_STEP"):
        SingleRowEnv(PointEnv(Point(), 1))
    single, rows = SingleRowEnv(PointEnv(Point(), 1, autoreset=False)), PointEnv(Point(), 3, autoreset=False)
    with pytest.raises(ValueError, match="unknown reset options .'first_episode'.; known: episode"):
        single.reset(seed=1, options={"first_episode": 2})
    with pytest.raises(RuntimeError, match="no episode is running; call reset"):
        single.step(np.zeros(2))
    seen, _ = rows.reset(seed=1)
    alone, info = single.reset(seed=1, options={"episode": 2})
    np.testing.assert_array_equal(alone, seen[2])
    assert info["episode_number"] == 2 and type(info["episode_number"]) is int
    action = np.array([0.5, -0.1])
    expected = rows.step(np.tile(action, (3, 1)))
    found = single.step(action)
    np.testing.assert_array_equal(found[0], expected[0][2])
    assert found[1:4] == tuple(values[2] for values in expected[1:4])
    np.testing.assert_array_equal(found[4]["applied"], [0.2, -0.1])
    assert type(found[4]["cost"]) is float
    while not (found[2] or found[3]):
        found = single.step(action)
    with pytest.raises(RuntimeError, match="no episode is running; call reset"):
        single.step(action)
    single.reset()
    single.step(action)
