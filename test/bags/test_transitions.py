# SPDX-License-Identifier: Apache-2.0
"""Transitions: right where the record is whole, absent where it is not, and counted."""

from __future__ import annotations

import shutil
import tracemalloc

import numpy as np
import pytest
from decision_bags import PERIOD_NS, TOPIC, TYPES, decision, state, whole, write
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from synthetic_run import Messages

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.layout import LayoutReader
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH = in_graph("pr2_cup_swirl")
TASK = GRAPH.task
MESSAGES = Messages()
STEPS = 20


def convert(tmp_path, data, name="bag", **options):
    bag = write(tmp_path / name, data, **options)
    return write_transitions([Bag(bag)], GRAPH, tmp_path / f"{name}_transitions")


def expected():
    """Every transition of episodes 0 to 2, worked out step by step: (episode, step) -> fields."""
    rows = {}
    for episode, step in ((e, s) for e in range(3) for s in range(STEPS)):
        (q, dq), (q2, dq2) = state(TASK, episode, step), state(TASK, episode, step + 1)
        u, last = float(TASK.unsafety(q2)), step + 1 == STEPS
        rows[episode, step] = {
            "iteration": episode // 2,
            "stamp_ns": 10**9 + PERIOD_NS * (1000 * episode + step),
            "observation": TASK.observe(q, dq, 0.5),
            "next_observation": TASK.observe(q2, dq2, 0.5),
            "proposed": np.full(7, 100.0 * episode + step),
            "chosen": np.full(7, 100.0 * episode + step),
            "applied": np.full(7, 0.25 + 0.001 * step),
            "mean": np.full(7, episode + 0.01 * step),
            "next_mean": np.full(7, np.nan if last else episode + 0.01 * (step + 1)),
            "next_stddev": np.full(7, np.nan if last else 0.3),
            "distribution": 0,
            "bound": np.full(7, np.nan),
            "log_density": 7 * norm.logpdf(100.0 * episode + step, episode + 0.01 * step, 0.3),
            "next_distribution": 0,
            "next_bound": np.full(7, np.nan),
            "reward": float(TASK.reward(q2, dq2, np.full(7, 100.0 * episode + step))),
            "unsafety": u,
            "cost": float(u > 15.0),
            "truncated": last,
            "terminated": False,
            "torque_limit": 0.5,
            "policy_version": episode // 2,
        }
    return rows


EXPECTED = expected()


def check(transitions):
    """Every transition is what its episode and step say."""
    rows = [EXPECTED[key] for key in steps_of(transitions)]
    for name in EXPECTED[0, 0] if rows else ():
        np.testing.assert_allclose(transitions[name], np.array([row[name] for row in rows]), rtol=1e-5, err_msg=name)


def steps_of(transitions):
    return list(zip(transitions["episode"].tolist(), transitions["step"].tolist(), strict=True))


def test_whole_episodes_give_every_transition_with_the_right_numbers(tmp_path):
    transitions, counts = convert(tmp_path, whole(MESSAGES, TASK, 3, STEPS))
    assert steps_of(transitions) == [(e, s) for e in range(3) for s in range(STEPS)]
    check(transitions)
    assert (counts.decisions, counts.episodes, counts.transitions) == (63, 3, 60)
    assert counts.unsafe == transitions["cost"].sum() > 0
    left_out = (counts.gaps, counts.missing, counts.duplicated, counts.out_of_order, counts.clock_jumps)
    assert left_out == (0, 0, 0, 0, 0) and counts.unfinished == 0
    # An unbroken episode is one chain.
    assert len({(e, c) for e, c in zip(transitions["episode"], transitions["chain"], strict=True)}) == 3


def test_where_a_critic_chose_another_torque_the_reward_is_of_that_one(tmp_path):
    data, chosen = whole(MESSAGES, TASK, 1, STEPS), np.linspace(-0.3, 0.4, 7)
    data[5] = decision(MESSAGES, TASK, 0, 5, STEPS, verdict=2, chosen=chosen)
    data[9] = decision(MESSAGES, TASK, 0, 9, STEPS, verdict=4, chosen=np.empty(0))  # refused: nothing was chosen
    transitions, counts = convert(tmp_path, data)
    assert steps_of(transitions) == [(0, s) for s in range(STEPS) if s not in (8, 9)] and counts.refused == 1
    after = state(TASK, 0, 6)
    assert transitions["reward"][5] == pytest.approx(float(TASK.reward(*after, chosen)), rel=1e-6)
    assert transitions["reward"][5] != pytest.approx(float(TASK.reward(*after, np.full(7, 5.0))), rel=1e-3)
    np.testing.assert_array_equal(transitions["chosen"][5], chosen.astype(np.float32))
    np.testing.assert_array_equal(transitions["proposed"][5], np.full(7, 5.0, dtype=np.float32))
    np.testing.assert_allclose(transitions["applied"][5], np.full(7, 0.255), rtol=1e-6)


