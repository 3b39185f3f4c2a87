# SPDX-License-Identifier: Apache-2.0
"""The walk through the steps: a step whose end was no stop has failed, whatever it was about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from safe_transfer_ros.commissioning import procedure
from safe_transfer_ros.commissioning.step import Bench


def test_a_torque_that_outlives_its_controller_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = SimpleNamespace(held="", rest=lambda: None)

    def well(bench: Any) -> tuple[str, dict[str, object]]:
        return "well", {}

    def leaves_a_torque(bench: Any) -> tuple[str, dict[str, object]]:
        arm.held = "TORQUE_HELD: no controller drives l_elbow_flex_joint"
        return "well", {}

    monkeypatch.setattr(procedure, "STEPS", {"one": well, "two": leaves_a_torque, "three": well})
    bench = cast(Bench, SimpleNamespace(arm=arm))
    outcomes = list(procedure.commission(bench, ["one", "two", "three"]))
    assert [(outcome.name, outcome.passed) for outcome in outcomes] == [("one", True), ("two", False)]
    assert outcomes[-1].says == "TORQUE_HELD: no controller drives l_elbow_flex_joint"
