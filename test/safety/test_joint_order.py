# SPDX-License-Identifier: Apache-2.0
"""Joints are matched by name; what cannot be matched is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError, OtherJointsError

NAMES = ["shoulder", "elbow", "wrist"]


@given(st.permutations([*NAMES, "gripper", "torso"]))
def test_any_order_with_further_joints_between_comes_out_in_ours(names):
    values = np.array([{"shoulder": 1.0, "elbow": 2.0, "wrist": 3.0}.get(name, -1.0) for name in names])
    np.testing.assert_array_equal(values[JointOrder(NAMES).indices(names)], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "names, text",
    [
        (["shoulder", "wrist"], "missing elbow"),
        (["shoulder", "elbow", "wrist", "elbow"], "repeated elbow"),
        (["shoulder", "elbow", "wrist", "gripper", "gripper"], "repeated gripper"),
        ([], "missing shoulder, elbow, wrist"),
        (["Shoulder", "elbow", "wrist"], "missing shoulder"),
    ],
)
def test_names_that_do_not_fit_are_named(names, text):
    with pytest.raises(JointOrderError, match=text):
        JointOrder(NAMES).indices(names)


def test_further_joints_can_be_refused():
    order = JointOrder(NAMES, extra_allowed=False)
    np.testing.assert_array_equal(order.indices(["wrist", "elbow", "shoulder"]), [2, 1, 0])
    with pytest.raises(JointOrderError, match="not expected gripper"):
        order.indices([*NAMES, "gripper"])


def test_the_same_names_are_matched_once_and_shuffled_ones_do_not_pile_up():
    order = JointOrder(NAMES)
    first = order.indices(NAMES)
    assert order.indices(list(NAMES)) is first
    assert not first.flags.writeable
    for number in range(1000):
        order.indices([*NAMES, f"extra{number}"])
    assert len(order._known) <= 8


@pytest.mark.parametrize(("expected", "told"), [([], "got none"), (["elbow", "elbow"], "are repeated: elbow")])
def test_our_own_order_must_make_sense(expected, told):
    with pytest.raises(JointOrderError, match=told):
        JointOrder(expected)


def test_a_message_with_very_many_names_costs_no_time_and_no_memory():
    order = JointOrder(NAMES)
    with pytest.raises(JointOrderError, match="40000 joint names, expected at most 1024"):
        order.indices([f"joint{number}" for number in range(40_000)])
    assert not order._known
    most = [f"joint{number}" for number in range(JointOrder.MAX_NAMES - 3)] + NAMES
    np.testing.assert_array_equal(order.indices(most), [1021, 1022, 1023])
    with pytest.raises(JointOrderError, match="and 1013 more; expected") as refused:
        JointOrder(NAMES, extra_allowed=False).indices(most)
    assert len(str(refused.value)) < 300


def test_matching_looks_at_each_name_a_few_times_whatever_its_place():
    """One look-up a name: names are counted as they are compared."""
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    JointOrder(NAMES).indices([*(Counted(f"joint{number}") for number in range(1000)), *NAMES])
    assert compared < 50


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["gripper", "torso"], True),
        (["gripper", "wrist"], False),
        (["wrist"], False),
        ([], False),
        (["gripper"] * 2, True),
    ],
)
def test_a_message_of_other_joints_alone_is_told_from_one_that_lacks_some(names: list[str], others: bool) -> None:
    with pytest.raises(JointOrderError, match="joint names do not fit: missing") as told:
        JointOrder(NAMES).indices(names)
    assert isinstance(told.value, OtherJointsError) is others


def test_further_joints_are_told_beside_the_missing_and_a_missing_one_is_no_further_one() -> None:
    strict = JointOrder(NAMES, extra_allowed=False)
    with pytest.raises(JointOrderError, match=r"missing wrist; not expected gripper; expected"):
        strict.indices(["shoulder", "elbow", "gripper"])
    with pytest.raises(JointOrderError, match=r"fit: missing wrist; expected"):
        strict.indices(["shoulder", "elbow"])


@pytest.mark.parametrize(("count", "end"), [(7, "j6; expected"), (8, "j7; expected"), (9, "j7 and 1 more; expected")])
def test_of_many_names_eight_are_told_each_by_its_first_letters(count: int, end: str) -> None:
    with pytest.raises(JointOrderError) as told:
        JointOrder(NAMES, extra_allowed=False).indices([*NAMES, *(f"j{number}" for number in range(count))])
    assert end in str(told.value)
    with pytest.raises(JointOrderError) as told:
        JointOrder(NAMES, extra_allowed=False).indices([*NAMES, "x" * 99])
    assert f"not expected {'x' * 64};" in str(told.value)


def test_the_last_few_answers_are_kept() -> None:
    order = JointOrder(NAMES)
    for number in range(8):
        order.indices([*NAMES, f"other{number}"])
    assert len(order._known) == 8
    order.indices([*NAMES, "one more"])
    assert list(order._known) == [(*NAMES, "one more")]
