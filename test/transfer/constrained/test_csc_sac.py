# SPDX-License-Identifier: Apache-2.0
"""CSC on SAC: its critic, its threshold and its multiplier follow each epoch, and a run is resumed exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from point_task import Point

from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
from safe_transfer_ros.tasks import task
from safe_transfer_ros.transfer.constrained.csc_sac_run import CscSacRun
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.methods import METHODS
from safe_transfer_ros.transfer.sqrl.safety_critic import OnPolicyCritic
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings
from safe_transfer_ros.transfer.training import TrainingPlan

SETTINGS = LearnerSettings(
    chi=0.2, critic_updates=20, critic_hidden=(8,), critic_batch=32, max_samples=5, threshold_scale=1.0, floor_ratio=0.5
)
PLAN = TrainingPlan(task="disc", episodes=2, settings=SETTINGS)


class Adding(Point):
    """Costs add up."""

    cost_limit, has_goal = 3.0, False


@pytest.fixture(autouse=True)
def points() -> Iterator[None]:
    known = {"disc": Point, "adding_disc": Adding}
    for name, kind in known.items():
        task.register(name)(kind)
    yield
    for name in known:
        del task.TASKS._things[name]


def begun() -> CscSacRun:
    run = METHODS["csc-sac"].begin(PLAN)
    assert isinstance(run, CscSacRun)
    return run


def test_threshold_and_multiplier_follow_the_failures_of_each_epoch() -> None:
    with begun() as run:
        records, weights = [], []
        for _ in range(4):
            records.append(run.epoch())
            weights.append(run._agent._penalty.multiplier)
        assert run._agent.safety.transitions.added == records[-1].steps, "the critic learns from all that was done"
    assert records[0].epsilon == pytest.approx(0.1) and records[0].failures_per_episode > 0.2
    multiplier = 0.0
    for before, after in zip(records, records[1:], strict=False):
        assert after.epsilon == pytest.approx(max(0.1, min(0.2 - before.failures_per_episode, 0.999)))
    for record, weight in zip(records, weights, strict=True):
        multiplier = max(0.0, multiplier + 0.2 * (record.failures_per_episode - 0.2))
        assert record.multiplier == pytest.approx(multiplier)
        assert weight == pytest.approx(multiplier / (1.0 - SETTINGS.cost_gamma))
    assert records[0].multiplier > 0.0
    assert all(math.isfinite(record.gated) for record in records[1:])


def test_it_goes_on_exactly() -> None:
    with begun() as whole:
        whole.epoch()
        kept = whole.state()
        expected = [repr(dataclasses.replace(whole.epoch(), wall_time_s=0.0)) for _ in range(2)]
    with begun() as later:
        later.restore(kept)
        assert [repr(dataclasses.replace(later.epoch(), wall_time_s=0.0)) for _ in range(2)] == expected


def test_where_costs_add_up_it_is_refused() -> None:
    with pytest.raises(ValueError, match="CSC on SAC needs a task that a failure ends; costs add up in adding_disc"):
        METHODS["csc-sac"].begin(dataclasses.replace(PLAN, task="adding_disc"))


@pytest.mark.parametrize(("alpha", "unseen"), [(0.0, 0.5), (CSC_ALPHA, 0.8)])
def test_its_critic_is_careful_of_what_was_not_done(alpha: float, unseen: float) -> None:
    """All data is of -1, which never fails; the policy would do 1."""
    settings = SqrlSettings(gamma=0.0, alpha=alpha, hidden=(16,), learning_rate=1e-2, updates=600, batch=64)
    critic = OnPolicyCritic(1, np.ones(1), settings, seed=0)
    data = {
        "chain": np.arange(100, dtype=np.int32),
        "observation": np.zeros((100, 1)),
        "chosen": np.full((100, 1), -1.0),
        "cost": np.zeros(100),
        "terminated": np.ones(100, dtype=bool),
        "next_observation": np.zeros((100, 1)),
    }
    critic.learn(data, lambda observation, noise: 0.0 * noise + 1.0)
    with torch.no_grad():
        done, other = critic.probability(torch.zeros(2, 1), torch.tensor([[-1.0], [1.0]])).numpy()
    assert done < 0.1 and (other > unseen if alpha else other < unseen)
