# SPDX-License-Identifier: Apache-2.0
"""The off-policy loop: known answers of TD3 and SAC, what it keeps of a transition, runs resumed exactly."""

from __future__ import annotations

import io
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from identity_task import Identity, IdentityEnv
from point_task import Point, PointEnv

from safe_transfer_ros.algorithms.hindsight import GoalRelabel, SparseReward
from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.off_policy import Agent, Greedy, OffPolicyLoop, OffPolicySettings
from safe_transfer_ros.learning.replay_buffer import Hindsight
from safe_transfer_ros.tasks import task

PENDULUM = Path(__file__).parents[2] / "examples" / "pendulum.py"
SMALL = (64, 64)


def td3(observations: int, bound: np.ndarray, **settings: Any) -> Td3:
    settings = {"gamma": 0.95, "hidden": SMALL} | settings
    return Td3(observations, bound, Td3Settings(**settings), seed=0)


def sac(observations: int, bound: np.ndarray, **settings: Any) -> Sac:
    settings = {"gamma": 0.95, "hidden": SMALL, "learning_rate": 1e-3} | settings
    return Sac(observations, bound, SacSettings(**settings), seed=0)


MADE = pytest.mark.parametrize("made", [td3, sac])


@pytest.fixture
def known() -> Iterator[None]:
    pendulum = runpy.run_path(str(PENDULUM))["Pendulum"]
    classes = {"identity": Identity, "point": Point, "pendulum": pendulum}
    for name, kind in classes.items():
        task.register(name)(kind)
    yield
    for name in classes:
        del task.TASKS._things[name]


@MADE
def test_the_identity_is_learned_in_400_steps(made: Callable[..., Agent], known: None) -> None:
    """As stable-baselines3's tests have it: 400 steps, a return of 90 of 100."""
    rows = IdentityEnv(Identity(), 4)
    loop = OffPolicyLoop(rows, made(1, rows.action_bound), OffPolicySettings(epoch_steps=100, warmup=100), seed=0)
    with TaskEnvironment("identity") as judge:
        before = loop.evaluate(judge, 20).mean_return
        found = loop.epoch()
        after = loop.evaluate(judge, 20).mean_return
    assert (found.steps, found.updates, found.episodes) == (400, 300, 4)
    assert before < 80.0 < 90.0 <= after


def test_the_examples_pendulum_is_gymnasiums() -> None:
    example = runpy.run_path(str(PENDULUM))
    ours = example["Pendulum"].single_environment()
    theirs = gymnasium.make("Pendulum-v1").unwrapped
    seen, _ = ours.reset(seed=3)
    theirs.reset(seed=0)
    theirs.state = np.array([np.arctan2(seen[1], seen[0]), seen[2]])
    for action in np.random.default_rng([0, 5]).uniform(-3.0, 3.0, (100, 1)):
        mine, reward, *_ = ours.step(action)
        other, their_reward, *_ = theirs.step(action)
        np.testing.assert_allclose(mine, other, atol=1e-5)
        assert reward == pytest.approx(their_reward, abs=1e-6)


def test_a_pendulum_is_swung_up(known: None) -> None:
    """A small case of benchmarks/off_policy_pendulum.py: -200 is reached within 5,600 steps (4 of 4 seeds by 3,600)."""
    rows = task.TASKS["pendulum"].vector_environment(2)
    agent = sac(3, rows.action_bound, gamma=0.98, learning_rate=2e-3)
    loop = OffPolicyLoop(rows, agent, OffPolicySettings(epoch_steps=200, warmup=500, batch=128), seed=0)
    with TaskEnvironment("pendulum") as judge:
        before = after = loop.evaluate(judge, 10).mean_return
        while after < -200.0 and loop.epochs < 14:
            loop.epoch()
            after = loop.evaluate(judge, 10).mean_return
    assert before < -900.0 and after > -200.0


