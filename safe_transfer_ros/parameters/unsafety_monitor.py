# SPDX-License-Identifier: Apache-2.0
"""The unsafety monitor's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import ConfigurationError, setting, setting_of
from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.governor import GovernorSettings


@dataclass(frozen=True, kw_only=True)
class MonitorParameters:
    """unsafety_monitor."""

    joints: str = setting_of(GovernorSettings, "joints", choices=("mean", "any", "moved"))
    kl: str = setting_of(GovernorSettings, "kl", choices=("bound", "measured", "per_state"))
    rate: str = setting_of(GovernorSettings, "rate", choices=("empirical", "conformal"))
    standstill: str = setting_of(GovernorSettings, "standstill", choices=("measured", "unsafe"))
    growth: float = setting_of(GovernorSettings, "growth", minimum=1.0, maximum=1.05)
    use_limit_change: bool = setting_of(GovernorSettings, "use_limit_change")
    use_policy_change: bool = setting_of(GovernorSettings, "use_policy_change")
    benefit: bool = setting_of(GovernorSettings, "benefit")
    benefit_memory: str = setting(
        "",
        "What the benefit rule remembers of the iterations before (the launcher of a resumed run fills it in); empty: "
        "nothing",
    )
    lease: float = setting(
        5.0, "Each torque limit is valid this long unless renewed, s of wall clock", minimum=0.2, maximum=60.0
    )
    data_timeout: float = setting(
        10.0, "Wait this long for missing joint states before they count as unsafe, s", minimum=0.1, maximum=60.0
    )

    def __post_init__(self) -> None:
        try:
            Benefit(self.benefit_memory)
        except ValueError as error:
            raise ConfigurationError(f"benefit_memory: {error}") from None

    def check_actions(self, torques: bool) -> None:
        """Check that the rule can be had for a task's actions.

        Args:
          torques: Whether they are the joints' torques.

        Raises:
          ConfigurationError: if it follows from the distribution of torques, and there is none.
        """
        if self.joints == "moved" and not torques:
            raise ConfigurationError(
                "unsafety_monitor.joints: 'moved' follows from the distribution of the joints' torques, and this "
                "task's actions are not torques: choose mean; dp_u1 is then the share of steps that felt the limit"
            )
