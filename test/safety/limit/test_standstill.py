# SPDX-License-Identifier: Apache-2.0
"""An arm that stood still is no evidence: which episodes count as such, and what the limit makes of it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.standstill import (
    ASKED_SHARE,
    MOVED_RAD,
    Travel,
    asked_joints,
    marked,
    stood_still,
    warning,
)
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger

LIMIT, JOINTS = 15.0, 3


def episodes_of(rng: np.random.Generator, count: int) -> list[dict]:
    """Random episodes, some with a joint that hardly moves, or one that the policy hardly asks for torque."""
    made = []
    for number in range(count):
        steps = int(rng.integers(2, 12))
        size = rng.choice([0.001, 0.05], size=JOINTS, p=[0.2, 0.8])
        made.append(
            {
                "stamps": 1000 * number + 50 * np.arange(steps + 1),
                "position": np.cumsum(size * rng.normal(size=(steps + 1, JOINTS)), axis=0),
                "unsafety": rng.uniform(0.0, 30.0, size=steps + 1),
                "mean": rng.normal(size=(steps, JOINTS)) * rng.choice([0.04, 1.0], size=JOINTS),
                "stddev": np.full((steps, JOINTS), 0.02),
                "limit": 0.5,
            }
        )
    return made


def fill(ledger: UnsafetyLedger, episodes: list[dict], rng: np.random.Generator) -> None:
    """Everything of the episodes, in any order of arrival."""
    calls = []
    for number, e in enumerate(episodes):
        for row, stamp in enumerate(e["stamps"].tolist()):
            calls.append((ledger.add_state, (stamp, e["unsafety"][row])))
            calls.append((ledger.add_position, (stamp, e["position"][row])))
            last = row == len(e["mean"])
            told = (np.zeros(0), np.zeros(0)) if last else (e["mean"][row], e["stddev"][row])
            calls.append((ledger.add_step, (0, number, stamp, last, *told, e["limit"], row)))
    for at in rng.permutation(len(calls)):
        call, arguments = calls[at]
        call(*arguments)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_the_ledger_counts_as_a_plain_loop_does(seed, count):
    rng = np.random.default_rng(seed)
    episodes = episodes_of(rng, count)
    ledger = UnsafetyLedger(LIMIT)
    fill(ledger, episodes, rng)
    for stamp in (-50, 10_000):  # before the first and after the last: no motion of any episode
        ledger.add_position(stamp, np.full(JOINTS, 9.0))
    totals = ledger.close(0)
    unsafe, states, still = 0, 0, []
    for e in episodes:
        stuck = False
        for joint in range(JOINTS):
            asked = [
                (m**2 + s**2) / e["limit"] ** 2 for m, s in zip(e["mean"][:, joint], e["stddev"][:, joint], strict=True)
            ]
            moved = max(e["position"][:, joint]) - min(e["position"][:, joint])
            stuck |= math.sqrt(sum(asked) / len(asked)) >= ASKED_SHARE and moved < MOVED_RAD
        still.append(stuck)
        states += len(e["mean"])
        unsafe += len(e["mean"]) if stuck else sum(e["unsafety"][1:] > LIMIT)
    assert totals.stood_still == tuple(still)
    assert totals.standstill_rate == unsafe / states
    assert totals.unsafety_rate <= totals.standstill_rate


def test_a_degree_is_motion_and_a_tenth_of_the_limit_is_asking():
    assert (MOVED_RAD, ASKED_SHARE) == (0.02, 0.1)


def test_a_policy_asks_from_its_share_of_the_limit_on_of_each_step():
    one = np.ones(2)
    # Root mean square of .06 and .08 is .1 of each step's own limit.
    assert asked_joints(np.array([[0.06]]), np.array([[0.08]]), np.array([1.0 - 1e-9])).all()
    assert not asked_joints(np.array([[0.06]]), np.array([[0.08]]), np.array([1.0 + 1e-9])).any()
    assert asked_joints(np.array([[ASKED_SHARE]]), np.zeros((1, 1)), np.ones(1)).all(), "the share itself is asking"
    # Over two steps, one of which asks for nothing: .2 of a limit of 2 and 0 are .1 x sqrt 2 in the mean square.
    for asked, expected in ((0.2829, True), (0.2828, False)):
        assert asked_joints(np.array([[asked], [0.0]]), np.zeros((2, 1)), 2.0 * one)[0] == expected


def test_the_span_between_two_times_is_of_both_ends_and_of_each_joint():
    travel = Travel(10)
    for stamp, position in ((1, (0.0, 9.0)), (2, (1.0, 1.0)), (3, (3.0, 2.0)), (4, (9.0, 2.5))):
        travel.add(stamp, np.array(position))
    np.testing.assert_array_equal(travel.between(2, 3), [2.0, 1.0])
    np.testing.assert_array_equal(travel.between(1, 4), [9.0, 8.0])
    np.testing.assert_array_equal(travel.between(2, 2), [0.0, 0.0])
    travel.forget(2)
    np.testing.assert_array_equal(travel.between(1, 4), [6.0, 0.5])


def test_room_for_so_many_positions_is_room_for_all_of_them_and_the_newer_half_stays():
    travel = Travel(7)
    for stamp in range(7):
        travel.add(stamp, np.array([float(stamp)]))
    assert travel.between(0, 6) == 6.0, "as many as there is room for"
    travel.add(7, np.array([7.0]))
    assert sorted(travel._positions) == [5, 6, 7]


def test_a_limit_felt_at_one_step_asks_every_joint():
    ledger = UnsafetyLedger(LIMIT, torque_actions=False)
    for number, felt in enumerate((False, True, False)):
        ledger.add_step(0, 0, 10 * number, False, np.ones(2), np.ones(2), 0.5, number, felt)
        ledger.add_position(10 * number, np.zeros(2))
    assert ledger.close(0).stood_still == (True,)


def test_an_episode_in_which_nothing_was_proposed_shows_nothing():
    ledger = UnsafetyLedger(LIMIT, torque_actions=False)
    for episode, mean in ((0, np.ones(2)), (1, np.empty(0))):
        for number in range(3):
            stamp = 100 * episode + 10 * number
            ledger.add_step(0, episode, stamp, False, mean, mean, 0.5, number)
            ledger.add_position(stamp, np.full(2, float(number)))
            ledger.add_state(stamp, 0.0)
    totals = ledger.close(0)
    assert totals.stood_still == (False, True)
    # Two periods of three steps; what carries no proposal begins none, so that the other episode is a single one.
    assert totals.periods == 3 and (totals.unsafety_rate, totals.standstill_rate) == (0.0, pytest.approx(1.0 / 3.0))


def test_every_state_of_an_episode_that_stood_still_is_marked_and_of_the_others_none():
    flags = [np.array([True, False]), np.array([False, True, False])]
    same, whole = marked(flags, [False, True])
    np.testing.assert_array_equal(same, [True, False])
    np.testing.assert_array_equal(whole, [True, True, True])
    with pytest.raises(ValueError, match="zip"):
        marked(flags, [False])


def test_positions_handed_in_may_be_reused_by_the_caller():
    travel, position = Travel(10), np.zeros(1)
    for stamp in range(2):
        travel.add(stamp, position)
        position += 1.0
    assert travel.between(0, 1) == 1.0


def test_what_was_not_seen_has_not_moved():
    asked, moved = np.array([True, False]), np.array([0.5, 0.5])
    assert not stood_still(moved, asked)
    assert not stood_still(np.array([MOVED_RAD, 0.0]), asked), "a joint that was hardly asked need not move"
    for travel in (np.array([0.019, 0.5]), np.array([math.nan, 0.5]), np.empty(0)):
        assert stood_still(travel, asked)
    mean, stddev = np.array([[0.0, 0.0], [0.1, 0.0]]), np.full((2, 2), 0.01)
    np.testing.assert_array_equal(asked_joints(mean, stddev, np.full(2, 0.5)), [True, False])
    np.testing.assert_array_equal(asked_joints(mean * math.nan, stddev, np.full(2, 0.5)), [True, True])
    ledger = UnsafetyLedger(LIMIT)
    for stamp, last in ((0, False), (50, False), (100, True)):
        ledger.add_step(0, 0, stamp, last, np.zeros(0) if last else moved, np.ones(2), 0.5)
        ledger.add_state(stamp, 1.0)
    totals = ledger.close(0)
    assert (totals.unsafety_rate, totals.standstill_rate, totals.stood_still) == (0.0, 1.0, (True,))


def test_actions_that_are_no_torques_ask_every_joint_once_the_limit_is_felt():
    for felt in (False, True):
        ledger = UnsafetyLedger(LIMIT, torque_actions=False)
        for stamp, last in ((0, False), (50, False), (100, True)):
            ledger.add_step(0, 0, stamp, last, np.zeros(0) if last else np.ones(2), np.ones(2), 0.5, 0, felt)
            ledger.add_state(stamp, 1.0)
            ledger.add_position(stamp, np.array([stamp / 100.0, stamp / 100.0, 0.0]))
        assert ledger.close(0).stood_still == (felt,)


def test_positions_without_end_keep_the_newest_and_no_more_than_there_is_room_for():
    travel = Travel(100)
    for stamp in range(1000):
        travel.add(stamp, np.array([float(stamp)]))
        assert len(travel._positions) <= 100
    assert travel.between(990, 999) == 9.0
    assert len(travel.between(0, 500)) == 0
    travel.forget(2000)
    assert not travel._positions


def governed(governor: TorqueLimitGovernor, rate: float, standstill_rate: float | None, mean: float = 0.1):
    return governor.update(
        iteration=governor.iteration,
        unsafety_rate=rate,
        mean=np.full((4, 2), mean),
        stddev=np.full((4, 2), 0.1),
        visited_torque_limit=governor.torque_limit,
        kl=0.01,
        kl_bound=0.05,
        standstill_rate=standstill_rate,
    )


@pytest.mark.parametrize("damage", ["linear", "quadratic"])
@pytest.mark.parametrize("joints", ["mean", "any", "moved"])
def test_the_limit_keeps_the_bound_even_if_all_that_stood_still_turns_out_unsafe(joints, damage):
    decided = Counter()

    @settings(max_examples=30)
    @given(
        st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(-2.0, 2.0)), min_size=5, max_size=20),
        st.floats(0.5, 3.0),
    )
    def keeps_the_bound(history, start):
        walk(history, start, damage, joints, decided)

    keeps_the_bound()
    assert decided["bound"] >= 10, "the standstill rate set the limit"


def walk(history, start, damage, joints, decided):
    rule = {"damage": damage, "joints": joints}
    ours = TorqueLimitGovernor(GovernorSettings(standstill="unsafe", **rule), torque_limit=start)
    papers = TorqueLimitGovernor(GovernorSettings(**rule), torque_limit=start)
    for rate, unshown, mean in history:
        before = ours.torque_limit
        standstill_rate = max(rate, unshown)
        step = governed(ours, rate, standstill_rate, mean)
        governed(papers, rate, standstill_rate, mean)
        d_next = ours.torque_limit if damage == "linear" else ours.torque_limit**2
        assert standstill_rate * d_next <= 0.5 * (1.0 + 1e-12) and not ours.may_break_loose(standstill_rate)
        assert step.unsafety_rate == rate, "what is reported as measured is what was measured"
        decided["bound"] += standstill_rate > rate and ours.torque_limit < min(1.05 * before, 3.0)
        # Only ever lower, but for the search of "moved", which tries limits on a grid.
        assert joints == "moved" or ours.torque_limit <= papers.torque_limit


def test_an_arm_that_never_moves_ends_at_d_safe_and_one_that_does_is_the_papers():
    held, loose, papers = (
        TorqueLimitGovernor(GovernorSettings(standstill=standstill)) for standstill in ("unsafe", "unsafe", "measured")
    )
    for _ in range(60):
        governed(held, 0.0, 1.0)
        assert governed(loose, 0.1, 0.1) == governed(papers, 0.1, 1.0)
    assert held.torque_limit == 0.5 < 1.5 < papers.torque_limit
    assert papers.may_break_loose(1.0) and not TorqueLimitGovernor(GovernorSettings(rule="fixed")).may_break_loose(1.0)


@pytest.mark.parametrize("standstill_rate", [None, math.nan, 0.1, 1.1])
def test_a_rate_that_cannot_be_is_refused_and_the_limit_stays(standstill_rate):
    governor = TorqueLimitGovernor(GovernorSettings(standstill="unsafe"), torque_limit=0.3)
    with pytest.raises(ValueError, match="standstill_rate"):
        governed(governor, 0.2, standstill_rate)
    assert (governor.iteration, governor.torque_limit) == (0, 0.3)


def test_the_warning_says_how_many_and_what_can_be_done() -> None:
    says = warning(2, 5)
    assert says.startswith("in 2 of 5 episodes") and "D_safe may be broken" in says
    assert "unsafety_monitor.standstill: unsafe" in says
