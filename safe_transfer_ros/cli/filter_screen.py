# SPDX-License-Identifier: Apache-2.0
"""Rendering of a FilterView: a full screen of any size, or one line.

Every state is a word; colours only help to find it (and are told apart by colour-blind eyes: cyan, yellow, white on
red). What an operator acts on stands first and is the last to go on a small terminal.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel
from rich.text import Text

from safe_transfer_ros.cli.filter_view import LOST_SECONDS, ROUTINE, Contact, FilterView, Intervention
from safe_transfer_ros.middleware import dds
from safe_transfer_ros.middleware.operator_request import Request
from safe_transfer_ros.safety.reasons import REASON_TEXT, Mode

ANSWER_SHOWN_SECONDS = 10.0
HARDWARE_STOP = "USE THE HARDWARE EMERGENCY STOP."
UNFILTERED = f"Nothing filters torques now. If the arm can move: {HARDWARE_STOP}"
SIMULATED = "The arm is a simulated one."
_ENDED = "The run has ended: the filter was told to end while it was disarmed."

_ALARM = "bold white on red"
_LEAD = 17  # columns before an intervention's words
_ALL = 1000  # lines: more than there ever are
_MODE_STYLE = {Mode.DISARMED: "bold reverse", Mode.ARMED: "bold black on cyan", Mode.HOLDING: "bold black on yellow"}
_KEYS = (("t", "or"), ("space", "TRIP now"), ("r", "reset"), ("p", "pause"), ("q", "quit"))
_KEYS_AFTERWARDS = (*_KEYS[:2], ("f", "follow a new run"), ("q", "quit"))
# The filter's figures that have a place of their own; any other is shown after them.
_PLACED = frozenset(
    "mode torque_limit limit_iteration limit_lease_lost joint_state_age_ms proposal_age_ms latency_p50_us "
    "latency_p99_us latency_max_us cycles decisions".split()
)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Domain and namespace that the view listens on."""

    domain: int
    namespace: str
    hint: str = ""  # why this domain, and what else there is
    run: str = ""  # directory of the run that holds the domain; empty: none of this machine's that is known

    def __str__(self) -> str:
        """In one line."""
        network = dds.beyond_this_machine() or "this machine only"
        run = f", run {self.run}" if self.run else ""
        return f"ROS domain {self.domain}, namespace {self.namespace or '/'}, {network}{run}"


