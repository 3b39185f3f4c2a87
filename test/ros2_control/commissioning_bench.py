# SPDX-License-Identifier: Apache-2.0
"""The person who commissions, and the limits of the filter and supervisor of `arm_bench`."""

from __future__ import annotations

from dataclasses import dataclass, field

from arm_bench import FILTER, SUPERVISOR

from safe_transfer_ros.commissioning.step import Timeouts

TIMEOUTS = Timeouts(
    torque_limit=FILTER["reset_torque_limit"],
    action=FILTER["action_timeout"],
    trip=FILTER["trip_timeout"],
    joint_state=FILTER["joint_state_timeout"],
    permission=FILTER["permission_lease"],
    command=SUPERVISOR["command_timeout"],
    rest_tolerance=0.1,
    hardware=0.0,
    fallback="",
)


@dataclass
class Person:
    """Says yes, and does nothing else."""

    says_yes: bool = True
    asked: list[str] = field(default_factory=list)

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return self.says_yes

    def tell(self, text: str) -> None:
        self.asked.append(text)
