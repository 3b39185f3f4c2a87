# SPDX-License-Identifier: Apache-2.0
"""Rows recomputed from a bag against rows worked out another way."""

import numpy as np
import pytest
import synthetic_run as synthetic

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.record.iteration import COLUMNS
from safe_transfer_ros.record.recompute import iteration_records, recompute
from safe_transfer_ros.record.run_config import governor
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.reasons import Reason


def assert_rows(records, rows):
    assert len(records) == len(rows)
    for record, row in zip(records, rows, strict=True):
        for name in COLUMNS:
            assert getattr(record, name) == pytest.approx(row[name], rel=1e-12, abs=1e-9), name


@pytest.mark.parametrize("limit", ["adaptive", "fixed"])
def test_every_column_equals_what_the_formulas_give(tmp_path, limit):
    expected = synthetic.write_run(tmp_path / "bag", iterations=6, limit=limit)
    records, config = iteration_records(tmp_path / "bag")
    assert_rows(records, expected.rows)
    assert config == expected.config
    # The data are such that every rule is at work.
    rates = [row["unsafety_rate"] for row in expected.rows]
    assert 0.0 < min(rates) and max(rates) < 1.0
    assert all(row["interventions"] > 0 for row in expected.rows)


def test_updates_recorded_before_the_last_joint_states(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", weights_first=True)
    records, _ = iteration_records(tmp_path / "bag")
    assert_rows(records, expected.rows)


def test_monitor_parameters_are_taken_from_the_run(tmp_path):
    synthetic.write_run(tmp_path / "bag", kl="measured", use_limit_change=False)
    records, _ = iteration_records(tmp_path / "bag")
    for record in records:
        sum_without = record.unsafety_rate + record.policy_change_risk
        assert record.predicted_unsafety_rate == pytest.approx(sum_without)
        assert record.policy_change_risk < 0.1256  # measured, below the bound of kl .05


def test_episodes_that_stood_still_are_told_from_the_bag_too(tmp_path):
    rule = {"standstill": "unsafe", "use_limit_change": False}  # without dp_u1 p'_u stays below 1, where all are equal
    expected = synthetic.write_run(tmp_path / "bag", iterations=3, spread=0.04, held=True, **rule)
    assert all(0.6 < row["predicted_unsafety_rate"] < 1.0 for row in expected.rows)
    assert_rows(iteration_records(tmp_path / "bag")[0], expected.rows)


@pytest.mark.parametrize("d_safe, at_stake", [(0.05, [1, 1, 1]), (0.5, [0, 0, 0])])
def test_standstill_is_told_where_it_puts_d_safe_at_stake(tmp_path, d_safe, at_stake):
    rule = {"d_safe": d_safe, "allow_unsafe_start": True, "use_limit_change": False}
    synthetic.write_run(tmp_path / "bag", iterations=3, spread=0.025, held=True, **rule)
    assert [detail.stood_still for detail in recompute(tmp_path / "bag").details] == at_stake


def test_details_hold_the_tilt_of_every_step_and_decisions_by_reason(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", iterations=3, episodes=2, steps=20)
    details = recompute(tmp_path / "bag").details
    assert [detail.iteration for detail in details] == [0, 1, 2]
    for detail, tilts in zip(details, expected.tilts, strict=True):
        np.testing.assert_allclose(detail.unsafety, tilts, atol=1e-9)
        assert detail.decisions == 2 * (20 + 1 + 1)  # steps, the last decision, the refused one
        assert detail.reasons[Reason.PROPOSAL_STALE] == 2
        assert detail.reasons[Reason.CLAMPED_TORQUE_RATE] == 2
        assert 0 < detail.reasons[Reason.CLAMPED_TORQUE_LIMIT] <= 40


def test_an_interrupted_iteration_is_left_out_and_said(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", iterations=2, unfinished_steps=7)
    result = recompute(tmp_path / "bag")
    assert_rows(result.records, expected.rows)
    assert any("iteration 2 was interrupted" in note for note in result.notes)


def test_a_cut_bag_gives_the_iterations_that_are_whole(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", iterations=6, steps=40)
    path = tmp_path / "bag" / "bag_0.mcap"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    result = recompute(tmp_path / "bag")
    assert 1 <= len(result.records) < 6
    assert_rows(result.records, expected.rows[: len(result.records)])
    assert any("not closed" in note for note in result.notes)


def test_missing_joint_states_count_as_unsafe(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", iterations=1)
    copy_without(tmp_path / "bag", tmp_path / "holes", "/joint_states", range(8, 18))
    result = recompute(tmp_path / "holes")
    assert result.records[0].unsafety_rate > expected.rows[0]["unsafety_rate"]
    assert any("10 joint states missing, counted as unsafe" in note for note in result.notes)


def test_joint_states_of_another_arm_are_left_out_and_said(tmp_path):
    expected = synthetic.write_run(tmp_path / "bag", iterations=1)
    with BagWriter(tmp_path / "both", definitions=synthetic.definitions()) as writer:
        ids, count = {}, 0
        for message in Bag(tmp_path / "bag").recorded():
            if message.topic not in ids:
                ids[message.topic] = writer.register(message.topic, message.type_name)
            if message.topic == "/joint_states":
                other = message.data.replace(b"\0l_", b"\0r_")
                assert other != message.data
                writer.write(ids[message.topic], other, message.log_time_ns, message.publish_time_ns)
                count += 1
            writer.write(ids[message.topic], message.data, message.log_time_ns, message.publish_time_ns)
    result = recompute(tmp_path / "both")
    assert_rows(result.records, expected.rows)
    [note] = [note for note in result.notes if "joint states" in note]
    assert note == f"{count} joint states are of other joints than the robot's; left out"


def test_a_missing_decision_leaves_its_iteration_out_by_name(tmp_path):
    synthetic.write_run(tmp_path / "bag", iterations=1)
    # Of each episode: one decision gone.
    copy_without(tmp_path / "bag", tmp_path / "holes", "/safety_filter/decision", (10, 30))
    result = recompute(tmp_path / "holes")
    assert not result.records
    assert any("iteration 0, episode 0: step 9 is missing" in note for note in result.notes)


def copy_without(source, target, topic, left_out):
    """A copy of a bag without some messages of a topic, by number."""
    synthetic.copied(source, target, topic, lambda number, data: [] if number in left_out else [data])


def test_joint_states_of_very_many_joints_are_left_out_and_told(tmp_path):
    synthetic.write_run(tmp_path / "bag", iterations=1)
    messages, topic = synthetic.Messages(), "/joint_states"
    more = [f"joint_{number}" for number in range(JointOrder.MAX_NAMES)]

    def crowded(number, data):
        names = [*more[: JointOrder.MAX_NAMES - 8 + (number == 3)], *messages.read(topic, data).name]
        position = np.concatenate([np.zeros(len(names) - 8), messages.read(topic, data).position])
        return [messages.changed(topic, data, name=names, position=position)]

    synthetic.copied(tmp_path / "bag", tmp_path / "other", topic, crowded)
    result = recompute(tmp_path / "other")
    assert "1 joint states lack a joint of the robot, or name too many; left out" in result.notes
    assert "iteration 0: 1 joint states missing, counted as unsafe" in result.notes


def test_a_bag_that_is_not_of_a_run_says_so(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.register("/joint_states", "sensor_msgs/msg/JointState")
    with pytest.raises(BagError, match="nothing on /trainer/run_config"):
        recompute(tmp_path / "bag")


def test_a_resumed_run_starts_where_it_left_off():
    config = {"/**": {"ros__parameters": {"first_iteration": 7, "first_torque_limit": 0.4, "d_safe": 0.3}}}
    resumed = governor(config)
    assert (resumed.iteration, resumed.torque_limit, resumed.settings.d_safe) == (7, 0.4, 0.3)
    fixed = governor({"/**": {"ros__parameters": {"limit_rule": "fixed", "torque_limit_max": 2.0}}})
    assert fixed.torque_limit == 2.0


def test_a_bag_from_before_the_rule_of_the_limit_had_its_own_name_is_still_read():
    old = governor({"/**": {"ros__parameters": {"limit": "fixed", "mode": "lockstep", "torque_limit_max": 2.0}}})
    assert (old.settings.rule, old.torque_limit) == ("fixed", 2.0)


def test_a_bag_from_before_start_and_floor_were_two_is_still_read():
    config = {"/**": {"ros__parameters": {"torque_limit_min": 0.3, "d_safe": 0.4}}}
    recorded = governor(config)
    assert (recorded.torque_limit, recorded.settings.floor) == (0.3, 0.3)
    unsafe = {"torque_limit_min": 1.8, "d_safe": 1.3, "allow_unsafe_minimum": True}
    assert governor({"/**": {"ros__parameters": unsafe}}).torque_limit == 1.8


def with_decision(source, target, number, **fields):
    """A copy of a bag in which fields of one decision, by number, are others."""
    topic, messages = "/safety_filter/decision", synthetic.Messages()
    synthetic.copied(
        source, target, topic, lambda at, data: [messages.changed(topic, data, **fields) if at == number else data]
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"distribution": 3},
        {"distribution": 255},
        {"distribution": 1, "proposed_bound": np.empty(0)},
        {"distribution": 1, "proposed_bound": np.ones(6)},
        {"distribution": 1, "proposed_bound": np.ones(7), "proposed_stddev": np.empty(0)},
    ],
)
def test_a_torque_whose_law_is_not_told_leaves_its_iteration_out(tmp_path, fields):
    synthetic.write_run(tmp_path / "bag", iterations=2)
    with_decision(tmp_path / "bag", tmp_path / "other", 8, **fields)
    result = recompute(tmp_path / "other")
    # As the monitor: what an iteration's torques were drawn from is not known, so no limit is computed from it.
    assert not result.records
    assert any("iteration 0 left out: every mean must be finite" in note for note in result.notes)


@pytest.mark.parametrize("verdict", [7, 255])
def test_a_verdict_that_stands_for_nothing_leaves_its_iteration_out(tmp_path, verdict):
    """As the monitor, by the same function: no limit comes of an iteration that may have had other torques."""
    synthetic.write_run(tmp_path / "bag", iterations=2)
    with_decision(tmp_path / "bag", tmp_path / "other", 8, verdict=verdict)
    result = recompute(tmp_path / "other")
    assert not result.records
    assert any(f"has the verdict {verdict}, expected 0 to 6" in note for note in result.notes)
    assert any("iteration 0 left out: every mean must be finite" in note for note in result.notes)


def test_what_a_proposal_that_was_refused_asked_for_counts_for_nothing(tmp_path):
    expected, messages = synthetic.write_run(tmp_path / "bag", iterations=2), synthetic.Messages()
    asked = {name: np.full(7, 9.0) for name in ("proposed_mean", "proposed_stddev", "proposed_effort")}

    def refused_by_a_critic(number, data):
        refused = messages.read("/safety_filter/decision", data).verdict == 4
        return [messages.changed("/safety_filter/decision", data, **asked) if refused else data]

    synthetic.copied(tmp_path / "bag", tmp_path / "other", "/safety_filter/decision", refused_by_a_critic)
    assert_rows(recompute(tmp_path / "other").records, expected.rows)


def test_a_deterministic_torque_is_outside_the_limit_or_it_is_not(tmp_path):
    synthetic.write_run(tmp_path / "bag", iterations=1)
    with_decision(tmp_path / "bag", tmp_path / "other", 8, distribution=2, proposed_stddev=np.empty(0))
    assert len(recompute(tmp_path / "other").records) == 1


def test_a_decision_that_cannot_be_taken_in_is_one_line(tmp_path, monkeypatch):
    synthetic.write_run(tmp_path / "bag", iterations=1)

    def unforeseen(*_):
        raise IndexError("beyond the end")

    monkeypatch.setattr("safe_transfer_ros.record.recompute.account", unforeseen)
    with pytest.raises(
        BagError, match="safety_filter/decision in .* is not what this package's graph publishes: beyond"
    ):
        recompute(tmp_path / "bag")
