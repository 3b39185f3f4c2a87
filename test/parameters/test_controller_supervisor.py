# SPDX-License-Identifier: Apache-2.0
"""A timeout of the hardware is believed only where a torque that outlives it would be seen, and told."""

import pytest

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters
from safe_transfer_ros.safety.supervisor.torque_end import TorqueEnd


def test_what_ends_a_torque_is_what_is_configured() -> None:
    assert SupervisorParameters().torque_end == TorqueEnd()
    named = SupervisorParameters(hardware_timeout=0.2, fallback_controller="hold", allow_holding_controller=True)
    assert named.torque_end == TorqueEnd(hardware=True, fallback="hold", nothing=True)


def test_a_timeout_that_nobody_sees_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nobody sees whether the hardware ends a torque"):
        SupervisorParameters(hardware_timeout=0.2, rest_effort="untold")


def test_a_timeout_after_which_the_torque_is_told_as_held_is_refused() -> None:
    SupervisorParameters(hardware_timeout=0.5, rest_timeout=0.5)
    with pytest.raises(ConfigurationError, match="at most rest_timeout \\(0.5 s\\).*got 0.6: raise rest_timeout"):
        SupervisorParameters(hardware_timeout=0.6, rest_timeout=0.5)
