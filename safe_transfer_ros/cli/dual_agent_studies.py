# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce dual_agent_ant` and `dual_agent_push`: DARL and its rivals at equal numbers of samples.

A command does the runs it is asked for and reports all that are there, so that long runs can be spread over many.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from safe_transfer_ros.cli.learner_runs import computing
from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.configuration import nearest

if TYPE_CHECKING:  # torch and matplotlib are loaded when there is something to do
    from safe_transfer_ros.learning.workers import Workers
    from safe_transfer_ros.reporting.equal_samples import Comparison
    from safe_transfer_ros.studies.equal_samples import Size
    from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore

_SEEDS_LOOKED_AT = 20
_QUICK = """
--quick shows that everything works, not how methods differ: nobody has learned anything in so few steps."""


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add the options that only these studies have."""
    parser.add_argument(
        "--steps", type=int, metavar="N", help="dual_agent_*: steps of each run (500,000; of the push 100,000)"
    )
    parser.add_argument(
        "--pre-training-steps",
        type=int,
        metavar="N",
        help="dual_agent_push: steps of the pre-training by TD3 and HER (500,000)",
    )
    parser.add_argument(
        "--baseline",
        default="",
        metavar="BASELINE",
        help="dual_agent_push: what is corrected, in place of a pre-training",
    )


def ant(options: argparse.Namespace) -> None:
    """Do the missing runs on the ant's avenue, then write tables and curves.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    from safe_transfer_ros.reporting.equal_samples import COST, RETURN, Comparison
    from safe_transfer_ros.studies import dual_agent_ant as study
    from safe_transfer_ros.studies.equal_samples import found
    from safe_transfer_ros.studies.learner_run import LearnerStore

    store = LearnerStore(options.out / "cache")
    size = _size(study.QUICK if options.quick else study.SIZE, options.steps)
    methods, seeds = _methods(options, study.METHODS), _seeds(options, study.SEEDS)
    _do([study.planned(method, seed, size) for seed in seeds for method in methods], store, options)
    planned = [study.planned(method, seed, size) for method in study.METHODS for seed in _looked_at(seeds)]
    compared = Comparison(
        name=study.NAME,
        title="ant on its avenue, learned from scratch",
        lines=study.LINES,
        runs=found(planned, store),
        size=size,
        measures=(RETURN, COST),
    )
    _report(compared, store, options)


def push(options: argparse.Namespace) -> None:
    """Pre-train the baseline, do the missing runs that correct it, then write tables and curves.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    from safe_transfer_ros.reporting.equal_samples import COST, RETURN, SUCCESS, Comparison
    from safe_transfer_ros.studies import dual_agent_push as study
    from safe_transfer_ros.studies.baseline import evaluations, heading
    from safe_transfer_ros.studies.equal_samples import found
    from safe_transfer_ros.studies.learner_run import LearnerStore

    store = LearnerStore(options.out / "cache")
    size = _size(study.QUICK if options.quick else study.SIZE, options.steps)
    methods = _methods(options, (study.PRE_TRAINING, *study.METHODS))
    seeds = _seeds(options, study.SEEDS)
    if options.baseline and options.pre_training_steps:
        raise ValueError("one of --baseline and --pre-training-steps, please")
    needed = any(method in methods for method in (study.PRE_TRAINING, *study.CORRECTING))
    baseline = options.baseline or _pre_trained(store, options, needed=needed)
    # What corrects a baseline is not asked about before there is one.
    known = [method for method in study.METHODS if baseline or method not in study.CORRECTING]

    def planned(chosen: Sequence[str], of: range) -> list[LearnerRun]:
        return [study.planned(method, seed, baseline, size) for seed in of for method in chosen]

    _do(planned([method for method in known if method in methods], seeds), store, options)
    runs = found(planned(known, _looked_at(seeds)), store)
    if methods == [study.PRE_TRAINING] and not runs:
        return
    if baseline:
        print("\n" + heading(evaluations(planned(study.CORRECTING[:1], seeds))))
    compared = Comparison(
        name=study.NAME,
        title="push past a cube that gives way",
        lines=study.LINES,
        runs=runs,
        size=size,
        measures=(SUCCESS, COST, RETURN),
    )
    _report(compared, store, options)


def _pre_trained(store: LearnerStore, options: argparse.Namespace, *, needed: bool) -> str:
    """Path of the pre-trained baseline, empty where it is not finished; its own table and curve are written."""
    from safe_transfer_ros.reporting.equal_samples import COST, RETURN, SUCCESS, Comparison
    from safe_transfer_ros.studies import dual_agent_push as study
    from safe_transfer_ros.studies.equal_samples import found

    size = _size(study.PRE_TRAINED_QUICK if options.quick else study.PRE_TRAINED, options.pre_training_steps)
    run = study.pre_training(size=size)
    _do([run] if needed else [], store, options)
    runs = found([run], store)
    if runs:
        compared = Comparison(
            name=f"{study.NAME}_baseline",
            title="the baseline's pre-training",
            lines=study.BASELINE,
            runs=runs,
            size=size,
            measures=(SUCCESS, COST, RETURN),
        )
        _report(compared, store, options)
    return str(store.policy(run)) if store.load(run) is not None else ""


STUDIES: dict[str, Callable[[argparse.Namespace], None]] = {"dual_agent_ant": ant, "dual_agent_push": push}


def run(options: argparse.Namespace) -> int:
    """Do one of `STUDIES`.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known

    STUDIES[options.figure](options)
    if options.quick:
        print(_QUICK)
    return 0


def _methods(options: argparse.Namespace, known: Sequence[str]) -> list[str]:
    """Names that are asked for, in the order of the comparison."""
    asked = [name.strip() for name in options.methods.split(",")] if options.methods else list(known)
    for name in asked:
        if name not in known:
            raise ValueError(f"--methods: unknown '{name}' of {options.figure}; {nearest(name, known)}")
    return [name for name in known if name in asked]


def _seeds(options: argparse.Namespace, usual: int) -> range:
    return range(options.first_seed, options.first_seed + (options.seeds or (1 if options.quick else usual)))


def _looked_at(seeds: range) -> range:
    """Seeds of the runs that are reported, if they are there."""
    return range(max(_SEEDS_LOOKED_AT, seeds.stop))


def _size(usual: Size, steps: int | None) -> Size:
    return usual if steps is None else dataclasses.replace(usual, steps=steps)


def _do(runs: Sequence[LearnerRun], store: LearnerStore, options: argparse.Namespace) -> None:
    from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers

    if options.table_only or not runs:
        return

    def workers() -> Workers:
        return RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs)

    compute = computing(runs, store, options)
    options.out.mkdir(parents=True, exist_ok=True)
    complete(runs, store, compute, workers, fresh=options.fresh)


def _report(compared: Comparison, store: LearnerStore, options: argparse.Namespace) -> None:
    """Copy the policies out of the store, write tables and curves and print them."""
    from safe_transfer_ros.reporting import equal_samples

    if not compared.runs:
        raise ValueError(f"no run is finished or begun in {store.folder}: leave out --table-only")
    for one in compared.runs:
        kept = store.policy(one.run)
        if kept.exists():
            shutil.copyfile(kept, options.out / f"{compared.name}_{one.run.method}_seed{one.run.seed}.safetensors")
    print(equal_samples.write(compared, options.out))
