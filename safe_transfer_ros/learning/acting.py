# SPDX-License-Identifier: Apache-2.0
"""Policies at work in a graph: of our own kinds, networks with a contract, and processes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.learning.contracted import ContractInTask, Sensed
from safe_transfer_ros.policies.chunk import JITTER_NS, Chunk, ChunkFollower
from safe_transfer_ros.policies.contract import MOST_FOLLOWED_S
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.loading import AnyPolicy
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act, Policy
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.tasks.deployment import TaskInGraph

Array = NDArray[np.float64]

_RATE_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """An action, and the stamp of the joint state that it answers, ns."""

    stamp_ns: int
    act: Act


class Acting(Protocol):
    """A policy at work.

    Attributes:
      noise_size: How many standard normal numbers an answer takes.
    """

    @property
    def noise_size(self) -> int: ...  # noqa: D102

    def begin(self, stamp_ns: int) -> None:
        """Begin an episode with the state of that stamp: forget the one before."""
        ...

    def answer(self, sensed: Sensed, noise: Array, since_ns: int) -> Answer | None:
        """Answer to the newest joint state; None while there is none.

        Args:
          sensed: What the graph knows.
          noise: Independent standard normal values, shape (noise_size,).
          since_ns: Stamp of the oldest joint state that may be answered.

        Raises:
          WeightsError: if the policy cannot be evaluated.
        """
        ...


class OwnPolicy:
    """A policy of our own kinds: it takes the task's observation and gives its actions."""

    def __init__(self, policy: Policy) -> None:
        """Wrap a policy that fits the task."""
        self._policy, self.noise_size = policy, policy.noise_size

    def begin(self, stamp_ns: int) -> None:
        """See `Acting.begin`."""
        self._policy.begin()

    def answer(self, sensed: Sensed, noise: Array, since_ns: int) -> Answer:
        """See `Acting.answer`."""
        return Answer(stamp_ns=sensed.stamp_ns, act=self._policy.act(sensed.observation, noise))


class NetworkPolicy:
    """A network with a contract; of one that gives chunks a few actions are followed, then it is asked again.

    Attributes:
      image: Rules for the images that it sees; None: it sees none.
    """

    def __init__(self, fitted: ContractInTask, *, lockstep: bool) -> None:
        """Wrap a contract that fits the task, and evaluate the network once: the first time may take long.

        Args:
          fitted: The contract.
          lockstep: Whether an image must be of the very state that is answered.

        Raises:
          WeightsError: if it cannot be evaluated.
        """
        self._fitted, contract = fitted, fitted.policy.contract
        self.image, self._lockstep = contract.image, lockstep
        if fitted.policy.network is not None:
            fitted.policy.network(np.zeros(fitted.observation_size))
        self.noise_size = 0 if contract.law == DETERMINISTIC else fitted.action_size
        chunk = contract.action.chunk
        self._follower = None if chunk is None else ChunkFollower(follow=chunk.follow, exact=True)
        self._period_ns = 0 if chunk is None else round(1e9 / chunk.rate_hz)
        self._last = np.zeros(fitted.action_size)
        self._began_ns = 0

    def begin(self, stamp_ns: int) -> None:
        """See `Acting.begin`."""
        self._began_ns = stamp_ns - JITTER_NS
        self._last = np.zeros(self._fitted.action_size)
        if self._follower is not None:
            self._follower.begin(stamp_ns)

    def answer(self, sensed: Sensed, noise: Array, since_ns: int) -> Answer | None:
        """See `Acting.answer`. Of a policy that sees there is none while the newest image is too old."""
        outputs = self._outputs(sensed)
        if outputs is None:
            return None
        mean, stddev = outputs
        act, self._last = self._fitted.act(mean, stddev, noise, sensed)
        return Answer(stamp_ns=sensed.stamp_ns, act=act)

    def _sees(self, sensed: Sensed) -> bool:
        """Whether there is an image that belongs to this state, or none is needed."""
        if self.image is None:
            return True
        if sensed.image is None or sensed.image.stamp_ns < self._began_ns:  # of the episode before: another start
            return False
        older_ns = sensed.stamp_ns - sensed.image.stamp_ns
        if self._lockstep:
            return abs(older_ns) <= JITTER_NS
        return abs(older_ns) <= self.image.max_age_s * 1e9  # far ahead is another clock's

    def _outputs(self, sensed: Sensed) -> tuple[Array, Array | None] | None:
        if self._follower is None:
            return self._fitted.evaluate(sensed, self._last) if self._sees(sensed) else None
        row = self._follower.row(sensed.stamp_ns)
        if row is None:
            if not self._sees(sensed):
                return None
            rows, _ = self._fitted.evaluate(sensed, self._last)
            self._follower.begin(sensed.stamp_ns)
            self._follower.offer(Chunk(stamp_ns=sensed.stamp_ns, period_ns=self._period_ns, rows=rows))
            row = self._follower.row(sensed.stamp_ns)
            assert row is not None
        return row, None