def test_what_is_missing_is_counted_and_not_bridged(tmp_path):
    data = whole(MESSAGES, TASK, 2, STEPS)
    del data[5:8]
    transitions, counts = convert(tmp_path, data)
    assert (counts.gaps, counts.missing) == (1, 3)
    assert steps_of(transitions) == [(0, s) for s in range(STEPS) if s not in (4, 5, 6, 7)] + [
        (1, s) for s in range(STEPS)
    ]
    check(transitions)
    chain = transitions["chain"][:16].tolist()
    assert chain[:4] == [chain[0]] * 4 and chain[4:] == [chain[4]] * 12 and chain[0] != chain[4]


def test_an_episode_that_breaks_off_joins_nothing(tmp_path):
    data = whole(MESSAGES, TASK, 2, STEPS)
    del data[15:21]
    transitions, counts = convert(tmp_path, data)
    assert counts.unfinished == 1 and counts.gaps == 0
    assert steps_of(transitions) == [(0, s) for s in range(14)] + [(1, s) for s in range(STEPS)]


def test_duplicates_and_late_decisions_are_left_out_and_counted(tmp_path):
    data = whole(MESSAGES, TASK, 2, STEPS)
    twice = data[:6] + [data[5]] + data[6:]
    transitions, counts = convert(tmp_path, twice, "twice")
    assert counts.duplicated == 1 and counts.transitions == 2 * STEPS
    check(transitions)
    swapped = data[:5] + [data[6], data[5]] + data[7:]
    transitions, counts = convert(tmp_path, swapped, "swapped")
    assert (counts.out_of_order, counts.gaps, counts.missing) == (1, 1, 1)
    assert (0, 4) not in steps_of(transitions) and (0, 5) not in steps_of(transitions) and len(transitions) == 38
    check(transitions)


@pytest.mark.parametrize("jump_ns", [-(10**9), PERIOD_NS, 10**10])
def test_a_clock_that_jumps_breaks_the_chain(tmp_path, jump_ns):
    later = 10**9 + PERIOD_NS * 8 + jump_ns
    data = [
        decision(MESSAGES, TASK, 0, s, STEPS, **({"stamp_ns": later + PERIOD_NS * (s - 8)} if s >= 8 else {}))
        for s in range(STEPS + 1)
    ]
    transitions, counts = convert(tmp_path, data)
    assert counts.clock_jumps == 1
    assert steps_of(transitions) == [(0, s) for s in range(STEPS) if s != 7]


def test_a_refusal_or_a_stop_between_two_steps_breaks_the_chain(tmp_path):
    data = whole(MESSAGES, TASK, 1, STEPS)
    stopped = decision(MESSAGES, TASK, 0, 8, STEPS, verdict=5, proposed_mean=np.empty(0))
    transitions, counts = convert(tmp_path, data[:9] + [stopped] + data[9:])
    assert (counts.refused, counts.interrupted, counts.gaps) == (1, 1, 0)
    assert steps_of(transitions) == [(0, s) for s in range(STEPS) if s != 8]


def test_what_is_not_a_number_makes_no_transition(tmp_path):
    data = whole(MESSAGES, TASK, 1, STEPS)
    data[4] = decision(MESSAGES, TASK, 0, 4, STEPS, position=np.full(7, np.nan))
    transitions, counts = convert(tmp_path, data)
    assert counts.not_finite == 2
    assert steps_of(transitions) == [(0, s) for s in range(STEPS) if s not in (3, 4)]


def test_joints_in_another_order_give_the_same_transitions(tmp_path):
    data = []
    for s in range(STEPS + 1):
        q, dq = state(TASK, 0, s)
        q[2], q[4] = 0.1, 0.2
        turned = {"joint_names": list(reversed(TASK.robot.joint_names)), "position": q[::-1].copy()}
        data.append(decision(MESSAGES, TASK, 0, s, STEPS, velocity=dq, applied_effort=np.arange(7.0), **turned))
    transitions, _ = convert(tmp_path, data)
    np.testing.assert_array_equal(transitions["applied"][3], np.arange(7.0)[::-1])


def test_a_decision_of_another_arm_or_task_is_one_clear_line(tmp_path):
    names = [f"other_{i}" for i in range(7)]
    with pytest.raises(BagError, match="another arm.*missing"):
        convert(tmp_path, [decision(MESSAGES, TASK, 0, 0, STEPS, joint_names=names)], "arm")
    with pytest.raises(BagError, match="3 values, the task's 18"):
        convert(tmp_path, [decision(MESSAGES, TASK, 0, 0, STEPS, observation=np.zeros(3))], "task")


