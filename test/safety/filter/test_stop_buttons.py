# SPDX-License-Identifier: Apache-2.0
"""Several stop buttons on one topic: whoever is pressed is pressed, whatever the others say."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from safe_transfer_ros.safety.filter.stop_buttons import MAX_BUTTONS, StopButtons

MS = 1_000_000
ONE, TWO = frozenset({"a"}), frozenset({"a", "b"})


def buttons(publishers: frozenset[object], lease_s: float = 0.0) -> StopButtons:
    stop = StopButtons(lease_s)
    stop.see(publishers)
    return stop


def test_without_a_publisher_and_a_lease_nothing_forbids_motion() -> None:
    stop = StopButtons()
    assert (stop.problem(0), stop.unheard()) == (None, None)


def test_a_publisher_must_say_how_it_stands_before_anything_is_armed() -> None:
    stop = buttons(ONE)
    assert "1 of 1 publishers of the external stop" in str(stop.unheard())
    stop.hear(1, False, 5)
    assert (stop.problem(10**15), stop.unheard()) == (None, None)
    stop.see(TWO)
    assert "1 of 2 publishers" in str(stop.unheard())
    assert stop.problem(0) is None, "somebody who joins and has said nothing stops no arm that moves"


def test_one_button_is_pressed_and_released_by_its_own_word() -> None:
    stop = buttons(ONE)
    stop.hear(1, True, 0)
    assert stop.problem(10**15) == "the external stop is pressed"
    stop.hear(2, False, 0)
    assert stop.problem(10**15) is None


def test_a_message_of_the_only_button_that_was_overtaken_makes_no_second_one() -> None:
    """After a stall of this process its messages come by two ways, not in their order; a second would be silent."""
    stop = buttons(ONE, lease_s=1.0)
    for sequence in (16, 18, 19, 17):
        stop.hear(sequence, False, 0)
    for sequence in range(20, 60):
        stop.hear(sequence, False, sequence * 100 * MS)
    assert stop.problem(59 * 100 * MS + 1) is None
    stop.hear(40, True, 59 * 100 * MS)
    assert stop.problem(59 * 100 * MS) == "the external stop is pressed", "what was pressed meanwhile counts"
    stop.hear(60, False, 60 * 100 * MS)
    assert stop.problem(60 * 100 * MS) is None
    stop.hear(30, False, 65 * 100 * MS)
    assert "is silent" in str(stop.problem(70 * 100 * MS + 1)), "and renews no lease"


def test_another_button_does_not_release_it() -> None:
    stop = buttons(TWO)
    stop.hear(1, False, 0)
    stop.hear(501, False, 0)
    stop.hear(2, True, 0)
    for sequence in range(502, 600):
        stop.hear(sequence, False, 0)
        assert stop.problem(0) == "the external stop is pressed"
    stop.hear(3, False, 0)
    assert stop.problem(0) is None


def test_numbers_that_happen_to_meet_do_not_release_it() -> None:
    stop = buttons(TWO)
    stop.hear(7, False, 0)
    stop.hear(3, False, 0)
    stop.hear(8, True, 0)
    for sequence in (4, 5, 6, 7, 8, 9):  # the other counts past the number of the press, and one on
        stop.hear(sequence, False, 0)
    assert stop.pressed or stop.problem(0) is None  # 9 may have been either's
    stop.hear(9, False, 0)
    assert stop.problem(0) is None, "now both have said so"


def test_a_button_whose_process_died_while_it_was_pressed_stays_pressed_until_it_is_back() -> None:
    stop = buttons(TWO)
    stop.hear(1, True, 0)
    stop.hear(501, False, 0)
    stop.see(frozenset({"b"}))
    for sequence in range(502, 520):
        stop.hear(sequence, False, 0)
    assert stop.pressed
    stop.see(frozenset({"b", "c"}))
    assert stop.pressed and stop.unheard()
    stop.hear(520, False, 0)
    stop.hear(1, False, 0)
    assert (stop.problem(0), stop.unheard()) == (None, None)


def test_the_only_button_stays_pressed_when_it_goes_and_is_released_when_it_is_back() -> None:
    stop = buttons(ONE)
    stop.hear(57, True, 0)
    stop.see(frozenset())
    assert stop.pressed
    stop.see(frozenset({"again"}))
    assert stop.pressed
    stop.hear(1, False, 0)
    assert (stop.problem(0), stop.unheard()) == (None, None)


def test_numbers_that_meet_do_not_make_one_that_went_speak_again() -> None:
    stop = buttons(frozenset({"a", "b", "c"}))
    stop.hear(2, False, 0)
    stop.hear(2, True, 0)
    stop.see(frozenset({"b", "c"}))  # "b" is pressed
    stop.hear(2, False, 0)  # this is "c", who has not spoken before
    stop.hear(3, False, 0)
    assert stop.pressed, "who went is not known to be the one that was pressed"


def test_one_that_goes_released_is_not_missed_without_a_lease() -> None:
    stop = buttons(TWO)
    stop.hear(1, False, 0)
    stop.hear(501, False, 0)
    stop.see(ONE)
    stop.hear(2, False, 0)
    assert (stop.problem(0), stop.unheard()) == (None, None)


def test_lost_messages_release_nobody_where_there_are_several() -> None:
    stop = buttons(TWO)
    stop.hear(7, False, 0)
    stop.hear(3, True, 0)
    stop.hear(5, False, 0)  # 4 was lost, or 5 to 7 are somebody's who counts anew
    assert stop.pressed
    stop.hear(6, False, 0)
    assert stop.problem(0) is None
    alone = buttons(ONE)
    alone.hear(3, True, 0)
    alone.hear(50, False, 0)
    assert alone.problem(0) is None, "there is nobody else who could have said it"


def test_with_a_lease_the_silence_of_each_counts_from_the_start() -> None:
    stop = buttons(TWO, 0.1)
    assert "has not been heard" in str(stop.problem(0))
    stop.hear(1, False, 0)
    stop.hear(501, False, 60 * MS)
    assert stop.problem(100 * MS) is None
    assert "silent" in str(stop.problem(100 * MS + 1))
    stop.hear(502, False, 100 * MS)
    assert "silent" in str(stop.problem(100 * MS + 1)), "the other's word does not stand for it"
    stop.hear(2, False, 101 * MS)
    assert stop.problem(150 * MS) is None
    stop.see(ONE)  # a process that died is a cable that came off
    for sequence in range(3, 10):
        stop.hear(sequence, False, 250 * MS)
    assert "silent" in str(stop.problem(250 * MS))


def test_a_clock_that_went_back_counts_as_silence() -> None:
    stop = buttons(ONE, 0.1)
    stop.hear(1, False, 10 * MS)
    assert "silent" in str(stop.problem(9 * MS))


def test_a_flood_of_publishers_forbids_motion_and_takes_no_more_room() -> None:
    stop = StopButtons()
    stop.see(frozenset(range(1000)))
    for number in range(1000):
        stop.hear(2 * number + 1, False, 0)
    assert f"more than {MAX_BUTTONS} publishers" in str(stop.problem(0))
    assert len(stop._buttons) == MAX_BUTTONS + 1


@pytest.mark.parametrize("lease", [-1.0, float("nan"), float("inf")])
def test_a_lease_that_makes_no_sense_is_refused(lease: float) -> None:
    with pytest.raises(ValueError, match="lease_s"):
        StopButtons(lease)


class AnyButtons(RuleBasedStateMachine):
    """Publishers come, go, press and release; their messages bear numbers and no names."""

    @initialize(lease=st.sampled_from([0.0, 1.0]))
    def begin(self, lease: float) -> None:
        self.stop = StopButtons(lease)
        self.there: dict[int, tuple[int, bool | None]] = {}  # number of the next message, and what was heard last
        self.born = 0

    @precondition(lambda self: len(self.there) < 4)
    @rule(sequence=st.integers(1, 8))
    def come(self, sequence: int) -> None:
        self.born += 1
        self.there[self.born] = (sequence, None)
        self.stop.see(frozenset(self.there))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), pressed=st.booleans())
    def say(self, data: st.DataObject, pressed: bool) -> None:
        who = data.draw(st.sampled_from(sorted(self.there)))
        sequence, _ = self.there[who]
        self.there[who] = (sequence + 1, pressed)
        self.stop.hear(sequence, pressed, 0)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        del self.there[data.draw(st.sampled_from(sorted(self.there)))]
        self.stop.see(frozenset(self.there))

    @invariant()
    def whoever_is_pressed_forbids_motion(self) -> None:
        if any(pressed for _, pressed in self.there.values()):
            assert self.stop.problem(0) is not None

    @invariant()
    def nobody_is_armed_before_all_have_spoken(self) -> None:
        if any(pressed is None for _, pressed in self.there.values()):
            assert self.stop.unheard() is not None or self.stop.problem(0) is not None


TestAnyButtons = AnyButtons.TestCase
TestAnyButtons.settings = settings(max_examples=400, stateful_step_count=30, deadline=None, database=None)


def test_as_many_buttons_as_a_cell_may_have_are_let_pass() -> None:
    stop = StopButtons()
    stop.see(frozenset(range(33)))
    for number in range(33):
        assert stop.problem(0) is None, f"{number} buttons"
        stop.hear(1000 * number + 1, False, 0)
    assert "more than 32 publishers" in str(stop.problem(0))
