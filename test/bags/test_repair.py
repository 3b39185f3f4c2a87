# SPDX-License-Identifier: Apache-2.0
"""Repair, and recordings in several files: stock readers open what comes out."""

from __future__ import annotations

import numpy as np
from decision_bags import decision, whole, write
from rosbags.highlevel import AnyReader
from synthetic_run import Messages

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.repair import repair
from safe_transfer_ros.tasks.task import make

TASK, MESSAGES = make("pr2_cup_swirl"), Messages()


def recorded(folder):
    return [one.data for one in Bag(folder).recorded()]


def test_a_cut_bag_becomes_one_that_stock_readers_open(tmp_path):
    bag = write(tmp_path / "bag", whole(MESSAGES, TASK, 1, 60))
    file = bag / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    before = file.read_bytes()
    readable = recorded(bag)
    outcome = repair(bag, tmp_path / "repaired")
    assert 0 < outcome.messages == len(readable) < 61 and outcome.lost
    assert recorded(tmp_path / "repaired") == readable and file.read_bytes() == before
    assert all(damage.whole for damage in _damage(tmp_path / "repaired"))
    with AnyReader([tmp_path / "repaired"]) as reader:
        steps = [reader.deserialize(data, one.msgtype).step for one, _, data in reader.messages()]
    assert steps == list(range(len(readable)))


def _damage(folder):
    bag = Bag(folder)
    bag.summary()
    return bag.damage


def test_a_recording_is_split_by_size_and_every_file_can_be_read_alone(tmp_path):
    data = whole(MESSAGES, TASK, 1, 100)
    bag = write(tmp_path / "bag", data, split_bytes=20_000)
    files = sorted(bag.glob("*.mcap"))
    assert len(files) > 3 and max(file.stat().st_size for file in files) < 60_000
    assert recorded(bag) == data
    assert all(damage.whole for damage in _damage(bag))
    with AnyReader([bag]) as reader:  # by metadata.yaml
        assert reader.message_count == len(data) == sum(1 for _ in reader.messages())
    assert sum(len(recorded(file)) for file in files) == len(data)


def test_a_recording_is_split_by_time(tmp_path):
    data = [decision(MESSAGES, TASK, 0, s, 60) for s in range(61)]  # .01 s apart in the bag
    bag = write(tmp_path / "bag", data, split_s=0.2)
    counts = [len(recorded(bag / f"bag_{number}.mcap")) for number in range(4)]
    assert counts == [20, 20, 20, 1]


def test_a_split_recording_that_is_killed_keeps_its_closed_files(tmp_path):
    data = whole(MESSAGES, TASK, 1, 100)
    bag = write(tmp_path / "bag", data, split_bytes=20_000)
    last = max(bag.glob("*.mcap"), key=lambda file: int(file.stem.split("_")[1]))
    last.write_bytes(last.read_bytes()[:100])
    left = recorded(bag)
    assert left == data[: len(left)] and len(left) > len(data) // 2
    np.testing.assert_equal([damage.whole for damage in _damage(bag)].count(False), 1)
