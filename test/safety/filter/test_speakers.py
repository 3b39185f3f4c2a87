# SPDX-License-Identifier: Apache-2.0
"""A gripper's driver beside the arm's is told from a second one of the arm."""

from __future__ import annotations

import pytest

from safe_transfer_ros.safety.filter.speakers import WATCHED_S, Speakers

WATCHED = round(WATCHED_S * 1e9)


def beside(arm: int, other: int, *, others: bool) -> Speakers:
    """A watch over the arm's driver, its numbers from `arm` on, and another's from `other` on."""
    watch = Speakers(2, 0)
    for step in range(50):
        watch.hear(arm + step, True, step)
        if step % 5 == 0:
            watch.hear(other + step // 5, others, step)
    return watch


@pytest.mark.parametrize(("arm", "other"), [(1, 1), (1, 2), (2, 1), (1, 9000), (9000, 1), (30, 33)])
def test_a_gripper_is_let_pass_and_a_second_driver_is_not(arm: int, other: int) -> None:
    gripper = beside(arm, other, others=False)
    assert not gripper.mixed
    assert not gripper.told_apart(WATCHED - 1)
    assert gripper.told_apart(WATCHED)
    second = beside(arm, other, others=True)
    assert second.mixed


def test_one_that_is_there_and_says_nothing_is_in_doubt() -> None:
    watch = Speakers(2, 0)
    for step in range(50):
        watch.hear(step, True, step)
    assert not watch.mixed
    assert not watch.told_apart(100 * WATCHED)


@pytest.mark.parametrize(("arm", "other"), [(1, 1), (1, 9000), (9000, 1)])
def test_a_gripper_that_begins_to_speak_of_the_arm_is_found_within_a_message_of_the_arm(arm: int, other: int) -> None:
    watch = beside(arm, other, others=False)
    assert watch.told_apart(WATCHED)
    watch.hear(other + 10, True, WATCHED)
    watch.hear(arm + 50, True, WATCHED)
    assert watch.mixed
    assert not watch.told_apart(WATCHED + 1), "and it stands for a whole watch"
    watch.hear(arm + 51, True, WATCHED + 2)
    watch.hear(other + 11, False, WATCHED + 2)
    assert not watch.told_apart(2 * WATCHED - 1)
    assert watch.told_apart(2 * WATCHED) and not watch.mixed


def test_lost_messages_make_no_second_driver() -> None:
    watch = beside(1, 1, others=False)
    watch.hear(400, True, 60)
    watch.hear(300, False, 60)
    assert not watch.mixed
    assert watch.told_apart(WATCHED)


def test_a_watch_takes_a_second():
    watch = beside(1, 9000, others=False)
    assert not watch.told_apart(999_999_999) and watch.told_apart(1_000_000_000)


def two(watch: Speakers) -> Speakers:
    """The arm's driver at 5 and a gripper at 9000, both known."""
    watch.hear(5, True, 0)
    watch.hear(9000, False, 0)
    return watch


def test_two_drivers_are_told_by_their_first_messages() -> None:
    watch = Speakers(2, 0)
    watch.hear(1, True, 0)
    watch.hear(9000, True, 0)
    assert watch.mixed


@pytest.mark.parametrize(("sequence", "ours"), [(5, True), (4, True), (9000, False), (7, False)])
def test_a_number_that_none_of_the_known_can_have_sent_is_anothers(sequence: int, ours: bool) -> None:
    watch = two(Speakers(2, 0))
    assert not watch.mixed
    watch.hear(sequence, ours, 1)
    assert watch.mixed


def test_a_message_continues_the_publisher_whose_number_it_is_nearest_to() -> None:
    watch = two(Speakers(3, 0))
    watch.hear(10, False, 0)
    for sequence in (9001, 9002, 11, 9003, 12):
        watch.hear(sequence, False, 1)
    assert not watch.mixed
