# SPDX-License-Identifier: Apache-2.0
"""Settings of the arm's process, as they travel to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ArmSettings:
    """Settings that the arm's process is started with.

    Attributes:
      robot_ip: Address of the arm's control.
      realtime_kernel: required: libfranka begins no motion without one; or not_required.
      realtime_priority: SCHED_FIFO priority; 0: none is asked for.
      effort_limit: N·m, one a joint.
      command_timeout_s: See CycleSettings.
      state_timeout_s: See CycleSettings.
      torque_step: See CycleSettings.
      collision_torque: External torque at which the arm stops itself, N·m, one a joint.
      collision_force: External force and torque at the tool at which the arm stops itself, N and N·m, shape (6,).
      load_mass: What the flange carries beyond the hand that Desk knows, kg.
      load_center: Its centre of mass in the flange's frame, m.
      load_inertia: Its inertia about that, kg·m², by columns.
    """

    robot_ip: str
    realtime_kernel: str
    realtime_priority: int
    effort_limit: tuple[float, ...]
    command_timeout_s: float
    state_timeout_s: float
    torque_step: float
    collision_torque: tuple[float, ...]
    collision_force: tuple[float, ...]
    load_mass: float
    load_center: tuple[float, ...]
    load_inertia: tuple[float, ...]

    def to_text(self) -> str:
        """For the command line of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> ArmSettings:
        """The other direction."""
        values: dict[str, Any] = json.loads(text)
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values)
