# SPDX-License-Identifier: Apache-2.0
"""The one off-policy loop: an agent acts in a vector environment and learns from everything it has seen.

An epoch is a number of steps in every row of the environment. It begins with fresh episodes, and those that still run
at its end are cut off there, as by a time limit. So a run is resumed exactly from what lies between two epochs, and no
environment has to give away what is in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from safe_transfer_ros.learning.environment import ConstrainedEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation, evaluate
from safe_transfer_ros.learning.replay_buffer import Hindsight, ReplayBuffer
from safe_transfer_ros.learning.transitions import Columns, schema
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]

COLUMNS = ("chain", "observation", "chosen", "reward", "cost", "terminated", "truncated", "next_observation")
"""Of a transition, what the loop keeps; see `bags.transition_store.transition_dtype`."""


class Agent(Protocol):
    """Actors and critics that learn from transitions, for example `algorithms.td3.Td3`.

    Attributes:
      noise_size: Numbers of noise per action.
    """

    @property
    def noise_size(self) -> int:
        """Numbers of noise per action."""
        ...

    def act(self, observation: Array, noise: Array) -> Array:
        """Actions to explore with, shape (b, n), for observations (b, k) and standard normal noise (b, noise_size)."""
        ...

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """Learn from transitions once; gives numbers to watch, under the same names at every update or some."""
        ...

    def policy(self) -> Policy:
        """Policy that it has learned, to act on the robot side."""
        ...

    def policy_file(self, metadata: Mapping[str, str]) -> bytes | None:
        """That policy as a file's content, which `policies.loading.policy_from_bytes` reads; None: no kind holds it."""
        ...

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """Settings of learning from a buffer.

    Attributes:
      warmup: Transitions before the agent learns.
      updates_per_transition: Updates for each transition after these.
      batch: Transitions an update.
      capacity: Transitions kept at most.
    """

    warmup: int = 1_000
    updates_per_transition: float = 1.0
    batch: int = 256
    capacity: int = 1_000_000

    def __post_init__(self) -> None:
        if min(self.warmup, self.batch, self.capacity) < 1 or not self.updates_per_transition > 0.0:
            raise ValueError(
                f"expected warmup, batch and capacity of at least 1 and updates_per_transition above 0, got {self}"
            )


@dataclass(frozen=True, kw_only=True)
class OffPolicySettings(ReplaySettings):
    """Settings of the loop; those of its learning are `ReplaySettings`.

    Attributes:
      epoch_steps: Steps of an epoch in every row. A multiple of the task's horizon cuts no episode off.
      uniform_warmup: Whether the warm-up is of uniform actions; if not, the agent acts from the beginning.
      failure_cost: Taken off the reward of a step that fails; see `Task.failure_cost`.
    """

    epoch_steps: int
    uniform_warmup: bool = True
    failure_cost: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epoch_steps < 1:
            raise ValueError(f"expected epoch_steps of at least 1, got {self.epoch_steps}")


@dataclass(frozen=True, kw_only=True)
class OffPolicyEpoch:
    """Results of an epoch. Means are over the episodes that ended in it by themselves, NaN where there is none.

    Attributes:
      epoch: Its number, from 0.
      steps: Transitions since the run's start.
      updates: Of the agent since then.
      episodes: That ended by themselves in this epoch.
      mean_return: Sum of an episode's rewards, with the noise of exploration.
      mean_cost: Steps of an episode that led to an unsafe state.
      failures_per_episode: Share of episodes with such a step.
      success_rate: Share of episodes that ended at their goal.
      watched: Means of the numbers that the agent's updates gave.
    """

    epoch: int
    steps: int
    updates: int
    episodes: int
    mean_return: float
    mean_cost: float
    failures_per_episode: float
    success_rate: float
    watched: dict[str, float]


class Greedy:
    """Policy that acts without its noise, as rollouts want one: as a distribution without a spread."""

    def __init__(self, policy: Policy) -> None:
        """Take a policy without memory."""
        self._policy = policy

    def distribution(self, observation: Array) -> tuple[Array, Array]:
        """Action (b, n) for observations (b, k), and zeros."""
        action = self._policy.act(observation, np.zeros((len(observation), self._policy.noise_size))).action
        return action, np.zeros_like(action)


