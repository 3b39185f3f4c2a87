# SPDX-License-Identifier: Apache-2.0
"""Seam between `safe_transfer train` and its methods: a method begins a run, a run learns by epochs.

A run decides what an epoch is made of: on-policy methods roll out whole episodes and update once, off-policy ones
update at every step. Whoever drives it sees records, evaluations, a policy file and a state to resume from.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from safe_transfer_ros.learning.evaluation import Evaluation
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings

PRE_TRAINING, FINE_TUNING = "pretrain", "finetune"
PHASES = (PRE_TRAINING, FINE_TUNING)
"""Of a transfer: in the task as it is at the source, then in the task itself."""

BASELINE, NOISELESS = "baseline", "noiseless"
PARTS = (BASELINE, NOISELESS)
"""What some runs have to show beside what they have learned: the baseline that learns beside a safe agent, and a policy
that draws its actions without its noise."""


class BaselineUse(enum.Enum):
    """Use that a method has for a controller that is there already."""

    NONE = "takes no baseline"
    OPTIONAL = "can do without a baseline"
    REQUIRED = "starts from a baseline"


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Settings that a run begins with.

    Attributes:
      task: Name of the task.
      seed: Of everything random.
      episodes: Length of an epoch: so many whole episodes.
      warm_start: Begin with the imitation of the task's rule, not with a new policy.
      baseline: Controller that is corrected or cloned, see `transfer.dual_agent.baseline.part_of`; empty: none, a dual
        agent learns its own.
      settings: The same for every method; each uses what it has a use for.
      phase: One of `PHASES`; empty: the task is learned from scratch where it is to be done.
      start: Policy file that the run begins with, of the other phase most often; empty: it begins with nothing.
      environment: Settings of the task's environment in place of its own, by name.
    """

    task: str = "panda_push_topple"
    seed: int = 0
    episodes: int = 20
    warm_start: bool = False
    baseline: str = ""
    settings: LearnerSettings = field(default_factory=LearnerSettings)
    phase: str = ""
    start: str = ""
    environment: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.phase not in ("", *PHASES):
            raise ValueError(f"expected a phase of {', '.join(PHASES)} or none, got {self.phase!r}")

    def environment_settings(self) -> dict[str, Any]:
        """Settings of the vector environment that is learned in."""
        task = TASKS[self.task]
        source = task.source_settings if self.phase == PRE_TRAINING else {}
        return {**task.learning_settings, **source, **dict(self.environment)}


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch; the fields are the columns of a run's CSV.

    Attributes:
      epoch: Its number, from 0.
      episodes: So far, this epoch included.
      steps: So far.
      mean_return: Mean over its episodes of the undiscounted sum of rewards, as collected, before the update; NaN where
        no episode ended.
      failures_per_episode: Mean number of unsafe states an episode of it had: the share of its episodes that failed
        where a failure ends an episode, the mean sum of costs where they add up.
      cumulative_failures: So far, counted alike.
      success_rate: Share of its episodes that reached the goal; NaN where the task has none.
      gated: Share of its steps at which a critic chose another action; NaN where none could.
      epsilon: Threshold of rejection it was collected with; NaN without a critic that rejects.
      multiplier: lambda after it, or its mean over the epoch's updates where they are many; 0 where there is none.
      kl: Of the update that followed; NaN where updates are not bounded by it.
      cost_bias: Mean Q_C of its first actions less the discounted failures that followed; NaN without a critic.
      wall_time_s: That the run took up to here, s.
    """

    epoch: int
    episodes: int
    steps: int
    mean_return: float
    failures_per_episode: float
    cumulative_failures: int
    success_rate: float
    gated: float
    epsilon: float
    multiplier: float
    kl: float
    cost_bias: float
    wall_time_s: float


COLUMNS = tuple(field.name for field in dataclasses.fields(EpochRecord))


class TrainingRun(Protocol):
    """A run in progress; a context manager."""

    def epoch(self) -> EpochRecord:
        """Learn for an epoch."""
        ...

    def evaluate(self, episodes: int) -> Evaluation:
        """Evaluate what was learned in episodes that it does not learn from; changes nothing of the run."""
        ...

    def evaluate_parts(self, episodes: int) -> Mapping[str, Evaluation]:
        """Evaluate alike what of `PARTS` there is."""
        ...

    def policy_file(self, metadata: Mapping[str, str]) -> bytes | None:
        """Policy that it has learned, with metadata of the run, as `policies.loading.policy_from_bytes` reads it.

        None where no kind of policy file holds all that acts: a file of a part would not be what was evaluated.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Complete state between two epochs, for `restore`: numbers, text, arrays and tensors in dicts and lists."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly: what follows gives the same numbers, but for the times."""
        ...

    def __enter__(self) -> TrainingRun: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TrainingMethod(Protocol):
    """A method of `safe_transfer train`: a `Method`, an `OffPolicyMethod`, or what another package makes of its own.

    Attributes:
      label: In tables and legends.
      description: One line for --help.
      varied: Names of the `LearnerSettings` that it has a use for, among those that the command varies.
      baseline: Whether a plan may or must name one.
      explores: Whether it acts otherwise while it learns than as it has learned, so that its curve is that of
        evaluations.
    """

    @property
    def label(self) -> str:
        """Name in tables and legends."""
        ...

    @property
    def description(self) -> str:
        """One line for --help."""
        ...

    @property
    def varied(self) -> frozenset[str]:
        """Names of settings."""
        ...

    @property
    def baseline(self) -> BaselineUse:
        """Whether a plan may or must name one."""
        ...

    @property
    def explores(self) -> bool:
        """Whether its curve is that of evaluations."""
        ...

    def begin(self, plan: TrainingPlan) -> TrainingRun:
        """Start a run.

        Raises:
          ValueError: if it cannot learn this task.
        """
        ...


def check_baseline(method: TrainingMethod, baseline: str) -> None:
    """Refuse a plan with a baseline where a method has no use for it, and one without where it needs it.

    Raises:
      ValueError: the message says what to do.
    """
    if method.baseline is BaselineUse.NONE and baseline:
        raise ValueError(f"{method.label} {method.baseline.value}: leave out --baseline")
    if method.baseline is BaselineUse.REQUIRED and not baseline:
        raise ValueError(f"{method.label} {method.baseline.value}: name a policy file or a controller with --baseline")
