# SPDX-License-Identifier: Apache-2.0
"""Runs of off-policy methods: what an epoch is, how failures are counted, what is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from point_task import Point

from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.learning.imitation import ImitationSettings, cloned
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.task import Goal
from safe_transfer_ros.transfer.constrained import run as constrained_run
from safe_transfer_ros.transfer.methods import METHODS
from safe_transfer_ros.transfer.off_policy.method import AgentTask, OffPolicyMethod
from safe_transfer_ros.transfer.off_policy.run import failures
from safe_transfer_ros.transfer.training import EpochRecord, TrainingPlan


class Adding(Point):
    """Costs add up."""

    cost_limit, has_goal = 3.0, False


class Anywhere(Adding):
    """Any place may be the goal, and the place itself is the whole observation: each is at its own."""

    goal = Goal(reached=slice(0, 2), wanted=slice(0, 2), tolerance=0.01)


@pytest.fixture(autouse=True)
def points() -> Iterator[None]:
    known = {"point": Point, "adding": Adding, "anywhere": Anywhere}
    for name, kind in known.items():
        task.register(name)(kind)
    yield
    for name in known:
        del task.TASKS._things[name]


def records(method: str, name: str, epochs: int) -> list[EpochRecord]:
    with METHODS[method].begin(TrainingPlan(task=name, episodes=4)) as run:
        return [run.epoch() for _ in range(epochs)]


@pytest.mark.parametrize("method", ["td3", "sac"])
def test_an_epoch_is_as_many_steps_as_whole_episodes_have(method: str) -> None:
    first, second = records(method, "point", 2)
    assert (first.steps, second.steps) == (120, 240) and (first.epoch, second.epoch) == (0, 1)
    assert 4 < first.episodes < second.episodes, "points that leave or arrive end sooner"
    assert 0.0 <= first.success_rate <= 1.0 and 0.0 < first.failures_per_episode <= 1.0
    assert 0 < first.cumulative_failures <= second.cumulative_failures
    assert first.multiplier == 0.0 and math.isnan(first.kl) and math.isnan(first.gated)
    assert 0.0 < first.wall_time_s < second.wall_time_s


def test_where_costs_add_up_each_is_counted() -> None:
    (found,) = records("td3", "adding", 1)
    assert math.isnan(found.success_rate)
    # The points' failures terminate: one an episode, however they are counted.
    assert found.cumulative_failures == round(found.failures_per_episode * found.episodes)


def test_failures_among_transitions() -> None:
    columns = {"chain": np.array([0, 0, 0, 1, 1, 2]), "cost": np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0])}
    assert failures(columns, adds_up=True) == 3
    assert failures(columns, adds_up=False) == 2


def test_the_first_epoch_is_the_warm_up() -> None:
    plan = TrainingPlan(task="point", episodes=4)
    with METHODS["td3"].begin(plan) as run:
        before = run.policy_file({})
        run.epoch()
        assert run.policy_file({}) == before
        run.epoch()
        assert run.policy_file({}) != before


def rewards_learned_from(name: str, **changes: int) -> np.ndarray:
    """Rewards of what a run's first updates are given."""
    given: list[np.ndarray] = []

    class Watching(Td3):
        def update(self, columns: Columns, rng: np.random.Generator) -> dict[str, float]:
            given.append(columns["reward"])
            return {}

    def agent(task: AgentTask) -> Td3:
        return Watching(task.observation_size, task.bound, Td3Settings(hidden=(8,)), seed=0)

    method = OffPolicyMethod(label="watching", agent=agent, **changes)
    with method.begin(TrainingPlan(task=name, episodes=4)) as run:
        run.epoch(), run.epoch()
    return np.concatenate(given)


def test_where_a_task_has_goals_four_of_five_transitions_are_replayed_with_a_later_one() -> None:
    # Under another goal a reward is -1 or 0; the point's own is how much nearer it came to the origin.
    def relabelled(rewards: np.ndarray) -> float:
        return float(np.isin(rewards, (-1.0, 0.0)).mean())

    assert relabelled(rewards_learned_from("anywhere")) == pytest.approx(0.8, abs=0.02)
    assert relabelled(rewards_learned_from("anywhere", goals=0)) == relabelled(rewards_learned_from("adding")) == 0.0


def test_a_warm_start_is_refused() -> None:
    with pytest.raises(ValueError, match="SAC has no warm start: leave out --warm-start"):
        METHODS["sac"].begin(TrainingPlan(task="point", warm_start=True))


def test_which_settings_concern_a_method_it_says_itself() -> None:
    varied = {
        name: set(METHODS[name].varied) for name in ("trpo", "cpo", "trpo-lagrangian", "csc", "td3", "dual-agent")
    }
    assert varied == {
        "trpo": set(),
        "cpo": {"chi"},
        "trpo-lagrangian": {"chi", "multiplier_rate"},
        "csc": {"chi", "multiplier_rate", "alpha"},
        "td3": set(),
        "dual-agent": {"chi"},
    }


@pytest.mark.parametrize("name", ["td3", "trpo"])
def test_a_baseline_is_for_methods_that_correct_one(name: str) -> None:
    with pytest.raises(ValueError, match="takes no baseline: leave out --baseline"):
        METHODS[name].begin(TrainingPlan(task="point", baseline="a.safetensors"))


def test_a_given_baseline_acts_from_the_first_step_and_is_kept_to_the_share_that_may_be_unsafe() -> None:
    controller = Path(__file__).parents[1] / "dual_agent" / "controllers.py"
    with METHODS["dual-agent"].begin(TrainingPlan(task="point", episodes=8, baseline=f"{controller}:outward")) as run:
        first = run.epoch()
    # By the coin every second step goes .2 outwards, which uniform ones do not.
    assert first.failures_per_episode > 0.9 and first.multiplier == 0.0
    agent = METHODS["dual-agent"].begin(TrainingPlan(task="point"))._loop.agent
    assert agent._settings.tolerance == TrainingPlan().settings.chi and agent._settings.horizon == Point.horizon


def test_a_clone_of_a_baseline_is_what_cloned_cpo_starts_from(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Path(__file__).parents[1] / "dual_agent" / "controllers.py"
    asked: list[np.ndarray] = []

    def watched(controller, environment, seed, **settings):
        asked.append(controller(np.array([[0.01, 1.0]])))
        return cloned(
            controller, environment, seed, settings=ImitationSettings(rounds=1, episodes=8, updates=100), **settings
        )

    monkeypatch.setattr(constrained_run, "cloned", watched)
    plan = TrainingPlan(task="point", episodes=8, baseline=f"{controller}:outward")
    with METHODS["cloned-cpo"].begin(plan) as run:
        found = run.epoch()
    np.testing.assert_allclose(asked, [[[0.05, 0.2]]])
    assert found.failures_per_episode > 0.9
    with pytest.raises(ValueError, match="starts from the clone of a baseline: leave out --warm-start"):
        METHODS["cloned-cpo"].begin(dataclasses.replace(plan, warm_start=True))
