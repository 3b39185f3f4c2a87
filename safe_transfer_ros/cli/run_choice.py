# SPDX-License-Identifier: Apache-2.0
"""Choice of the run to look at: by its directory, its ROS domain, or because it is the only one that is up."""

from __future__ import annotations

import argparse
from pathlib import Path

from safe_transfer_ros.cli.filter_screen import Listening
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import clock
from safe_transfer_ros.untrusted import printable

DISCOVERY_PERIOD_S = 1.0


class RunChoice:
    """Choice of the domain to listen on."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take what was given on the command line.

        Raises:
          ConfigurationError: it is no domain, or no run that is up; or several are up and none was chosen.
        """
        self._namespace: str = options.namespace
        if options.domain is not None and not 0 <= options.domain <= domain.HIGHEST:
            raise ConfigurationError(f"--domain must be a number from 0 to {domain.HIGHEST}, got {options.domain}")
        self._given: int | None = domain.from_environment() if options.domain is None else options.domain
        self._runs = domain.running()
        if options.run_dir is not None:
            wanted = _run_in(Path(options.run_dir).absolute(), self._runs)
            self._given, self._namespace = wanted.number, self._namespace or wanted.namespace
        elif self._given is None and len(self._runs) > 1:
            raise ConfigurationError(
                f"several runs are up, on ROS domains {_listed(self._runs)}: choose by --run or --domain"
            )
        self._next_look = clock.now_s() + DISCOVERY_PERIOD_S

    def look(self) -> bool:
        """Look for runs, once per second; true when where to listen is another now."""
        now, before = clock.now_s(), (self.number, self.namespace)
        if now >= self._next_look:
            self.look_now()
        return (self.number, self.namespace) != before

    def look_now(self) -> None:
        """Look for runs."""
        self._next_look = clock.now_s() + DISCOVERY_PERIOD_S
        self._runs = domain.running()

    @property
    def number(self) -> int:
        """The domain; ROS's default while no run, or more than one, is up."""
        if self._given is not None:
            return self._given
        return self._runs[0].number if len(self._runs) == 1 else 0

    @property
    def namespace(self) -> str:
        """The graph's namespace: as given, or that of the one run that is up."""
        if self._given is not None or len(self._runs) != 1:
            return self._namespace
        return self._namespace or self._runs[0].namespace

    @property
    def holder(self) -> domain.Running | None:
        """The run of this user that holds the domain and namespace listened on, as last looked up."""
        return holder_of(self.number, self.namespace, self._runs)

    @property
    def listening(self) -> Listening:
        """In words."""
        hint = ""
        if self._given is None and not self._runs:
            hint = "No run of this machine holds a ROS domain; one that starts is found. Another domain: --domain N."
        elif self._given is None and len(self._runs) > 1:
            hint = f"Several runs are up, on ROS domains {_listed(self._runs)}: quit, and choose by --run DIR."
        run = printable(self.holder.run_dir) if self.holder else ""
        return Listening(domain=self.number, namespace=self.namespace, hint=hint, run=run)


def holder_of(number: int, namespace: str, runs: tuple[domain.Running, ...]) -> domain.Running | None:
    """The run, of those given, that holds a domain and namespace; None where none does."""
    found = (run for run in runs if (run.number, run.namespace.strip("/")) == (number, namespace.strip("/")))
    return next(found, None)


def _run_in(run_dir: Path, runs: tuple[domain.Running, ...]) -> domain.Running:
    for run in runs:
        if Path(run.run_dir).resolve() == run_dir.resolve():
            return run
    up = f"up are those on ROS domains {_listed(runs)}" if runs else "none is up on this machine"
    raise ConfigurationError(f"--run {printable(run_dir)} is not the directory of a run that is up: {up}")


def _listed(runs: tuple[domain.Running, ...]) -> str:
    return ", ".join(str(run) for run in runs)
