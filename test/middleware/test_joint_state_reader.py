# SPDX-License-Identifier: Apache-2.0
"""Joint states read from their bytes are those that the middleware reads, whatever came before them."""

from __future__ import annotations

import struct
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import bounded, joint_state_reader
from safe_transfer_ros.middleware.joint_state_reader import JointStateError, JointStateReader, OtherJointStateError

OURS = ("shoulder", "elbow", "wrist")
NAMES = st.permutations([*OURS, "head", "a longer name", ""]).flatmap(
    lambda names: st.integers(3, 6).map(lambda n: names[:n])
)
FLOATS = st.floats(allow_nan=False)


def message(names=OURS, *, frame="base", stamp=(7, 9), position=None, velocity=None, effort=()):
    made = JointState(name=list(names))
    made.header.frame_id = frame
    made.header.stamp.sec, made.header.stamp.nanosec = stamp
    numbers = np.arange(1.0, len(names) + 1.0)
    made.position = array("d", numbers if position is None else position)
    made.velocity = array("d", -numbers if velocity is None else velocity)
    made.effort = array("d", effort)
    return made


@given(
    st.lists(
        st.tuples(
            NAMES,
            st.text(max_size=9),
            st.tuples(st.integers(-5, 2**31 - 1), st.integers(0, 10**9 - 1)),
            st.lists(FLOATS, min_size=12, max_size=12),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None, max_examples=150)
def test_any_sequence_of_messages_is_read_as_the_middleware_reads_it(sequence):
    reader = JointStateReader(OURS)
    for names, frame, stamp, numbers, efforts in sequence:
        n = len(names)
        sent = message(names, frame=frame, stamp=stamp, position=numbers[:n], velocity=numbers[6 : 6 + n])
        sent.effort = array("d", numbers[:efforts])
        if not set(OURS) <= set(names):
            with pytest.raises(JointStateError, match="missing") as raised:
                reader.read(serialize_message(sent))
            assert isinstance(raised.value, OtherJointStateError) == (bool(names) and not set(OURS) & set(names))
            continue
        for _ in range(2):
            stamp_ns, position, velocity = reader.read(serialize_message(sent))
            assert stamp_ns == stamp[0] * 10**9 + stamp[1]
            np.testing.assert_array_equal(position, [numbers[names.index(name)] for name in OURS])
            np.testing.assert_array_equal(velocity, [numbers[6 + names.index(name)] for name in OURS])


def test_only_the_first_of_a_kind_is_deserialised(monkeypatch):
    reader = JointStateReader(OURS)
    reader.read(serialize_message(message()))
    monkeypatch.setattr(joint_state_reader.bounded, "read", None)
    later = message(stamp=(8, 1), position=[0.1, 0.2, 0.3], velocity=[0.4, 0.5, 0.6])
    stamp_ns, position, velocity = reader.read(serialize_message(later))
    assert stamp_ns == 8_000_000_001
    np.testing.assert_array_equal(position, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(velocity, [0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    "changed",
    [
        message(("elbow", "shoulder", "wrist")[::-1]),  # as many bytes
        message(("shoulder", "elbow", "wrisp")),
        message(position=[1.0, 2.0], velocity=[1.0, 2.0, 3.0], effort=[1.0]),
        message(position=[], velocity=[]),
        message((*OURS[:2], OURS[1])),
    ],
)
def test_what_the_first_was_tells_nothing_about_another(changed):
    fresh = outcome(JointStateReader(OURS), changed)
    reader = JointStateReader(OURS)
    reader.read(serialize_message(message()))
    assert outcome(reader, changed) == fresh
    assert outcome(reader, message()) == outcome(JointStateReader(OURS), message())


def test_bytes_that_are_no_joint_state_are_refused():
    reader = JointStateReader(OURS)
    whole = serialize_message(message())
    reader.read(whole)
    rng = np.random.default_rng(0)
    for data in (b"", b"\x00", whole[:20], whole[:-30], rng.bytes(len(whole))):
        with pytest.raises(JointStateError):
            reader.read(data)
    counts = bytearray(whole)
    counts[12:16] = struct.pack("<I", 2**31)
    with pytest.raises(JointStateError):
        reader.read(bytes(counts))


def test_very_many_joints_are_refused_before_any_work(monkeypatch):
    reader = JointStateReader(OURS)
    most = [*(f"joint{number}" for number in range(1021)), *OURS]
    assert len(serialize_message(message(most))) < bounded.LARGEST_BYTES
    np.testing.assert_array_equal(reader.read(serialize_message(message(most))).position, [1022.0, 1023.0, 1024.0])
    monkeypatch.setattr(bounded, "deserialize_message", None)
    data = serialize_message(message([*most, "one more"], frame="some frame"))
    with pytest.raises(JointStateError, match="1025 joint names, expected at most 1024"):
        reader.read(data)


@pytest.mark.parametrize(
    "large", [{"frame": 70_000 * "x"}, {"effort": np.zeros(3_000_000)}, {"names": [*OURS, 70_000 * "x"]}]
)
def test_a_message_larger_than_any_robots_is_refused_unread(monkeypatch, large):
    data = serialize_message(message(large.pop("names", OURS), **large))
    monkeypatch.setattr(bounded, "deserialize_message", None)
    with pytest.raises(JointStateError, match="bytes, expected at most 65536"):
        JointStateReader(OURS).read(data)


@given(st.binary(max_size=64), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_whatever_counts_a_message_claims_it_is_read_or_refused(rest, frame_bytes, names):
    data = b"\x00\x01\x00\x00" + struct.pack("<iII", 1, 2, frame_bytes) + rest + struct.pack("<I", names)
    with pytest.raises(JointStateError):
        JointStateReader(OURS).read(data)


def outcome(reader, sent):
    try:
        stamp_ns, position, velocity = reader.read(serialize_message(sent))
    except JointStateError as error:
        return type(error), str(error)
    return stamp_ns, position.tolist(), velocity.tolist()
