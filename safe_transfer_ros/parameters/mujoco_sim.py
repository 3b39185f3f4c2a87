# SPDX-License-Identifier: Apache-2.0
"""The simulated arm's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class SimulatorParameters:
    """mujoco_sim."""

    perturbation: str = setting(
        "light_sticky", "Named difference from the nominal robot (robots/simulation.py); the factors below multiply it"
    )
    mass: float = setting(1.0, "Factor on link masses", minimum=1e-3, maximum=1e3)
    inertia: float = setting(1.0, "Factor on link inertias", minimum=1e-3, maximum=1e3)
    damping: float = setting(1.0, "Factor on joint damping", minimum=0.0, maximum=1e3)
    armature: float = setting(1.0, "Factor on rotor inertias", minimum=1e-3, maximum=1e3)
    frictionloss: float = setting(0.0, "Dry friction added to every joint, N·m", minimum=0.0, maximum=100.0)
    joint_state_rate: float = setting(200.0, "Real time: joint states per second", minimum=20.0, maximum=1000.0)
    command_timeout: float = setting(
        0.1, "Real time: no command for this long: zero torque, as hardware should, s", minimum=0.005, maximum=10.0
    )
