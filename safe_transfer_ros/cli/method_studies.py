# SPDX-License-Identifier: Apache-2.0
"""Studies that `safe_transfer reproduce` knows beside PSPT's figures: those of the other methods."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from safe_transfer_ros.cli import csc, dual_agent_studies, sqrl_graph, sqrl_quadruped, sqrl_spider


@dataclass(frozen=True, kw_only=True)
class MethodStudy:
    """A study.

    Attributes:
      run: Compute the missing runs, then write tables and pictures; returns the exit status.
      takes: Options that it takes and others do not, as attributes of the parsed arguments.
      leaves: Options of PSPT's figures that have no meaning for it.
    """

    run: Callable[[argparse.Namespace], int]
    takes: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


_EQUAL_SAMPLES = ("methods", "first_seed", "steps", "table_only")
STUDIES = {
    "sqrl_spider": MethodStudy(run=sqrl_spider.run),
    "sqrl_quadruped": MethodStudy(run=sqrl_quadruped.run, takes=("methods", "first_seed")),
    "sqrl_graph": MethodStudy(run=sqrl_graph.run),
    "csc": MethodStudy(run=csc.run, takes=("part", "task", "methods")),
    "dual_agent_ant": MethodStudy(run=dual_agent_studies.run, takes=_EQUAL_SAMPLES, leaves=("iterations",)),
    "dual_agent_push": MethodStudy(
        run=dual_agent_studies.run,
        takes=(*_EQUAL_SAMPLES, "pre_training_steps", "baseline"),
        leaves=("iterations",),
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only some studies take."""
    group = parser.add_argument_group("studies of other methods")
    group.add_argument(
        "--methods",
        metavar="NAME,...",
        default="",
        help=f"{_takers('methods')}: only these are run; all that is in --out is reported",
    )
    group.add_argument(
        "--first-seed", type=int, default=0, metavar="N", help=f"{_takers('first_seed')}: the first of the seeds (0)"
    )
    group.add_argument(
        "--table-only", action="store_true", help=f"{_takers('table_only')}: report what there is; compute nothing"
    )
    dual_agent_studies.add_options(group)
    csc.add_options(group)


def check(options: argparse.Namespace) -> None:
    """Refuse options that the study does not take.

    Raises:
      ValueError: if there is one, or the first seed is negative.
    """
    study = STUDIES.get(options.figure, MethodStudy(run=lambda _: 0))
    for name in {name for one in STUDIES.values() for name in one.takes}.difference(study.takes):
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} is for {_takers(name)}, not for {options.figure}")
    for name in study.leaves:
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} has no meaning for {options.figure}: leave it out")
    if options.first_seed < 0:
        raise ValueError(f"--first-seed must be at least 0, got {options.first_seed}")


def _takers(option: str) -> str:
    return ", ".join(name for name, study in STUDIES.items() if option in study.takes)
