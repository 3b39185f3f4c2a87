# SPDX-License-Identifier: Apache-2.0
"""Work on processes or machines, with one interface that survives the loss of a worker.

An item of work is a pure function of its argument, so where it runs and how often it had to be started again
cannot show in its result: every kind of workers gives the same numbers.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
OnResult = Callable[[int, Any], None]

# An item whose workers keep dying is at fault itself.
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
_ATTEMPTS = 3


class WorkError(RuntimeError):
    """An item of work failed. The message names it and holds the worker's traceback."""


class Workers(Protocol):
    """Pool of workers; a context manager.

    Attributes:
      count: Items worked on at the same time.
      same_machine: They see this machine's files.
    """

    count: int
    same_machine: bool

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], on_result: OnResult | None = None
    ) -> list[Result]:
        """Apply a function to every item.

        Args:
          function: Importable by name; it and the items are pickled.
          items: Any number.
          on_result: Called with an item's position and its result as each comes in, in this thread.

        Returns:
          Results in the order of the items, whatever order they came in and whatever worker was lost.

        Raises:
          WorkError: if the function raised, or an item's workers were lost three times.
        """
        ...

    def __enter__(self) -> Workers: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalWorkers:
    """Processes on this machine. They keep what they have imported and built from one `map` to the next.

    Attributes:
      count: Number of processes.
      same_machine: True.
    """

    same_machine = True

    def __init__(self, count: int | None = None) -> None:
        """Prepare; nothing is started before there is work.

        Args:
          count: Processes; None takes every core this process may use.

        Raises:
          ValueError: if the count is not positive.
        """
        if count is not None and count < 1:
            raise ValueError(f"the number of workers must be at least 1, got {count}")
        self.count = count or len(os.sched_getaffinity(0))
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, int]] = {}

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_ids(self) -> list[int]:
        """Process ids of the living workers."""
        workers = self._idle + [worker for worker, _ in self._busy.values()]
        return [worker.process.pid for worker in workers if worker.process.pid is not None]

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], on_result: OnResult | None = None
    ) -> list[Result]:
        """See `Workers.map`."""
        waiting = deque(range(len(items)))
        losses = [0] * len(items)
        results: dict[int, Result] = {}
        try:
            while len(results) < len(items):
                while waiting and len(self._busy) < self.count:
                    position = waiting.popleft()
                    self._start(function, items[position], position)
                ready = set(wait(list(self._busy)))
                for connection in [one for one in self._busy if one in ready]:
                    worker, position = self._busy.pop(connection)
                    try:
                        failed, value = worker.connection.recv()
                    except (EOFError, OSError):
                        losses[position] += 1
                        if losses[position] >= _ATTEMPTS:
                            raise WorkError(
                                f"item {position} of {len(items)}: its worker was lost {_ATTEMPTS} times "
                                f"(exit status {worker.end()}); out of memory?"
                            ) from None
                        worker.end()
                        waiting.appendleft(position)
                        continue
                    self._idle.append(worker)
                    if failed:
                        raise WorkError(f"item {position} of {len(items)}: {value}")
                    results[position] = value
                    if on_result is not None:
                        on_result(position, value)
        except BaseException:
            self.close()
            raise
        return [results[position] for position in range(len(items))]

    def close(self) -> None:
        """End the processes, at work or not."""
        for worker in self._idle + [worker for worker, _ in self._busy.values()]:
            worker.end()
        self._idle.clear()
        self._busy.clear()

    def _start(self, function: Callable[[Item], Result], item: Item, position: int) -> None:
        while True:
            worker = self._idle.pop() if self._idle else _Worker()
            try:
                worker.connection.send((function, item))
            except OSError:  # it died while it was idle
                worker.end()
                continue
            self._busy[worker.connection] = (worker, position)
            return


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks of torch and MuJoCo
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with _environment_of_children():
            self.process.start()
        theirs.close()  # else the end of the process would not close the pipe

    def end(self) -> int | None:
        """End it, at work or not; its exit status."""
        self.connection.close()
        self.process.kill()
        self.process.join()
        return self.process.exitcode


@contextmanager
def _environment_of_children() -> Iterator[None]:
    """Environment of a child process: one thread, huge pages, and nothing imported from the current folder.

    One process a core: threads of linear algebra inside them would only get in each other's way. Networks and
    activations are some megabytes that every update goes through: off-policy updates take 5 to 8 % less CPU where
    malloc asks for huge pages (glibc 2.35; others do not know it). What a person sets comes last, and wins.
    """
    tunables = (_HUGE_PAGES, os.environ.get("GLIBC_TUNABLES", ""))
    names = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "GLIBC_TUNABLES": ":".join(filter(None, tunables))}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    folder = Path.cwd()
    if sys.version_info < (3, 11):  # which do not know the second; a child goes back to its parent's folder by itself
        os.chdir(folder.anchor)
    try:
        yield
    finally:
        os.chdir(folder)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, parent: int) -> None:
    """A worker's life: items in, results out, until the pipe or the parent is gone."""
    _end_with(parent)
    try:
        while True:
            function, item = connection.recv()
            try:
                answer: tuple[bool, Any] = (False, function(item))
            except Exception:
                answer = (True, traceback.format_exc())
            connection.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _end_with(parent: int) -> None:
    """End a child when its parent was killed: otherwise its work would continue unused for minutes."""
    import ctypes
    import signal

    set_parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we could ask
        os._exit(1)


class RayWorkers:
    """Workers of a Ray cluster, which starts an item again where its process or its machine was lost.

    Attributes:
      count: CPUs of the cluster.
      same_machine: False.
    """

    same_machine = False

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
          address: As `ray.init` takes it: "auto", "local", or "host:port" of a cluster's head.

        Raises:
          ValueError: if ray is not installed.
          ConnectionError: if there is no cluster at the address.
        """
        try:
            import ray
        except ImportError:
            raise ValueError("Ray is not installed: pip install 'safe_transfer_ros[ray]', or leave out --ray") from None
        self._ray = ray
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        self.count = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], on_result: OnResult | None = None
    ) -> list[Result]:
        """See `Workers.map`."""
        ray = self._ray
        remote = ray.remote(max_retries=_ATTEMPTS - 1, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})(function)
        positions = {remote.remote(item): position for position, item in enumerate(items)}
        results: dict[int, Result] = {}
        pending = list(positions)
        while pending:
            done, pending = ray.wait(pending, num_returns=1)
            for reference in done:
                position = positions[reference]
                try:
                    results[position] = ray.get(reference)
                except ray.exceptions.RayError as error:
                    raise WorkError(f"item {position} of {len(items)}: {error}") from error
                if on_result is not None:
                    on_result(position, results[position])
        return [results[position] for position in range(len(items))]