class Still:
    """An agent that always does the same, and remembers what it was given to learn from."""

    noise_size = 0

    def __init__(self, action: np.ndarray) -> None:
        self.action, self.given = action, []

    def act(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.tile(self.action, (len(observation), 1))

    def update(self, columns: Any, rng: np.random.Generator) -> dict[str, float]:
        self.given.append(columns)
        return {"reward": float(columns["reward"].mean())}


def test_what_is_kept_of_a_transition_where_an_episode_ends() -> None:
    """Points that leave the disc fail and terminate; those that a time limit or the epoch stops are only truncated."""
    settings = OffPolicySettings(epoch_steps=45, warmup=30, batch=8, failure_cost=0.5)
    loop = OffPolicyLoop(PointEnv(Point(), 3), Still(np.array([0.02, 0.0])), settings, seed=1)
    found = loop.epoch()
    buffer = {name: loop.buffer[name] for name in loop.buffer.schema.names}
    count = 3 * 45
    assert (found.steps, len(buffer["reward"]), found.updates) == (count, count, count - 30)
    moved = buffer["next_observation"] - buffer["observation"]
    np.testing.assert_allclose(moved, np.clip(buffer["chosen"], -0.2, 0.2), atol=1e-6)
    failed = buffer["cost"] > 0
    assert 0 < failed.sum() < found.episodes and found.failures_per_episode == failed.sum() / found.episodes
    far = np.linalg.norm(buffer["next_observation"], axis=1)
    near = far < 0.1
    np.testing.assert_array_equal(failed, far > 1.0)
    np.testing.assert_array_equal(buffer["terminated"], failed | near)
    assert not (buffer["terminated"] & buffer["truncated"]).any()
    progress = np.linalg.norm(buffer["observation"], axis=1) - far
    np.testing.assert_allclose(buffer["reward"], progress - 0.5 * failed, atol=1e-6)
    steps = {number: (buffer["chain"] == number).sum() for number in np.unique(buffer["chain"])}
    over = {number: buffer["truncated"][buffer["chain"] == number] for number in steps}
    whole = [number for number in steps if steps[number] == Point.horizon]
    assert whole and all(over[number][-1] for number in whole)
    assert all(flags.sum() <= 1 and not flags[:-1].any() for flags in over.values())
    np.testing.assert_array_equal(buffer["truncated"][-3:] | buffer["terminated"][-3:], True)
    assert found.episodes == (buffer["terminated"].sum() + sum(steps[number] == Point.horizon for number in steps))
    ended = [number for number in steps if not (over[number][-1] and steps[number] < Point.horizon)]
    returns = [buffer["reward"][buffer["chain"] == number].sum() for number in ended]
    assert found.mean_return == pytest.approx(np.mean(returns), abs=1e-6) and len(ended) == found.episodes
    assert found.mean_cost == found.failures_per_episode == pytest.approx(failed.sum() / len(ended))
    after = loop.epoch()
    assert loop.buffer["chain"][count:].min() > max(steps), "an episode's number came twice"
    assert after.watched["reward"] == pytest.approx(
        np.mean([columns["reward"].mean() for columns in loop.agent.given[-count:]])
    )


def test_an_environment_may_write_into_what_it_gave() -> None:
    class Shared(PointEnv):
        def _look(self) -> np.ndarray:
            self._given = getattr(self, "_given", np.zeros((self.num_envs, 2)))
            self._given[:] = self._at
            return self._given

    settings = OffPolicySettings(epoch_steps=5, warmup=1)
    loop = OffPolicyLoop(Shared(Point(), 2), Still(np.array([0.01, 0.02])), settings, seed=3)
    assert loop.epoch().episodes == 0
    moved = loop.buffer["next_observation"] - loop.buffer["observation"]
    np.testing.assert_allclose(moved, loop.buffer["chosen"], atol=1e-6)
    assert np.abs(moved).min() > 0.0


def test_actions_are_uniform_until_the_agent_learns() -> None:
    rows = PointEnv(Point(), 2)
    loop = OffPolicyLoop(rows, Still(np.zeros(2)), OffPolicySettings(epoch_steps=20, warmup=25), seed=0)
    loop.epoch()
    drawn, own = loop.buffer["chosen"][:26], loop.buffer["chosen"][26:]
    assert np.abs(drawn).max() <= 0.2 and np.abs(drawn).mean() == pytest.approx(0.1, abs=0.03)
    assert len(np.unique(drawn)) == drawn.size and not own.any()


def test_an_agent_that_knows_better_acts_from_the_beginning() -> None:
    settings = OffPolicySettings(epoch_steps=20, warmup=25, uniform_warmup=False)
    loop = OffPolicyLoop(PointEnv(Point(), 2), Still(np.zeros(2)), settings, seed=0)
    assert loop.epoch().updates == 40 - 25
    assert not loop.buffer["chosen"].any()


@MADE
def test_a_run_is_resumed_exactly(made: Callable[..., Agent]) -> None:
    """Saved between two epochs, as a file, and gone on with by other objects: the same numbers to the last bit."""

    def new() -> OffPolicyLoop:
        rows = PointEnv(Point(), 3)
        settings = OffPolicySettings(epoch_steps=25, warmup=30, batch=16, capacity=100)  # the ring wraps
        return OffPolicyLoop(rows, made(2, rows.action_bound, hidden=(16, 16)), settings, seed=4)

    whole, first, second = new(), new(), new()
    for _ in range(3):
        expected = whole.epoch()
    first.epoch()
    saved = io.BytesIO()
    torch.save(first.state(), saved)
    first.epoch()  # what was saved does not go on
    saved.seek(0)
    second.restore(torch.load(saved, weights_only=False))
    second.epoch()
    found = second.epoch()
    np.testing.assert_equal(found, expected)
    equal(second.state(), whole.state())
    assert whole.updates == 3 * 75 - 30


def equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            equal(one[name], other[name])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        np.testing.assert_array_equal(one, other)


def test_hindsight_reaches_what_the_agent_learns_from() -> None:
    relabel = GoalRelabel(reached=slice(0, 1), wanted=slice(1, 2), reward=SparseReward(tolerance=1e-6), ends=True)
    agent = Still(np.array([0.1, 0.1]))
    settings = OffPolicySettings(epoch_steps=20, warmup=5, batch=64)
    loop = OffPolicyLoop(PointEnv(Point(), 2), agent, settings, seed=0, hindsight=Hindsight(relabel=relabel, share=1.0))
    loop.epoch()
    last = agent.given[-1]
    assert set(np.unique(last["reward"])) == {-1.0, 0.0}
    np.testing.assert_array_equal(last["terminated"], last["reward"] == 0.0)


def test_greedy_acts_without_noise() -> None:
    agent = sac(2, np.array([0.5, 2.0]))
    seen = np.random.default_rng([0, 1]).standard_normal((5, 2))
    mean, stddev = Greedy(agent.policy()).distribution(seen)
    np.testing.assert_allclose(mean, agent.act(seen, np.zeros((5, 2))), rtol=1e-4, atol=1e-6)
    assert not stddev.any() and np.abs(agent.act(seen, np.ones((5, 2))) - mean).min() > 0.01


def test_wrong_environments_and_settings_are_refused() -> None:
    good = OffPolicySettings(epoch_steps=10)
    with pytest.raises(ValueError, match="autoreset=True"):
        OffPolicyLoop(PointEnv(Point(), 2, autoreset=False), Still(np.zeros(2)), good, seed=0)
    rows = PointEnv(Point(), 2)
    rows.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    with pytest.raises(ValueError, match="finite .*bound"):
        OffPolicyLoop(rows, Still(np.zeros(2)), good, seed=0)
    for wrong in ({"epoch_steps": 0}, {"warmup": 0}, {"updates_per_transition": 0.0}):
        with pytest.raises(ValueError, match="expected (epoch_steps|warmup)"):
            OffPolicySettings(**{"epoch_steps": 1} | wrong)
    loop = OffPolicyLoop(PointEnv(Point(), 2), td3(2, np.full(2, 0.2)), good, seed=0)
    other = OffPolicyLoop(
        PointEnv(Point(), 2), td3(2, np.full(2, 0.2)), OffPolicySettings(epoch_steps=10, capacity=7), seed=0
    )
    with pytest.raises(ValueError, match="a buffer of 7 transitions"):
        other.restore(loop.state())
