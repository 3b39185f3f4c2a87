# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer pretrain`: train a policy in simulation, with progress, interruption and resumption."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from safe_transfer_ros.cli.bars import BarDisplay, progress_bar
from safe_transfer_ros.configuration import build
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.interpreter import invocation
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED
from safe_transfer_ros.reporting.learning_curve import draw_learning_curves
from safe_transfer_ros.reporting.provenance import provenance
from safe_transfer_ros.tasks import task as tasks
from safe_transfer_ros.tasks.task import available
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.transfer.pspt.pretraining import BatchRecord, PretrainSettings, pretrain
from safe_transfer_ros.transfer.pspt.pretraining_run import CONFIG, NOT_SETTINGS, POLICY, PretrainRun
from safe_transfer_ros.untrusted import read_yaml

PLOT = "learning_curve.png"
PROVENANCE = "policy.yaml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("pretrain", help="train a policy on the unperturbed robot, in simulation")
    parser.add_argument("task", help=f"one of: {', '.join(_known_tasks())}")
    parser.add_argument("--out", type=Path, help="run directory (default: runs/pretrain-<task>-seed<seed>)")
    parser.add_argument("--batches", type=int, default=300, help="batches in total, earlier ones included (300)")
    parser.add_argument("--resume", action="store_true", help="continue the run in the directory")
    parser.add_argument("--checkpoint-every", type=int, default=5, metavar="N", help="batches (5)")
    parser.add_argument("--threads", type=int, help="physics threads (all cores); does not change the numbers")
    for field in dataclasses.fields(PretrainSettings):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, help=f"{field.metadata['description']} ({field.default})")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until there are as many batches as asked for.

    Raises:
      ValueError: wrong arguments, or a directory that cannot be used; the message says what to do.
      OSError: the directory cannot be written.
    """
    for name in ("batches", "checkpoint_every"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if options.task not in _known_tasks() and options.task in available():
        raise ValueError(
            f"pretrain is for tasks of joint torques ({', '.join(_known_tasks())}), got '{options.task}': use "
            f"`safe_transfer train trpo {options.task}`; how the shipped one was made: weights/{options.task}.yaml"
        )
    task = tasks.make(options.task, TorqueTask)
    settings, folder = _settings(options, task.name)
    with PretrainRun(folder, task, settings, resume=options.resume) as training:
        done = training.progress.batches
        if done > options.batches:
            raise ValueError(f"{folder} has {done} batches already, more than --batches {options.batches}")
        print(f"run directory {folder}" + (f", going on after batch {done}" if done else ""))
        try:
            with _Display(done, options.batches, settings.episodes * task.horizon, task.unsafety_unit) as display:
                if done < options.batches:
                    for progress, record in pretrain(task, settings, training.progress, threads=options.threads):
                        training.add(progress, record)
                        if progress.batches % options.checkpoint_every == 0:
                            training.checkpoint()
                        display.show(record)
                        if progress.batches == options.batches:
                            break
        except KeyboardInterrupt:
            training.checkpoint()
            print(
                f"stopped after batch {training.progress.batches} of {options.batches}; "
                f"continue with: {invocation()} pretrain {task.name} "
                f"--out {folder} --batches {options.batches} --resume",
                file=sys.stderr,
            )
            return EXIT_INTERRUPTED
        training.checkpoint()
        _finish(training, task, settings)
    return 0


def _settings(options: argparse.Namespace, task_name: str) -> tuple[PretrainSettings, Path]:
    """Settings given; when resuming, on top of those of the run."""
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(PretrainSettings)
        if getattr(options, field.name) is not None
    }
    seed = given.get("seed", PretrainSettings.seed)
    folder = options.out or Path("runs") / f"pretrain-{task_name}-seed{seed}"
    earlier: dict[str, Any] = {}
    if options.resume and (folder / CONFIG).exists():
        read = read_yaml(folder / CONFIG)
        earlier = (
            {key: value for key, value in read.items() if key not in NOT_SETTINGS} if isinstance(read, dict) else {}
        )
    return build(PretrainSettings, earlier | given, where="pretrain"), folder


def _finish(training: PretrainRun, task: TorqueTask, settings: PretrainSettings) -> None:
    records = training.records
    last = records[-20:]
    metadata = {
        "task": task.name,
        "seed": str(settings.seed),
        "batches": str(training.progress.batches),
        "steps": str(records[-1].steps),
    }
    sha256 = training.finish(metadata)
    made_by = provenance()
    about = {
        "task": task.name,
        "batches": training.progress.batches,
        "environment_steps": records[-1].steps,
        "settings": dataclasses.asdict(settings),
        "sha256": sha256,
        f"mean_return_last_{len(last)}_batches": round(sum(record.mean_return for record in last) / len(last), 2),
        "training_time_s": round(sum(record.rollout_s + record.update_s for record in records), 1),
        "command": made_by["command"],
        "machine": made_by["machine"],
        "versions": made_by["versions"],
    }
    write_atomically(training.folder / PROVENANCE, yaml.safe_dump(about, sort_keys=False))
    plot = draw_learning_curves({f"seed {settings.seed}": records}, task.unsafety_limit, training.folder / PLOT)
    print(f"policy: {training.folder / POLICY}\nlearning curve: {plot}")


class _Display(BarDisplay):
    """The progress bar on a terminal; elsewhere a line every tenth batch."""

    def __init__(self, done: int, total: int, steps_per_batch: int, unit: str) -> None:
        self._total, self._steps, self._unit = total, steps_per_batch, unit
        console = Console()
        super().__init__(console, progress_bar(console, what="batch"))
        self._bar = self._progress.add_task("", total=total, completed=done, numbers="")
        self._began = time.monotonic()
        self._shown = 0

    def show(self, record: BatchRecord) -> None:
        """Show a batch."""
        self._shown += 1
        elapsed = time.monotonic() - self._began
        numbers = (
            f"return {record.mean_return:8.1f}  u {record.unsafety_mean:4.3g} {self._unit}".rstrip() + "  "
            f"p_u {record.unsafety_rate:.3f}  KL {record.kl:.4f}  "
            f"{self._shown * self._steps / elapsed:,.0f} steps/s"
        )
        self._progress.update(self._bar, completed=record.batch + 1, numbers=numbers)
        if not self._console.is_terminal and ((record.batch + 1) % 10 == 0 or record.batch + 1 == self._total):
            left = elapsed / self._shown * (self._total - record.batch - 1)
            self._console.print(
                f"batch {record.batch + 1}/{self._total}  {numbers}  {left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )


def _known_tasks() -> tuple[str, ...]:
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known

    return tasks.available(TorqueTask)