@dataclass(frozen=True, kw_only=True)
class FilterScreen:
    """One picture of the view, for rich; it fits itself to the terminal."""

    view: FilterView
    now: float  # s, the clock of the view
    listening: Listening
    clock: str = ""  # time of day: it stands still when the screen does
    request: Request | None = None
    keys: bool = True  # whether keys are read
    height: int | None = None  # lines there are; None: as many as are needed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines for the width and height there are; a frame where it costs nothing."""
        height = self.height
        if height is None or height < 20 or options.max_width < 70:
            yield Text("\n").join(self.lines(options.max_width, height, ascii_only=options.ascii_only))
            return
        alarm = headline(self.view, self.now).style == _ALARM
        body = Text("\n").join(self.lines(options.max_width - 4, height - 2, ascii_only=options.ascii_only))
        title = f" safety filter {self.view.robot}  domain {self.listening.domain}  {self.clock} "
        yield Panel(
            body,
            title=Text(" ".join(title.split())),
            box=box.HEAVY if alarm else box.ROUNDED,
            border_style="red" if alarm else "",
            subtitle=Text(f" {self.listening.run} ") if self.listening.run else None,
            height=height,
        )

    def lines(self, width: int, height: int | None, *, ascii_only: bool = False) -> list[Text]:
        """As many lines of at most `width` characters as fit into `height`, the most important ones; None: all."""
        head = headline(self.view, self.now)
        age = "" if self.view.heard is None else f"  heard {_age(self.now - self.view.heard)} ago"
        top = [_cut(Text.assemble((f" {head.badge} ", head.style), age), width)]
        alarm = notice(self.request, self.view, self.now)
        if alarm is not None:
            top += _wrap(alarm, width)
        top += _wrap(Text(head.why, "bold"), width) if head.why else []
        top += _wrap(Text(head.explanation), width)
        bottom = [_cut(_key_line(gone=self.view.left), width)] if self.keys else []
        room = _ALL if height is None else height - len(top) - len(bottom)
        if room <= 0:
            return [*top[: max(1, len(top) + room)], *bottom][:height]
        body = self._body(width, room, ascii_only) if self.view.heard is not None else self._waiting(width)[:room]
        if self.view.contact(self.now) in (Contact.LOST, Contact.ENDED):
            body = [Text(line.plain, style="dim") for line in body]
        filling = [] if height is None else [Text()] * (room - len(body))
        return [*top, *body, *filling, *bottom]

    def _waiting(self, width: int) -> list[Text]:
        lines = _wrap(Text(f"Listening on {self.listening}."), width)
        if self.view.filters:
            lines += _wrap(
                Text("A filter is announced there but publishes nothing: starting, hung or just killed."), width
            )
        return lines + (_wrap(Text(self.listening.hint), width) if self.listening.hint else [])

    def _body(self, width: int, room: int, ascii_only: bool) -> list[Text]:
        limits = [_cut(line, width) for line in self._limits(width, ascii_only)]
        figures = self._figures(width)
        blanks = 3 if room >= len(limits) + len(figures) + 8 else 0  # between parts, where there is room to spare
        for_reasons = room - len(limits) - blanks
        figures = figures[: max(0, for_reasons - 4)]  # interventions matter more
        reasons = self._interventions(width, for_reasons - len(figures))
        gap = [Text()] if blanks else []
        return [*gap, *limits, *gap, *reasons, *gap, *figures][:room]

    def _limits(self, width: int, ascii_only: bool) -> list[Text]:
        view, estimate = self.view, self.view.estimate
        limit = Text(f"T_lim   {view.torque_limit:.3f} N·m   ")
        if view.lease_lost:
            limit.append(" LEASE LOST: lowest limit in force ", "bold black on yellow")
        elif view.limit_iteration is not None:
            limit.append(f"limit of iteration {view.limit_iteration}")
        if estimate is None:
            return [limit, Text("p_u     not estimated yet: the first estimate follows the first iteration")]
        rate = Text(
            f"p_u     {estimate.unsafety_rate:.3f}       in iteration {estimate.iteration}; "
            f"{estimate.predicted_unsafety_rate:.3f} expected next"
        )
        if estimate.missing:
            rate.append(f"; {estimate.missing} joint states missing", "yellow")
        return [limit, rate, _damage(estimate.damage, estimate.d_safe, width, ascii_only)]

    def _interventions(self, width: int, room: int) -> list[Text]:
        found = self.view.interventions()
        lines = [Text("    ago   times  interventions since the filter started", style="bold")]
        if not found:
            lines.append(Text(" " * _LEAD + "none"))
        rows = [row for item in found for row in self._row(item, width, whole=True)]
        if len(rows) + 1 > room:  # every reason cut to one line rather than the first few in full
            rows = [row for item in found for row in self._row(item, width, whole=False)]
        if len(rows) + 1 > room > 1:
            hidden = len(rows) - (room - 2)
            rows = [*rows[: room - 2], Text(" " * _LEAD + f"and {hidden} more")]
        return [_cut(line, width) for line in (lines + rows)[: max(0, room)]]

    def _row(self, item: Intervention, width: int, *, whole: bool) -> list[Text]:
        when = "earlier" if item.last is None else _age(self.now - item.last)
        lead = f"{when:>7} {item.count:>7}  "
        fresh = item.last is not None and self.now - item.last < 5.0 and not item.reason & ROUTINE
        text = Text(REASON_TEXT[item.reason], style="bold" if fresh else "")
        wrapped = _wrap(text, max(10, width - _LEAD)) if whole else [text]
        return [Text(lead if place == 0 else " " * _LEAD).append_text(line) for place, line in enumerate(wrapped)]

    def _figures(self, width: int) -> list[Text]:
        told = self.view.figures
        if self.view.figures_at is None:
            return []
        ages = [
            f"{name} {told[key]} ms old" if told[key][:1].isdigit() else f"{name} {told[key]}"
            for key, name in (("joint_state_age_ms", "joint states"), ("proposal_age_ms", "proposals"))
            if key in told
        ]
        latency = [
            f"{name} {told[key]}"
            for key, name in (("latency_p50_us", "median"), ("latency_p99_us", "p99"), ("latency_max_us", "max"))
            if key in told
        ]
        counts = [f"{told[key]} {key}" for key in ("cycles", "decisions") if key in told]
        other = [
            f"{key} {value}" for key, value in told.items() if key not in _PLACED and not key.startswith("reason ")
        ]
        texts = [f"The filter's figures, {_age(self.now - self.view.figures_at)} ago: {', '.join(ages + counts)}"]
        if latency:
            texts.append(f"latency, µs: {', '.join(latency)}")
        if other:
            texts.append(", ".join(other))
        return [line for text in texts for line in _wrap(Text(text), width)]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The state in a word, and in a sentence or two."""

    badge: str
    style: str
    why: str = ""  # the cause, of a mode that has one
    explanation: str


def headline(view: FilterView, now: float) -> Headline:
    """Most important fact, first."""
    contact = view.contact(now)
    if contact is Contact.WAITING:
        return Headline(badge="WAITING", style="bold reverse", explanation="No safety filter heard yet.")
    if contact is Contact.ENDED:
        ended = f"{_ENDED} {_unfiltered(view)} Below: what it said last.{_other(view)}"
        return Headline(badge="ENDED", style="bold reverse", explanation=ended)
    if contact is Contact.LOST:
        if view.ended:
            why = "it has left the graph, as one does that is told to end"
        else:
            why = f"it fell silent for more than {LOST_SECONDS:g} s: killed, hung or cut off"
        explanation = (
            f"The filter was {view.mode_name}; {why}. {_unfiltered(view)} Below: what it said last.{_other(view)}"
        )
        return Headline(badge="LOST", style=_ALARM, explanation=explanation)
    told = [view.mode_text]
    stopped = view.mode in (Mode.HOLDING, Mode.TRIPPED)
    if view.warning and view.warning != view.cause:
        told.append(f"The filter warns: {view.warning}")
    if view.refusal:
        told.append(f"The last torque limit offered was refused: {view.refusal}")
    if view.pause:
        told.append(f"{view.pause}. p resumes")
    if view.monitor_warning:
        told.append(f"The unsafety monitor warns: {view.monitor_warning}")
    if view.filters > 1:
        told.append(
            f"{view.filters} filters are announced here: this view mixes them up, unless one was killed just now"
        )
    style = _ALARM if view.mode is None else _MODE_STYLE.get(view.mode, _ALARM)
    return Headline(
        badge=view.mode_name,
        style=style,
        why=f"WHY: {view.cause or 'no cause given'}" if stopped else "",
        explanation=". ".join(text[0].upper() + text[1:] for text in told) + ".",
    )


def _unfiltered(view: FilterView) -> str:
    return SIMULATED if view.simulated else UNFILTERED


def _hardware_stop(view: FilterView) -> str:
    return SIMULATED if view.simulated else HARDWARE_STOP


def _other(view: FilterView) -> str:
    return " Another safety filter is up here: no key reaches it unless f follows it." if view.stranger else ""


def notice(request: Request | None, view: FilterView, now: float) -> Text | None:
    """Result of the operator's request; None when there is nothing (more) to say."""
    if request is None:
        return None
    name, waited = request.name.upper(), now - request.since
    if request.pending():
        if request.name == "trip" and view.tripped(now):
            return Text(f"{name}: the filter is TRIPPED (its answer is still missing)", "bold")
        if not request.overdue(now):
            return Text(f"{name} asked for ...", "bold")
        if request.name == "trip":
            sent = f"sent {request.times_sent} times" if request.times_sent else "no filter there to send it to"
            return Text(
                f" TRIP NOT CONFIRMED after {waited:.0f} s ({sent}). {_hardware_stop(view)} Still asking. ", _ALARM
            )
        return Text(f" {name}: no answer after {waited:.0f} s ", "black on yellow") if waited < 20.0 else None
    assert request.answered is not None
    if not request.success and request.name == "trip":
        return Text(f" TRIP REFUSED: {request.message}. {_hardware_stop(view)} ", _ALARM)
    if now - request.answered > ANSWER_SHOWN_SECONDS:
        return None
    if not request.success:
        return Text(f" {name} refused: {request.message} ", "black on yellow")
    who = "policy_server" if request.name in ("pause", "resume") else "the filter"
    return Text(f"{name} confirmed by {who} after {1e3 * (request.answered - request.since):.0f} ms", "bold")


