# SPDX-License-Identifier: Apache-2.0
"""A safety critic as a gate: sample the policy only where the critic's risk is at most epsilon (SQRL Eq. 3, CSC).

The risk is that of the torque that would really be applied: a candidate is bounded by the torque limit and the effort
limits before it is judged. Rejection among independent samples of the policy IS the masked policy, so the first safe
one is taken; weighting them by their density again would sample a sharper policy than the one that learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.critic.gate import Answer
from safe_transfer_ros.safety.filter.proposal import Distribution, Proposal
from safe_transfer_ros.safety.limit.torque_limit import clamp
from safe_transfer_ros.safety.reasons import Reason, Verdict

Array = npt.NDArray[np.float64]
Noise: TypeAlias = Callable[[tuple[int, int]], Array]

# Candidates are drawn a few at a time: most often one of the first is safe, and the rest need no judging. For one robot
# in two blocks, as asking costs more than twenty candidates do; for many in smaller ones, as asking is shared.
_FIRST_BLOCK, _FIRST_OF_MANY = 16, 10


class RiskModel(Protocol):
    """Interface of a critic."""

    def risk(self, observation: Array, torque: Array) -> Array:
        """Probability of failing when torque is applied; above 1 where the critic has no data to go by.

        Args:
          observation: Shape (m, k).
          torque: Torque applied, shape (m, n_joints), N·m.

        Returns:
          Shape (m,). The further beyond 1, the less is known.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """Settings of the masked policy.

    Attributes:
      epsilon: Largest acceptable risk, in (0, 1).
      max_samples: Candidates drawn when the proposal is refused (CSC: 100).
    """

    epsilon: float = 0.1
    max_samples: int = 100

    def __post_init__(self) -> None:
        if not 0.0 < self.epsilon < 1.0:
            raise ValueError(f"epsilon must be in (0, 1), got {self.epsilon}")
        if self.max_samples < 1:
            raise ValueError(f"max_samples must be >= 1, got {self.max_samples}")


