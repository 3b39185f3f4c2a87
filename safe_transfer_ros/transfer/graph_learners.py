# SPDX-License-Identifier: Apache-2.0
"""Learners of a graph by name: what `learner:=NAME` may be. Light: the learner itself is loaded when it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safe_transfer_ros.learning.policy_file import with_stddev_scaled
from safe_transfer_ros.policies.weights import Parameters, from_bytes
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.registry import Registry, load
from safe_transfer_ros.tasks.deployment import TaskInGraph


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Initial state of a learner.

    Attributes:
      graph: The task.
      policy: The policy to go on from, the bytes of its file.
      stddev_factor: Factor on the standard deviation of that policy.
      max_kl: Largest KL divergence of one update, summed over action dimensions.
      leave_one_out: Whether an episode's own returns are left out of the baseline it is compared with.
      seed: Seed of the run.
      checkpoints: Folder for what a resumed run needs; None keeps nothing.
      first_iteration: Above 0: go on behind so many iterations, kept in `checkpoints`.
      experience: Recordings that a learner with a replay buffer begins with: bags, or folders of transitions.
    """

    graph: TaskInGraph
    policy: bytes
    max_kl: float
    leave_one_out: bool
    seed: int
    stddev_factor: float = 1.0
    checkpoints: Path | None = None
    first_iteration: int = 0
    experience: tuple[Path, ...] = ()

    def gaussian(self) -> Parameters:
        """The policy as a learner of Gaussian policies begins with it.

        Raises:
          WeightsError: if it is of another kind.
        """
        parameters, _ = from_bytes(self.policy)
        return parameters if self.stddev_factor == 1.0 else with_stddev_scaled(parameters, self.stddev_factor)


class PolicyUpdates(Protocol):
    """A running learner, as the trainer uses it."""

    def policy(self, metadata: Mapping[str, str]) -> bytes:
        """Current policy, with metadata of the run, as `policies.loading.policy_from_bytes` reads it."""
        ...

    @property
    def kl_bound(self) -> float:
        """Bound on the divergence of an update."""
        ...

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """Learn from an iteration's episodes.

        Returns:
          KL divergence old || new, summed over action dimensions.
        """
        ...

    def critic(self) -> bytes | None:
        """The safety critic the next episodes are to be judged by (`critics.safety_critic`); None: it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class GraphLearner:
    """One way to learn in a graph.

    Attributes:
      factory: "module:name" of a callable that makes `PolicyUpdates` of a `Beginning`.
      description: One line for --help.
      any_kind: Whether it takes policies of any kind, and not only Gaussian ones.
      kinds: The only kinds that it takes, where it does not take all.
      torques: Whether it takes tasks whose actions are torques.
      serves: Kind of the policy that acts; empty: that of the policy it begins with.
      learns_critic: Whether it sends the filter a critic of its own, which no training could have certified.
      own_epsilon: Whether what it says of its updates holds for the epsilon of its critic's card, and for no other.
    """

    factory: str
    description: str
    any_kind: bool = False
    kinds: tuple[str, ...] = ()
    torques: bool = True
    serves: str = ""
    learns_critic: bool = False
    own_epsilon: bool = False

    def begin(self, beginning: Beginning) -> PolicyUpdates:
        """Load the learner and start it.

        Raises:
          ValueError: if it cannot learn this task, or its checkpoints are missing or damaged.
        """
        made: PolicyUpdates = load(self.factory)(beginning)
        return made


def _is_learner(name: str, thing: object) -> None:
    if not isinstance(thing, GraphLearner):
        raise ValueError(f"a learner must be a GraphLearner, got {thing!r}")


LEARNERS: Registry[GraphLearner] = Registry("learner", group="safe_transfer_ros.learners", check=_is_learner)
"""Learners by name; another package adds one by an entry point whose value is a `GraphLearner`."""

LEARNERS.add(
    "pspt",
    GraphLearner(
        factory="safe_transfer_ros.transfer.policy_updates:PsptUpdates", description="TRPO on the rewards (PSPT)"
    ),
)
LEARNERS.add(
    "csc",
    GraphLearner(
        factory="safe_transfer_ros.transfer.policy_updates:CscUpdates",
        description="a conservative critic learns in the run and refuses proposals; step constrained by failures (CSC)",
        learns_critic=True,
    ),
)
LEARNERS.add(
    "none",
    GraphLearner(
        factory="safe_transfer_ros.transfer.policy_updates:NoUpdates",
        description="the policy, of any kind, acts as it is and learns nothing",
        any_kind=True,
    ),
)
LEARNERS.add(
    "dual_agent",
    GraphLearner(
        factory="safe_transfer_ros.transfer.dual_agent.graph:DualAgentUpdates",
        description="the policy, or a hand-written controller, is the baseline beside which a safe agent learns (DARL)",
        any_kind=True,
        torques=False,
        serves="pair",
    ),
)
LEARNERS.add(
    "sqrl",
    GraphLearner(
        factory="safe_transfer_ros.transfer.sqrl.graph:SqrlUpdates",
        description="fine-tunes behind the safety critic that the policy was pre-trained with, in one file (SQRL)",
        any_kind=True,
        kinds=("masked",),
        serves="masked",
        learns_critic=True,
        own_epsilon=True,
    ),
)
LEARNERS.add(
    "sac",
    GraphLearner(
        factory="safe_transfer_ros.transfer.sqrl.graph:SacUpdates",
        description="fine-tunes a policy of SAC or SQRL by SAC, without a critic of its own",
        any_kind=True,
        kinds=("masked", "squashed"),
        serves="squashed",
    ),
)
