# SPDX-License-Identifier: Apache-2.0
"""Repair, and recordings in several files: stock readers open what comes out."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import yaml
from decision_bags import decision, whole, write
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from synthetic_run import Messages

from safe_transfer_ros.bags.qos import OfferedQos, recorded_qos
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


STORE = get_typestore(Stores.ROS2_JAZZY)
STRING = "std_msgs/msg/String"
LATCHED = Qos(
    history=QosHistory.KEEP_ALL,
    depth=3,
    reliability=QosReliability.BEST_EFFORT,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=QosTime(0, 250_000_000),
    lifespan=QosTime(9223372036, 854775807),
    liveliness=QosLiveliness.MANUAL_BY_TOPIC,
    liveliness_lease_duration=QosTime(2, 5),
    avoid_ros_namespace_conventions=True,
)
USUAL = LATCHED._replace(durability=QosDurability.VOLATILE, avoid_ros_namespace_conventions=False)


def foreign(folder, storage, version, qos=(LATCHED, USUAL)):
    """A recording by another library, of a topic with two publishers."""
    with Writer(folder, version=version, storage_plugin=storage) as writer:
        topic = writer.add_connection("/text", STRING, typestore=STORE, offered_qos_profiles=qos)
        for time_ns in range(10):
            writer.write(topic, time_ns, STORE.serialize_cdr(STORE.types[STRING](str(time_ns)), STRING))
    return folder


@pytest.mark.parametrize("version", [8, 9], ids=["numbers", "words"])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def test_what_a_topic_offered_is_offered_by_the_repaired_bag(tmp_path, storage, version):
    bag = foreign(tmp_path / "bag", storage, version)
    with Reader(bag) as reader:
        (before,) = reader.connections
    assert not repair(bag, tmp_path / "repaired").lost
    with Reader(tmp_path / "repaired") as reader:
        (after,) = reader.connections
    assert after.ext.offered_qos_profiles == before.ext.offered_qos_profiles == [LATCHED, USUAL]
    if storage is StoragePlugin.SQLITE3:  # the other library leaves it out of an mcap file
        assert after.digest == before.digest and after.digest.startswith("RIHS01_")
    told = yaml.safe_load((tmp_path / "repaired" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    (topic,) = told["topics_with_message_count"]
    # In words, as the version of the file says, and not in the numbers of the recording.
    assert topic["topic_metadata"]["offered_qos_profiles"][0]["durability"] == "transient_local"


@pytest.mark.parametrize("dropped", [("type_description_hash",), ("offered_qos_profiles", "type_description_hash")])
def test_older_databases_tell_less_of_a_topic_and_are_read(tmp_path, dropped):
    bag = foreign(tmp_path / "bag", StoragePlugin.SQLITE3, 8)
    (file,) = bag.glob("*.db3")
    with closing(sqlite3.connect(file)) as database:
        for column in dropped:
            database.execute(f"ALTER TABLE topics DROP COLUMN {column}")
        database.commit()
    outcome = repair(bag, tmp_path / "repaired")
    with Reader(tmp_path / "repaired") as reader:
        (after,) = reader.connections
    assert outcome.messages == 10 and not outcome.lost and after.digest == ""
    assert len(after.ext.offered_qos_profiles) == (2 if len(dropped) == 1 else 0)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{}", "not a list"),
        ("[3]", "holds what is not a mapping"),
        ("- [", "is not YAML"),
        ("history: 9", "expected history as one of .* got '9'"),
        ("history: true", "expected history as one of .* got 'True'"),
        ("durability: latched", "expected durability as one of .* got 'latched'"),
        ("durability: [1]", "expected durability as one of"),
        ("depth: -1", "expected depth as a whole number from 0, got '-1'"),
        ("depth: true", "expected depth as a whole number"),
        ("depth: 99999999999999999999", "expected depth as a whole number"),
        ("deadline: 3", "expected deadline as sec and nsec, got '3'"),
        ("lifespan: {sec: 1}", "expected lifespan.nsec as a whole number from 0, got 'None'"),
        ("liveliness_lease_duration: {sec: 0.5, nsec: 0}", "expected liveliness_lease_duration.sec as a whole number"),
    ],
)
def test_qos_that_cannot_be_read_is_told_as_lost(tmp_path, text, line):
    whole = yaml.safe_dump([OfferedQos().as_metadata()])
    assert recorded_qos(whole) == [OfferedQos()] and recorded_qos("") == []
    if not text.startswith(("{", "[", "-")):
        text = yaml.safe_dump([OfferedQos().as_metadata() | yaml.safe_load(text)])
    with pytest.raises(ValueError, match=line):
        recorded_qos(text)
    bag = foreign(tmp_path / "bag", StoragePlugin.SQLITE3, 9)
    (file,) = bag.glob("*.db3")
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE topics SET offered_qos_profiles = ?", (text,))
        database.commit()
    (lost,) = repair(bag, tmp_path / "repaired").lost
    assert lost.startswith("/text: its QoS, players offer the default: ") and lost.isprintable()
    with Reader(tmp_path / "repaired") as reader:
        assert reader.message_count == 10 and reader.connections[0].ext.offered_qos_profiles == []


def test_columns_that_hold_no_text_are_no_qos_and_no_hash(tmp_path):
    bag = foreign(tmp_path / "bag", StoragePlugin.SQLITE3, 9)
    (file,) = bag.glob("*.db3")
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE topics SET offered_qos_profiles = x'00ff', type_description_hash = x'00ff'")
        database.commit()
    (lost,) = repair(bag, tmp_path / "repaired").lost
    assert "is not a list" in lost
    with Reader(tmp_path / "repaired") as reader:
        assert reader.connections[0].digest == "" and reader.message_count == 10


def test_what_rmw_calls_infinite_is_the_same_however_it_is_split():
    (told,) = recorded_qos(
        yaml.safe_dump([OfferedQos().as_metadata() | {"lifespan": {"sec": 2147483647, "nsec": 4294967295}}])
    )
    assert told.lifespan_ns == 2147483647 * 10**9 + 4294967295
    far = OfferedQos().as_metadata() | {"deadline": {"sec": 2**62, "nsec": 0}}
    assert recorded_qos(yaml.safe_dump([far])) == [OfferedQos()]