class MaskedPolicyGate:
    """Judges one robot's proposals; see `safety.critic.gate.Gate`.

    Attributes:
      settings: May be replaced between proposals, by a threshold that follows a schedule say.
    """

    def __init__(self, critic: RiskModel, effort_limit: Array, settings: MaskSettings, noise: Noise) -> None:
        """Make a gate.

        Args:
          critic: Gives the risks.
          effort_limit: Each joint's own limit, shape (n_joints,), N·m.
          settings: Threshold and number of candidates.
          noise: noise((m, n)) draws standard normal values.
        """
        self._critic, self._effort, self._noise = critic, np.asarray(effort_limit, dtype=np.float64), noise
        self.settings = settings

    def judge(self, observation: Array, proposal: Proposal, torque_limit: float) -> Answer:
        """Take the sample if it is safe; else the first safe one of further samples; else the least risky of all.

        There are no further samples of a deterministic policy: one whose action is not safe is REJECTED.

        Returns:
          See `Gate.judge`. The torque is not bounded here: that is the envelope's work.

        Raises:
          ValueError: if the critic gives a risk that is not a number.
        """
        sample, law = proposal.effort, (proposal.distribution, proposal.bound)
        risk = float(self.risks(observation, sample[None], torque_limit)[0])
        if risk <= self.settings.epsilon:
            return sample, risk, Verdict.ACCEPTED, Reason.NONE
        if proposal.distribution is Distribution.DETERMINISTIC:
            return sample, min(risk, 1.0), Verdict.REJECTED, Reason.CRITIC_RISK
        first = min(_FIRST_BLOCK, self.settings.max_samples)
        state = (observation, proposal.mean, proposal.stddev, sample, risk, torque_limit)
        chosen, risks = self._resampled(
            law, (first, self.settings.max_samples - first), *(np.asarray(values)[None] for values in state)
        )
        safe = risks[0] <= self.settings.epsilon
        verdict = Verdict.RESAMPLED if safe else Verdict.LEAST_RISKY
        return chosen[0], min(float(risks[0]), 1.0), verdict, Reason.CRITIC_RISK

    def judge_batch(
        self,
        observation: Array,
        mean: Array,
        stddev: Array,
        sample: Array,
        torque_limit: Array,
        distribution: Distribution = Distribution.GAUSSIAN,
        bound: Array | None = None,
    ) -> tuple[Array, npt.NDArray[np.uint32]]:
        """`judge` for many robots at once.

        Args:
          observation: Shape (m, k).
          mean: Shape (m, n_joints), N·m.
          stddev: Same shape, N·m.
          sample: Samples proposed, same shape, N·m.
          torque_limit: Limit in force, shape (m,), N·m.
          distribution: Law of the samples; one that others can be drawn from.
          bound: Largest |action| of a tanh Gaussian, shape (n_joints,), N·m; else None.

        Returns:
          Torques to use, shape (m, n_joints), and reason bits, shape (m,).

        Raises:
          ValueError: if a sample that is not safe is of a deterministic policy, or a risk is not a number.
        """
        risks = self.risks(observation, sample, torque_limit)
        rejected = np.flatnonzero(~(risks <= self.settings.epsilon))
        chosen, reasons = sample.copy(), np.zeros(len(sample), dtype=np.uint32)
        reasons[rejected] = int(Reason.CRITIC_RISK)
        if rejected.size:
            chosen[rejected], _ = self._resampled(
                (distribution, bound),
                _growing_blocks(self.settings.max_samples),
                *(values[rejected] for values in (observation, mean, stddev, sample, risks, torque_limit)),
            )
        return chosen, reasons

    def _resampled(
        self,
        law: tuple[Distribution, Array | None],
        blocks: Iterable[int],
        observation: Array,
        mean: Array,
        stddev: Array,
        sample: Array,
        risk: Array,
        torque_limit: Array,
    ) -> tuple[Array, Array]:
        """First safe candidate of each rejected sample, else the least risky one; and its risk."""
        best, least = sample.copy(), risk.copy()
        open_rows = np.arange(len(sample))
        for count in blocks:
            if not (count and open_rows.size):
                break
            rows = np.repeat(open_rows, count)
            candidates = self._candidates(law, mean[rows], stddev[rows])
            risks = self.risks(observation[rows], candidates, torque_limit[rows]).reshape(-1, count)
            candidates = candidates.reshape(-1, count, sample.shape[1])
            safe = risks <= self.settings.epsilon
            found = safe.any(axis=1)
            picked = np.where(found, safe.argmax(axis=1), risks.argmin(axis=1))
            those = np.arange(len(open_rows))
            better = found | (risks[those, picked] < least[open_rows])
            best[open_rows[better]] = candidates[those, picked][better]
            least[open_rows[better]] = risks[those, picked][better]
            open_rows = open_rows[~found]
        return best, least

    def risks(self, observation: Array, torque: Array, torque_limit: float | Array) -> Array:
        """Risk of each torque as it would be applied.

        Args:
          observation: Shape (k,) for all, or (m, k).
          torque: Shape (m, n_joints), N·m, before any bound.
          torque_limit: Limit in force, N·m; one, or shape (m,).

        Raises:
          ValueError: if a risk is not a number.
        """
        applied = np.maximum(np.minimum(clamp(torque, torque_limit), self._effort), -self._effort)
        if observation.ndim == 1:
            observation = np.broadcast_to(observation, (len(torque), len(observation)))
        risks = self._critic.risk(observation, applied)
        if risks.shape != (len(torque),) or np.isnan(risks).any():
            raise ValueError(f"the critic gave {risks} for {len(torque)} torques: expected one number per torque")
        return risks

    def _candidates(self, law: tuple[Distribution, Array | None], mean: Array, stddev: Array) -> Array:
        """Further samples of the law that the proposal says; shape (m, n_joints)."""
        distribution, bound = law
        if distribution is Distribution.DETERMINISTIC:
            raise ValueError("a deterministic policy has no further samples: judge its actions one by one")
        drawn = mean + stddev * self._noise((len(mean), mean.shape[1]))
        if distribution is Distribution.GAUSSIAN:
            return drawn
        if bound is None:
            raise ValueError("a tanh Gaussian needs its bound to be resampled")
        squashed: Array = bound * np.tanh(drawn)
        return squashed


def _growing_blocks(samples: int) -> Iterator[int]:
    block = _FIRST_OF_MANY
    while samples > 0:
        yield min(block, samples)
        samples, block = samples - block, 3 * block


def csc_threshold(
    failure_rate: float, *, gamma: float, chi: float, floor: float = 1e-4, scale: float | None = None
) -> float:
    """CSC's threshold, epsilon = (1 - gamma)(chi - V_C), at least `floor`.

    Args:
      failure_rate: V_C, mean failures per episode of the last epoch, >= 0.
      gamma: Discount, in (0, 1).
      chi: Failures per episode that are accepted.
      floor: Lowest threshold; without one the fall-back would carry every step as soon as chi is used up.
      scale: Factor of chi - V_C in place of 1 - gamma, > 0; the threshold is then at most .999.

    Raises:
      ValueError: if an argument is out of range.
    """
    if not (failure_rate >= 0.0 and 0.0 < gamma < 1.0 and 0.0 < floor < 1.0):
        raise ValueError(f"expected failure_rate >= 0, gamma and floor in (0, 1); got {failure_rate}, {gamma}, {floor}")
    if scale is not None and not scale > 0.0:
        raise ValueError(f"expected scale > 0, got {scale}")
    return max(min((1.0 - gamma if scale is None else scale) * (chi - failure_rate), 0.999), floor)
