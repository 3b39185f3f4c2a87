# SPDX-License-Identifier: Apache-2.0
"""The supervisor's view of the filter's commands: silence and nonsense are problems, and nothing clears by itself."""

import pytest

from safe_transfer_ros.safety.supervisor.command_stream import CommandStream

MS = 1_000_000
ZERO = [0.0, 0.0]


def test_silence_is_a_problem_from_the_timeout_on() -> None:
    stream = CommandStream(2, 0.05)
    assert stream.problem(0) == "the filter sends no commands"
    stream.hear(ZERO, 10 * MS)
    assert stream.problem(60 * MS) is None
    assert "stopped (none for 50 ms)" in str(stream.problem(60 * MS + 1))
    assert stream.problem(10 * MS - 1) is not None, "a clock that went back tells no age"


@pytest.mark.parametrize(
    ("effort", "says"), [([0.0], "1 values instead of 2"), ([0.0, float("nan")], "not finite"), ([], "0 values")]
)
def test_a_command_that_cannot_be_right(effort: list[float], says: str) -> None:
    stream = CommandStream(2, 0.05)
    stream.hear(ZERO, 0)
    stream.hear(effort, MS)
    assert says in str(stream.problem(MS)) and stream.zero_count == 0
    for time in range(2, 53):
        stream.hear(ZERO, time * MS)
        assert (stream.problem(time * MS) is None) is (time > 51), "good ones behind it do not hide it at once"
    assert stream.zero_count == 51


def test_a_command_that_could_not_be_read_is_as_one_that_cannot_be_right() -> None:
    stream = CommandStream(2, 0.05)
    stream.hear(ZERO, 0)
    stream.refuse("of 24 MB", MS)
    assert stream.problem(MS) == "of 24 MB" and stream.zero_count == 0 and stream.steady_s(MS) == 0.0
    assert "stopped" in str(stream.problem(52 * MS)), "it was heard, and none since"


def test_zeros_are_counted_from_the_last_torque_on() -> None:
    stream = CommandStream(2, 0.05)
    for time, effort in enumerate([ZERO, ZERO, [0.0, 1e-9], ZERO, ZERO, ZERO]):
        stream.hear(effort, time * MS)
    assert stream.zero_count == 3


def test_the_first_command_of_rest_is_one() -> None:
    stream = CommandStream(2, 0.05)
    assert stream.zero_count == 0
    stream.hear(ZERO, 0)
    assert stream.zero_count == 1


def test_rest_is_not_zero_for_an_arm_that_has_to_be_carried() -> None:
    stream = CommandStream(2, 0.05)
    for time, rests in enumerate([True, False, True, True]):
        stream.hear([8.0, 1.0], time * MS, rests)
    assert stream.zero_count == 2
    stream.hear(ZERO, 5 * MS, rests=False)
    assert stream.zero_count == 0


def test_steady_is_the_time_since_the_last_pause_or_fault() -> None:
    stream = CommandStream(2, 0.05)
    assert stream.steady_s(0) == 0.0
    for time in range(0, 200, 10):
        stream.hear(ZERO, time * MS)
    assert stream.steady_s(200 * MS) == pytest.approx(0.2)
    assert stream.steady_s(300 * MS) == 0.0, "silent now"
    stream.hear(ZERO, 300 * MS)
    assert stream.steady_s(320 * MS) == pytest.approx(0.02), "a pause of 110 ms"
    stream.hear([0.0], 330 * MS)
    for time in range(340, 390, 10):
        assert stream.steady_s(time * MS) == 0.0
        stream.hear(ZERO, time * MS)
    assert stream.steady_s(390 * MS) == pytest.approx(0.06), "one of them was wrong"
    stream.hear(ZERO, 400 * MS)
    stream.hear(ZERO, 395 * MS)
    assert stream.steady_s(396 * MS) == pytest.approx(0.001), "the clock went back"


def test_a_command_just_heard_has_no_age_and_its_own_fault_is_told() -> None:
    stream = CommandStream(2, 0.05)
    stream.hear(ZERO, 0)
    assert stream.problem(0) is None, "at time 0 of the clock too"
    stream.hear([1.0, float("inf")], 1)
    assert stream.problem(1) == "a command was not finite"
    assert "stopped" in str(stream.problem(1 + 50 * MS + 1)), "silence comes before a fault"


def test_a_long_silence_between_says_how_long() -> None:
    stream = CommandStream(2, 0.001)
    stream.hear(ZERO, 0)
    assert str(stream.problem(1234 * MS)) == "the filter's commands have stopped (none for 1234 ms)"
    assert stream.problem(MS) is None and stream.problem(MS + 1) is not None


def test_one_gap_is_no_rhythm_and_two_are() -> None:
    stream = CommandStream(2, 0.05)
    for time in (0, 10):
        stream.hear(ZERO, time * MS)
    assert stream.rhythm() is None
    for time in (20, 30):
        stream.hear(ZERO, time * MS)
    assert stream.rhythm() == (pytest.approx(100.0), pytest.approx(0.0, abs=1e-12), pytest.approx(0.01))
    for _ in range(3):
        stream.hear(ZERO, 30 * MS)
    assert stream.rhythm() == (float("inf"), 0.0, 0.0), "a clock that stands still gives no rate"


def test_gaps_that_nobody_asks_for_do_not_fill_the_memory() -> None:
    stream = CommandStream(1, 0.05)
    for time in range(100_010):
        stream.hear([0.0], time)
    assert len(stream._gaps) == 100_000


def test_rhythm() -> None:
    stream = CommandStream(2, 0.05)
    assert stream.rhythm() is None
    for time in (0, 10, 20, 40):
        stream.hear(ZERO, time * MS)
    rate, spread, longest = stream.rhythm()  # type: ignore[misc]
    assert rate == pytest.approx(75.0)
    assert spread == pytest.approx(0.004714, rel=1e-3)  # of .01, .01, .02 s
    assert longest == pytest.approx(0.02)
    assert stream.rhythm() is None, "only what came since it was last asked"


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_timeout_that_never_comes_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout_s must be a positive number of seconds, got"):
        CommandStream(2, timeout)


def test_a_command_that_could_not_be_read_was_heard_all_the_same() -> None:
    stream = CommandStream(2, 0.05)
    stream.refuse("of 24 MB", MS)
    assert stream.problem(MS) == "of 24 MB"


@pytest.mark.parametrize(
    ("second_ns", "steady_ns"),
    [(50 * MS, 50 * MS), (50 * MS + 1, 0), (0, 0), (-1, 0)],
)
def test_commands_are_steady_as_long_as_none_is_later_than_the_timeout(second_ns: int, steady_ns: int) -> None:
    stream = CommandStream(2, 0.05)
    start = 10 * MS
    stream.hear(ZERO, start)
    stream.hear(ZERO, start + second_ns)
    assert stream.steady_s(start + second_ns) == pytest.approx(steady_ns * 1e-9)


def test_two_commands_at_once_begin_nothing_anew_and_a_clock_that_went_back_does() -> None:
    for third_ns, steady_ns in ((10 * MS, 10 * MS), (10 * MS - 1, 0)):
        stream = CommandStream(2, 0.05)
        for now_ns in (0, 10 * MS, third_ns):
            stream.hear(ZERO, now_ns)
        assert stream.steady_s(third_ns) == pytest.approx(steady_ns * 1e-9)
