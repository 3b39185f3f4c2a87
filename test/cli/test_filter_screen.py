# SPDX-License-Identifier: Apache-2.0
"""What an operator can read: every state in words, on every size of terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from filter_messages import decision, diagnostics, estimate, everyday, status
from rich.console import Console

from safe_transfer_ros.cli.filter_screen import HARDWARE_STOP, FilterScreen, Listening, notice, one_line
from safe_transfer_ros.cli.filter_view import LOST_SECONDS, FilterView
from safe_transfer_ros.middleware.operator_request import Request
from safe_transfer_ros.safety.reasons import MODE_TEXT, REASON_TEXT, Mode, Reason

LISTENING = Listening(domain=7, namespace="", hint="a hint")


def view_of(mode: Mode = Mode.ARMED, **fields: object) -> FilterView:
    view = FilterView()
    for method, message in everyday(mode, **fields):
        getattr(view, method)(message, 0.0)
    return view


def request(name: str = "trip", since: float = 0.0, **answer: object) -> Request:
    asked = Request(name=name, send=lambda: None, since=since, insistent=name == "trip")
    for field, value in answer.items():
        setattr(asked, field, value)
    return asked


def drawn(view: FilterView, now: float = 0.1, width: int = 80, height: int | None = 24, **more: object) -> list[str]:
    file = io.StringIO()
    screen = FilterScreen(view=view, now=now, listening=LISTENING, clock="12:03:07", height=height, **more)
    Console(file=file, width=width, height=height, no_color=True).print(screen, end="")
    return file.getvalue().splitlines()


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).translate(str.maketrans("│┃", "  ")).split())


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_is_told_in_words(mode: Mode) -> None:
    text = words(drawn(view_of(mode, cause=int(Reason.JOINT_STATE_FROZEN))))
    assert mode.name in text
    assert MODE_TEXT[mode][1:] in text
    told = f"WHY: {REASON_TEXT[Reason.JOINT_STATE_FROZEN]}" in text
    assert told == (mode in (Mode.HOLDING, Mode.TRIPPED))


def test_numbers_of_the_limit_and_the_damage() -> None:
    text = words(drawn(view_of()))
    assert "T_lim 0.115 N·m limit of iteration 3" in text
    assert "p_u 0.500 in iteration 2; 0.600 expected next" in text
    assert "0.050 of D_safe 0.2 N·m (25%)" in text
    assert "joint states 3.1 ms old, proposals none, 4821 cycles, 482 decisions" in text
    assert "median 81, p99 212, max 1904" in text
    assert "critic_error too slow" in text, "a figure this version does not know is shown as well"
    assert "pr2_left_arm" in text and "domain 7" in text and "12:03:07" in text


def test_the_bar_is_as_long_as_the_damage_and_says_over_in_a_word() -> None:
    def bar(unsafety_rate: float) -> str:
        view = view_of()
        view.on_estimate(estimate(unsafety_rate, torque_limit=0.2, d_safe=0.1), 0.0)
        return next(line for line in drawn(view) if "damage" in line)

    lengths = [bar(rate).count("█") for rate in (0.0, 0.25, 0.5, 1.0)]
    assert lengths[0] == 0 and lengths[2] == pytest.approx(2 * lengths[1], abs=1) and lengths[3] == lengths[2]
    assert "OVER" in bar(0.51) and "OVER" not in bar(0.5)


def test_a_lost_lease_a_refused_limit_and_a_second_filter_are_told() -> None:
    view = view_of(lease_lost=True, accepted=False, message="above the ceiling")
    view.on_filters(frozenset({"one", "other"}), 0.0)
    text = words(drawn(view))
    assert "LEASE LOST" in text
    assert "refused: above the ceiling" in text
    assert "2 filters are announced" in text


def test_the_monitors_warning_stands_on_the_screen_and_in_the_lines_until_it_is_withdrawn() -> None:
    view, text = view_of(), "iteration 14: in 5 of 5 episodes a joint stood still"
    view.on_diagnostics(diagnostics(name="unsafety_monitor", level=b"\1", message=text), 0.1)
    assert f"The unsafety monitor warns: {text}." in words(drawn(view))
    assert f"monitor warns: {text}" in one_line(view, 0.1, LISTENING)
    view.on_diagnostics(diagnostics(name="unsafety_monitor", message="nothing"), 0.2)
    assert "warns" not in words(drawn(view)) + one_line(view, 0.1, LISTENING)


def test_a_pause_stands_on_the_screen_while_it_lasts() -> None:
    view, text = view_of(Mode.DISARMED), "paused by an operator: no episode begins"
    view.on_diagnostics(diagnostics(name="policy_server", level=b"\1", message=text), 0.1)
    assert "Paused by an operator: no episode begins. p resumes." in words(drawn(view))
    assert text in one_line(view, 0.1, LISTENING)
    view.on_diagnostics(diagnostics(name="policy_server", message="not paused"), 0.2)
    assert "aused" not in words(drawn(view)) + one_line(view, 0.1, LISTENING)
    told = notice(request("pause", answered=0.1, success=True), view, 0.2)
    assert told is not None and told.plain.startswith("PAUSE confirmed by policy_server")


@pytest.mark.parametrize("mode", list(Mode))
def test_a_silent_filter_is_lost_whatever_it_said_last(mode: Mode) -> None:
    lines = drawn(view_of(mode), now=LOST_SECONDS + 1.3)
    assert lines[1].split()[1:] == ["LOST", "heard", "3.8", "s", "ago", "┃"]
    assert f"was {mode.name}" in words(lines)
    assert HARDWARE_STOP in words(lines)


def ended_view(simulated: bool) -> FilterView:
    view = view_of(Mode.DISARMED)
    view.on_filters(frozenset({"ours"}), 0.0)
    view.on_robot(simulated)
    view.on_status(status(Mode.TRIPPED, cause=int(Reason.SHUTDOWN)), 0.1)
    view.on_filters(frozenset(), 0.2)
    return view


@pytest.mark.parametrize("simulated", [True, False])
def test_a_normal_end_is_no_alarm_and_the_hardware_stop_is_for_hardware(simulated: bool) -> None:
    view = ended_view(simulated)
    lines = drawn(view, now=0.3)
    assert lines[1].split()[1] == "ENDED" and lines[0].startswith("╭"), "no frame of alarm"
    for text in (words(lines), one_line(view, 0.3, LISTENING)):
        assert "told to end while it was disarmed" in text
        assert (HARDWARE_STOP in text) is not simulated and ("simulated" in text) is simulated
    assert "f follow a new run" in words(lines) and "reset" not in words(lines)


def test_a_filter_of_a_simulated_arm_that_is_killed_is_an_alarm_without_the_hardware_stop() -> None:
    view = view_of()
    view.on_robot(True)
    lines = drawn(view, now=LOST_SECONDS + 1.0)
    assert lines[1].split()[1] == "LOST" and lines[0].startswith("┏")
    assert HARDWARE_STOP not in words(lines) and "simulated" in words(lines)
    told = notice(request(), view, 9.0)
    assert told is not None and HARDWARE_STOP not in told.plain


def test_a_stranger_is_named_and_the_runs_directory_is_in_the_frame() -> None:
    view = ended_view(simulated=True)
    view.on_filters(frozenset({"other"}), 0.3)
    for text in (words(drawn(view)), one_line(view, 0.3, LISTENING)):
        assert "Another safety filter is up here: no key reaches it unless f follows it." in text
    listening = replace(LISTENING, run="/home/me/runs/a")
    file = io.StringIO()
    screen = FilterScreen(view=view, now=0.0, listening=listening, height=24)
    Console(file=file, width=80, height=24, no_color=True).print(screen, end="")
    assert "/home/me/runs/a" in file.getvalue().splitlines()[-1]
    assert "run /home/me/runs/a" in str(listening)


def test_without_a_filter_it_says_where_it_listens() -> None:
    text = words(drawn(FilterView()))
    assert "WAITING" in text and "ROS domain 7" in text and "a hint" in text
    assert "t or space TRIP now r reset p pause q quit" in text


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("width", "height"), [(200, 60), (80, 24), (70, 20), (60, 15), (40, 8), (20, 3), (10, 2)])
@pytest.mark.parametrize("asked", [None, request()])
def test_it_fits_every_terminal_and_keeps_what_matters_most(
    mode: Mode, width: int, height: int, asked: Request | None
) -> None:
    view = view_of(mode, cause=int(Reason.PROPOSAL_TIMEOUT), lease_lost=True)
    for reason in Reason.__members__.values():
        view.on_decision(decision(reason), 0.0)
    lines = drawn(view, now=2.0, width=width, height=height, request=asked)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    text = words(lines)
    assert mode.name in text
    assert "t" in text.split(), "the key that trips"
    if height >= 8:
        assert mode is Mode.TRIPPED or asked is None or HARDWARE_STOP in text
        assert asked is not None or mode is Mode.TRIPPED or "T_lim" in text


def test_hidden_interventions_are_counted() -> None:
    view = view_of()
    for reason in Reason.__members__.values():
        view.on_decision(decision(reason), 0.0)
    text = words(drawn(view, height=22))
    hidden = int(text.split("and ")[-1].split(" more")[0])
    shown = sum(any(f" {line[:20]}" in text for line in [wording]) for wording in REASON_TEXT.values())
    assert hidden + shown == len(REASON_TEXT)


def test_ascii_terminals_get_no_other_bar() -> None:
    lines = FilterScreen(view=view_of(), now=0.0, listening=LISTENING).lines(80, 24, ascii_only=True)
    assert any("damage  ##########" in line.plain for line in lines)


@pytest.mark.parametrize(
    ("asked", "mode", "now", "expected"),
    [
        (None, Mode.ARMED, 0.0, None),
        (request(), Mode.ARMED, 0.5, "TRIP asked for"),
        (request(times_sent=3), Mode.ARMED, 1.5, "TRIP NOT CONFIRMED after 2 s (sent 3 times)"),
        (request(), Mode.ARMED, 1.5, "no filter there to send it to"),
        (request(), Mode.TRIPPED, 1.5, "the filter is TRIPPED"),
        (request(), Mode.TRIPPED, 90.0, "TRIP NOT CONFIRMED after 90 s"),
        (request(answered=0.03, success=True), Mode.TRIPPED, 1.0, "TRIP confirmed by the filter after 30 ms"),
        (request(answered=0.03, success=True), Mode.TRIPPED, 60.0, None),
        (request(answered=0.1, success=False, message="no"), Mode.ARMED, 60.0, "TRIP REFUSED: no"),
        (request("reset", answered=0.1, success=False, message="it stands"), Mode.TRIPPED, 1.0, "refused: it stands"),
        (request("reset", times_sent=1), Mode.TRIPPED, 3.0, "RESET: no answer after 3 s"),
    ],
)
def test_what_became_of_a_request(asked: Request | None, mode: Mode, now: float, expected: str | None) -> None:
    view = view_of(mode)
    told = notice(asked, view, now)
    assert (told is None) == (expected is None)
    if told is not None and expected is not None:
        assert expected in told.plain
        alarming = "NOT CONFIRMED" in expected or "REFUSED" in expected or "no filter" in expected
        assert (HARDWARE_STOP in told.plain) == alarming == ("red" in str(told.style))


def test_a_line_changes_with_the_state_and_not_with_time_or_counts() -> None:
    view = view_of(Mode.TRIPPED, cause=int(Reason.OPERATOR_STOP))

    def line(now: float = 0.1, asked: Request | None = None) -> str:
        return one_line(view, now, LISTENING, asked)

    first = line()
    assert first.startswith("TRIPPED  (an operator or an external stop asked for it)  T_lim 0.115 N·m")
    assert "seen OPERATOR_STOP, PROPOSAL_STALE" in first
    view.on_decision(decision(Reason.PROPOSAL_STALE), 0.2)
    assert line(2.0) == first
    view.on_decision(decision(Reason.NOT_ARMED), 0.2)
    assert "NOT_ARMED" in line(2.0)
    assert line(60.0).startswith("LOST") and line(60.0) == line(99.0)
    view.on_status(status(Mode.ARMED), 0.2)
    assert f"trip NOT CONFIRMED. {HARDWARE_STOP}" in line(2.0, request())
    assert one_line(FilterView(), 0.0, LISTENING).startswith("WAITING")