class ProcessPolicy:
    """A policy that is a process of its own, as far as its messages have come."""

    noise_size = 0

    def __init__(self, fitted: ContractInTask, *, lockstep: bool) -> None:
        """Begin without a message.

        Args:
          fitted: Its contract.
          lockstep: Whether a chunk must be begun at the state that it answers.
        """
        self._fitted, chunk = fitted, fitted.policy.contract.action.chunk
        self._follower = None if chunk is None else ChunkFollower(follow=chunk.follow, exact=lockstep)
        self._pending: Answer | None = None

    @property
    def sends_chunks(self) -> bool:
        """Whether chunks are expected of it, and else single actions."""
        return self._follower is not None

    def begin(self, stamp_ns: int) -> None:
        """See `Acting.begin`. What answers that state is kept: a message may overtake the news of an episode."""
        if self._follower is not None:
            self._follower.begin(stamp_ns)

    def offer(self, answer: Answer) -> None:
        """Keep a proposal of the process until its joint state is here.

        Raises:
          ContractError: if it is drawn otherwise than its contract says.
        """
        law = self._fitted.policy.contract.law
        if answer.act.distribution != law:
            raise ContractError(f"expected distribution {law}, as its contract says, got {answer.act.distribution}")
        self._pending = answer

    def offer_chunk(self, chunk: Chunk) -> None:
        """Keep a chunk of the process.

        Raises:
          ContractError: if its length or its rate is not that of its contract.
        """
        rules = self._fitted.policy.contract.action.chunk
        if rules is None or self._follower is None:
            raise ContractError("expected single actions, as its contract says, got a chunk")
        if len(chunk.rows) != rules.length:
            raise ContractError(
                f"expected chunks of {rules.length} actions, as its contract says, got {len(chunk.rows)}"
            )
        if abs(chunk.period_ns * 1e-9 * rules.rate_hz - 1.0) > _RATE_TOLERANCE:
            raise ContractError(
                f"expected a period of {1.0 / rules.rate_hz:g} s, as its contract says, got {chunk.period_ns * 1e-9:g}"
            )
        self._follower.offer(chunk)

    def answer(self, sensed: Sensed, noise: Array, since_ns: int) -> Answer | None:
        """See `Acting.answer`."""
        if self._follower is not None:
            row = self._follower.row(sensed.stamp_ns)
            if row is None:
                return None
            return Answer(stamp_ns=sensed.stamp_ns, act=self._fitted.act(row, None, noise, sensed)[0])
        pending = self._pending
        if pending is None or not since_ns <= pending.stamp_ns <= sensed.stamp_ns:
            return None
        self._pending = None
        return pending


def answer_of(proposal: Proposal) -> Answer:
    """A proposal of a process, its arrays in the task's order, as an answer."""
    law = proposal.distribution.value
    act = Act(
        action=proposal.effort,
        distribution=law,
        mean=proposal.mean,
        stddev=None if law == DETERMINISTIC else proposal.stddev,
        bound=proposal.bound,
    )
    return Answer(stamp_ns=proposal.stamp_ns, act=act)


def check_stamp(stamp_ns: int, newest_ns: int, period_s: float) -> None:
    """Check that a message of a process may answer a joint state of now.

    Args:
      stamp_ns: Its stamp, ns.
      newest_ns: That of the newest joint state, ns; the process may have heard the next one already.
      period_s: Time between decisions, s.

    Raises:
      ContractError: if it is stamped further ahead, or so far back that nothing can be due any more.
    """
    ahead_s = (stamp_ns - newest_ns) * 1e-9
    if not -MOST_FOLLOWED_S <= ahead_s <= period_s + 1e-3:
        where = f"{abs(ahead_s):.3g} s {'ahead of' if ahead_s > 0.0 else 'behind'}"
        raise ContractError(
            f"expected the stamp of the joint state that it answers, got one {where} the newest: copy header.stamp of "
            "joint_states, not a clock"
        )


def acting(policy: AnyPolicy, graph: TaskInGraph, *, lockstep: bool) -> Acting:
    """A policy at work in a task.

    Raises:
      WeightsError: if its contract does not fit the task.
    """
    if not isinstance(policy, ContractedPolicy):
        return OwnPolicy(policy)
    fitted = ContractInTask(policy, graph)
    kind = ProcessPolicy if policy.network is None else NetworkPolicy
    return kind(fitted, lockstep=lockstep)
