# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer train`: learn a task under a constraint on failures, with CSC or a baseline."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
from safe_transfer_ros.tasks.task import TASKS, available
from safe_transfer_ros.transfer.constrained.method import METHODS, LearnerSettings, Method, method

_EPILOG = """\
examples:
  safe_transfer train csc panda_push_boundary --quick             a short trial, one to two minutes
  safe_transfer train all panda_push_boundary --seeds 3           CSC and its baselines, table and plot
  safe_transfer train csc panda_push_topple --chi 0.02 0.05 0.2   several accepted failure rates in one plot

Files written to --out:
  <task>.csv          every epoch of every run: return, failures per episode, cumulative failures, success, time
  <task>_summary.csv  one line per method: means over seeds with 95 % bootstrap intervals
  <task>.png          the curves
  <task>_<method>[_chi<X>][_eta<X>][_alpha<X>]_seed<N>.safetensors
                      the trained policies, for `safe_transfer up panda_push policy:=FILE`
  cache/              finished runs, under the hash of their settings

After an interruption (Ctrl-C, kill -9, power loss) repeat the same command. Finished runs are kept; unfinished runs
start again with the same seed and give the same numbers.
Failures are counted during training: cumulative failures are the cost of learning. Where a task's costs add up
(ant_avenue), every step with a cost is counted and --chi is the accepted sum per episode.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train under a constraint on failures: CSC and its baselines",
        description=_description(),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="METHOD", help="one of: " + ", ".join([*METHODS, "all"]))
    parser.add_argument("task", metavar="TASK", help="one of: " + ", ".join(available()))
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds per method (3)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs per run (40)")
    parser.add_argument("--episodes", type=int, metavar="N", help="episodes per epoch (20)")
    parser.add_argument(
        "--chi",
        type=float,
        nargs="+",
        metavar="X",
        help="accepted failures per episode (0.05; sum of costs where the task has a limit of it: ant_avenue 25); "
        "several values: each is run",
    )
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
        "--warm-start", action="store_true", help="start from a policy that imitates a rule (panda_push_obstacle)"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (all cores); does not change the numbers")
    parser.add_argument("--quick", action="store_true", help="one seed, three epochs of eight episodes")
    parser.add_argument("--fresh", action="store_true", help="repeat runs made by an earlier version of the code")
    parser.add_argument("--table-only", action="store_true", help="report finished runs only; train nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="folder (runs/train)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, then write tables and picture.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    from safe_transfer_ros.cli.study import complete
    from safe_transfer_ros.learning.imitation import RULES
    from safe_transfer_ros.learning.workers import LocalWorkers
    from safe_transfer_ros.reporting import learners
    from safe_transfer_ros.reporting.tables import several
    from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore, compute
    from safe_transfer_ros.tasks.task import TASKS

    for name in ("seeds", "epochs", "episodes", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.first_seed < 0:
        raise ValueError(f"--first-seed must be at least 0, got {options.first_seed}")
    if options.episodes == 1:
        raise ValueError("--episodes must be at least 2: each episode is held against the others")
    TASKS[options.task]  # an unknown one is refused, with the nearest
    if options.method != "all":
        method(options.method)
    if options.warm_start and options.task not in RULES:
        raise ValueError(f"--warm-start: there is no rule to imitate for {options.task}, only for {', '.join(RULES)}")
    usual = LearnerRun()
    seeds = range(options.first_seed, options.first_seed + (options.seeds or (1 if options.quick else 3)))
    runs = [
        LearnerRun(
            method=name,
            task=options.task,
            seed=seed,
            iterations=options.epochs or (3 if options.quick else usual.iterations),
            episodes=options.episodes or (8 if options.quick else usual.episodes),
            evaluation_episodes=8 if options.quick else usual.evaluation_episodes,
            warm_start=options.warm_start,
            settings=settings,
        )
        for seed in seeds
        for name in (METHODS if options.method == "all" else [options.method])
        for settings in _settings(METHODS[name], options)
    ]
    store = LearnerStore(options.out / "cache")
    if options.table_only:
        finished = [curves for one in runs if (curves := store.load(one)) is not None]
        if not finished:
            planned = several(len(runs), "run")
            raise ValueError(f"of {planned} none is finished in {store.folder}: leave out --table-only")
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        done = complete(runs, store, compute, lambda: LocalWorkers(options.jobs), fresh=options.fresh)
        finished = [done[one] for one in runs]
    for one, name in zip(runs, learners.names(runs), strict=True):
        if store.policy(one).exists():
            shutil.copyfile(store.policy(one), options.out / f"{one.task}_{name}_seed{one.seed}.safetensors")
    print(learners.write(finished, options.out))
    if options.quick:
        print(
            "\n--quick shows that everything works, not how methods differ: in three epochs neither a multiplier nor a "
            "critic has learned enough to act, so that curves and training columns may be equal. Leave it out for that."
        )
    return 0


def _description() -> str:
    """Methods and tasks, for --help; those of other packages included."""
    width = max(len(name) for name in METHODS)
    return "\n".join(
        (
            "Train a policy from scratch with as few failures as possible.",
            "",
            "METHOD; all use the same training loop and the same failure count:",
            *(f"  {name:{width}}  {method.description or method.label}" for name, method in METHODS.items()),
            f"  {'all':{width}}  every method, for comparison",
            "",
            f"TASK: {', '.join(available())}",
        )
    )


def _settings(method: Method, options: argparse.Namespace) -> list[LearnerSettings]:
    """Every combination of what was asked for, as far as it concerns the method."""
    usual = LearnerSettings(seed_tuples=options.seed_tuples, own_target=options.own_target and method.alpha > 0.0)
    limit = TASKS[options.task].cost_limit
    if limit is not None:
        usual = dataclasses.replace(usual, chi=limit)
    # A method of another package may use either.
    constrained, multiplied = method.update != "reward", method.update not in ("reward", "cpo")
    return [
        dataclasses.replace(usual, chi=chi, multiplier_rate=eta, alpha=alpha)
        for chi in (constrained and options.chi) or [usual.chi]
        for eta in (multiplied and options.eta) or [usual.multiplier_rate]
        for alpha in (method.alpha and options.alpha) or [usual.alpha]
    ]
