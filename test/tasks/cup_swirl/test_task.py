# SPDX-License-Identifier: Apache-2.0
"""The cup swirl's observation, reward, unsafety and starts against numbers worked out another way."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.cup_swirl.task import CupSwirl
from safe_transfer_ros.tasks.task import make

TASK = CupSwirl()
CHAIN = TASK.chain
START = np.array([0.714, 0.09, 1.828, -1.459, 1.634, -1.306, 0.0])
states = hnp.arrays(np.float64, (2, 7), elements=st.floats(-3, 3))


def _joints_at(target: np.ndarray) -> np.ndarray:
    """A joint position near the start whose tool is at the target, by Gauss-Newton."""
    q = START.copy()
    for _ in range(50):
        q += np.linalg.pinv(CHAIN.jacobian(q)[:3]) @ (target - CHAIN.tool_position(q))
    np.testing.assert_allclose(CHAIN.tool_position(q), target, atol=1e-12)
    return q


def _rates_for(q: np.ndarray, velocity: list[float]) -> np.ndarray:
    return np.linalg.pinv(CHAIN.jacobian(q)[:3]) @ np.array(velocity)


def test_sizes_and_times_are_the_papers() -> None:
    assert (TASK.observation_size, TASK.action_size, TASK.horizon, TASK.substeps) == (18, 7, 200, 10)
    assert (TASK.control_period_s, TASK.timestep_s, TASK.gamma) == (0.05, 0.005, 0.95)
    assert TASK.torque_limit_range == (0.1, 3.0)
    assert TASK.unsafety_limit == 15.0
    assert TASK.speed == pytest.approx(2 * np.pi * 0.1 / 4)


def test_observation_is_position_velocity_tool_and_limit() -> None:
    position = START + np.arange(7) / 100
    velocity = np.array([0.5, -0.5, 12.0, -12.0, 10.0, 0.0, 3.0])
    observation = TASK.observe(position, velocity, 1.5)
    np.testing.assert_allclose(observation[:7], np.arange(7) / 100, atol=1e-15)
    np.testing.assert_array_equal(observation[7:14], [0.5, -0.5, 10.0, -10.0, 10.0, 0.0, 3.0])
    np.testing.assert_array_equal(observation[14:17], CHAIN.tool_position(position))
    assert observation[17] == 0.5
    assert observation.dtype == np.float64


def test_torque_limit_is_each_episodes_own_in_a_batch() -> None:
    position, velocity = np.tile(START, (3, 1)), np.zeros((3, 7))
    limits = np.array([0.1, 1.0, 3.0])
    np.testing.assert_allclose(TASK.observe(position, velocity, limits)[:, 17], limits / 3)


@given(states, st.floats(0.1, 3.0))
def test_one_state_and_a_batch_give_the_same_bits(state: np.ndarray, limit: float) -> None:
    q, dq = state
    torque = dq / 2
    batch = np.stack([q, START]), np.stack([dq, dq]), np.stack([torque, torque])
    np.testing.assert_array_equal(TASK.observe(*batch[:2], limit)[0], TASK.observe(q, dq, limit))
    np.testing.assert_array_equal(TASK.unsafety(batch[0])[0], TASK.unsafety(q))
    one, many = TASK.outcome(q, dq, torque), TASK.outcome(*batch)
    np.testing.assert_allclose(many.task_reward[0], one.task_reward, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(many.reward[0], one.reward, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(
    ("offset", "velocity", "torque", "expected"),
    [
        # On the circle at v*: g = 1, f = 1.
        ([0.10, 0.0, 0.0], [0.0, 0.157079632679, 0.0], 0.0, 1.0),
        # Standing on it: .25 g.
        ([0.10, 0.0, 0.0], [0.0, 0.0, 0.0], 0.0, 0.25),
        # Half the speed: .25 + .75 / 2.
        ([0.0, 0.10, 0.0], [-0.0785398163397, 0.0, 0.0], 0.0, 0.625),
        # One and a half: .25 + .75 (1 - .5).
        ([0.0, -0.10, 0.0], [0.235619449019, 0.0, 0.0], 0.0, 0.625),
        # Twice: f = 0.
        ([-0.10, 0.0, 0.0], [0.0, -0.314159265359, 0.0], 0.0, 0.25),
        # Clockwise, and clockwise at three times: f = -1 both.
        ([0.10, 0.0, 0.0], [0.0, -0.157079632679, 0.0], 0.0, -0.5),
        ([0.10, 0.0, 0.0], [0.0, -0.471238898038, 0.0], 0.0, -0.5),
        # Radial and vertical motion follow nothing.
        ([0.10, 0.0, 0.0], [0.2, 0.0, 0.3], 0.0, 0.25),
        # 5 cm outside and 5 cm above: exp(-1/2) each, .25 g.
        ([0.15, 0.0, 0.0], [0.0, 0.0, 0.0], 0.0, 0.25 * 0.606530659713),
        ([0.10, 0.0, 0.05], [0.0, 0.0, 0.0], 0.0, 0.25 * 0.606530659713),
        # At the centre, 10 cm from the circle: .25 exp(-2), whatever the motion.
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.0], 0.0, 0.25 * 0.135335283237),
        # Effort: .02 mean(a^2) of the torque proposed, not bounded.
        ([0.10, 0.0, 0.0], [0.0, 0.0, 0.0], 5.0, 0.25 - 0.5),
    ],
)
def test_task_reward_by_hand(offset: list[float], velocity: list[float], torque: float, expected: float) -> None:
    q = _joints_at(np.array([0.60, 0.30, -0.30]) + offset)
    reward = TASK.task_reward(q, _rates_for(q, velocity), np.full(7, torque))
    assert reward == pytest.approx(expected, abs=1e-9)


def test_effort_is_the_mean_over_joints() -> None:
    q, still = START, np.zeros(7)
    effort = TASK.task_reward(q, still, still) - TASK.task_reward(q, still, np.array([7.0, 0, 0, 0, 0, 0, 0]))
    assert effort == pytest.approx(0.02 * 49 / 7)


def test_reward_takes_the_squared_tilt_in_degrees() -> None:
    """Bending the wrist by 10 degrees from straight down tilts by 10 degrees: a penalty of .2."""
    q = START.copy()
    tilted = q.copy()
    tilted[5] += np.radians(10.0)
    assert TASK.unsafety(q) == pytest.approx(0.0, abs=0.02)
    assert TASK.unsafety(tilted) == pytest.approx(10.0, abs=0.02)
    still = np.zeros(7)
    outcome = TASK.outcome(tilted, still, still)
    assert outcome.unsafety == TASK.unsafety(tilted)
    assert outcome.task_reward == TASK.task_reward(tilted, still, still)
    assert outcome.task_reward - outcome.reward == pytest.approx(0.002 * 10.0**2, abs=1e-3)
    assert TASK.reward(tilted, still, still) == outcome.reward


def test_unsafety_is_the_angle_from_straight_down() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(-3, 3, (50, 7))
    down = CHAIN.tool_rotation(q)[:, :, 0] @ np.array([0, 0, -1.0])
    np.testing.assert_allclose(TASK.unsafety(q), np.degrees(np.arccos(down)), atol=1e-6)


def test_initial_tilts_are_six_degrees_in_the_mean_and_eleven_at_the_95th_percentile() -> None:
    drawn = [TASK.initial_state(generator(Purpose.INITIAL_STATE, 0, episode)) for episode in range(4000)]
    position = np.stack([state[0] for state in drawn])
    tilts = TASK.unsafety(position)
    assert tilts.mean() == pytest.approx(6.0, abs=0.5)
    assert np.percentile(tilts, 95) == pytest.approx(11.0, abs=0.7)
    assert np.abs(position - START).max() <= 0.1
    assert np.abs(position - START).max() > 0.099
    assert not np.stack([state[1] for state in drawn]).any()


def test_start_cannot_be_moved_by_a_caller() -> None:
    position, _ = TASK.initial_state(np.random.default_rng(0))
    position += 1.0
    with pytest.raises(ValueError, match="read-only"):
        TASK.start += 1.0


def test_settings_change_the_circle_and_bad_ones_are_refused() -> None:
    wide = make("pr2_cup_swirl", radius=0.2, lap_s=8.0)
    assert isinstance(wide, CupSwirl)
    assert (wide.radius, wide.speed) == (0.2, pytest.approx(0.15707963))
    for bad in ({"radius": 0.0}, {"lap_s": -1.0}, {"start_spread": float("nan")}, {"centre": (0, 0, np.inf)}):
        with pytest.raises(ValueError, match="cup swirl"):
            CupSwirl(**bad)


def test_importing_the_task_brings_neither_simulator_nor_learning_library() -> None:
    program = (
        "import sys; from safe_transfer_ros.tasks.task import make; import safe_transfer_ros.randomness; "
        "make('pr2_cup_swirl'); "
        "print([name for name in ('mujoco', 'torch', 'gymnasium', 'rclpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
