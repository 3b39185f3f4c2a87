# SPDX-License-Identifier: Apache-2.0
"""Any sequence of calls with any values: the promises about the torque hold after every one."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, Proposal, SafetyFilter
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

MS = 1_000_000
EFFORT = np.array([30.0, 0.2])
RATE = 10.0  # from one bound to the other in 20 ms
PERIOD_S = 0.005
RUNNING = (Mode.ARMED, Mode.HOLDING)
STOPPING = (Mode.HOLDING, Mode.TRIPPED)
DAMPING_MS = 100
# The machine's positions grow from 1 by 5e-3 a good joint state: into the limit, and beyond. The torques of its good
# proposals lead the first joint away from there and the second against its speed limit.
SOFT = SoftLimits(
    soft_lower=np.array([-1.0, -math.inf]),
    soft_upper=np.array([1.1, math.inf]),
    velocity=np.array([1.0, 0.1]),
    k_position=np.array([10.0, math.inf]),
    k_velocity=np.array([1.0, 1.0]),
)

WILD = st.one_of(st.floats(width=64), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -0.0]))
SHAPES = st.sampled_from([2, 2, 2, 2, 2, 0, 1, 3])
VALUES = SHAPES.flatmap(lambda n: arrays(np.float64, n, elements=st.one_of(st.floats(-1.0, 1.0), WILD)))
STEPS_MS = st.sampled_from([0, 1, 5, 5, 5, 5, 40, 60, 120, 600])
STAMP_ERRORS_MS = st.sampled_from([0, 0, 0, 0, 0, -5, -200, 5, 11, 10**6])
REASONS = st.sampled_from([Reason.NONE, *Reason.__members__.values()])


class Wild:
    """A critic of whatever mood."""

    def __init__(self):
        self.answer = None

    def judge(self, observation, proposal, torque_limit):
        if self.answer is None:
            return proposal.effort, 0.0, Verdict.ACCEPTED, Reason.NONE
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AnyCalls(RuleBasedStateMachine):
    """Drives a filter; knows of it only what is promised."""

    def __init__(self):
        super().__init__()
        self.gate = Wild()
        self.now, self.stamp = 10**9, 10**12
        self.before, self.before_ns = np.zeros(2), None  # torque of the instant before the present one
        self.present, self.present_ns = np.zeros(2), None
        self.in_force = False  # whether an accepted proposal may still move the arm
        self.alive_ns = None  # receipt of the newest accepted proposal, or arming
        self.state_ns = None
        self.passed_ns = -math.inf  # when an accepted proposal's torque may have passed last
        self.tripped = False
        self.iteration = 0

    # What the world does

    @initialize(
        soft=st.sampled_from([None, SOFT]),
        clamp=st.sampled_from(["joint", "scale"]),
        damping=st.sampled_from([0.0, 0.5]),
    )
    def start(self, soft, clamp, damping):
        self.damping = damping
        self.filter = SafetyFilter(
            ("a", "b"),
            EFFORT,
            FilterSettings(
                torque_rate_limit=RATE,
                state_period_s=PERIOD_S,
                clamp=clamp,
                stop_damping=damping,
                stop_damping_time_s=DAMPING_MS * 1e-3,
            ),
            TorqueLimitGuard(0.1, 0.104),
            self.gate,
            lambda position, velocity, torque_limit: position,
            soft,
        )
        self.get_going()

    @rule()
    def get_going(self):
        """Without this, random calls would hardly ever meet a filter that has something to lose."""
        for _ in range(2 + DAMPING_MS // 5 if self.damping else 5):
            self.good_joint_state(5)
            self.cycle()
        self.reset(Reason.NONE)
        self.arm()
        self.good_proposal(np.array([-0.3, -0.3]))
        self.good_joint_state(5)
        self.cycle()
        assert self.filter.mode is Mode.ARMED
        assert self.filter.applied.any()

    @rule(effort=arrays(np.float64, 2, elements=st.floats(-0.3, 0.3)), ms=st.sampled_from([1, 5, 40]))
    def good_step(self, effort, ms):
        self.good_joint_state(ms)
        self.good_proposal(effort)
        self.cycle()

    @rule(ms=st.sampled_from([1, 5, 40]), cycles=st.integers(1, 20))
    def no_proposals(self, ms, cycles):
        for _ in range(cycles):
            self.good_joint_state(ms)
            self.cycle()

    @rule(ms=STEPS_MS)
    def time_passes(self, ms):
        self.now += ms * MS

    @rule(error_ms=STAMP_ERRORS_MS, position=VALUES, velocity=VALUES)
    def joint_state(self, error_ms, position, velocity):
        self.observe(self.stamp + error_ms * MS, position, velocity)

    @rule(ms=STEPS_MS)
    def good_joint_state(self, ms):
        self.now += ms * MS
        self.stamp += max(ms, 1) * MS
        self.observe(self.stamp, np.full(2, self.stamp * 1e-12), np.array([0.02, -0.05]))

    def observe(self, stamp, position, velocity):
        if self.filter.observe_state(stamp, position, velocity, self.now) is Reason.NONE:
            assert np.isfinite(position).all() and np.isfinite(velocity).all() and len(position) == 2
            self.state_ns = self.now
            self.stamp = stamp

    @rule(
        error_ms=STAMP_ERRORS_MS,
        mean=VALUES,
        stddev=VALUES,
        effort=VALUES,
        last=st.booleans(),
        answer=st.one_of(
            st.none(),
            st.just(RuntimeError("broken")),
            st.tuples(VALUES, WILD, st.sampled_from(list(Verdict)), REASONS),
        ),
    )
    def any_proposal(self, error_ms, mean, stddev, effort, last, answer):
        self.gate.answer = answer
        self.propose(self.stamp + error_ms * MS, mean, stddev, effort, last)
        self.gate.answer = None

    @rule(effort=arrays(np.float64, 2, elements=st.floats(-0.3, 0.3)))
    def good_proposal(self, effort):
        self.propose(self.stamp, np.zeros(2), np.ones(2), effort, False)

    def propose(self, stamp, mean, stddev, effort, last):
        mode = self.filter.mode
        proposal = Proposal(
            stamp_ns=stamp,
            iteration=0,
            episode=0,
            step=0,
            last=last,
            policy_version=0,
            mean=mean,
            stddev=stddev,
            effort=effort,
        )
        if self.filter.propose(proposal, self.now) is Reason.NONE:
            assert mode in RUNNING
            assert last or (np.isfinite(effort).all() and len(effort) == 2)
            self.in_force, self.alive_ns = not last, self.now

    @rule(reason=REASONS)
    def rejected(self, reason):
        self.filter.reject(reason, self.now)

    @rule(
        newer=st.integers(-1, 2),
        limit=st.one_of(st.floats(0.09, 0.14), WILD),
        lease=st.one_of(st.floats(0.0, 1.0), WILD),
    )
    def limit(self, newer, limit, lease):
        moving = self.filter.mode in (Mode.ARMED, Mode.HOLDING)
        before = self.filter.guard.current(self.now)
        if self.filter.offer_limit(self.iteration + newer, limit, lease, self.now) is None:
            self.iteration += newer
            assert not moving or limit <= before

    @rule()
    def arm(self):
        mode = self.filter.mode
        if self.filter.arm(self.now) is None and mode is Mode.DISARMED:
            self.in_force, self.alive_ns = False, self.now

    @rule()
    def disarm(self):
        self.filter.disarm(self.now)

    @rule(reason=REASONS)
    def trip(self, reason):
        self.filter.trip(reason, self.now)
        assert self.filter.mode is Mode.TRIPPED

    @rule(standing=st.sampled_from([Reason.NONE, Reason.NONE, Reason.OPERATOR_STOP]))
    def reset(self, standing):
        if self.filter.reset(self.now, standing) is None and self.tripped:
            assert not standing
            assert not self.filter.applied.any()
            self.tripped = False

    @rule(ms=st.sampled_from([1, 1000]))
    def our_clock_goes_back(self, ms):
        self.cycle()
        self.now -= ms * MS
        self.present_ns, self.passed_ns = None, -math.inf
        was = self.filter.mode
        self.cycle()
        assert was not in RUNNING or self.filter.mode is Mode.TRIPPED

    # What is promised

    @rule()
    def cycle(self):
        if self.present_ns != self.now:
            self.before, self.before_ns = self.present, self.present_ns
        torque = self.filter.cycle(self.now).copy()
        mode, limit = self.filter.mode, self.filter.torque_limit
        bound = np.minimum(EFFORT, limit)
        assert 0.1 <= limit <= 0.104
        assert np.isfinite(torque).all()
        assert (np.abs(torque) <= bound).all()
        elapsed = PERIOD_S if self.before_ns is None else min((self.now - self.before_ns) * 1e-9, PERIOD_S)
        start = np.clip(self.before, -bound, bound)
        assert (np.abs(torque - start) <= RATE * elapsed + 1e-12).all()
        if mode is Mode.ARMED and self.in_force:
            self.passed_ns = self.now
        elif self.damping and mode in STOPPING and self.now - self.passed_ns <= DAMPING_MS * MS:
            # Stop torque that damps: never with the motion, but for what the rate has not yet taken away.
            velocity = self.filter.velocity
            left = np.maximum(np.abs(start) - RATE * elapsed, 0.0)
            assert (np.abs(torque) <= np.maximum(left, np.abs(self.damping * velocity)) + 1e-12).all()
            assert ((torque * velocity <= 0.0) | (torque * start >= 0.0)).all()
        else:
            # Stop torque: towards zero and never past it.
            assert (np.abs(torque) <= np.abs(start)).all()
            assert (torque * start >= 0.0).all()
            assert (np.abs(torque) <= np.maximum(np.abs(start) - RATE * elapsed, 0.0) + 1e-12).all()
        if mode is Mode.ARMED:
            assert self.now - self.alive_ns <= 100 * MS
        if mode in RUNNING:
            assert self.now - self.alive_ns <= 500 * MS
            assert self.now - self.state_ns <= 50 * MS
        if mode in (Mode.HOLDING, Mode.TRIPPED):
            assert self.filter.cause
            assert self.filter.last_reasons & self.filter.cause
            self.in_force = False
        self.present, self.present_ns = torque, self.now

    @invariant()
    def tripped_is_latched(self):
        assert not self.tripped or self.filter.mode is Mode.TRIPPED
        self.tripped = self.filter.mode is Mode.TRIPPED
        if self.filter.mode in (Mode.DISARMED, Mode.TRIPPED):
            self.in_force = False


TestAnyCalls = AnyCalls.TestCase
TestAnyCalls.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None, report_multiple_bugs=False
)
