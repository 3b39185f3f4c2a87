# SPDX-License-Identifier: Apache-2.0
"""Time of the safety filter's core, without ROS, as a ratio to the same rules written plainly in numpy.

    python benchmarks/filter_core.py [--cycles 20000]

Seven joints of the PR2's limits, a new joint state, a new proposal and a cycle each time; both do the same work on the
same numbers in the same run, taking turns, and their torques are compared. One process, one core. Medians, and the 99th
and 99.9th percentiles of single calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from safe_transfer_ros.safety.filter.envelope import Envelope, EnvelopeSettings, bound_torque
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, Proposal, SafetyFilter
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Reason

EFFORT = np.array([30.0] * 5 + [10.0] * 2)
SOFT = SoftLimits(
    soft_lower=np.array([-0.56, -0.35, -0.65, -2.12, -np.inf, -2.0, -np.inf]),
    soft_upper=np.array([2.14, 1.30, 3.75, -0.15, np.inf, -0.1, np.inf]),
    velocity=np.array([2.09, 2.08, 3.27, 3.3, 3.6, 3.08, 3.6]),
    k_position=np.array([100.0, 100.0, 100.0, 100.0, np.inf, 20.0, np.inf]),
    k_velocity=np.array([10.0, 10.0, 2.0, 3.0, 1.0, 4.0, 2.0]),
)
PR2_HOME = np.array([0.714, 0.09, 1.828, -1.459, 1.634, -1.306, 0.0])
PERIOD_NS = 5_000_000
LIMIT = 1.0
ROWS = 256


def plain_envelope(
    torque: np.ndarray,
    previous: np.ndarray,
    limit: float,
    change: float,
    clamp: str = "joint",
    state: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, int]:
    """The envelope's rules as one would write them first."""
    reasons = 0
    bound = np.minimum(EFFORT, limit)
    low, high = -bound, bound
    if not np.isfinite(torque).all():
        torque, reasons = np.zeros_like(torque), int(Reason.PROPOSAL_NOT_FINITE)
    if state is not None:
        position, velocity = state
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            torque, reasons = np.zeros_like(torque), reasons | int(Reason.JOINT_STATE_NOT_FINITE)
        else:
            slowest = np.clip(-SOFT.k_position * (position - SOFT.soft_lower), -SOFT.velocity, SOFT.velocity)
            fastest = np.clip(-SOFT.k_position * (position - SOFT.soft_upper), -SOFT.velocity, SOFT.velocity)
            low = np.clip(-SOFT.k_velocity * (velocity - slowest), -bound, bound)
            high = np.clip(-SOFT.k_velocity * (velocity - fastest), -bound, bound)
    if (np.abs(torque) > limit).any():
        reasons |= int(Reason.CLAMPED_TORQUE_LIMIT)
    if (np.minimum(np.abs(torque), limit) > EFFORT).any():
        reasons |= int(Reason.CLAMPED_EFFORT_LIMIT)
    target = np.clip(np.clip(torque, -bound, bound), low, high)
    if clamp == "scale":
        nonzero = torque != 0.0
        ratio = np.clip((target[nonzero] / torque[nonzero]).min(initial=1.0), 0.0, 1.0)
        target = np.clip(ratio * torque, low, high)
    if state is not None:
        inside = np.clip(torque, -bound, bound)
        raised, lowered = inside < low, inside > high
        if (raised & (slowest > -SOFT.velocity)).any() or (lowered & (fastest < SOFT.velocity)).any():
            reasons |= int(Reason.CLAMPED_SOFT_POSITION)
        if (raised & (slowest == -SOFT.velocity)).any() or (lowered & (fastest == SOFT.velocity)).any():
            reasons |= int(Reason.CLAMPED_SOFT_VELOCITY)
    before = np.clip(previous, -bound, bound)
    applied = np.clip(target, before - change, before + change)
    if (applied != target).any():
        reasons |= int(Reason.CLAMPED_TORQUE_RATE)
    return applied, reasons


class PlainFilter:
    """What one step of an armed filter has to check, in plain numpy; no modes, no latching, nothing else."""

    def __init__(self) -> None:
        self.position = np.zeros(7)
        self.velocity = np.zeros(7)
        self.effort = np.zeros(7)
        self.applied = np.zeros(7)
        self.state_stamp = self.proposal_stamp = -1
        self.state_ns = self.changed_ns = self.fresh_ns = self.cycle_ns = 0

    def step(self, stamp: int, position: np.ndarray, velocity: np.ndarray, proposal: Proposal, now: int) -> np.ndarray:
        """Joint state, proposal and cycle."""
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()) or stamp <= self.state_stamp:
            return np.zeros(7)
        if not (np.array_equal(position, self.position) and np.array_equal(velocity, self.velocity)):
            self.changed_ns = now
        self.position, self.velocity = position.copy(), velocity.copy()
        self.state_stamp, self.state_ns = stamp, now
        if (
            proposal.mean.shape == proposal.stddev.shape == proposal.effort.shape == (7,)
            and np.isfinite(proposal.mean).all()
            and np.isfinite(proposal.effort).all()
            and np.isfinite(proposal.stddev).all()
            and (proposal.stddev > 0.0).all()
            and self.proposal_stamp < proposal.stamp_ns <= self.state_stamp + 10_000_000
        ):
            self.effort = proposal.effort.copy()
            self.proposal_stamp, self.fresh_ns = proposal.stamp_ns, now
        fresh = now - self.fresh_ns <= 100_000_000 and now - self.state_ns <= 50_000_000
        alive = now - self.changed_ns <= 200_000_000
        wanted = self.effort if fresh and alive else np.zeros(7)
        change = 1000.0 * min((now - self.cycle_ns) * 1e-9, 0.005)
        self.applied, _ = plain_envelope(wanted, self.applied, LIMIT, change)
        self.cycle_ns = now
        return self.applied


