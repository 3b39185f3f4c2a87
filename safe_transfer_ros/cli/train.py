# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer train`: learn a task from scratch, with or without a constraint on failures."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path

import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
from safe_transfer_ros.cli import learner_runs
from safe_transfer_ros.tasks.task import TASKS, available
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.methods import METHODS, method
from safe_transfer_ros.transfer.training import PHASES, BaselineUse, TrainingMethod, check_baseline

_EPILOG = """\
examples:
  safe_transfer train csc panda_push_boundary --quick             a short trial, one to two minutes
  safe_transfer train td3 ant_avenue --quick                      the same for an off-policy method
  safe_transfer train csc,cpo,trpo panda_push_boundary --seeds 3  several methods, table and plot; all: every one
  safe_transfer train csc panda_push_topple --chi 0.02 0.05 0.2   several accepted failure rates in one plot
  safe_transfer train sqrl drunk_spider --phase pretrain --out runs/spider
  safe_transfer train sqrl drunk_spider --phase finetune --out runs/spider --from FILE

Files written to --out; with --phase <task>_<phase> in place of <task>:
  <task>.csv          every epoch of every run: return, failures per episode, cumulative failures, success, time;
                      evaluation_* where the epoch was followed by one
  <task>_summary.csv  one line per method: means over seeds with 95 % bootstrap intervals
  <task>.png          the curves
  <task>_<method>[_chi<X>][_eta<X>][_alpha<X>]_seed<N>.safetensors
                      the trained policies, for `safe_transfer up panda_push policy:=FILE`; of safety-layer the
                      policy and the layer before it
  cache/              finished runs, under the hash of their settings

After an interruption (Ctrl-C, kill -9, power loss) repeat the same command. Finished runs are kept; unfinished runs
go on from their last checkpoint, at most a minute and an epoch before, and give the same numbers.
Off-policy methods (td3, sac) act with noise while they learn, so their curves are those of evaluations without it,
after each epoch. Their first epoch is a warm-up with uniform actions.
Failures are counted during training: cumulative failures are the cost of learning. Where a task's costs add up
(ant_avenue, panda_push_obstacle_movable), every step with a cost is counted and --chi is the accepted sum per episode.
Where a task has goals (panda_push_obstacle_movable), off-policy methods take what was reached for the goal (HER).
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a task from scratch: CSC and its baselines, off-policy methods",
        description=_description(),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "method", metavar="METHOD", help="one of, or several with commas between: " + ", ".join([*METHODS, "all"])
    )
    parser.add_argument("task", metavar="TASK", help="one of: " + ", ".join(available()))
    learner_runs.add_options(parser, Path("runs/train"))
    parser.add_argument(
        "--eta",
        type=float,
        nargs="+",
        metavar="X",
        help="learning rate of the multiplier (0.2); several values: each is run",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        nargs="+",
        metavar="X",
        help="weight of CSC's conservative term (0.05); several values: each is run",
    )
    parser.add_argument(
        "--own-target", action="store_true", help="CSC's critic as published: its over-estimate is its own target"
    )
    parser.add_argument(
        "--seed-tuples",
        type=int,
        default=0,
        metavar="N",
        help="labelled transitions given to the critic before training (0)",
    )
    parser.add_argument(
        "--warm-start",
        action="store_true",
        help="start from a policy that imitates a rule (panda_push_obstacle, panda_push_obstacle_movable)",
    )
    parser.add_argument(
        "--baseline",
        default="",
        metavar="BASELINE",
        help="controller that cloned-cpo starts from and dual-agent corrects; see `safe_transfer correct --help`",
    )
    parser.add_argument(
        "--phase",
        choices=PHASES,
        default="",
        help="pretrain: in the task as it is at the source (drunk_spider: no noise; torques: limits of the whole "
        "range); finetune: in the task itself, from the file of a pre-training (--from)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        default="",
        metavar="FILE",
        help="policy file to begin with; {method} and {seed} in it stand for those of the run",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        nargs="+",
        metavar="X",
        help="risk that SQRL's mask lets pass (0.1); several values: each is run",
    )
    parser.add_argument(
        "--safety-gamma",
        type=float,
        nargs="+",
        metavar="X",
        help="discount of SQRL's safety critic (drunk_spider 0.65, other tasks 0.7); several values: each is run",
    )
    parser.add_argument(
        "--online-critic", action="store_true", help="SQRL's safety critic goes on learning in fine-tuning"
    )
    parser.add_argument("--no-entropy", action="store_true", help="SAC and SQRL without maximum entropy")
    parser.add_argument(
        "--environment",
        type=_setting,
        nargs="+",
        default=(),
        metavar="NAME=X",
        help="settings of the task's environment, for example noise=0.2; see docs/environments.md",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, then write tables and picture.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    from safe_transfer_ros.learning.imitation import RULES
    from safe_transfer_ros.studies.learner_run import LearnerRun

    learner_runs.check(options)
    methods = _methods(options)
    if options.warm_start and options.task not in RULES:
        raise ValueError(f"--warm-start: there is no rule to imitate for {options.task}, only for {', '.join(RULES)}")
    runs = [
        LearnerRun(
            method=name,
            seed=seed,
            warm_start=options.warm_start,
            baseline=options.baseline,
            phase=options.phase,
            start=options.start.replace("{method}", name).replace("{seed}", str(seed)),
            environment=tuple(sorted(options.environment)),
            settings=settings,
            **learner_runs.size(options, explores=METHODS[name].explores),
        )
        for seed in learner_runs.seeds(options)
        for name in dict.fromkeys(methods)
        for settings in _settings(METHODS[name], options)
    ]
    learner_runs.complete(runs, options)
    return 0


def _setting(text: str) -> tuple[str, float | bool | str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"expected NAME=X, got '{text}'")
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, float(value)
    except ValueError:
        return name, value


def _methods(options: argparse.Namespace) -> list[str]:
    """Names of the methods that are asked for, each known and with the baseline that it needs."""
    if options.method == "all":
        useless = BaselineUse.NONE if options.baseline else BaselineUse.REQUIRED
        return [name for name, one in METHODS.items() if one.baseline is not useless]
    names = [word.strip() for word in options.method.split(",")]
    for name in names:
        check_baseline(method(name), options.baseline)
    return names


def _description() -> str:
    """Methods and tasks, for --help; those of other packages included."""
    width = max(len(name) for name in METHODS)
    return "\n".join(
        (
            "Train a policy from scratch, and count how often it fails on the way.",
            "",
            "METHOD; failures are counted alike for all:",
            *(f"  {name:{width}}  {method.description or method.label}" for name, method in METHODS.items()),
            f"  {'all':{width}}  every method; with --baseline those that take one",
            "",
            f"TASK: {', '.join(available())}",
        )
    )


def _settings(method: TrainingMethod, options: argparse.Namespace) -> list[LearnerSettings]:
    """Every combination of what was asked for, as far as it concerns the method."""
    conservative = "alpha" in method.varied
    usual = LearnerSettings(
        seed_tuples=options.seed_tuples,
        own_target=options.own_target and conservative,
        online_critic=options.online_critic and "online_critic" in method.varied,
        max_entropy=not (options.no_entropy and "max_entropy" in method.varied),
    )
    limit = TASKS[options.task].cost_limit
    if limit is not None:
        usual = dataclasses.replace(usual, chi=limit)
    asked = {
        "chi": options.chi,
        "multiplier_rate": options.eta,
        "alpha": options.alpha,
        "epsilon": options.epsilon,
        "safety_gamma": options.safety_gamma,
    }
    varied = {name: values for name, values in asked.items() if values and name in method.varied}
    return [
        dataclasses.replace(usual, **dict(zip(varied, values, strict=True)))
        for values in itertools.product(*varied.values())
    ]
