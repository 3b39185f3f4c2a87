# SPDX-License-Identifier: Apache-2.0
"""The spill test goes through the motion that was simulated, and changes nothing of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.studies.experiments import experiment
from safe_transfer_ros.studies.spill import tool_path
from safe_transfer_ros.studies.study import StudyRun, compute
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv


def test_the_path_of_the_cup_is_that_of_the_tool() -> None:
    task, robot = make("pr2_cup_swirl"), PERTURBATIONS["light_sticky"]
    policy = GaussianPolicy(load_for(task, "pr2_cup_swirl")[0])
    with VectorTorqueEnv(task, robot, threads=1) as environment:
        batch = environment.rollout(policy, torque_limits=[0.3, 1.0], seed=0)
    position, rotation = tool_path(task, robot, batch, 1)
    assert position.shape == (2001, 3)
    np.testing.assert_array_equal(position[:: task.substeps], task.chain.tool_position(batch.position[1]))
    np.testing.assert_array_equal(rotation[:: task.substeps], task.chain.tool_rotation(batch.position[1]))


def test_a_thrown_cup_is_empty_and_the_learning_does_not_know() -> None:
    run = StudyRun(iterations=2, episodes=2, almonds=5, governor=GovernorSettings(rule="fixed"))
    carried, without = compute(run), compute(dataclasses.replace(run, almonds=0))
    assert carried["almonds_lost"][1] == 5.0 and np.isnan(without["almonds_lost"]).all()
    assert carried["mean_return"] == without["mean_return"]


def test_a_full_cup_tells_a_limited_arm_from_one_that_is_not() -> None:
    spill = experiment("spill")
    assert spill.seeds >= 5 and all(method.run.almonds >= 80 for method in spill.methods)
    assert all(method.run.iterations * method.run.episodes * 200 == 10_000 for method in spill.methods)
    adaptive, no_limit = (
        compute(dataclasses.replace(method.run, iterations=1, episodes=1))["almonds_lost"]
        for method in (spill.methods[0], spill.methods[-1])
    )
    assert adaptive[0] < 10 and no_limit == [80.0]