def one_line(view: FilterView, now: float, listening: Listening, request: Request | None = None) -> str:
    """The state in one line, without times and counts: two lines are equal when nothing worth telling has changed."""
    badge = headline(view, now).badge
    contact = view.contact(now)
    if contact is Contact.WAITING:
        parts = [badge, f"no safety filter heard on {listening}"]
    elif contact is Contact.ENDED:
        parts = [badge, f"{_ENDED} {_unfiltered(view)}{_other(view)}"]
    elif contact is Contact.LOST:
        parts = [badge, f"the filter is silent or gone (it was {view.mode_name}). {_unfiltered(view)}{_other(view)}"]
    else:
        parts = [badge, *_state_in_words(view)]
    told = notice(request, view, now)
    if request is not None and told is not None:
        waiting = f"{request.name} NOT CONFIRMED. {_hardware_stop(view)}"  # without the seconds waited
        parts.append(f"| {waiting if request.overdue(now) and not view.tripped(now) else told.plain.strip()}")
    return "  ".join(parts)


def _state_in_words(view: FilterView) -> list[str]:
    parts = [f"({view.cause})"] if view.mode in (Mode.HOLDING, Mode.TRIPPED) and view.cause else []
    parts.append(f"T_lim {view.torque_limit:.3f} N·m")
    if view.limit_iteration is not None:
        parts.append(f"iteration {view.limit_iteration}")
    if view.lease_lost:
        parts.append("LEASE LOST")
    if view.refusal:
        parts.append(f"limit refused: {view.refusal}")
    if view.pause:
        parts.append(view.pause)
    if view.monitor_warning:
        parts.append(f"monitor warns: {view.monitor_warning}")
    if view.estimate is not None:
        estimate = view.estimate
        over = " OVER" if estimate.damage > estimate.d_safe else ""
        parts.append(f"p_u {estimate.unsafety_rate:.3f}")
        parts.append(f"damage {estimate.damage:.3f}/{estimate.d_safe:g} N·m{over}")
    seen = sorted(str(item.reason.name) for item in view.interventions() if not item.reason & ROUTINE)
    return [*parts, f"seen {', '.join(seen)}"] if seen else parts


