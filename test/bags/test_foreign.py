# SPDX-License-Identifier: Apache-2.0
"""Somebody else's recordings, written by another library: other rates, joints, storages; or one clear line."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.foreign import write_foreign_transitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.recording_map import read_mapping

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
JOINTS = ("shoulder", "elbow")
SECOND = 10**9


def joint_state(t, names, position, velocity):
    header = TYPES["std_msgs/msg/Header"](TYPES["builtin_interfaces/msg/Time"](0, 0), "")
    kind = "sensor_msgs/msg/JointState"
    message = TYPES[kind](header, list(names), np.array(position), np.array(velocity), np.empty(0))
    return int(t * SECOND), "/arm/state", kind, STORE.serialize_cdr(message, kind)


def command(t, values):
    kind = "std_msgs/msg/Float64MultiArray"
    layout = TYPES["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    message = TYPES[kind](layout, np.array(values, dtype=np.float64))
    return int(t * SECOND), "/arm/effort", kind, STORE.serialize_cdr(message, kind)


def recording(tmp_path, messages, storage=StoragePlugin.MCAP):
    folder = tmp_path / "bag"
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        connections = {}
        for t, topic, kind, data in sorted(messages, key=lambda one: one[0]):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], t, data)
    return Bag(folder)


def arm(seconds=2.0, state_rate=100.0, command_rate=50.0, names=("elbow", "gripper", "shoulder")):
    """shoulder = t, elbow = -t, velocity 1 and t; command (t, 2 t), the joints in another order and one more."""
    messages = []
    for t in np.arange(0.0, seconds, 1 / state_rate):
        values = {"shoulder": (t, 1.0), "elbow": (-t, t), "gripper": (9.0, 9.0)}
        messages.append(joint_state(t, names, *zip(*(values[name] for name in names), strict=True)))
    messages += [command(t + 0.001, (t, 2 * t)) for t in np.arange(0.0, seconds, 1 / command_rate)]
    return messages


def mapping(tmp_path, **entries):
    text = {
        "joint_states": "/arm/state",
        "commands": "/arm/effort",
        "joints": "[shoulder, elbow]",
        "rate": 10.0,
        "unsafe": "{joint_speed_above: 1.35}",
        "torque_limit": 4.0,
    } | entries
    path = tmp_path / "mapping.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in text.items() if value is not None))
    return read_mapping(path)


def convert(tmp_path, messages, storage=StoragePlugin.MCAP, **entries):
    bag = recording(tmp_path, messages, storage)
    return write_foreign_transitions(bag, mapping(tmp_path, **entries), tmp_path / "out")


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def test_states_and_commands_are_brought_together_at_the_mappings_rate(tmp_path, storage):
    transitions, counts = convert(tmp_path, arm(), storage)
    assert counts.gaps == counts.clock_jumps == 0 and counts.episodes == 1 and counts.transitions == 19
    t = 0.1 * np.arange(len(transitions))
    np.testing.assert_allclose(transitions["observation"], np.stack([t, -t, np.ones_like(t), t], axis=1), atol=1e-6)
    # In force .05 s after the state: the command of t + .04, as commands come every .02 s.
    np.testing.assert_allclose(transitions["applied"], np.stack([t + 0.04, 2 * (t + 0.04)], axis=1), atol=1e-6)
    np.testing.assert_allclose(transitions["next_observation"][:, 0], t + 0.1, atol=1e-6)
    np.testing.assert_allclose(transitions["next_mean"][:-1], transitions["applied"][1:], atol=1e-6)
    np.testing.assert_array_equal(transitions["cost"], (t + 0.1 > 1.35).astype(np.float32))
    assert not transitions["truncated"].any() and (transitions["torque_limit"] == 4.0).all()


def test_a_hole_in_either_topic_is_not_bridged(tmp_path):
    states_missing = [m for m in arm() if not (m[1] == "/arm/state" and 0.55e9 < m[0] < 0.95e9)]
    transitions, counts = convert(tmp_path, states_missing)
    assert counts.episodes == 2 and counts.unfinished == 2
    t = transitions["observation"][:, 0]
    np.testing.assert_allclose(transitions["next_observation"][:, 0] - t, 0.1, atol=0.051)
    assert not ((t > 0.55) & (t < 0.95)).any()


def test_commands_that_stop_end_the_stretch(tmp_path):
    messages = [m for m in arm() if not (m[1] == "/arm/effort" and m[0] > 1.0e9)]
    transitions, _ = convert(tmp_path, messages)
    assert transitions["observation"][:, 0].max() < 1.2


@pytest.mark.parametrize(
    ("change", "entries", "line"),
    [
        ({"names": ("shoulder", "gripper")}, {}, "/arm/state: joint names do not fit: missing elbow"),
        ({}, {"joints": "[shoulder]"}, "commands have 2 values for the 1 joints"),
        ({}, {"command_field": "efforts"}, "no field 'efforts'; numbers: data"),
        ({}, {"commands": "/arm/other"}, "no time at which both .*/arm/other are known; it holds /arm/effort"),
        ({}, {"rat": 1.0}, "unknown entry 'rat'; did you mean 'rate'"),
        ({}, {"rate": None}, "lacks rate"),
        ({}, {"unsafe": None}, "give a task, or one of joint_speed_above"),
        ({}, {"task": "panda_push_topple"}, "cannot name panda_push_topple: commands are torques"),
        ({}, {"task": "pr2_cup_swirl"}, "the mapping names 2 joints, task pr2_cup_swirl has 7"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path, change, entries, line):
    with pytest.raises(BagError, match=line) as error:
        convert(tmp_path, arm(**change), **entries)
    assert "\n" not in str(error.value)


def test_an_sqlite_recording_cut_at_any_page_never_crashes(tmp_path):
    bag = recording(tmp_path, arm(), StoragePlugin.SQLITE3)
    content = bag.files[0].read_bytes()
    whole = sum(1 for _ in bag.recorded())
    for offset in range(0, len(content), 2999):
        (tmp_path / "cut.db3").write_bytes(content[:offset])
        cut = Bag(tmp_path / "cut.db3")
        try:
            assert sum(1 for _ in cut.recorded()) < whole
            assert not cut.damage[0].whole
        except BagError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"joints": "shoulder"}, r"joints must be a list of joint names, each once.*got 'shoulder'"),
        ({"joints": "[shoulder, shoulder]"}, "joints must be a list"),
        ({"joints": "[1, 2]"}, "joints must be a list"),
        ({"unsafe": "joint_speed_above"}, r"unsafe must be \{name: bound\}.*got 'joint_speed_above'"),
        ({"unsafe": "{joint_speed_above: fast}"}, "unsafe must be"),
        ({"unsafe": "{joint_speed_above: .nan}"}, "unsafe must be"),
        ({"unsafe": "{joint_speed_above: 0}"}, "unsafe must be"),
        ({"unsafe": "{joint_speed: 1.0}"}, "unsafe must be .* joint_speed_above"),
        ({"rate": "fast"}, "rate must be a number above 0, decisions a second, got 'fast'"),
        ({"rate": ".inf"}, "rate must be"),
        ({"rate": "true"}, "rate must be"),
        ({"rate": 0}, "rate must be"),
        ({"torque_limit": -1}, "torque_limit must be"),
        ({"torque_limit": ".nan"}, "torque_limit must be"),
        ({"joint_states": "[/a, /b]"}, "joint_states must be a topic's name"),
        ({"rate": 5000}, r"the mapping's rate 5000 is above that of /arm/effort, which comes 50 times a second"),
        ({"rate": 200}, r"the mapping's rate 200 is above that of /arm/effort"),
    ],
)
def test_a_mistake_in_a_mapping_is_one_line_that_names_the_entry(tmp_path, entries, line):
    with pytest.raises(BagError, match=line) as error:
        convert(tmp_path, arm(), **entries)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_another_nodes_joint_states_are_left_out_and_counted(tmp_path):
    finger = [joint_state(t + 0.0005, ("finger",), (0.02,), (0.0,)) for t in np.arange(0.0, 2.0, 0.05)]
    first = [joint_state(0.0, (), (), ()), joint_state(0.0, ("elbow", "gripper", "shoulder"), (0.0,) * 3, ())]
    odd = [command(0.5001, (1.0,)), command(0.7001, (1.0, 2.0, 3.0))]
    transitions, counts = convert(tmp_path, [*first, *arm(), *finger, *odd])
    assert counts.unusable_states == len(finger) + 2 and counts.unusable_commands == 2
    assert counts.transitions == 19 and "unusable states" in counts.describe()
    t = 0.1 * np.arange(len(transitions))
    np.testing.assert_allclose(transitions["observation"][:, 0], t, atol=1e-6)


def test_an_arms_joint_states_are_missed_where_only_another_nodes_come(tmp_path):
    finger = [joint_state(t, ("finger",), (0.02,), (0.0,)) for t in np.arange(0.6, 1.0, 0.01)]
    messages = [m for m in arm() if not (m[1] == "/arm/state" and 0.55e9 < m[0] < 0.95e9)]
    transitions, counts = convert(tmp_path, [*messages, *finger])
    assert counts.episodes == 2 and not ((t := transitions["observation"][:, 0]) > 0.55)[t < 0.95].any()


def test_states_slower_than_the_rate_are_used_once_each_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("safe_transfer_ros.bags.read._BATCH", 7)
    _, counts = convert(tmp_path, arm(), rate=10.0)
    assert counts.transitions == 19 and counts.duplicated == 0
