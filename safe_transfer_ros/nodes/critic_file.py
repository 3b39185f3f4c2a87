# SPDX-License-Identifier: Apache-2.0
"""The safety critic of a file as the filter's gate; another file takes its place between two episodes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.policies.critic import LoadedCritic, load_critic
from safe_transfer_ros.policies.weights import WeightsError
from safe_transfer_ros.safety.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.in_graph import TaskInGraph

Array = npt.NDArray[np.float64]

_GATE_STREAM = 5  # of the run's seed; 0 to 2 are initial states, action noise and updates


class CriticFileGate:
    """A Gate made from a safetensors file; see `safety.critic_gate.Gate`.

    Attributes:
      version: First digits of the file's hash; goes into every decision.
    """

    def __init__(
        self, path: str, graph: TaskInGraph, *, seed: int, epsilon: float = 0.0, uncertified: bool = False
    ) -> None:
        """Load the critic.

        Args:
          path: File.
          graph: The task that it must fit.
          seed: Of the candidates drawn.
          epsilon: Largest acceptable risk; 0: the model card's.
          uncertified: Take one that its training did not certify.

        Raises:
          ConfigurationError: if it cannot be used; the text says why.
        """
        self._path, self._graph, self._epsilon, self._uncertified = Path(path), graph, epsilon, uncertified
        self._noise = np.random.default_rng([seed, _GATE_STREAM]).standard_normal
        self._stamp = _stamp(self._path)
        try:
            self._use(self._loaded())
        except (WeightsError, ValueError) as error:
            raise ConfigurationError(f"safety_filter: critic: {error}") from error

    def refresh(self) -> str | None:
        """Take the file's critic if the file was replaced; call it only while no episode runs.

        Returns:
          None, or why the new file was refused; the critic in use stays.
        """
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            self._use(self._loaded())
        except (WeightsError, ValueError) as error:
            return f"{error}; critic {self.version} stays in use"
        return None

    def judge(
        self, observation: Array, mean: Array, stddev: Array, sample: Array, torque_limit: float
    ) -> tuple[Array, float, Verdict, Reason]:
        """See `MaskedPolicyGate.judge`."""
        return self._gate.judge(observation, mean, stddev, sample, self._graph.gate_limit(torque_limit))

    def _loaded(self) -> LoadedCritic:
        task = self._graph.task
        loaded = load_critic(self._path, observation_size=task.observation_size, action_size=task.action_size)
        trained_on = loaded.card.get("task", "")
        if trained_on and trained_on != task.name:
            raise WeightsError(f"{self._path} was trained on task {trained_on}, not {task.name}")
        if not loaded.card.get("certified") and not self._uncertified:
            against = "; ".join(loaded.card.get("against", [])) or "its card does not say so"
            raise WeightsError(
                f"{self._path} is not certified ({against}); critic_uncertified: true takes it all the same"
            )
        return loaded

    def _use(self, loaded: LoadedCritic) -> None:
        settings = MaskSettings(epsilon=self._epsilon or float(loaded.card["epsilon"]))
        self._gate = MaskedPolicyGate(loaded.critic, self._graph.action_bound, settings, self._noise)
        self.version = loaded.version


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