def take_turns(first: Callable[[int], object], second: Callable[[int], object], count: int) -> np.ndarray:
    """Nanoseconds of each call, shape (2, count), the two taking turns."""
    times = np.empty((2, count))
    clock = time.perf_counter_ns
    for index in range(count):
        start = clock()
        first(index)
        middle = clock()
        second(index)
        times[:, index] = middle - start, clock() - middle
    return times[:, count // 10 :]


def show(name: str, times: np.ndarray) -> None:
    """One row of the table."""
    ours, plain = np.percentile(times, [50, 99, 99.9], axis=1).T
    cells = [" / ".join(f"{value:.0f}" for value in row) for row in (ours, plain)]
    print(f"| {name} | {cells[0]} | {cells[1]} | {plain[0] / ours[0]:.1f} |")


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=20_000)
    cycles = parser.parse_args().cycles
    rng = np.random.default_rng(0)
    states, torques, stddev = rng.normal(size=(ROWS, 7)), rng.normal(size=(ROWS, 7)), np.full(7, 0.37)
    print("| work | ours, ns: p50 / p99 / p99.9 | plain numpy, ns | plain over ours |")
    print("|---|---|---|---|")

    # About the middle of the travel, so that soft limits sometimes bite.
    positions, velocities = PR2_HOME + 0.5 * states, 2.0 * rng.normal(size=(ROWS, 7))
    for name, limit, change, clamp, softened in (
        ("free", 30.0, 60.0, "joint", False),
        ("clamped", 0.1, 60.0, "joint", False),
        ("rate-limited", 3.0, 0.1, "joint", False),
        ("scaled", 0.1, 60.0, "scale", False),
        ("soft limits", 1.0, 60.0, "joint", True),
        ("soft limits, scaled", 1.0, 60.0, "scale", True),
    ):
        envelope = Envelope(EFFORT, EnvelopeSettings(clamp=clamp), SOFT if softened else None)
        out, previous = np.zeros(7), np.zeros(7)

        def at(index: int) -> tuple[np.ndarray, np.ndarray] | None:
            row = index % ROWS
            return (positions[row], velocities[row]) if softened else None  # noqa: B023

        def ours(index: int) -> None:
            envelope.apply(torques[index % ROWS], limit, change / 1000.0, out, at(index))  # noqa: B023

        def plain(index: int) -> None:
            nonlocal previous
            previous, _ = plain_envelope(torques[index % ROWS], previous, limit, change, clamp, at(index))  # noqa: B023

        show(f"envelope, {name}", take_turns(ours, plain, cycles))
        np.testing.assert_allclose(out, previous, rtol=1e-15)

    safety_filter = SafetyFilter(
        [f"joint{i}" for i in range(7)], EFFORT, FilterSettings(), TorqueLimitGuard(LIMIT, LIMIT)
    )
    safety_filter.observe_state(0, states[0] + 1.0, states[0], 0)
    assert safety_filter.arm(0) is None
    proposals = [
        Proposal(
            stamp_ns=(index + 1) * PERIOD_NS,
            iteration=0,
            episode=0,
            step=index,
            last=False,
            policy_version=0,
            mean=torques[index % ROWS],
            stddev=stddev,
            effort=torques[(7 * index) % ROWS],
        )
        for index in range(cycles)
    ]
    simple = PlainFilter()

    def step(index: int) -> None:
        now, state = (index + 1) * PERIOD_NS, states[index % ROWS]
        safety_filter.observe_state(now, state, state, now)
        safety_filter.propose(proposals[index], now)
        safety_filter.cycle(now)

    def simple_step(index: int) -> None:
        state = states[index % ROWS]
        simple.step((index + 1) * PERIOD_NS, state, state, proposals[index], (index + 1) * PERIOD_NS)

    show("joint state + proposal + cycle", take_turns(step, simple_step, cycles))
    np.testing.assert_array_equal(safety_filter.applied, simple.applied)

    batch, zeros = rng.normal(size=(50, 7)), np.zeros((50, 7))
    limits = rng.uniform(0.1, 3.0, 50)
    everywhere = (positions[:50], velocities[:50])
    for name, soft, state in (("batch of 50", None, None), ("batch of 50, soft limits", SOFT, everywhere)):

        def at_once(_: int) -> None:
            bound_torque(batch, zeros, limits, EFFORT, 5.0, soft_limits=soft, state=state)  # noqa: B023

        def one_by_one(_: int) -> None:
            for row in range(50):
                at = (positions[row], velocities[row]) if soft else None  # noqa: B023
                plain_envelope(batch[row], zeros[row], limits[row], 5.0, "joint", at)

        show(name, take_turns(at_once, one_by_one, cycles // 50))


if __name__ == "__main__":
    main()
