# SPDX-License-Identifier: Apache-2.0
"""Input and result of a step of the procedure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.parameters.commission import CommissionParameters
from safe_transfer_ros.robots.description import RobotDescription

Array = npt.NDArray[np.float64]

STATE_SECONDS = 5.0


class Failed(Exception):
    """Raised when a step fails; the text names the joint or cause, and the fix."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Result of one step.

    Attributes:
      name: The step.
      passed: Whether the arm may be used as far as this step can tell.
      says: One line for a person.
      measured: Numbers for the report.
    """

    name: str
    passed: bool
    says: str
    measured: Mapping[str, object] = field(default_factory=dict)


class Operator(Protocol):
    """The person beside the arm."""

    def confirm(self, text: str) -> bool:
        """Ask before something moves; anything but a yes is a no."""

    def tell(self, text: str) -> None:
        """Ask the operator for an action now, whose effect is measured."""


class Arm(Protocol):
    """The arm, through supervisor and filter.

    Attributes:
      robot: What it is believed to be.
      enforcer: Who enforces the limits behind the filter: controller_manager, if told so, or the arm's process, always.
      names: Joints as published, in that order; empty before the first joint state.
      position: Of the robot's joints in the robot's order, shape (n_joints,), rad; NaN where not published.
      effort: Measured torque of the same joints, N·m; NaN where it is not told.
      stamps: Steady time of receipt of each joint state since `forget`, s.
      delays: Time from the receipt of a joint state to that of the command that followed, since `forget`, s.
      tripped: Whether the filter is; `holding`: whether it stops for lack of proposals.
      cause: The filter's reasons for it, a combination of `Reason`.
      phase: The supervisor's: inactive, activating, active or stopping.
      says: The supervisor's reason.
      taken_over: Whether ours is inactive and another controller drives the arm.
      urdf: What is published as robot_description; empty: nothing.
      held: Why the torque is not known to have ended with the controller, after `rest`; empty when it has.
    """

    robot: RobotDescription
    enforcer: str
    names: tuple[str, ...]
    position: Array
    effort: Array
    stamps: list[float]
    delays: list[float]
    tripped: bool
    holding: bool
    cause: int
    phase: str
    says: str
    taken_over: bool
    urdf: str
    held: str

    def wait(self, seconds: float) -> None:
        """Wait."""

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition, up to a timeout; return whether it became true."""

    def forget(self) -> None:
        """Clear `stamps` and `delays`."""

    def manager_parameter(self, name: str) -> bool | None:
        """A yes-or-no parameter of controller_manager; None when it has no such, or does not answer."""

    def free(self) -> str:
        """Activate the controller, at zero torque; why not, or empty."""

    def push(self, torque: Callable[[float], Array] | None) -> str:
        """Arm the filter and propose `torque`(time since now, s), N·m, for every joint state; None: cease to propose.

        Why not, or empty.
        """

    def ease(self) -> None:
        """Stop torque, the controller still active: the filter is disarmed and expects no proposals."""

    def rest(self) -> None:
        """Stop torque, the controller deactivated, and the torque at the arm seen to have ended, or not: `held`.

        Safe to call at any time.
        """

    def reset(self) -> str:
        """Bring the filter out of TRIPPED; why not, or empty."""

    def stall(self, node: str, stalled: bool) -> None:
        """Suspend one of our processes, or let it continue."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """The limits in force in the graph that is being commissioned; s, but `torque_limit` and `rest_tolerance`, N·m.

    What ends a torque that the controller leaves: the hardware within `hardware` (0: it is not said to), or the
    controller `fallback` (empty: none).
    """

    torque_limit: float
    action: float
    trip: float
    joint_state: float
    permission: float
    command: float
    rest_tolerance: float
    hardware: float
    fallback: str


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything a step needs."""

    arm: Arm
    operator: Operator
    settings: CommissionParameters
    timeouts: Timeouts

    def confirmed(self, text: str) -> None:
        """Wait for the operator's confirmation.

        Raises:
          Failed: he did not.
        """
        if not self.operator.confirm(text):
            raise Failed("the operator did not confirm")

    def position(self) -> Array:
        """Position of the arm, shape (n_joints,), rad, all finite.

        Raises:
          Failed: a joint is not published, or not as a number.
        """
        arm = self.arm
        if not arm.until(lambda: bool(np.isfinite(arm.position).all()), STATE_SECONDS):
            unknown = [
                name for name, value in zip(arm.robot.joint_names, arm.position, strict=True) if not value == value
            ]
            raise Failed(f"joint_states tell no position of {', '.join(unknown)}")
        return arm.position.copy()

    def free(self) -> None:
        """Activate the controller, at zero torque.

        Raises:
          Failed: what stands against it.
        """
        refusal = self.arm.free()
        if refusal:
            raise Failed(f"the controller cannot be activated: {refusal}")

    def push(self, torque: Callable[[float], Array]) -> None:
        """Arm the filter and propose torques, see `Arm.push`.

        Raises:
          Failed: the filter refuses.
        """
        refusal = self.arm.push(torque)
        if refusal:
            raise Failed(f"the safety filter cannot be armed: {refusal}; controller_supervisor: {self.arm.says}")


Result = tuple[str, dict[str, object]]
Step = Callable[[Bench], Result]
"""Returns what to tell and what was measured; raises Failed."""
