# SPDX-License-Identifier: Apache-2.0
"""Counters and timers of the filter for /diagnostics; a few assignments per cycle and no allocation."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.reasons import MODE_TEXT, Mode, Reason, describe, split

_KEPT = 4096  # latest latencies, for the percentiles


class FilterHealth:
    """Counters and latencies since the filter was configured.

    Attributes:
      cycles: Torques published.
      decisions: SafetyDecisions published.
      of_others: Joint states of other joints than ours, left out: not an intervention.
    """

    def __init__(self) -> None:
        """Start from zero."""
        self.cycles = 0
        self.decisions = 0
        self.of_others = 0
        self._timed = 0
        self._latencies = array("q", bytes(8 * _KEPT))
        self._combinations: defaultdict[int, int] = defaultdict(int)

    def warm(self, rules: SafetyFilter) -> None:
        """Do once what `diagnosis` will do, as the first time imports modules; what was counted stays."""
        other = FilterHealth()
        other.count(int(Reason.CLAMPED_TORQUE_LIMIT))
        other.time_since(0, 1)
        other.diagnosis(rules, 0, "", {})

    def count(self, reasons: int) -> None:
        """Count one cycle with these reasons."""
        self.cycles += 1
        if reasons:
            self._combinations[reasons] += 1

    def time_since(self, arrival_ns: int, published_ns: int) -> None:
        """A message that arrived at `arrival_ns` was answered by the command of `published_ns`, if that is later."""
        if published_ns < arrival_ns:
            return
        self._latencies[self._timed % _KEPT] = published_ns - arrival_ns
        self._timed += 1

    def reasons(self) -> Counter[Reason]:
        """Cycles with each reason."""
        counts: Counter[Reason] = Counter()
        for combination, cycles in list(self._combinations.items()):
            for reason in split(combination):
                counts[reason] += cycles
        return counts

    def latency_us(self) -> tuple[float, float, float] | None:
        """Median, 99th percentile and maximum of the latest latencies, µs; None before the first."""
        count = min(self._timed, _KEPT)
        if not count:
            return None
        values = np.frombuffer(self._latencies, dtype=np.int64)[:count] * 1e-3
        middle, late = np.percentile(values, [50.0, 99.0])
        return float(middle), float(late), float(values.max())

    def diagnosis(self, rules: SafetyFilter, now_ns: int, hardware: str, beside: dict[str, str]) -> DiagnosticStatus:
        """The filter's line in /diagnostics.

        Args:
          rules: The filter itself.
          now_ns: Time on its clock.
          hardware: The robot's name.
          beside: What its node knows besides, by name.
        """
        mode, guard = rules.mode, rules.guard
        level = DiagnosticStatus.ERROR if mode is Mode.TRIPPED else DiagnosticStatus.OK
        if level == DiagnosticStatus.OK and (mode is Mode.HOLDING or guard.lost or guard.exhausted):
            level = DiagnosticStatus.WARN
        values = {
            "mode": mode.name,
            "torque_limit": f"{guard.in_force:.4f} N·m",
            "limit_iteration": str(guard.iteration),
            "limit_lease_lost": str(guard.lost),
            **({} if guard.budget is None else {"damage_budget": str(guard.budget)}),
            **beside,
            "cycles": str(self.cycles),
            "decisions": str(self.decisions),
            "joint_states_of_others": str(self.of_others),
            "joint_state_age_ms": _milliseconds(rules.state_age_s(now_ns)),
            "proposal_age_ms": _milliseconds(rules.proposal_age_s(now_ns)),
        }
        latency = self.latency_us()
        if latency is not None:
            names = ("latency_p50_us", "latency_p99_us", "latency_max_us")
            values |= {name: f"{value:.0f}" for name, value in zip(names, latency, strict=True)}
        if rules.critic_error:
            values["critic_error"] = rules.critic_error
        values |= {f"reason {reason.name}": str(count) for reason, count in sorted(self.reasons().items())}
        return DiagnosticStatus(
            level=level,
            name="safety_filter",
            hardware_id=hardware,
            message=describe(rules.cause) or MODE_TEXT[mode],
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}" if math.isfinite(seconds) else "none"
