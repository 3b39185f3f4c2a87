# SPDX-License-Identifier: Apache-2.0
"""Safety functions: what a task calls unsafe, and the rate of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from unsafety_ledgers import LIMIT, MS, run_episode

from safe_transfer_ros.safety.limit import unsafety
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger, tilt_from_vertical, unsafety_rate


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 5.0, 90.0, 179.0, 180.0])
@pytest.mark.parametrize("about", ["y", "z"])
def test_tilt_is_the_angle_by_which_the_cup_was_turned_from_straight_down(degrees, about):
    upright = Rotation.from_euler("y", 90, degrees=True)  # tool +x is world -z
    assert np.allclose(upright.as_matrix()[:, 0], [0, 0, -1])
    # Any turn about a horizontal world axis tilts by its angle, whatever the cup's own spin about its axis.
    axis = Rotation.from_euler("z", 37.0, degrees=True).apply([1.0, 0.0, 0.0])
    spin = Rotation.from_euler("x", 50.0 if about == "y" else -120.0, degrees=True)
    tilted = Rotation.from_rotvec(np.radians(degrees) * axis) * upright * spin
    np.testing.assert_allclose(tilt_from_vertical(tilted.as_matrix()), degrees, atol=2e-6, rtol=1e-9)


def test_tilt_takes_batches_and_agrees_with_the_dot_product():
    rotations = Rotation.random(200, random_state=0).as_matrix().reshape(20, 10, 3, 3)
    tilt = tilt_from_vertical(rotations)
    assert tilt.shape == (20, 10)
    np.testing.assert_allclose(tilt, np.degrees(np.arccos(rotations[..., :, 0] @ [0.0, 0.0, -1.0])), rtol=1e-9)
    np.testing.assert_array_equal(tilt[3, 4], tilt_from_vertical(rotations[3, 4]))


def test_registry_knows_its_functions_and_names_the_nearest():
    assert unsafety.get("tilt_from_vertical") is tilt_from_vertical
    with pytest.raises(ValueError, match="did you mean 'tilt_from_vertical'"):
        unsafety.get("tilt_from_verticl")
    with pytest.raises(ValueError, match="unknown unsafety function 'zzz', known: .*tilt_from_vertical$"):
        unsafety.get("zzz")
    with pytest.raises(ValueError, match="registered already"):
        unsafety.register("tilt_from_vertical")(lambda rotation: rotation)


def test_what_is_registered_is_found_and_stays_what_it_was(monkeypatch):
    monkeypatch.setattr(unsafety, "_FUNCTIONS", dict(unsafety._FUNCTIONS))

    def height(rotation):
        return rotation

    assert unsafety.register("height")(height) is height
    assert unsafety.get("height") is height


def test_rate_counts_above_the_limit_only_and_nan_as_unsafe():
    assert unsafety_rate(np.array([15.0, 15.1, 3.0, 2.0, math.nan]), 15.0) == 0.4
    assert unsafety_rate(np.array([[math.inf, 0.0]]), 15.0) == 0.5
    with pytest.raises(ValueError, match="at least one state"):
        unsafety_rate(np.array([]), 15.0)
    with pytest.raises(ValueError, match="NaN"):
        unsafety_rate(np.array([1.0]), math.nan)


def test_a_rate_of_several_limits_and_episodes_counts_every_state_once():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 20.0, 0.0], episode=0)
    run_episode(ledger, [20.0, 0.0, 0.0, 0.0], episode=1, start=1000 * MS)
    totals = ledger.close(0)
    assert (totals.states, totals.unsafety_rate) == (5, 0.2)
    assert totals.unsafety_mean == 4.0 and totals.unsafety_max == 20.0
    assert totals.stood_still == (True, True), "no position was told"
    assert totals.standstill_rate == 1.0


def test_the_limit_of_the_unsafety_function_is_still_safe():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, LIMIT, math.nextafter(LIMIT, 99.0)])
    assert ledger.close(0).unsafety_rate == 0.5