def _damage(damage: float, d_safe: float, width: int, ascii_only: bool) -> Text:
    """The bar of p_u T_lim against D_safe."""
    share = damage / d_safe if d_safe > 0.0 else float("inf")
    numbers = f" {damage:.3f} of D_safe {d_safe:g} N·m"
    cells = max(4, min(40, width - 8 - 2 - len(numbers) - 7))
    full = min(cells, round(share * cells)) if share == share else 0
    mark, empty = ("#", "-") if ascii_only else ("█", "░")
    over = share > 1.0
    bar = Text("damage  ").append(mark * full, "red" if over else "cyan").append(empty * (cells - full), "dim")
    bar.append(numbers)
    return bar.append("  ").append(" OVER ", _ALARM) if over else bar.append(f" ({share:.0%})")


def _key_line(*, gone: bool) -> Text:
    line = Text()
    for key, meaning in _KEYS_AFTERWARDS if gone else _KEYS:
        line.append(f" {key} ", "reverse").append(f" {meaning}   " if meaning != "or" else f" {meaning} ")
    return line


def _wrap(text: Text, width: int) -> list[Text]:
    lines: list[Text] = []
    for line in text.wrap(_PLAIN, width):
        line.rstrip()
        lines.append(line)
    return lines


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text


def _age(seconds: float) -> str:
    """A duration in words a glance takes in."""
    if seconds < 10.0:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.0f} h"


_PLAIN = Console(file=io.StringIO())  # wrapping asks for one; it never prints
