# SPDX-License-Identifier: Apache-2.0
"""The safety filter's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safe_transfer_ros.configuration import OFF, Lease, setting, setting_of
from safe_transfer_ros.safety.filter import settings as rules
from safe_transfer_ros.safety.filter.envelope import CLAMPS


def _rule(name: str, **allowed: Any) -> Any:
    """A setting of the rules that an operator may choose; what they take while they run is live."""
    return setting_of(rules.FilterSettings, name, live=name in rules.TIGHTENABLE, **allowed)


@dataclass(frozen=True, kw_only=True)
class FilterParameters:
    """safety_filter."""

    action_timeout: float = _rule("action_timeout_s", minimum=0.001, maximum=10.0)
    trip_timeout: float = _rule("trip_timeout_s", minimum=0.001, maximum=60.0)
    joint_state_timeout: float = _rule("joint_state_timeout_s", minimum=0.001, maximum=10.0)
    frozen_timeout: float = _rule("frozen_timeout_s", minimum=0.001, maximum=10.0)
    object_timeout: float = _rule("object_timeout_s", minimum=0.001, maximum=10.0)
    object_frozen_timeout: float = _rule("object_frozen_timeout_s", minimum=0.001, maximum=60.0)
    torque_rate_limit: float = _rule("torque_rate_limit", minimum=1.0, maximum=1e5)
    clamp: str = _rule("clamp", choices=CLAMPS)
    soft_limits: str = setting(
        "realtime",
        "When the robot's soft position and velocity limits hold: realtime, but not in lockstep (they are a control "
        "loop, and one turn per control period is too slow for it); always; never",
        choices=("realtime", "always", "never"),
    )
    stop_damping: float = _rule("stop_damping", minimum=0.0, maximum=1e3)
    stop_damping_time: float = _rule("stop_damping_time_s", minimum=0.001, maximum=10.0)
    budget_periods: int = setting(
        0,
        "Decision periods of an iteration, for damage_budget; the launcher fills in episodes x steps. 0: those of one "
        "episode, the strictest",
        minimum=0,
        maximum=10**8,
    )
    e_stop_lease: Lease = setting(
        OFF,
        "Longest silence of safety_filter/e_stop before it counts as pressed, s; off: it need not be published, "
        "though a stop that is pressed still counts. On hardware off has to be said",
        minimum=0.01,
        maximum=60.0,
    )
    critic: str = setting(
        "none",
        "Safety critic that judges every proposal: none; required, the newest of trainer/critic_weights, taken between "
        "episodes: before one has come the filter is not armed",
        choices=("none", "required"),
    )
    critic_epsilon: float = setting(
        0.0, "Largest risk a torque may have that is applied; 0: the model card's", minimum=0.0, maximum=0.999
    )
    critic_schedule: str = setting(
        "fixed",
        "Largest acceptable risk: fixed; or csc: (1 - gamma_safe)(chi - failures per episode), from what was measured "
        "in the iteration before, taken over between episodes, at most the fixed one",
        choices=("fixed", "csc"),
    )
    critic_chi: float = setting(
        0.05, "critic_schedule csc: failures (unsafe steps) per episode that are accepted", minimum=1e-6, maximum=1e6
    )
    critic_floor: float = setting(
        1e-4, "critic_schedule csc: lowest epsilon, and the one without an estimate", minimum=1e-9, maximum=0.999
    )
    critic_uncertified: bool = setting(False, "Override, recorded: use a critic that its training did not certify")
    permission_lease: Lease = setting(
        OFF,
        "Longest silence of controller_supervisor/permission before the arm must stop, s; off: no permission is "
        "needed, for an arm without a supervisor; refused on hardware",
        minimum=0.01,
        maximum=10.0,
    )
    reset_torque_limit: float = setting(
        0.0,
        "Hardware: torque limit of the slow moves to the start of an episode, N·m; 0: no such moves",
        minimum=0.0,
        maximum=1e3,
    )
    critic_timeout: float = setting(
        0.003, "Longest wait for the safety critic's answer; later means unsafe, s", minimum=0.0001, maximum=1.0
    )
    realtime_priority: int = setting(
        0, "SCHED_FIFO priority of every thread of the filter, where permitted; 0: normal", minimum=0, maximum=98
    )
    lock_memory: bool = setting(False, "Keep the filter's memory from being paged out, where permitted")
    lockstep_timeout: float = setting(
        20.0,
        "Lockstep: armed, nothing at all arrived for this long on the wall clock: trip, s",
        minimum=0.1,
        maximum=600.0,
    )

    def __post_init__(self) -> None:
        # Here for what it refuses: the rules between several values are theirs.
        self.rule_settings(state_period_s=rules.FilterSettings.state_period_s, lockstep=False)

    def rule_settings(self, *, state_period_s: float, lockstep: bool) -> rules.FilterSettings:
        """The settings of the rules.

        Args:
          state_period_s: Nominal period of joint states, s. Their timeout is never below two and a half of it.
          lockstep: Whether simulated time is the only clock; nothing is damped then.

        Raises:
          ValueError: a rule between several values is broken.
        """
        timeouts = {name: getattr(self, name.removesuffix("_s")) for name in rules.TIGHTENABLE}
        timeouts["joint_state_timeout_s"] = max(self.joint_state_timeout, 2.5 * state_period_s)
        return rules.FilterSettings(
            **timeouts,
            state_period_s=state_period_s,
            torque_rate_limit=self.torque_rate_limit,
            clamp=self.clamp,
            stop_damping=0.0 if lockstep else self.stop_damping,
            stop_damping_time_s=self.stop_damping_time,
        )

    def soft_limits_hold(self, lockstep: bool) -> bool:
        """Whether the envelope has the robot's soft limits, in this timing."""
        return self.soft_limits == "always" or (self.soft_limits == "realtime" and not lockstep)
