# SPDX-License-Identifier: Apache-2.0
"""Shadow reports against counts made by hand; promotion by the stated rule, or forced on record."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from safe_transfer_ros.bags.transition_store import TransitionWriter, transition_dtype
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.critics.safety_critic import load_critic, save_critic
from safe_transfer_ros.critics.shadow import objections, shadow_report
from safe_transfer_ros.policies.weights import WeightsError


def critic(path, *, gain=1e3, threshold=0.5, certified=True, **about):
    """Risk 1 where the torque is above the threshold, of one observed number and one joint."""
    parameters = {
        "input.mean": np.zeros(2, dtype=np.float32),
        "input.scale": np.ones(2, dtype=np.float32),
        "support.factor": np.eye(2, dtype=np.float32),
        "layer.0.weight": np.array([[[0.0, gain]]], dtype=np.float32),
        "layer.0.bias": np.array([[-gain * threshold]], dtype=np.float32),
        "layer.1.weight": np.ones((1, 1, 1), dtype=np.float32) * 10,
        "layer.1.bias": np.array([[-5.0]], dtype=np.float32),
    }
    card = {"certified": certified, "epsilon": 0.1, "observation_size": 1, "horizon_steps": 2.4}
    save_critic(path, parameters, card | {"support": {"rule": "off", "limit": 1.0}} | about)
    return load_critic(path)


def columns(episodes=40, steps=10):
    """Episode e proposes e / episodes at every step and fails at step 4 if that is above .5."""
    size = episodes * steps
    e, s = np.repeat(np.arange(episodes), steps), np.tile(np.arange(steps), episodes)
    torque = (e / episodes).astype(np.float32)[:, None]
    return {
        "chain": e,
        "observation": np.zeros((size, 1), dtype=np.float32),
        "proposed": torque,
        "applied": torque.copy(),
        "torque_limit": np.ones(size, dtype=np.float32),
        "cost": ((torque[:, 0] > 0.5) & (s == 4)).astype(np.float32),
        "terminated": np.zeros(size, dtype=bool),
    }


def test_counts_are_those_made_by_hand(tmp_path):
    report = shadow_report(critic(tmp_path / "c"), columns(), horizon=2, epsilon=0.1)
    # 19 episodes fail; in each, steps 3 and 4 are within two steps of it. The last step's future is not known.
    assert (report.steps, report.failures, report.missed) == (40 * 9, 19 * 2, 0)
    assert (report.refused, report.refused_rightly) == (19 * 9, 19 * 2)
    assert report.false_share == pytest.approx(19 * 7 / (360 - 38))


def test_a_recording_that_tells_no_limit_is_judged_all_the_same(tmp_path):
    data, one = columns(), critic(tmp_path / "c")
    told = shadow_report(one, data, horizon=2, epsilon=0.1)
    data["torque_limit"][:] = 0.0
    untold = shadow_report(one, data, horizon=2, epsilon=0.1)
    assert (untold.steps, untold.refused, untold.missed) == (told.steps, told.refused, told.missed)


def test_a_torque_that_was_replaced_says_nothing(tmp_path):
    data = columns()
    data["applied"][:100] = 0.0
    report = shadow_report(critic(tmp_path / "c"), data, horizon=2, epsilon=0.1)
    assert report.steps == 360 - 90 + 9  # of these only episode 0 proposed what was applied


def test_no_transition_is_one_line(tmp_path):
    nothing = {name: column[:0] for name, column in columns().items()}
    with pytest.raises(ValueError, match="no recorded transition to judge by: expected whole episodes, got none"):
        shadow_report(critic(tmp_path / "c"), nothing, horizon=2, epsilon=0.1)
    with pytest.raises(ValueError, match="record whole episodes"):  # there are some, and nobody knows what followed
        shadow_report(critic(tmp_path / "c"), columns(episodes=1, steps=1), horizon=2, epsilon=0.1)


def test_the_rule_of_promotion(tmp_path):
    good = shadow_report(critic(tmp_path / "a"), columns(), horizon=2, epsilon=0.1)
    blind = shadow_report(critic(tmp_path / "b", threshold=0.9), columns(), horizon=2, epsilon=0.1)
    timid = shadow_report(critic(tmp_path / "c", threshold=-1.0), columns(), horizon=2, epsilon=0.1)
    few = shadow_report(critic(tmp_path / "d"), columns(episodes=4), horizon=2, epsilon=0.1)
    assert objections(good, good, certified=True) == [] == objections(good, None, certified=True)
    assert "misses" in objections(blind, good, certified=True)[0]
    assert "wrongly refuses" in objections(timid, good, certified=True)[0]
    assert "of the harmless steps" in objections(timid, None, certified=True)[0]
    assert "certify" in objections(good, blind, certified=False)[0]
    assert "were seen" in objections(few, None, certified=True)[0]


def test_promotion_is_refused_recorded_and_whole(tmp_path, capsys):
    active, candidate = tmp_path / "active", tmp_path / "candidate"
    old, new = critic(active), critic(candidate, threshold=0.4)
    report = tmp_path / "report.json"

    def written(version, against, compared=old.version):
        document = {"candidate": {"version": version}, "active": {"version": compared}, "against": against}
        report.write_text(json.dumps(document))
        return ["promote", str(candidate), str(active), "--report", str(report)]

    for arguments in (
        written(new.version, ["it misses 9 %"]),
        written("0123456789ab", []),
        written(new.version, [], compared="0123456789ab"),
    ):
        assert main(arguments) == 2
        assert load_critic(active).version == old.version
    assert "not promoted" in capsys.readouterr().err
    assert main([*written(new.version, ["it misses 9 %"]), "--force", "a test"]) == 0
    assert load_critic(active).version == new.version
    entry = json.loads((tmp_path / "active.promotions.jsonl").read_text())
    assert (entry["from"], entry["to"], entry["forced"]) == (old.version, new.version, "a test")
    assert entry["against"] == ["it misses 9 %"]


@pytest.mark.parametrize(
    "written",
    [
        "[" * 100_000,
        "7",
        "{}",
        '{"candidate": 7, "against": []}',
        '{"candidate": {"version": "a"}, "against": 7}',
        '{"candidate": {"version": "a"}, "against": [], "active": 7}',
    ],
    ids=["without an end", "a number", "empty", "no candidate", "nothing against", "no active"],
)
def test_what_is_no_shadow_report_is_one_line(tmp_path, capsys, written):
    critic(tmp_path / "candidate")
    (tmp_path / "report.json").write_text(written)
    arguments = ["promote", str(tmp_path / "candidate"), str(tmp_path / "active"), "--report"]
    assert main([*arguments, str(tmp_path / "report.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not a shadow report" in line
    os.mkfifo(tmp_path / "pipe")
    assert main([*arguments, str(tmp_path / "pipe")]) == 2
    assert "a regular file is expected" in capsys.readouterr().err
    assert not (tmp_path / "active").exists()


def test_the_record_of_a_promotion_is_on_the_disk_before_the_critic_takes_its_place(tmp_path, monkeypatch):
    active, candidate, report = tmp_path / "active", tmp_path / "candidate", tmp_path / "report.json"
    old, new, done, sync = critic(active), critic(candidate, threshold=0.4), [], os.fsync
    report.write_text(
        json.dumps({"candidate": {"version": new.version}, "active": {"version": old.version}, "against": []})
    )

    def synced(descriptor):
        done.append((os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")), load_critic(active).version))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    assert main(["promote", str(candidate), str(active), "--report", str(report)]) == 0
    assert done[0] == ("active.promotions.jsonl", old.version) and done[-1] == (tmp_path.name, new.version)


def test_a_card_is_taken_at_its_word_and_not_at_its_looks(tmp_path):
    assert critic(tmp_path / "c").certified
    assert not any(critic(tmp_path / "c", certified=word).certified for word in (False, "false", "true", 1, None, [1]))
    assert critic(tmp_path / "c", epsilon=1).number("epsilon") == 1.0
    for value in (None, "0.1", True, [0.1], 10**400, float("nan"), float("inf")):
        with pytest.raises(WeightsError, match="tells no epsilon: expected a finite number"):
            critic(tmp_path / "c", epsilon=value).number("epsilon")


@pytest.mark.parametrize("name", ["horizon_steps", "epsilon"])
def test_a_report_on_a_critic_whose_card_lacks_a_number_is_refused_in_one_line(tmp_path, capsys, name):
    critic(tmp_path / "c", **{name: None})
    data, folder = columns(), tmp_path / "transitions"
    with TransitionWriter(folder, transition_dtype(1, 1)) as writer:
        rows = np.zeros(len(data["cost"]), transition_dtype(1, 1))
        for column, values in data.items():
            rows[column] = values
        writer.add(rows)
        writer.close({})
    arguments = ["shadow-report", str(folder), "--candidate", str(tmp_path / "c"), "--out", str(tmp_path / "r.json")]
    assert main(arguments) == 2
    assert f"tells no {name}" in capsys.readouterr().err and not (tmp_path / "r.json").exists()