class ReplayLearner:
    """An agent that learns from a buffer as often as there are new transitions, whoever collects them.

    Attributes:
      agent: The one that learns.
      buffer: Transitions seen.
      updates: Updates of the agent.
    """

    def __init__(
        self,
        agent: Agent,
        columns: np.dtype[Any],
        settings: ReplaySettings,
        *,
        seed: int,
        hindsight: Hindsight | None = None,
    ) -> None:
        """Start with an empty buffer.

        Args:
          agent: Learns.
          columns: Of the buffer; see `transitions.schema`.
          settings: See `ReplaySettings`.
          seed: With the numbers of transitions and updates it fixes everything random.
          hindsight: Gives other goals to some of the transitions that are learned from.
        """
        self.agent, self.buffer, self.updates = agent, ReplayBuffer(settings.capacity, columns), 0
        self._settings, self._seed, self._hindsight = settings, seed, hindsight
        self._given = 0  # transitions that no update is due for

    def give(self, transitions: Columns) -> None:
        """Add what was recorded earlier. It is learned from, but only new transitions ask for updates."""
        self.buffer.add(transitions)
        self._given = self.buffer.added

    def learn(self) -> dict[str, list[float]]:
        """Do the updates that are due; gives what each watched, by name."""
        settings, watched = self._settings, dict[str, list[float]]()
        fresh = self.buffer.added - max(settings.warmup, self._given)
        due = int(fresh * settings.updates_per_transition)
        while self.updates < due:
            rng = generator(Purpose.OFF_POLICY_UPDATE, self._seed, self.updates)
            columns = self.buffer.sample(settings.batch, rng, hindsight=self._hindsight)
            for name, value in self.agent.update(columns, rng).items():
                watched.setdefault(name, []).append(value)
            self.updates += 1
        return watched

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`: the transitions are part of it."""
        return {
            "updates": self.updates,
            "given": self._given,
            "agent": self.agent.state(),
            "buffer": self.buffer.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly: what follows gives the same numbers.

        Args:
          state: Of `state`; without a buffer the transitions are those that have been added here.

        Raises:
          ValueError: if the state is of a run with another buffer.
        """
        if "buffer" in state:
            self.buffer.restore(state["buffer"])
        self.agent.restore(state["agent"])
        self.updates, self._given = int(state["updates"]), int(state["given"])


class OffPolicyLoop:
    """One run of an agent in an environment.

    Attributes:
      agent: The one that learns.
      epochs: Epochs done.
    """

    def __init__(
        self,
        environment: VectorEnv[Any, Any, Any],
        agent: Agent,
        settings: OffPolicySettings,
        *,
        seed: int,
        hindsight: Hindsight | None = None,
    ) -> None:
        """Start a run.

        Args:
          environment: With numbered episodes, each followed by another in the same step, "cost" and "success" in info
            (see `tasks.vector_environment.NumberedVectorEnv`).
          agent: Learns.
          settings: See `OffPolicySettings`.
          seed: With the numbers of episodes, steps and updates it fixes everything random.
          hindsight: Gives other goals to some of the transitions that are learned from.

        Raises:
          ValueError: if the environment's episodes are not followed by others, or its actions are not a bounded box.
        """
        if environment.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError("expected an environment whose episodes follow each other: make it with autoreset=True")
        observations, actions = environment.single_observation_space, environment.single_action_space
        assert isinstance(observations, Box) and isinstance(actions, Box), f"{observations}, {actions}"
        if not np.isfinite(actions.high).all() or (actions.low != -actions.high).any():
            raise ValueError(f"expected actions within a finite +-bound, got {actions}")
        self.agent, self.epochs = agent, 0
        self._environment, self._settings, self._seed = environment, settings, seed
        self._bound = np.asarray(actions.high, dtype=np.float64)
        columns = schema(len(self._bound), observations.shape[0], columns=COLUMNS)
        self._learner = ReplayLearner(agent, columns, settings, seed=seed, hindsight=hindsight)
        self._next_episode = 0

    @property
    def buffer(self) -> ReplayBuffer:
        """Transitions seen."""
        return self._learner.buffer

    @property
    def updates(self) -> int:
        """Updates of the agent."""
        return self._learner.updates

    def epoch(self) -> OffPolicyEpoch:
        """Act and learn for an epoch."""
        rows, settings = self._environment.num_envs, self._settings
        ended, running = _Episodes(), _Episodes.of(rows)
        watched: dict[str, list[float]] = {}
        observation, _ = self._environment.reset(seed=self._seed, options={"first_episode": self._next_episode})
        for step in range(settings.epoch_steps):
            observation = np.array(observation)  # an environment may write into it
            action = self._explore(observation)
            following, reward, terminated, truncated, info = self._environment.step(action)
            over = terminated | truncated
            led_to = np.where(info["_final_obs"][:, None], info["final_obs"], following) if over.any() else following
            reward = reward - settings.failure_cost * (info["cost"] > 0.0)
            cut = ~over if step == settings.epoch_steps - 1 else np.zeros(rows, dtype=np.bool_)
            self.buffer.add(
                {
                    "chain": info["episode_number"].astype(np.int32),
                    "observation": observation,
                    "chosen": action,
                    "reward": reward,
                    "cost": info["cost"],
                    "terminated": terminated,
                    "truncated": truncated | cut,
                    "next_observation": led_to,
                }
            )
            running.add(reward, info)
            ended.take(running, over)
            self._next_episode = max(self._next_episode, int(info["episode_number"].max()) + 1)
            observation = following
            for name, values in self._learner.learn().items():
                watched.setdefault(name, []).extend(values)
        self.epochs += 1
        return self._report(ended, watched)

    def evaluate(
        self, environment: ConstrainedEnvironment, episodes: int, *, policy: Policy | None = None
    ) -> Evaluation:
        """Evaluate what was learned, without noise, in episodes that it does not learn from; see `evaluation.evaluate`.

        Args:
          environment: The same task, for whole episodes.
          episodes: How many.
          policy: Another that is evaluated in its place.
        """
        acting = Greedy(self.agent.policy() if policy is None else policy)
        return evaluate(acting, environment, episodes=episodes, seed=self._seed)

    def state(self) -> dict[str, Any]:
        """Complete state between two epochs, for `restore`: the transitions are part of it."""
        return {"epochs": self.epochs, "next_episode": self._next_episode, **self._learner.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly: what follows gives the same numbers.

        Raises:
          ValueError: if the state is of a run with another buffer.
        """
        self._learner.restore(state)
        self.epochs, self._next_episode = int(state["epochs"]), int(state["next_episode"])

    def _explore(self, observation: Array) -> Array:
        """Uniform actions during the warm-up, then the agent's."""
        rng, rows = generator(Purpose.EXPLORATION, self._seed, self.buffer.added), len(observation)
        if self._settings.uniform_warmup and self.buffer.added < self._settings.warmup:
            return rng.uniform(-self._bound, self._bound, (rows, len(self._bound)))
        return self.agent.act(observation, rng.standard_normal((rows, self.agent.noise_size)))

    def _report(self, ended: _Episodes, watched: Mapping[str, list[float]]) -> OffPolicyEpoch:
        count = len(ended.returns)
        return OffPolicyEpoch(
            epoch=self.epochs - 1,
            steps=self.buffer.added,
            updates=self.updates,
            episodes=count,
            mean_return=float(ended.returns.mean()) if count else float("nan"),
            mean_cost=float(ended.costs.mean()) if count else float("nan"),
            failures_per_episode=float((ended.costs > 0.0).mean()) if count else float("nan"),
            success_rate=float(ended.succeeded.mean()) if count else float("nan"),
            watched={name: float(np.mean(values)) for name, values in watched.items()},
        )


@dataclass(kw_only=True, eq=False)
class _Episodes:
    """Sums over episodes, one place each."""

    returns: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    costs: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    succeeded: Array = dataclasses.field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, rows: int) -> _Episodes:
        """One that begins in each row."""
        return cls(returns=np.zeros(rows), costs=np.zeros(rows), succeeded=np.zeros(rows))

    def add(self, reward: Array, info: Mapping[str, Any]) -> None:
        """Add a step of each."""
        self.returns += reward
        self.costs += info["cost"] > 0.0
        self.succeeded[:] = info["success"]

    def take(self, running: _Episodes, over: NDArray[np.bool_]) -> None:
        """Take the episodes that are over; their places begin again."""
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(running, field.name)
            setattr(self, field.name, np.concatenate([mine, theirs[over]]))
            theirs[over] = 0.0
