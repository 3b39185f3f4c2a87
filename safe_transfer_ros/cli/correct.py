# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer correct`: make a policy or a controller that works into one that is safe (DARL)."""

from __future__ import annotations

import argparse
from pathlib import Path

import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
from safe_transfer_ros.cli import learner_runs
from safe_transfer_ros.tasks.task import TASKS, available

METHOD = "dual-agent"

_DESCRIPTION = """\
Train a safe agent beside a baseline that works and ignores safety. The baseline stays as it is; the safe agent imitates
it as far as the accepted failures allow. Both act in turn, by a coin at each step.

BASELINE is one of:
  a policy file of this package (kinds gaussian, squashed, deterministic), or the name of a shipped one; an imported
  one (ONNX) that sees the task's observation alone
  module:function, or path:function for a Python file: takes observations (b, k), gives actions (b, n) in the task's
  unit. It is asked about past observations too: no memory, no clock.
"""

_EPILOG = """\
examples:
  safe_transfer correct --baseline examples/straight_push.py:push --task panda_push_obstacle
  safe_transfer correct --baseline examples/straight_push.py:push_from_above --task panda_push_obstacle_movable
  safe_transfer correct --baseline runs/train/ant_avenue_td3_seed0.safetensors --task ant_avenue --seeds 1

Files written to --out:
  <task>.csv          every epoch of every run, with evaluations of the safe agent alone
  <task>_summary.csv  means over seeds with 95 % bootstrap intervals
  <task>_baseline.csv the baseline in the evaluation episodes of each seed
  <task>.png          the curves
  <task>_dual-agent[_chi<X>]_seed<N>.safetensors
                      the safe agents' policies
  cache/              finished runs, under the hash of their settings and of the baseline

After an interruption (Ctrl-C, kill -9, power loss) repeat the same command: unfinished runs go on from their last
checkpoint, at most a minute and an epoch before, and give the same numbers.
The counts during training are of both agents in turn, with noise. Only the evaluations are of the safe agent.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "correct",
        help="make a policy or a controller that works into one that is safe",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--baseline", required=True, metavar="BASELINE", help="what is to be corrected; see above")
    parser.add_argument("--task", required=True, metavar="TASK", help="one of: " + ", ".join(available()))
    learner_runs.add_options(parser, Path("runs/correct"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, judge the baseline, then write tables and picture.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    from safe_transfer_ros.files import write_rows
    from safe_transfer_ros.studies.baseline import evaluations, heading
    from safe_transfer_ros.studies.learner_run import LearnerRun
    from safe_transfer_ros.transfer.constrained.settings import LearnerSettings

    learner_runs.check(options)
    limit = TASKS[options.task].cost_limit
    usual = LearnerSettings().chi if limit is None else limit
    runs = [
        LearnerRun(
            method=METHOD,
            seed=seed,
            baseline=options.baseline,
            settings=LearnerSettings(chi=chi),
            **learner_runs.size(options, explores=True),
        )
        for seed in learner_runs.seeds(options)
        for chi in options.chi or [usual]
    ]
    judged = evaluations(runs)  # one that does not fit is refused before anything is written
    learner_runs.complete(runs, options, heading=heading(judged))
    rows = [{"baseline": options.baseline, "seed": seed, **found} for seed, found in judged.items()]
    write_rows(options.out / f"{options.task}_baseline.csv", rows)
    return 0
