# SPDX-License-Identifier: Apache-2.0
"""The safety critic that is sent to the filter as its gate; another takes its place between two episodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.safety_critic import LoadedCritic, critic_from_bytes
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.policies.weights import WeightsError
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.safety.critic.gate import Answer
from safe_transfer_ros.safety.critic.masked_policy import MaskedPolicyGate, MaskSettings
from safe_transfer_ros.safety.critic.schedule import CscSchedule
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.untrusted import printable

Array = npt.NDArray[np.float64]
_TOLD = 200  # characters of what a card says that go into a refusal


class NoCriticError(RuntimeError):
    """Raised when a proposal is to be judged before a critic has come."""


class CriticGate:
    """A Gate made from the critics that are offered; see `safety.critic.gate.Gate`.

    Until one has been accepted every proposal is refused, and the filter is not to be armed.

    Attributes:
      version: First digits of the hash of the critic in use; goes into every decision. Empty before the first.
      offered_version: The same of the newest one accepted, in use from the next `refresh` on.
      scheduled: Whether epsilon follows the unsafety that is measured: then it wants to `hear` of it.
    """

    def __init__(self, graph: TaskInGraph, settings: FilterParameters, *, seed: int) -> None:
        """Wait for a critic.

        Args:
          graph: The task that it must fit.
          settings: What begins with critic_.
          seed: Of the candidates drawn.

        Raises:
          ConfigurationError: if the settings contradict a critic.
        """
        if settings.clamp == "scale" and graph.torques:
            raise ConfigurationError(
                "safety_filter: a critic of torques has learned from torques clamped joint by joint: leave out clamp: "
                "scale, or the critic"
            )
        self._graph, self._settings = graph, settings
        self.scheduled = settings.critic_schedule == "csc"
        self._schedule = CscSchedule(
            chi=settings.critic_chi, floor=settings.critic_floor, episode_steps=graph.task.horizon
        )
        self._seed, self._iteration, self._episodes, self._asked = seed, -1, 0, False
        self._gate: MaskedPolicyGate | None = None
        self._judging: LoadedCritic | None = None
        self._waiting: LoadedCritic | None = None
        self.version = self.offered_version = ""
        self._begin_episode(None)

    @property
    def epsilon(self) -> float:
        """Largest acceptable risk in force; 0 without a critic."""
        return self._gate.settings.epsilon if self._gate else 0.0

    @property
    def missing(self) -> str | None:
        """Reason why nothing can be judged yet; None once a critic was accepted."""
        return (
            None if self.offered_version else "a safety critic is required, and none has come on trainer/critic_weights"
        )

    def offer(self, data: bytes, sha256: str | None = None, *, name: str = "the critic sent") -> str | None:
        """Check a critic, and keep it for the next `refresh`.

        Args:
          data: Its bytes.
          sha256: Hexadecimal hash they must have; None skips that check.
          name: Where they come from, for the refusal.

        Returns:
          None, or why it is refused; the one before stays.
        """
        try:
            loaded = self._checked(data, sha256, name)
        except WeightsError as error:
            return str(error)
        except Exception as error:  # a stranger's file: whatever it raises, the filter keeps the critic it has
            return f"{name} cannot be used: {type(error).__name__}: {_told(error)}"
        self._waiting, self.offered_version = loaded, loaded.version
        return None

    def hear(self, iteration: int, unsafety_rate: float) -> None:
        """Process an iteration's estimate; effective from the next `refresh` on."""
        self._schedule.hear(iteration, unsafety_rate)

    def refresh(self, iteration: int | None) -> None:
        """Take the newest critic accepted, and the epsilon that is due; only while no episode runs.

        Args:
          iteration: Whose episodes begin; None if it cannot be told.
        """
        self._begin_episode(iteration)
        if self._waiting is not None:
            loaded, self._waiting = self._waiting, None
            self._judging, self.version = loaded, loaded.version
            settings = MaskSettings(epsilon=self._due(loaded, iteration))
            self._gate = MaskedPolicyGate(loaded.critic, self._graph.action_bound, settings, self._noise)
        elif self._gate is not None and self._judging is not None:
            self._gate.settings = MaskSettings(epsilon=self._due(self._judging, iteration))

    def diagnosis(self) -> dict[str, str]:
        """Values for /diagnostics: the critic, its threshold, and the origin of that threshold."""
        rule = self._settings.critic_schedule
        if self.scheduled:
            failures = self._schedule.failures
            rule += ", no estimate: the floor" if failures is None else f", {failures:.4g} failures per episode"
        return {"critic": self.version, "critic_epsilon": f"{self.epsilon:.6g}", "critic_schedule": rule}

    def judge(self, observation: Array, proposal: Proposal, torque_limit: float) -> Answer:
        """See `MaskedPolicyGate.judge`.

        Raises:
          NoCriticError: before the first critic.
        """
        if self._gate is None:
            raise NoCriticError(self.missing or "the critic is taken when the filter is armed")
        self._asked = True
        return self._gate.judge(observation, proposal, self._graph.gate_limit(torque_limit))

    def _begin_episode(self, iteration: int | None) -> None:
        """Begin an episode's own stream of candidates, so that a resumed run draws the same."""
        number = -1 if iteration is None else iteration
        if number != self._iteration:
            self._iteration, self._episodes = number, 0
        elif self._asked:  # not where arming is tried again
            self._episodes += 1
        self._asked = False
        self._candidates = generator(Purpose.GATE, self._seed, number + 1, self._episodes)

    def _noise(self, size: tuple[int, ...]) -> Array:
        return self._candidates.standard_normal(size)

    def _checked(self, data: bytes, sha256: str | None, name: str) -> LoadedCritic:
        task = self._graph.task
        loaded = critic_from_bytes(
            data, name=name, sha256=sha256, observation_size=task.observation_size, action_size=task.action_size
        )
        trained_on = loaded.card.get("task")
        if trained_on != task.name:
            raise WeightsError(f"{name} was trained on task {_told(trained_on)}, not {task.name}")
        if not loaded.certified and not self._settings.critic_uncertified:
            against = loaded.card.get("against")
            reasons = "; ".join(map(str, against)) if isinstance(against, list) else ""
            raise WeightsError(
                f"{name} is not certified ({_told(reasons or 'its card does not say so')}); "
                "critic_uncertified: true takes it all the same"
            )
        # All that any episode may ask of the card, now: a refusal while the filter is armed would end it.
        epsilon = self._highest(loaded)
        if not 0.0 < epsilon < 1.0:
            raise WeightsError(f"{name}: expected an epsilon in (0, 1) on its card, got {epsilon}")
        if self.scheduled and not 0.0 < loaded.number("gamma_safe") < 1.0:
            got = loaded.number("gamma_safe")
            raise WeightsError(f"{name}: critic_schedule csc expects gamma_safe in (0, 1) on its card, got {got}")
        return loaded

    def _highest(self, loaded: LoadedCritic) -> float:
        """Largest risk that is ever accepted: the operator's, or what the critic was certified for."""
        return self._settings.critic_epsilon or loaded.number("epsilon")

    def _due(self, loaded: LoadedCritic, iteration: int | None) -> float:
        """Largest acceptable risk in the iteration's episodes."""
        highest = self._highest(loaded)
        return self._schedule.epsilon(highest, loaded.number("gamma_safe"), iteration) if self.scheduled else highest


def _told(text: object) -> str:
    """A stranger's words, as much as a line of a log has room for."""
    return printable(str(text)[:_TOLD])
