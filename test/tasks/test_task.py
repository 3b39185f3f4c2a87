# SPDX-License-Identifier: Apache-2.0
"""The registry of tasks and the general reward."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.torque_task import TorqueTask


class _Line(TorqueTask):
    """A task written by hand: as much as a new task needs."""

    robot_name = "pr2_left_arm"
    observation_size = 8
    unsafety_function = "tilt_from_vertical"
    unsafety_limit = 15.0
    unsafety_penalty = 0.5
    unsafety_free = 2.0
    torque_limit_range = (0.5, 2.0)

    def observe(self, position, velocity, torque_limit):  # type: ignore[no-untyped-def]
        return np.concatenate([position, [torque_limit]])

    def task_reward(self, position, velocity, torque):  # type: ignore[no-untyped-def]
        return -np.abs(position).sum(axis=-1)

    def initial_state(self, rng):  # type: ignore[no-untyped-def]
        return self.robot.home.copy(), np.zeros(7)


def test_unknown_task_names_the_nearest() -> None:
    assert "pr2_cup_swirl" in task.available()
    with pytest.raises(ValueError, match="unknown task 'pr2_cup_swril': did you mean 'pr2_cup_swirl'"):
        task.make("pr2_cup_swril")


def test_name_can_be_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task.TASKS, "_things", dict(task.TASKS._things))
    task.register("line")(_Line)
    assert task.make("line").name == "line"
    with pytest.raises(ValueError, match="'line' is already registered"):
        task.register("line")(_Line)


def test_unsafety_is_penalised_beyond_what_is_free() -> None:
    """PSPT Eq. 4 with lambda .5 and u' 2 at 10 degrees: .5 (10 - 2)^2 = 32; within 2 degrees nothing."""
    line = _Line()
    tilted = line.robot.home.copy()
    tilted[5] += np.radians(10.0)
    still = np.zeros(7)
    outcome = line.outcome(tilted, still, still)
    assert outcome.task_reward - outcome.reward == pytest.approx(32.0, rel=0.01)
    upright = line.outcome(line.robot.home, still, still)
    assert upright.task_reward == upright.reward


def test_torque_limits_are_drawn_log_uniformly() -> None:
    drawn = _Line().draw_torque_limit(np.random.default_rng(0), 20_000)
    assert drawn.min() >= 0.5 and drawn.max() <= 2.0
    # The median of a log-uniform on (.5, 2) is its geometric mean.
    assert np.median(drawn) == pytest.approx(1.0, abs=0.02)
    assert isinstance(_Line().draw_torque_limit(np.random.default_rng(0)), float)


def test_soft_limits_are_the_robots() -> None:
    line = _Line()
    limits, soft = line.robot.limits, line.soft_limits
    pan, forearm = line.robot.joint_names.index("l_shoulder_pan_joint"), 4
    names = ("soft_lower", "soft_upper", "velocity", "k_position", "k_velocity")
    assert [getattr(soft, name)[pan] for name in names] == [getattr(limits, name)[pan] for name in names]
    assert (soft.soft_upper[pan], soft.velocity[pan], soft.k_position[pan], soft.k_velocity[pan]) == (
        pytest.approx(2.1354),
        2.088,
        100.0,
        10.0,
    )
    # A joint that turns for ever has a speed limit and nothing else.
    assert np.isinf([soft.soft_lower[forearm], soft.soft_upper[forearm]]).all()
    assert (soft.velocity[forearm], soft.k_velocity[forearm]) == (3.6, 1.0)