@settings(max_examples=30, deadline=None)
@given(order=st.lists(st.integers(0, 41), min_size=1, max_size=80), batch=st.integers(1, 50))
def test_any_order_of_decisions_gives_only_true_transitions_each_once(tmp_path_factory, order, batch):
    """Also whatever blocks they come in."""
    tmp_path = tmp_path_factory.mktemp("any")
    data = whole(MESSAGES, TASK, 2, STEPS)
    import safe_transfer_ros.bags.read as read

    read._BATCH, usual = batch, read._BATCH
    try:
        transitions, counts = convert(tmp_path, [data[i] for i in order])
    finally:
        read._BATCH = usual
    check(transitions)
    # The very next step came next at least once.
    follows = {(a // 21, a % 21) for a, b in zip(order, order[1:], strict=False) if b == a + 1 and a % 21 < STEPS}
    assert set(steps_of(transitions)) >= follows if sorted(set(order)) == order else True
    assert counts.decisions == len(order)
    shutil.rmtree(tmp_path)


def test_a_bag_cut_at_any_byte_gives_the_first_transitions_of_the_whole_one(tmp_path):
    data = whole(MESSAGES, TASK, 2, STEPS)
    bag = write(tmp_path / "bag", data)
    everything = steps_of(write_transitions([Bag(bag)], GRAPH, tmp_path / "whole")[0])
    content = (bag / "bag_0.mcap").read_bytes()
    rng = np.random.default_rng(0)
    # All of the beginning, where the structure is dense, the borders of the end, and places in between.
    offsets = {*range(0, 300, 11), *range(len(content) - 200, len(content), 7)}
    offsets |= set(rng.integers(0, len(content), 100).tolist())
    most = 0
    for offset in sorted(offsets):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(content[:offset])
        folder = tmp_path / "cut"
        try:
            transitions, counts = write_transitions([Bag(cut)], GRAPH, folder)
        except BagError as error:
            assert "\n" not in str(error)
            assert most == 0, "once something could be read, longer files are readable"
        else:
            found = steps_of(transitions)
            assert found == everything[: len(found)]
            check(transitions)
            assert len(found) >= most
            most = len(found)
            if offset < len(content) - 20:
                assert transitions.about["sources"][0]["damage"], offset
        shutil.rmtree(folder, ignore_errors=True)
    assert most == len(everything)


def test_flipped_bytes_give_no_wrong_transition(tmp_path):
    bag = write(tmp_path / "bag", whole(MESSAGES, TASK, 2, STEPS))
    content = bytearray((bag / "bag_0.mcap").read_bytes())
    rng = np.random.default_rng(1)
    broken = 0
    for place in rng.integers(8, len(content), 60).tolist():
        damaged = content.copy()
        damaged[place] ^= 0xFF
        (tmp_path / "bad.mcap").write_bytes(damaged)
        try:
            transitions, _ = write_transitions([Bag(tmp_path / "bad.mcap")], GRAPH, tmp_path / "bad")
            check(transitions)
            broken += len(transitions) < 2 * STEPS
        except BagError as error:
            broken += 1
            assert "\n" not in str(error)
        shutil.rmtree(tmp_path / "bad", ignore_errors=True)
    assert broken > 10


def test_memory_does_not_grow_with_the_bag(tmp_path, monkeypatch):
    monkeypatch.setattr("safe_transfer_ros.bags.read._BATCH", 1024)

    def peak(episodes, name):
        bag = write(tmp_path / name, _long(episodes), chunk_bytes=65536)
        tracemalloc.start()
        transitions, _ = write_transitions([Bag(bag)], GRAPH, tmp_path / f"{name}_out")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(transitions) == episodes * 200
        return most

    assert peak(120, "long") < 1.3 * peak(30, "short")


def _long(episodes):
    """Episodes of 200 steps, all the first one under another number: making messages is slow."""
    first = [decision(MESSAGES, TASK, 0, s, 200) for s in range(201)]
    layout = next(LayoutReader(MESSAGES.definitions, TYPES[TOPIC]).runs(first))[0]
    place = layout.columns["episode"][0]
    return [
        one[:place] + int(number).to_bytes(4, "little") + one[place + 4 :]
        for number in range(episodes)
        for one in first
    ]


def test_an_unfinished_folder_is_refused(tmp_path):
    transitions, _ = convert(tmp_path, whole(MESSAGES, TASK, 1, STEPS))
    (transitions.folder / "about.json").unlink()
    with pytest.raises(BagError, match="no finished transitions"):
        Transitions(transitions.folder)


def test_columns_are_plain_npy_files(tmp_path):
    transitions, _ = convert(tmp_path, whole(MESSAGES, TASK, 1, STEPS))
    assert isinstance(transitions["observation"], np.memmap)
    np.testing.assert_array_equal(np.load(transitions.folder / "step.npy"), np.arange(STEPS))
