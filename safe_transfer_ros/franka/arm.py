# SPDX-License-Identifier: Apache-2.0
"""The arm as its process needs it, and libfranka in particular."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.franka import library
from safe_transfer_ros.franka.exchange import JOINTS
from safe_transfer_ros.franka.settings import ArmSettings

Array = npt.NDArray[np.float64]

NO_ERRORS: frozenset[str] = frozenset()


class ArmLostError(RuntimeError):
    """The arm cannot be reached, or not any more."""


class MotionAbortedError(RuntimeError):
    """The arm has ended the motion by itself; the text says why, in its words."""


class RefusedError(RuntimeError):
    """The arm did not do what it was asked for."""


def _zeros() -> Array:
    return np.zeros(JOINTS)


@dataclass(kw_only=True, slots=True)
class Measured:
    """One state of the arm; used again for the next.

    Attributes:
      arm_ms: The arm's own time, ms.
      period_ms: Of that since the state before, ms; above 1 where states were lost.
      position: Shape (7,), rad.
      velocity: rad/s.
      effort: Measured torque, N·m, with what carries the arm.
      accepted: Torque that the arm has from us, N·m.
      external: The arm's estimate of external torque, N·m.
      mode: ArmMode.
      errors: Names of present errors.
      success_rate: Of the arm's last 100 cycles, those that got an answer, in [0, 1].
    """

    arm_ms: int = 0
    period_ms: int = 1
    position: Array = field(default_factory=_zeros)
    velocity: Array = field(default_factory=_zeros)
    effort: Array = field(default_factory=_zeros)
    accepted: Array = field(default_factory=_zeros)
    external: Array = field(default_factory=_zeros)
    mode: int = 0
    errors: frozenset[str] = NO_ERRORS
    success_rate: float = 0.0


class Arm(Protocol):
    """An arm whose cycles come from itself: `read` waits for the next."""

    def connect(self) -> None:
        """Reach it.

        Raises:
          ArmLostError: why not.
        """

    def read(self) -> Measured:
        """The next state, waited for; in a motion it must be answered by `write`.

        Raises:
          ArmLostError, MotionAbortedError: see there.
        """

    def start(self) -> None:
        """Begin a motion, under the thresholds and with the load of the settings.

        Raises:
          ArmLostError, RefusedError: see there.
        """

    def write(self, torque: Array, *, last: bool) -> None:
        """Answer a state.

        Args:
          torque: Shape (7,), N·m, beyond gravity.
          last: Whether it ends the motion.

        Raises:
          ArmLostError, MotionAbortedError: see there.
        """

    def recover(self) -> None:
        """Clear errors.

        Raises:
          ArmLostError, RefusedError: see there.
        """


def _milliseconds(duration: Any) -> int:
    return round(duration.to_sec() * 1e3)


class LibfrankaArm:
    """An FR3 by Franka's own client library."""

    def __init__(self, settings: ArmSettings) -> None:
        """Bring the library; nothing is sent yet.

        Raises:
          ImportError: it is not installed.
        """
        self._library: Any = importlib.import_module("pylibfranka")
        self._settings = settings
        self._robot: Any = None
        self._control: Any = None
        self._measured = Measured()

    def connect(self) -> None:
        """See Arm."""
        self._robot = self._control = None
        realtime = self._library.RealtimeConfig
        config = realtime.kEnforce if self._settings.realtime_kernel == "required" else realtime.kIgnore
        try:
            self._robot = self._library.Robot(self._settings.robot_ip, config)
        except RuntimeError as error:  # of any kind: a refused connection, another version of the protocol
            raise ArmLostError(library.told(str(error))) from None

    def read(self) -> Measured:
        """See Arm."""
        measured = self._measured
        try:
            if self._control is not None:
                state, duration = self._control.readOnce()
                measured.period_ms = _milliseconds(duration)
            else:
                state = self._robot.read_once()
                measured.period_ms = 1
        except RuntimeError as error:
            raise self._failed(error) from None
        measured.arm_ms = _milliseconds(state.time)
        measured.position[:] = state.q
        measured.velocity[:] = state.dq
        measured.effort[:] = state.tau_J
        measured.accepted[:] = state.tau_J_d
        measured.external[:] = state.tau_ext_hat_filtered
        measured.mode = state.robot_mode.value
        errors = state.current_errors
        measured.errors = frozenset(re.findall(r"[a-z_0-9]+", str(errors))) if errors else NO_ERRORS
        measured.success_rate = state.control_command_success_rate
        return measured

    def start(self) -> None:
        """See Arm."""
        settings = self._settings
        torque, force = list(settings.collision_torque), list(settings.collision_force)
        try:
            self._robot.set_collision_behavior(torque, torque, force, force)
            self._robot.set_load(settings.load_mass, list(settings.load_center), list(settings.load_inertia))
            self._control = self._robot.start_torque_control()
        except self._library.NetworkException as error:
            raise ArmLostError(str(error)) from None
        except RuntimeError as error:
            raise RefusedError(str(error)) from None

    def write(self, torque: Array, *, last: bool) -> None:
        """See Arm."""
        answer = self._library.Torques(torque.tolist())
        answer.motion_finished = last
        try:
            self._control.writeOnce(answer)
        except RuntimeError as error:
            raise self._failed(error) from None
        if last:
            self._control = None

    def recover(self) -> None:
        """See Arm."""
        try:
            self._robot.automatic_error_recovery()
        except self._library.NetworkException as error:
            raise ArmLostError(str(error)) from None
        except RuntimeError as error:
            raise RefusedError(str(error)) from None

    def _failed(self, error: RuntimeError) -> RuntimeError:
        """Meaning of an exception of the library; a motion is over with any of them."""
        moving, self._control = self._control is not None, None
        if moving and not isinstance(error, self._library.NetworkException):
            return MotionAbortedError(str(error))
        return ArmLostError(str(error))
