# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer watch`: what the safety filter is doing, live, with keys to trip and to reset it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from safe_transfer_ros.cli.filter_screen import FilterScreen, Listening, headline, one_line
from safe_transfer_ros.cli.filter_view import Contact, FilterView
from safe_transfer_ros.cli.keys import KeyReader, in_front
from safe_transfer_ros.cli.run_choice import DISCOVERY_PERIOD_S, RunChoice, holder_of
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import clock
from safe_transfer_ros.middleware.operator_request import Request
from safe_transfer_ros.untrusted import printable

if TYPE_CHECKING:
    from safe_transfer_ros.middleware.operator_link import OperatorLink

EXIT_FINE, EXIT_TRIPPED, EXIT_NO_FILTER, EXIT_NOT_CONFIRMED = 0, 1, 3, 4
_STDIN, _STDOUT, _STDERR = 0, 1, 2
KEY_PERIOD_S = 0.02  # how long a key may lie before it is seen
FRAME_PERIOD_S = 0.25
LINE_PERIOD_S = 1.0
PARTING_SECONDS = 1.0  # on quitting, an answer under way is waited for this long

_EPILOG = """\
keys:
  t or space   TRIP: stop torque at once, latched; no question asked. Asked again until the filter confirms it.
  r            reset: TRIPPED -> DISARMED; the filter refuses while the cause stands
  p            pause: the episode under way ends, and no other begins; p again resumes
  f            after the filter has gone: follow the run that is up now, or the next one
  q or Ctrl-C  quit; the filter is left as it is

states:
  DISARMED     stop torque; proposals are refused
  ARMED        the policy's proposals pass, within the torque limit
  HOLDING      armed, but no proposals come: stop torque until one does
  TRIPPED      stop torque, latched; WHY says what happened
  LOST         no messages from the filter any more; the values shown are old
  ENDED        the filter was told to end while it was disarmed, as at the end of every run
  WAITING      no filter heard yet

filter selection:
  --run or --domain, else ROS_DOMAIN_ID, else the one run on this machine, else ROS domain 0 until a run starts. The
  view stays with the filter that it found: another one, in the same domain too, is not followed before f is pressed.

examples:
  safe_transfer watch                   the run that is up on this machine
  safe_transfer watch --run runs/a      one of several, by its run directory
  safe_transfer watch --domain 7
  safe_transfer watch --once; echo $?   0: a filter is there and has not tripped, 1: TRIPPED, 3: no filter heard
  safe_transfer watch | tee watch.log   one line per change
  safe_transfer watch --foxglove        serve every topic to Foxglove, beside a view in another terminal

This is NOT an emergency stop: it is software at the end of a network. When a trip is not confirmed within a second the
view says so; use the hardware emergency stop then.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "watch",
        help="live view of the safety filter for its operator, with keys to trip and to reset it",
        description="Show the safety filter's mode, torque limit, unsafety, interventions and latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--run", dest="run_dir", metavar="DIR", help="directory of the run, which is up on this machine")
    where.add_argument("--domain", type=int, metavar="N", help="ROS domain of the filter, 0 to 232")
    parser.add_argument("--namespace", default="", metavar="/NAME", help="of the graph; default: the run's own")
    parser.add_argument("--once", action="store_true", help="print one snapshot and exit with what it says, see below")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="with --once: wait this long for a filter (default 5)"
    )
    parser.add_argument(
        "--foxglove",
        action="store_true",
        help="instead of the view serve every topic to Foxglove, on this machine only, until Ctrl-C (extra foxglove)",
    )
    parser.add_argument("--port", type=int, metavar="N", help="with --foxglove: port of the server (default 8765)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """`safe_transfer watch`."""
    _check_port(options)
    choice = RunChoice(options)
    if options.foxglove:
        with _output_of_our_own(), _quit_on_signals() as quitting:
            return _serve(choice, quitting, options.port)
    with _output_of_our_own(), _quit_on_signals() as quitting, _Watch(choice) as watch:
        try:
            if options.once:
                return _once(watch, quitting, options.timeout)
            return _live(watch, quitting)
        except BrokenPipeError:  # whoever read our lines has read enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FINE


def _check_port(options: argparse.Namespace) -> None:
    if options.port is not None and not options.foxglove:
        raise ConfigurationError("--port is of the server that --foxglove starts: add --foxglove, or leave it out")
    if options.foxglove and options.once:
        raise ConfigurationError("--foxglove serves until it is ended, --once prints one snapshot: choose one")
    if options.port is not None and not 0 <= options.port <= 65535:
        raise ConfigurationError(f"--port must be a number from 0 (any that is free) to 65535, got {options.port}")


def _serve(choice: RunChoice, quitting: list[int], port: int | None) -> int:
    try:
        from safe_transfer_ros.cli import foxglove_server  # brings ROS: only now
    except ModuleNotFoundError as error:
        raise _no_ros(error) from error
    return foxglove_server.serve(choice, quitting, port=foxglove_server.PORT if port is None else port)


class _Watch:
    """The link to the filter, the view of it, and what the operator asked; a context manager."""

    def __init__(self, choice: RunChoice) -> None:
        self._choice = choice
        self.view = FilterView()
        self.request: Request | None = None
        self.listening = choice.listening
        self._attached = False  # to the run that was up when its filter was first heard
        self._run: domain.Running | None = None
        self._next_check = 0.0
        self._link = _join(self.view, self.listening)

    def __enter__(self) -> _Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._link.close()

    def turn(self) -> None:
        """Process messages and answers; follow a run that starts, as long as no filter has been heard."""
        self._link.spin(KEY_PERIOD_S)
        if self.request is not None:
            self.request.poll(clock.now_s())
        if self.view.heard is None:
            changed = self._choice.look()
            self.listening = self._choice.listening
            if changed:
                self._rejoin()
                self._ask_there()
        elif clock.now_s() >= self._next_check:
            self._check_run()

    def _check_run(self) -> None:
        """Note the run whose filter was heard first, and then whether another one has taken its domain."""
        self._next_check = clock.now_s() + DISCOVERY_PERIOD_S
        holder = holder_of(self.listening.domain, self.listening.namespace, domain.running())
        if not self._attached:
            self._attached, self._run = True, holder
            self.listening = replace(self.listening, run=printable(holder.run_dir) if holder else "")
        elif self._run is not None and holder is not None and holder.process != self._run.process:
            self.view.supersede(clock.now_s())

    def follow(self) -> None:
        """Leave a filter that has gone for the one that is up now, or comes next."""
        if not self.view.left:
            return
        self._choice.look_now()
        self.view, self.request, self.listening = FilterView(), None, self._choice.listening
        self._attached, self._run, self._next_check = False, None, 0.0
        self._rejoin()

    def _rejoin(self) -> None:
        self._link.close()
        self._link = _join(self.view, self.listening)

    def _ask_there(self) -> None:
        """Repeat an unanswered trip on the new domain; the waiting time continues."""
        if self.request is not None and self.waits_for_trip():
            since, self.request = self.request.since, self._link.trip()
            self.request.since = since

    def press(self, key: str) -> bool:
        """Do what a key asks for; false when it asks to quit."""
        if key in "tT ":
            self.trip()
        elif key in "rR" and not self.waits_for_trip():  # a trip goes first
            self.request = self._link.reset()
            self.request.poll(clock.now_s())
        elif key in "pP" and not self.waits_for_trip():
            self.request = self._link.pause(not self.view.pause)
            self.request.poll(clock.now_s())
        elif key in "fF":
            self.follow()
        return key not in "qQ"

    def trip(self) -> None:
        """Ask for a trip, now; one that is under way already is asked again by itself."""
        if not self.waits_for_trip():
            self.request = self._link.trip()
            self.request.poll(clock.now_s())

    def waits_for_trip(self) -> bool:
        """Whether a trip was asked for and is neither confirmed nor seen."""
        asked = self.request is not None and self.request.name == "trip" and self.request.pending()
        return asked and not self.view.tripped(clock.now_s())


def _once(watch: _Watch, quitting: list[int], timeout: float) -> int:
    """Wait until the filter has published its mode and its figures, then print them."""
    deadline = clock.now_s() + timeout
    view = watch.view
    while clock.now_s() < deadline and not quitting and (view.mode is None or view.figures_at is None):
        watch.turn()
    now = clock.now_s()
    Console().print(FilterScreen(view=view, now=now, listening=watch.listening, keys=False), end="")
    if view.contact(now) is not Contact.ALIVE:
        return EXIT_NO_FILTER
    return EXIT_TRIPPED if view.tripped(now) else EXIT_FINE


def _live(watch: _Watch, quitting: list[int]) -> int:
    """Show the view and execute keys until the operator quits."""
    console = Console()
    with contextlib.ExitStack() as stack:
        keys = stack.enter_context(KeyReader(_STDIN)) if in_front(_STDIN) else None
        full_screen = in_front(sys.stdout.fileno()) and not console.is_dumb_terminal
        display: _Screen | _Lines = _Screen(console, stack, keys is not None) if full_screen else _Lines()
        until = float("inf")
        while clock.now_s() < until:
            watch.turn()
            for key in keys.read() if keys is not None else "":
                if not watch.press(key):
                    quitting.append(0)
            display.show(watch)
            if quitting or (keys is not None and keys.closed):
                # A trip that was asked for is not left half asked.
                until = min(until, clock.now_s() + PARTING_SECONDS) if watch.waits_for_trip() else 0.0
    now = clock.now_s()
    if full_screen:
        print(one_line(watch.view, now, watch.listening, watch.request))
    if watch.waits_for_trip():
        print("safe_transfer: the trip was NOT confirmed by the filter", file=sys.stderr)
        return EXIT_NOT_CONFIRMED
    return EXIT_FINE


class _Screen:
    """The whole terminal, redrawn four times a second and whenever the first word changes."""

    def __init__(self, console: Console, stack: contextlib.ExitStack, keys: bool) -> None:
        self._keys = keys
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        stack.enter_context(self._live)
        self._drawn, self._shown = float("-inf"), ""

    def show(self, watch: _Watch) -> None:
        """Draw if it is time to."""
        now = clock.now_s()
        urgent = one_line(watch.view, now, watch.listening, watch.request)
        if now - self._drawn < FRAME_PERIOD_S and (urgent == self._shown or now - self._drawn < FRAME_PERIOD_S / 5):
            return
        self._drawn, self._shown = now, urgent
        picture = FilterScreen(
            view=watch.view,
            now=now,
            listening=watch.listening,
            clock=time.strftime("%H:%M:%S"),
            request=watch.request,
            keys=self._keys,
            height=self._live.console.size.height,
        )
        self._live.update(picture, refresh=True)


class _Lines:
    """One line per change, at most one per second unless something stops."""

    def __init__(self) -> None:
        self._printed, self._shown, self._badge = float("-inf"), "", ""

    def show(self, watch: _Watch) -> None:
        """Print if something has changed."""
        now = clock.now_s()
        line = one_line(watch.view, now, watch.listening, watch.request)
        badge = headline(watch.view, now).badge
        urgent = (badge != self._badge and badge in ("TRIPPED", "LOST", "ENDED")) or "|" in line
        if line == self._shown or (now - self._printed < LINE_PERIOD_S and not urgent):
            return
        self._printed, self._shown, self._badge = now, line, badge
        print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _join(view: FilterView, listening: Listening) -> OperatorLink:
    try:
        from safe_transfer_ros.middleware.operator_link import OperatorLink  # brings ROS: only now
    except ModuleNotFoundError as error:
        raise _no_ros(error) from error
    return OperatorLink(view, domain=listening.domain, namespace=listening.namespace)


def _no_ros(error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(
        f"watch needs ROS 2 and safe_transfer_msgs ({error}): `make setup`, or source a ROS 2 workspace"
    )


@contextlib.contextmanager
def _output_of_our_own() -> Iterator[None]:
    """Redirect output of libraries (Fast DDS reports to standard output) to standard error."""
    before, sys.stdout = sys.stdout, os.fdopen(os.dup(_STDOUT), "w", errors="replace")  # N?m where N·m cannot be shown
    os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(sys.stdout.fileno(), _STDOUT)
        sys.stdout.close()
        sys.stdout = before


@contextlib.contextmanager
def _quit_on_signals() -> Iterator[list[int]]:
    """Signals that have asked us to end; the loop looks at them, so that the terminal is always given back."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    previous = {number: signal.signal(number, lambda caught, _: received.append(caught)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
