# SPDX-License-Identifier: Apache-2.0
"""A policy to start learning from that imitates a rule (DAgger, Ross et al. 2011) or clones a controller.

The rule is asked in the states that its imitator comes to, not only in its own: an error of the imitation leads where
the rule alone never was. A controller is only watched. Nothing of it counts as an episode of the run that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.behaviour_cloning import BehaviourCloning
from safe_transfer_ros.learning.environment import ConstrainedEnvironment
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import distribution, from_tensors, initial_parameters, to_tensors
from safe_transfer_ros.policies.weights import Architecture, Parameters
from safe_transfer_ros.randomness import FirstEpisode, Purpose, generator
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.scripted import from_above, past_obstacle
from safe_transfer_ros.tasks.push.task import PushScene, PushTask
from safe_transfer_ros.tasks.task import make

Array = NDArray[np.float64]

RULES: dict[str, Callable[[PushTask, PushScene], Array]] = {
    "panda_push_obstacle": past_obstacle,
    "panda_push_obstacle_movable": partial(from_above, around=True),
}
"""Tasks for which there is a rule that a policy can imitate: it looks at the scene alone."""


@dataclass(frozen=True, kw_only=True)
class ImitationSettings:
    """Settings of the imitation of a rule.

    Attributes:
      rounds: Batches of episodes; the first is acted by the rule, the others by the imitator.
      episodes: A round.
      updates: Of the imitator after each round, on all states so far.
      batch: States an update.
      learning_rate: Of Adam.
      noise: Standard deviation of what is added to every action, so that it sees how to get back.
      stddev: Of the policy that comes of it.
    """

    rounds: int = 20
    episodes: int = 40
    updates: int = 1500
    batch: int = 256
    learning_rate: float = 1e-3
    noise: float = 0.06
    stddev: float = 0.05


def imitated(
    task_name: str, seed: int, *, hidden: tuple[int, ...], settings: ImitationSettings | None = None
) -> Parameters:
    """A policy that acts as the rule of its task does.

    Args:
      task_name: Name of the task, one of `RULES`.
      seed: Of everything random.
      hidden: Hidden layers of the policy.
      settings: The defaults if not given.

    Raises:
      ValueError: if there is no rule for the task.
    """
    if task_name not in RULES:
        raise ValueError(f"there is no rule to imitate for {task_name}, only for {', '.join(RULES)}")
    task, rule, settings = make(task_name, PushTask), RULES[task_name], settings or ImitationSettings()
    imitator = _Imitator(task.observation_size, task.action_size, seed, hidden=hidden, settings=settings)
    rng = generator(Purpose.IMITATION, seed)
    seen: list[NDArray[np.float32]] = []
    wanted: list[NDArray[np.float32]] = []
    scenes = PushVectorEnv(task, settings.episodes, threads=1, autoreset=False)
    for number in range(settings.rounds):
        policy = GaussianPolicy(imitator.parameters()) if number else None
        first = FirstEpisode.IMITATION + number * settings.episodes
        observation, _ = scenes.reset(seed=seed, options={"first_episode": first})
        failed = np.zeros(settings.episodes, dtype=np.bool_)
        for _ in range(task.horizon):
            right = rule(task, scenes.simulation.scenes())
            seen.append(observation[~failed].astype(np.float32))
            wanted.append(right[~failed].astype(np.float32))
            action = right if policy is None else policy.distribution(observation)[0]
            observation, _, _, _, info = scenes.step(action + settings.noise * rng.standard_normal(action.shape))
            failed |= info["failure"]  # what follows a failure is not to be imitated
        imitator.fit(np.concatenate(seen), np.concatenate(wanted), rng)
    scenes.close()
    return imitator.parameters()


def cloned(
    controller: Callable[[Array], Array],
    environment: ConstrainedEnvironment,
    seed: int,
    *,
    hidden: tuple[int, ...],
    settings: ImitationSettings | None = None,
) -> Parameters:
    """A policy that acts as a controller does where that leads, with some noise (behaviour cloning).

    Args:
      controller: Gives actions (b, n) for observations (b, k).
      environment: Where it is watched, for as many episodes as a round of `settings` has.
      seed: Of everything random.
      hidden: Hidden layers of the policy.
      settings: The defaults if not given; noise and stddev are fractions of the bound, updates are done once a round.
    """
    settings = settings or ImitationSettings()
    watched = environment.rollout(
        _Watched(controller, settings.noise * environment.action_bound),
        episodes=settings.episodes,
        seed=seed,
        first_episode=FirstEpisode.IMITATION,
    )
    seen = watched.observation[:, :-1][watched.valid]
    imitator = _Imitator(seen.shape[1], len(environment.action_bound), seed, hidden=hidden, settings=settings)
    rng = generator(Purpose.IMITATION, seed)
    wanted = controller(seen).astype(np.float32)
    for _ in range(settings.rounds):
        imitator.fit(seen.astype(np.float32), wanted, rng)
    return imitator.parameters()


class _Watched:
    """A controller as rollouts want a policy."""

    def __init__(self, controller: Callable[[Array], Array], stddev: Array) -> None:
        self._controller, self._stddev = controller, stddev

    def distribution(self, observation: Array) -> tuple[Array, Array]:
        return self._controller(observation), self._stddev


class _Imitator:
    """A Gaussian policy whose mean is fitted to somebody's actions."""

    def __init__(
        self, observations: int, actions: int, seed: int, *, hidden: tuple[int, ...], settings: ImitationSettings
    ) -> None:
        architecture = Architecture(observation_size=observations, hidden=hidden, action_size=actions)
        start = initial_parameters(architecture, seed, log_std=float(np.log(settings.stddev)))
        self._settings, self._tensors = settings, to_tensors(start, requires_grad=True)
        self._cloning = BehaviourCloning(
            lambda seen: distribution(self._tensors, seen).mean,
            [tensor for name, tensor in self._tensors.items() if name != "log_std"],
            learning_rate=settings.learning_rate,
        )

    def fit(self, seen: NDArray[np.float32], wanted: NDArray[np.float32], rng: np.random.Generator) -> None:
        settings = self._settings
        self._cloning.fit(seen, wanted, updates=settings.updates, batch=settings.batch, rng=rng)

    def parameters(self) -> Parameters:
        return from_tensors(self._tensors)
