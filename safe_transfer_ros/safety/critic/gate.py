# SPDX-License-Identifier: Apache-2.0
"""The place of a safety critic before the envelope, and how its answer is taken: fail closed (promise 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.proposal import Proposal, all_finite
from safe_transfer_ros.safety.reasons import Reason, Verdict

Array = npt.NDArray[np.float64]
Observe: TypeAlias = Callable[[Array, Array, float], Array]
Answer: TypeAlias = tuple[Array, float, Verdict, Reason]
"""Of a gate: torque to use, its risk, verdict, why."""

_VERDICTS = (Verdict.ACCEPTED, Verdict.RESAMPLED, Verdict.LEAST_RISKY, Verdict.REJECTED)


class Gate(Protocol):
    """A safety critic's judgement of a proposal. It may raise: the filter then refuses the proposal."""

    def judge(self, observation: Array, proposal: Proposal, torque_limit: float) -> Answer:
        """Accept the sample or choose another torque.

        Args:
          observation: The filter's own view of the state, shape (n_observations,).
          proposal: The sample, `effort`, and the law by which others may be drawn.
          torque_limit: Limit in force, N·m.

        Returns:
          The torque to use, shape (n_joints,), N·m; its risk, finite; ACCEPTED, RESAMPLED or LEAST_RISKY, or
          REJECTED where none may be used; why.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """A usable answer of a gate.

    Attributes:
      effort: Torque to use, shape (n_joints,), N·m, finite.
      risk: Its risk, finite.
      verdict: ACCEPTED, RESAMPLED or LEAST_RISKY; REJECTED where no torque may be used.
      reasons: Why; with CRITIC_RISK whenever the sample was not used.
    """

    effort: Array
    risk: float
    verdict: Verdict
    reasons: Reason


def ask(
    gate: Gate, observe: Observe, position: Array, velocity: Array, proposal: Proposal, torque_limit: float
) -> Judgement | str:
    """Have a gate judge a proposal, trusting nothing it does.

    Args:
      gate: The critic.
      observe: The task's observe(position, velocity, torque_limit), not the policy's own observation.
      position: Newest joint positions, shape (n_joints,), rad.
      velocity: Newest joint velocities, shape (n_joints,), rad/s.
      proposal: What to judge.
      torque_limit: Limit in force, N·m.

    Returns:
      Its judgement; or, when it raised or its answer cannot be used, what was wrong.
    """
    try:
        observation = observe(position, velocity, torque_limit)
        effort, risk, verdict, reasons = gate.judge(observation, proposal, torque_limit)
        usable = effort.shape == proposal.effort.shape and all_finite(effort) and isfinite(risk)
        if not usable or verdict not in _VERDICTS:
            return f"unusable answer: torque {effort}, risk {risk}, verdict {verdict!r}"
        verdict = Verdict(verdict)
        reasons = Reason(int(reasons) | (0 if verdict is Verdict.ACCEPTED else int(Reason.CRITIC_RISK)))
        return Judgement(effort=effort, risk=float(risk), verdict=verdict, reasons=reasons)
    except Exception as error:  # whatever a critic does wrong, the answer is the same: not judged, not safe
        return f"{type(error).__name__}: {error}"
