# SPDX-License-Identifier: Apache-2.0
"""The safety critic of a file as the filter's gate; another file takes its place between two episodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.safety_critic import LoadedCritic, load_critic
from safe_transfer_ros.parameters.settings import FilterSettings
from safe_transfer_ros.policies.weights import WeightsError
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.safety.critic.schedule import CscSchedule
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.deployment import TaskInGraph

Array = npt.NDArray[np.float64]


class CriticFileGate:
    """A Gate made from a safetensors file; see `safety.critic_gate.Gate`.

    Attributes:
      version: First digits of the file's hash; goes into every decision.
      scheduled: Whether epsilon follows the unsafety that is measured: then it wants to `hear` of it.
    """

    def __init__(self, graph: TaskInGraph, settings: FilterSettings, *, seed: int) -> None:
        """Load the critic.

        Args:
          graph: The task that it must fit.
          settings: critic, the file; what else begins with critic_.
          seed: Of the candidates drawn.

        Raises:
          ConfigurationError: if it cannot be used; the text says why.
        """
        if settings.clamp == "scale" and graph.torques:
            raise ConfigurationError(
                "safety_filter: a critic of torques has learned from torques clamped joint by joint: leave out clamp: "
                "scale, or the critic"
            )
        self._path, self._graph, self._settings = Path(settings.critic), graph, settings
        self.scheduled = settings.critic_schedule == "csc"
        self._schedule = CscSchedule(
            chi=settings.critic_chi, floor=settings.critic_floor, episode_steps=graph.task.horizon
        )
        self._seed, self._iteration, self._episodes, self._asked = seed, -1, 0, False
        self._begin_episode(None)
        self._stamp = _stamp(self._path)
        try:
            self._use(self._loaded(), None)
        except (WeightsError, ValueError) as error:
            raise ConfigurationError(f"safety_filter: critic: {error}") from error

    @property
    def epsilon(self) -> float:
        """Largest acceptable risk in force."""
        return self._gate.settings.epsilon

    def hear(self, iteration: int, unsafety_rate: float) -> None:
        """What was measured in an iteration; counts from the next `refresh` on."""
        self._schedule.hear(iteration, unsafety_rate)

    def refresh(self, iteration: int | None) -> str | None:
        """Take the file's critic if the file was replaced, and the epsilon that is due; only while no episode runs.

        Args:
          iteration: Whose episodes begin; None if it cannot be told.

        Returns:
          None, or why the new file was refused; the critic in use stays.
        """
        self._begin_episode(iteration)
        stamp, refusal = _stamp(self._path), None
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._use(self._loaded(), iteration)
            except (WeightsError, ValueError) as error:
                refusal = f"{error}; critic {self.version} stays in use"
        self._gate.settings = MaskSettings(epsilon=self._due(self._card, iteration))
        return refusal

    def diagnosis(self) -> dict[str, str]:
        """For /diagnostics: which critic, what it lets pass, and from what that follows."""
        rule = self._settings.critic_schedule
        if self.scheduled:
            failures = self._schedule.failures
            rule += ", no estimate: the floor" if failures is None else f", {failures:.4g} failures an episode"
        return {"critic": self.version, "critic_epsilon": f"{self.epsilon:.6g}", "critic_schedule": rule}

    def judge(
        self, observation: Array, mean: Array, stddev: Array, sample: Array, torque_limit: float
    ) -> tuple[Array, float, Verdict, Reason]:
        """See `MaskedPolicyGate.judge`."""
        self._asked = True
        return self._gate.judge(observation, mean, stddev, sample, self._graph.gate_limit(torque_limit))

    def _begin_episode(self, iteration: int | None) -> None:
        """Each episode draws its own candidates: a run that is resumed draws what it would have drawn."""
        number = -1 if iteration is None else iteration
        if number != self._iteration:
            self._iteration, self._episodes = number, 0
        elif self._asked:  # not where arming is tried again
            self._episodes += 1
        self._asked = False
        self._candidates = generator(Purpose.GATE, self._seed, number + 1, self._episodes)

    def _noise(self, size: tuple[int, ...]) -> Array:
        return self._candidates.standard_normal(size)

    def _loaded(self) -> LoadedCritic:
        task = self._graph.task
        loaded = load_critic(self._path, observation_size=task.observation_size, action_size=task.action_size)
        trained_on = loaded.card.get("task", "")
        if trained_on and trained_on != task.name:
            raise WeightsError(f"{self._path} was trained on task {trained_on}, not {task.name}")
        if not loaded.card.get("certified") and not self._settings.critic_uncertified:
            against = "; ".join(loaded.card.get("against", [])) or "its card does not say so"
            raise WeightsError(
                f"{self._path} is not certified ({against}); critic_uncertified: true takes it all the same"
            )
        return loaded

    def _use(self, loaded: LoadedCritic, iteration: int | None) -> None:
        settings = MaskSettings(epsilon=self._due(loaded.card, iteration))
        self._gate = MaskedPolicyGate(loaded.critic, self._graph.action_bound, settings, self._noise)
        self._card, self.version = loaded.card, loaded.version

    def _due(self, card: dict[str, Any], iteration: int | None) -> float:
        """Largest acceptable risk in the iteration's episodes."""
        highest = self._settings.critic_epsilon or _number(card, "epsilon")
        return self._schedule.epsilon(highest, _number(card, "gamma_safe"), iteration) if self.scheduled else highest


def _number(card: dict[str, Any], name: str) -> float:
    try:
        return float(card[name])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the model card tells no {name}: {card.get(name)!r}") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
