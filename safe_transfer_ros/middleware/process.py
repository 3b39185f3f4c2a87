# SPDX-License-Identifier: Apache-2.0
"""Start, run and end of every node process.

A node ends in one of three ways: it was asked to (SIGINT, SIGTERM), it finished, or it failed. In each, `close()` is
called while the node can still publish (a stop torque, say), and the exit status tells which it was.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

import rclpy
from rclpy.duration import Duration
from rclpy.experimental import EventsExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from safe_transfer_ros.middleware import console, dds, printable_logs
from safe_transfer_ros.untrusted import printable_lines

EXIT_BAD_INPUT = 2
DELIVERY_SECONDS = 1.0
LEAVE_SECONDS = 3.0  # for a node that has to wait for others before it may end
HANG_SECONDS = 20.0  # a node that was told to end and has not by then never will
_PR_SET_PDEATHSIG = 1


HELP = """\
usage: {name} --ros-args [--params-file FILE] [-p NAME:=VALUE ...]

A node of safe_transfer_ros. It takes its parameters as every ROS node does (docs/parameters.md lists them);
`safe_transfer up GRAPH` and `ros2 launch` start it with the rest of its graph. ROS_DOMAIN_ID is its ROS domain."""


class Closable(Protocol):
    """A node that leaves nothing behind."""

    def close(self) -> None:
        """Stop all motion and flush all files; the context is still valid."""

    def destroy_node(self) -> Any:
        """Release the ROS entities."""


class Lifetime:
    """When and why this process ends; shared by the node and its process."""

    def __init__(self) -> None:
        """Start open."""
        self.over: Future = Future()
        self.exit_code = 0
        self._wake: Callable[[], None] = lambda: None

    def end(self, exit_code: int = 0, message: str = "") -> None:
        """End the process. Only the first call counts; safe from any thread."""
        if self.over.done():
            return
        self.exit_code = exit_code
        if message:
            print(printable_lines(message), file=sys.stderr, flush=True)
        self.over.set_result(None)
        self._wake()


def run(name: str, create: Callable[[Lifetime], Closable], *, niceness: int = 0) -> int:
    """Run one node until it is stopped, finishes or fails.

    Args:
      name: Node name, for error lines.
      create: Builds the node; a ValueError or OSError from it is a user's mistake, told in one line.
      niceness: Above 0 for nodes outside the control loop: they yield the processor to those inside.

    Returns:
      Exit status: 0 finished or stopped, 2 bad input, 1 a defect (with its traceback).
    """
    if _asked_for_help(sys.argv[1:]):
        print(HELP.format(name=name))
        return 0
    _die_with_parent()
    if niceness:
        os.nice(niceness)
    else:
        console.never_block()  # what moves an arm, or watches over it, must not wait for who reads its log
    lifetime = Lifetime()
    _end_on_signals(lifetime)
    dds.set_defaults()
    printable_logs.escape_control_characters()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node: Closable | None = None
    executor = EventsExecutor()
    lifetime._wake = executor.wake
    try:
        node = create(lifetime)
        reach = dds.unintended_reach()
        if reach:
            lifetime.end(EXIT_BAD_INPUT, f"{name}: {reach}")
        executor.add_node(node)  # type: ignore[arg-type]
        background = getattr(node, "background", None)
        if background is not None:  # a coroutine beside the callbacks
            executor.create_task(background)
        gc.collect()
        gc.freeze()  # what exists now lives as long as the process: keep it out of every later collection
        while not lifetime.over.done():
            # A bare spin() hangs without traffic (timeout overflow in rclpy 7.1): always with a finite timeout.
            executor.spin_until_future_complete(lifetime.over, timeout_sec=1.0)
    except (ValueError, OSError) as error:
        if node is not None:
            print(printable_lines(traceback.format_exc()), file=sys.stderr, flush=True)
        lifetime.end(EXIT_BAD_INPUT, f"{name}: {error}")
    except Exception:
        print(printable_lines(traceback.format_exc()), file=sys.stderr, flush=True)
        lifetime.end(1, f"{name}: stopped by a defect, see above")
    finally:
        if node is not None:
            _let_leave(node, executor)
            node.close()
            _deliver(node)
            node.destroy_node()
        rclpy.try_shutdown()
        # Python gives a signal its default back when it ends, and Ctrl-C to a whole process group comes twice: from the
        # terminal and from the launcher. The second would kill a process that has ended well.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    return lifetime.exit_code


def _asked_for_help(words: list[str]) -> bool:
    """Whether a person asks what the program is, before anything that is meant for ROS."""
    own = words[: words.index("--ros-args")] if "--ros-args" in words else words
    return not {"-h", "--help"}.isdisjoint(own)


def _deliver(node: Closable) -> None:
    """Give what was published last, a stop torque above all, the time to arrive: a writer that goes takes it along.

    A peer that was killed never acknowledges, and must not keep us.
    """
    deadline = time.monotonic() + DELIVERY_SECONDS
    for publisher in getattr(node, "publishers", ()):
        publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline - time.monotonic())))


def _let_leave(node: Any, executor: Any) -> None:
    """Turn the executor until `node.leave()`, where there is one, says that the node may end."""
    leave = getattr(node, "leave", None)
    deadline = time.monotonic() + LEAVE_SECONDS
    while leave is not None and not leave() and time.monotonic() < deadline:
        executor.spin_until_future_complete(Future(), timeout_sec=0.01)


def _end_on_signals(lifetime: Lifetime) -> None:
    """End the process on SIGINT and SIGTERM, through a thread of its own.

    No handler of rclpy may shut the context down before the stop torque, and Python's own handlers run only when the
    main thread comes back from the middleware. The wake-up pipe is written by whichever thread the kernel hands the
    signal to, also one of a BLAS that was started before us.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(reader, 1)
        lifetime.end()
        # Its launcher, who would have killed it, may be gone.
        time.sleep(HANG_SECONDS)
        print(f"hung: did not end within {HANG_SECONDS:g} s", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the launcher dies, even by SIGKILL: no process outlives its launcher."""
    parent = os.environ.get("SAFE_TRANSFER_LAUNCHER_PID")
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):  # not Linux
        return
    if parent and os.getppid() != int(parent):  # it died before the line above
        raise SystemExit("launcher is gone")
