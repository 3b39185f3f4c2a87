# SPDX-License-Identifier: Apache-2.0
"""The slow move: where it begins and ends, how fast it is, and what follows it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.robots.slow_move import MoveTime, SlowMove, following_torque

ANGLES = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3).map(np.array)


@given(start=ANGLES, goal=ANGLES, speed=st.floats(0.05, 1.0))
def test_it_begins_and_ends_at_rest_and_is_never_faster(start: np.ndarray, goal: np.ndarray, speed: float) -> None:
    move = SlowMove(start, goal, speed)
    for time, where in ((0.0, start), (move.duration, goal), (move.duration + 9.0, goal)):
        position, velocity = move.reference(time)
        assert position == pytest.approx(where, abs=1e-9) and velocity == pytest.approx(np.zeros(3), abs=1e-9)
    times = np.linspace(0.0, move.duration, 50)
    assert max(np.abs(move.reference(time)[1]).max() for time in times) <= speed * (1 + 1e-9)


def test_velocity_is_the_derivative_of_position() -> None:
    move = SlowMove(np.zeros(2), np.array([1.0, -0.5]), 0.2)
    for time in (0.3, 2.0, 4.0):
        ahead, behind = move.reference(time + 1e-6)[0], move.reference(time - 1e-6)[0]
        assert (ahead - behind) / 2e-6 == pytest.approx(move.reference(time)[1], abs=1e-6)


def test_torque_pulls_towards_the_reference_and_brakes() -> None:
    torque = following_torque(
        np.array([0.0, 1.0]),
        np.array([0.0, 2.0]),
        (np.array([0.1, 1.0]), np.array([0.0, 0.0])),
        stiffness=np.array([10.0, 10.0]),
        damping=np.array([1.0, 0.5]),
    )
    assert torque == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize(
    ("start", "goal", "speed", "told"),
    [
        ([0.0], [0.0, 1.0], 0.1, "must be finite and of one shape"),
        ([0.0], [np.nan], 0.1, "must be finite and of one shape"),
        ([-np.inf], [0.0], 0.1, "must be finite and of one shape"),
        ([0.0], [1.0], 0.0, "speed must be positive, rad/s, got 0.0"),
        ([0.0], [1.0], np.nan, "speed must be positive, rad/s, got nan"),
    ],
)
def test_nonsense_is_refused(start: list[float], goal: list[float], speed: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SlowMove(np.array(start), np.array(goal), speed)


def test_time_along_a_move_stands_still_while_nobody_follows() -> None:
    along = MoveTime(longest_step=0.05)
    assert [along.at(now) for now in (7.0, 7.01, 7.03)] == pytest.approx([0.0, 0.01, 0.03])
    assert along.at(9.0) == pytest.approx(0.08), "two seconds without a joint state"
    assert along.at(9.01) == pytest.approx(0.09) and along.at(9.0) == pytest.approx(0.09)
