# SPDX-License-Identifier: Apache-2.0
"""Every fault, again and again, into one CSV: one row per repeat, kept as soon as its bag has been read."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from safe_transfer_ros.faults import recorded, repeat
from safe_transfer_ros.faults.fault import Fault
from safe_transfer_ros.faults.observer import NotSo
from safe_transfer_ros.faults.repeat import RepeatResult
from safe_transfer_ros.faults.stage import Stage
from safe_transfer_ros.faults.table import find
from safe_transfer_ros.files import CsvTable
from safe_transfer_ros.middleware import dds
from safe_transfer_ros.randomness import Purpose, stdlib_generator

CSV_NAME = "faults.csv"
_RESTARTS = 3  # a stage that cannot be made ready is built anew so often before the fault is given up


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the CSV; times in ms."""

    fault: str
    repeat: int
    expected: str
    observed: str
    kept: str
    time_to_safe_ms: str
    allowed_ms: str
    data_lost: str
    stall_ms: str
    broken: str


class CampaignError(ValueError):
    """Raised when a file is not the CSV of a campaign. The message says why."""


_TABLE = CsvTable(Row, CampaignError)


def read(path: Path) -> list[Row]:
    """Rows of a CSV; none if there is no such file.

    Raises:
      CampaignError: the file has other columns, or a line that cannot be read.
    """
    return _TABLE.read(path) if path.exists() else []


class Campaign:
    """Repeats faults; what has been done already is not done again."""

    def __init__(
        self, out: Path, domain: int, *, repeats: int, seed: int, priority: int = 0, told: Callable[[str, int], None]
    ) -> None:
        """Look at what there is.

        Args:
          out: Directory of the CSV, the stages' folders and bags.
          domain: Claimed ROS domain.
          repeats: How often each fault is to be tried.
          seed: Of the moments at which faults happen.
          priority: See Stage.
          told: Called with the fault and its repeats done, whenever one is done.
        """
        self.out = out
        self.csv = out / CSV_NAME
        self._domain, self._repeats, self._seed, self._told = domain, repeats, seed, told
        self._arguments: dict[str, Any] = {
            "out": out,
            "domain": domain,
            "repeats": repeats,
            "seed": seed,
            "priority": priority,
        }
        out.mkdir(parents=True, exist_ok=True)

    def run(self, fault: Fault) -> list[Row]:
        """Run the remaining repeats of one fault in a separate process; return its rows.

        Fast DDS remembers the network interfaces of its first use for as long as a process lives, and one fault has
        its own network.

        Raises:
          RuntimeError: that process failed.
          KeyboardInterrupt: when it has ended in order.
        """
        if len(self._rows(fault)) >= self._repeats:
            return self._rows(fault)
        dds.set_defaults()
        here, there = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("spawn").Process(target=_work, args=(self._arguments, fault.name, there))
        child.start()
        there.close()
        try:
            with contextlib.suppress(EOFError):
                while True:
                    self._told(fault.name, here.recv())
        except KeyboardInterrupt:
            if child.pid is not None:
                os.kill(child.pid, signal.SIGINT)
            raise
        finally:
            child.join()
        if child.exitcode:
            raise RuntimeError(f"the campaign's process for {fault.name} failed, see above")
        return self._rows(fault)

    def work(self, fault: Fault) -> None:
        """Run the remaining repeats of one fault in this process."""
        why = fault.needs()
        if why:
            if not self._rows(fault):
                self._write([_not_run(fault, why)])
            return
        count, restarts = sum(row.kept != "not run" for row in self._rows(fault)), 0
        while count < self._repeats:
            try:
                count += self._on_one_stage(fault, count)
            except NotSo as error:
                restarts += 1
                print(f"{fault.name}: the stage is built anew: {error}", file=sys.stderr)
                if restarts > _RESTARTS:
                    self._write([_row(fault, count, RepeatResult(observed="not tried", broken=[str(error)]))])
                    break

    def _rows(self, fault: Fault) -> list[Row]:
        return [row for row in read(self.csv) if row.fault == fault.name]

    def _on_one_stage(self, fault: Fault, first: int) -> int:
        """Repeats on one stage until all are done or it fails; rows are written when its recorder has stopped."""
        folder = self.out / "stages" / fault.name
        shutil.rmtree(folder, ignore_errors=True)
        outcomes: list[RepeatResult] = []
        stage = Stage(
            fault.setting, folder, self._domain, seed=self._seed + 1000 * first, priority=self._arguments["priority"]
        )
        try:
            with stage:
                for number in range(first, self._repeats):
                    rng = stdlib_generator(Purpose.FAULT, self._seed, zlib.crc32(fault.name.encode()), number)
                    outcomes.append(repeat.run(fault, stage, rng))
                    stage.forget()
                    self._told(fault.name, number + 1)
        except NotSo as error:
            if not outcomes:
                raise
            outcomes[-1].broken.append(f"no torque again after it was undone: {error}")
        finally:
            lost = recorded.missing(stage.bags, [outcome.published for outcome in outcomes])
            for outcome, count in zip(outcomes, lost, strict=True):
                outcome.lost = count
            rows = [_row(fault, first + index, outcome) for index, outcome in enumerate(outcomes)]
            self._write(rows)
            if rows and all(row.kept == "yes" for row in rows):
                shutil.rmtree(folder, ignore_errors=True)  # the evidence of what went wrong is kept, the rest is bulk
        return len(outcomes)

    def _write(self, rows: list[Row]) -> None:
        _TABLE.append(self.csv, rows)


def _work(arguments: dict[str, Any], name: str, connection: Connection) -> None:
    """Entry point of the process of one fault. Only the campaign interrupts it, not the terminal as well."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    campaign = Campaign(**arguments, told=lambda _, number: connection.send(number))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # or the campaign has died
        campaign.work(find([name])[0])


def _row(fault: Fault, number: int, outcome: RepeatResult) -> Row:
    return Row(
        fault=fault.name,
        repeat=number,
        expected=fault.expected,
        observed=_one_line(outcome.observed),
        kept=outcome.kept,
        time_to_safe_ms="" if outcome.time_to_safe_ms != outcome.time_to_safe_ms else f"{outcome.time_to_safe_ms:.2f}",
        allowed_ms="" if outcome.allowed_ms != outcome.allowed_ms else f"{outcome.allowed_ms:.0f}",
        data_lost=str(outcome.lost),
        stall_ms=f"{outcome.stall_ms:.1f}",
        broken=_one_line(
            "; ".join(outcome.broken + outcome.late + [f"{outcome.lost} messages lost"] * bool(outcome.lost))
        ),
    )


def _not_run(fault: Fault, why: str) -> Row:
    return Row(
        fault=fault.name,
        repeat=0,
        expected=fault.expected,
        observed=_one_line(f"not run: {why}"),
        kept="not run",
        time_to_safe_ms="",
        allowed_ms="",
        data_lost="",
        stall_ms="",
        broken="",
    )


def _one_line(text: str) -> str:
    """An error's text may have several lines; a row of the table is one."""
    return " ".join(text.split())
