# SPDX-License-Identifier: Apache-2.0
"""What the view believes: only what a living filter says, and never an older state than the newest told."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import pytest
from filter_messages import decision, diagnostics, estimate, status
from rich.console import Console

from safe_transfer_ros.cli.filter_screen import FilterScreen, Listening, one_line
from safe_transfer_ros.cli.filter_view import LOST_SECONDS, Contact, FilterView
from safe_transfer_ros.middleware.operator_request import Request
from safe_transfer_ros.safety.reasons import MODE_TEXT, Mode, Reason


def heard(mode: Mode = Mode.ARMED, now: float = 0.0, **fields: object) -> FilterView:
    view = FilterView()
    view.on_status(status(mode, **fields), now)
    return view


def counts(view: FilterView) -> dict[Reason, int]:
    return {item.reason: item.count for item in view.interventions()}


def test_a_filter_is_alive_only_while_it_speaks() -> None:
    view = FilterView()
    assert view.contact(0.0) is Contact.WAITING
    view.on_status(status(Mode.TRIPPED), 1.0)
    assert view.contact(1.0 + LOST_SECONDS) is Contact.ALIVE
    assert view.tripped(1.0 + LOST_SECONDS)
    assert view.contact(1.1 + LOST_SECONDS) is Contact.LOST
    assert not view.tripped(1.1 + LOST_SECONDS), "a lost filter's last words are no trip"


@pytest.mark.parametrize(
    ("method", "message"),
    [("on_status", status(Mode.ARMED)), ("on_decision", decision()), ("on_diagnostics", diagnostics())],
)
def test_each_of_its_topics_is_a_sign_of_life(method: str, message: object) -> None:
    view = heard()
    getattr(view, method)(message, 100.0)
    assert view.contact(100.0 + LOST_SECONDS) is Contact.ALIVE


def test_other_nodes_are_no_sign_of_life() -> None:
    view = heard()
    view.on_estimate(estimate(), 100.0)
    view.on_diagnostics(diagnostics(name="controller_manager", mode="DISARMED"), 100.0)
    view.on_diagnostics(diagnostics(name="not_the_safety_filter"), 100.0)
    assert view.contact(100.0) is Contact.LOST
    assert view.mode is Mode.ARMED and not view.figures


@pytest.mark.parametrize("name", ["safety_filter", "/arm/safety_filter", "safety_filter: envelope"])
def test_the_filter_is_known_by_its_name(name: str) -> None:
    view = FilterView()
    view.on_diagnostics(diagnostics(name=name), 0.0)
    assert view.contact(0.0) is Contact.ALIVE


OURS, OTHER, NOBODY = frozenset({"ours"}), frozenset({"other"}), frozenset[str]()


def test_a_filter_that_leaves_the_graph_is_lost_at_once_and_found_again() -> None:
    view = heard(now=0.0)
    view.on_filters(OURS, 0.05)
    view.on_filters(NOBODY, 0.1)
    assert view.contact(0.1) is Contact.LOST and view.ended
    view.on_filters(NOBODY, 100.0)
    assert view.ended, "still the end that was seen, although it is long ago"
    view.on_filters(OURS, 101.0)
    view.on_status(status(Mode.DISARMED), 101.0)
    assert view.contact(101.0) is Contact.ALIVE and not view.ended and not view.stranger


def test_a_filter_whose_graph_entry_goes_long_after_its_silence_did_not_end_in_order() -> None:
    view = heard(now=0.0)
    view.on_filters(OURS, 10.0)
    view.on_filters(NOBODY, 20.0)
    assert view.contact(20.0) is Contact.LOST and not view.ended


@pytest.mark.parametrize("between", [[NOBODY, OTHER], [OTHER]])
def test_another_filter_in_its_place_is_a_stranger_and_not_believed(between: list[frozenset[str]]) -> None:
    view = heard(Mode.DISARMED, now=0.0)
    view.on_filters(OURS, 0.1)
    for announced in between:
        view.on_filters(announced, 0.2)
    view.on_decision(decision(Reason.NOT_ARMED), 0.3)
    view.on_status(status(Mode.ARMED, torque_limit=3.0), 0.3)
    view.on_diagnostics(diagnostics(mode="ARMED", message="mine"), 0.3)
    view.on_diagnostics(diagnostics(name="unsafety_monitor", level=b"\1", message="mine"), 0.3)
    view.on_estimate(estimate(), 0.3)
    assert view.stranger and view.contact(0.3) is Contact.LOST
    assert (view.mode, view.torque_limit, view.estimate, view.monitor_warning) == (Mode.DISARMED, 0.115, None, "")
    assert not counts(view) and not view.figures
    for alone in (False, True):
        assert not view.may_be_asked(OTHER, alone=alone)


def test_a_trip_is_for_the_filter_of_the_view_and_a_reset_for_no_other_besides() -> None:
    view = FilterView()
    assert view.may_be_asked(NOBODY, alone=True), "before anything was heard an order goes to the first that comes"
    view.on_status(status(Mode.ARMED), 0.0)
    view.on_filters(OURS, 0.1)
    both = OURS | OTHER
    assert view.may_be_asked(both, alone=False) and not view.may_be_asked(both, alone=True)
    assert not view.may_be_asked(NOBODY, alone=False)
    view.supersede(0.2)
    view.on_filters(OURS, 0.3)
    assert not view.may_be_asked(OURS, alone=False), "a killed filter stays announced for some time"
    assert view.stranger and view.contact(0.3) is Contact.LOST


@pytest.mark.parametrize(
    ("before", "cause", "expected"),
    [
        (Mode.DISARMED, Reason.SHUTDOWN, Contact.ENDED),
        (Mode.ARMED, Reason.SHUTDOWN, Contact.LOST),
        (Mode.DISARMED, Reason.SHUTDOWN | Reason.SECOND_PUBLISHER, Contact.LOST),
        (Mode.TRIPPED, Reason.OPERATOR_STOP, Contact.LOST),
    ],
)
def test_an_end_is_one_that_was_asked_for_while_disarmed(before: Mode, cause: Reason, expected: Contact) -> None:
    view = heard(before, now=0.0)
    view.on_filters(OURS, 0.1)
    for now in (0.2, 0.3):  # the newest state is latched: it may be told twice
        view.on_status(status(Mode.TRIPPED, cause=int(cause)), now)
    assert view.contact(0.3) is Contact.ALIVE and view.tripped(0.3)
    view.on_filters(NOBODY, 0.4)
    assert view.contact(0.4) is expected


def test_an_end_that_was_told_and_then_taken_back_is_no_end() -> None:
    view = heard(Mode.DISARMED, now=0.0)
    view.on_filters(OURS, 0.1)
    view.on_status(status(Mode.TRIPPED, cause=int(Reason.SHUTDOWN)), 0.2)
    view.on_status(status(Mode.ARMED), 0.3)
    view.on_filters(NOBODY, 0.4)
    assert view.contact(0.4) is Contact.LOST


def test_whether_the_arm_is_simulated_is_remembered_from_when_the_filter_was_there() -> None:
    view = heard(now=0.0)
    view.on_filters(OURS, 0.1)
    assert not view.simulated
    view.on_robot(True)
    view.on_filters(NOBODY, 0.2)
    view.on_robot(False)
    assert view.simulated
    view.on_filters(OURS, 0.3)
    view.on_robot(False)
    assert not view.simulated


def test_newer_diagnostics_correct_the_mode_and_older_ones_do_not() -> None:
    """Deactivated, the filter sends no status; and the two topics can overtake each other."""
    view = heard(Mode.TRIPPED, stamp=10.0, cause=int(Reason.OPERATOR_STOP))
    view.on_diagnostics(diagnostics(9.9, mode="ARMED"), 0.1)
    assert view.mode is Mode.TRIPPED
    told = {"limit_iteration": "7", "limit_lease_lost": "True", "torque_limit": "0.1000 N·m"}
    view.on_diagnostics(diagnostics(10.1, mode="HOLDING", message="why", **told), 0.2)
    assert (view.mode, view.cause) == (Mode.HOLDING, "why")
    assert (view.torque_limit, view.limit_iteration, view.lease_lost) == (0.1, 7, True)
    view.on_status(status(Mode.DISARMED, stamp=5.0), 0.3)
    assert view.mode is Mode.DISARMED, "a status that arrives is news even when the robot's clock was set back"


def test_diagnostics_may_lack_anything_and_hold_nonsense() -> None:
    view = heard(Mode.ARMED)
    view.on_diagnostics(diagnostics(), 0.0)
    view.on_diagnostics(
        diagnostics(torque_limit="none", limit_iteration="-", reason__NO_SUCH="3", reason__NOT_ARMED="many"), 0.0
    )
    assert (view.mode, view.torque_limit, view.limit_iteration) == (Mode.ARMED, 0.115, 3)
    assert counts(view) == {}


def test_a_mode_of_a_newer_version_is_not_taken_for_one_we_know() -> None:
    view = heard()
    view.on_status(status(9), 0.0)
    assert view.mode is None and view.mode_name == "UNKNOWN" and view.mode_text not in MODE_TEXT.values()


def test_the_filters_own_complaint_is_kept_while_it_stands() -> None:
    view = heard()
    view.on_diagnostics(diagnostics(level=b"\1", message="the lease is lost"), 0.0)
    assert view.warning == "the lease is lost"
    view.on_diagnostics(diagnostics(level=b"\0", message="all is well"), 1.0)
    assert view.warning == ""


def test_interventions_are_counted_once_however_they_are_told() -> None:
    view = heard(Mode.DISARMED)
    for place in range(3):
        view.on_decision(decision(Reason.PROPOSAL_STALE, Reason.CLAMPED_TORQUE_RATE), float(place))
    view.on_diagnostics(diagnostics(reason__PROPOSAL_STALE="5", reason__CRITIC_RISK="1"), 3.0)
    assert counts(view) == {Reason.PROPOSAL_STALE: 5, Reason.CRITIC_RISK: 1, Reason.CLAMPED_TORQUE_RATE: 3}
    view.on_status(status(Mode.TRIPPED, cause=int(Reason.OPERATOR_STOP)), 4.0)
    view.on_status(status(Mode.TRIPPED, cause=int(Reason.OPERATOR_STOP)), 5.0)
    assert counts(view)[Reason.OPERATOR_STOP] == 1, "the same trip, told twice"
    view.on_status(status(Mode.TRIPPED, accepted=False, message="too high"), 6.0)
    assert counts(view)[Reason.LIMIT_REFUSED] == 1 and view.refusal == "too high"


def test_interventions_come_newest_first_and_everyday_clamping_last() -> None:
    view = heard()
    for now, reason in enumerate((Reason.NOT_ARMED, Reason.PROPOSAL_TIMEOUT, Reason.CLAMPED_TORQUE_LIMIT)):
        view.on_decision(decision(reason), float(now))
    order = [item.reason for item in view.interventions()]
    assert order == [Reason.PROPOSAL_TIMEOUT, Reason.NOT_ARMED, Reason.CLAMPED_TORQUE_LIMIT]


def test_what_happened_before_the_view_began_has_no_time() -> None:
    view = FilterView()
    view.on_status(status(Mode.TRIPPED, cause=int(Reason.SHUTDOWN), accepted=False, message="x"), 5.0)
    view.on_diagnostics(diagnostics(reason__NOT_ARMED="4"), 6.0)
    assert {item.last for item in view.interventions()} == {None}
    view.on_diagnostics(diagnostics(reason__NOT_ARMED="5"), 7.0)
    assert view.interventions()[0].reason is Reason.NOT_ARMED
    assert view.interventions()[0].last == 7.0, "a decision that did not reach us"


def test_what_another_filter_process_counted_is_forgotten() -> None:
    view = heard()
    view.on_diagnostics(diagnostics(decisions="50", reason__NOT_ARMED="4"), 1.0)
    view.on_estimate(estimate(), 1.0)
    view.on_diagnostics(diagnostics(decisions="51", reason__NOT_ARMED="4"), 2.0)
    assert counts(view) and view.estimate is not None
    view.on_diagnostics(diagnostics(decisions="2"), 3.0)
    assert not counts(view) and view.estimate is None
    view.on_decision(decision(Reason.NOT_ARMED), 4.0)
    view.on_filters(NOBODY, 5.0)
    assert counts(view), "the last words of a filter that has gone stay readable"


def test_damage_is_the_unsafety_rate_times_the_limit_it_was_measured_under() -> None:
    view = heard(torque_limit=3.0)
    view.on_estimate(estimate(0.5, torque_limit=0.1, d_safe=0.2), 0.0)
    assert view.estimate is not None and math.isclose(view.estimate.damage, 0.05)


RAW = "\x1b[2J\x1b]0;owned\x07 all is well \u202e"


def test_what_anybody_may_publish_reaches_the_terminal_without_control_characters() -> None:
    """Escape codes clear the screen, rename the window, or write an alarm over."""
    view = FilterView()
    view.on_status(status(Mode.TRIPPED, message=RAW, accepted=False), 0.0)
    view.on_diagnostics(diagnostics(level=b"\2", message=RAW, mode="HOLDING", **{f"key{RAW}": RAW}), 1.0)
    view.robot = view.robot or RAW
    listening = Listening(domain=3, namespace="")
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(FilterScreen(view=view, now=1.0, listening=listening))
    answer = Request(name="reset", send=lambda: Answered(), since=0.0, insistent=False)
    answer.poll(0.0)
    answer.poll(1.0)
    for text in (console.file.getvalue(), one_line(view, 1.0, listening, answer)):
        assert not set(text) & set("\x1b\x07\u202e"), text
        assert "\\x1b[2J" in text


class Answered:
    """A call of a service that answers with escape codes."""

    def done(self) -> bool:
        return True

    def result(self) -> object:
        return SimpleNamespace(success=False, message=RAW)


def test_figures_that_no_filter_sends_are_cut_short_and_do_no_harm() -> None:
    view = heard()
    figures = {f"key {number}": "x" * 100_000 for number in range(1000)}
    view.on_diagnostics(diagnostics(**figures), 1.0)
    assert len(view.figures) == 200 and max(map(len, view.figures.values())) == 1000
    view.on_diagnostics(diagnostics(limit_iteration="\u00b2", reason__PROPOSAL_STALE="9" * 5000), 2.0)
    assert view.limit_iteration == 3 and counts(view) == {}
