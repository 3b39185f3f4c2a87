# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer train-critic`: a safety critic from recordings, with its model card."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from safe_transfer_ros.cli.bars import BarDisplay, progress_bar

NOT_CERTIFIED = 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("train-critic", help="train a safety critic from recordings, offline")
    parser.add_argument(
        "--bags", type=Path, nargs="+", required=True, metavar="PATH", help="recordings, or folders of transitions"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="output folder; an interrupted training continues in it"
    )
    parser.add_argument("--conservative", action="store_true", help="CSC instead of SQRL")
    parser.add_argument("--alpha", type=float, metavar="X", help="weight of CSC's conservative term (0.05)")
    parser.add_argument("--gamma", type=float, default=0.7, help="gamma_safe: how far ahead it sees (0.7)")
    parser.add_argument("--epsilon", type=float, default=0.1, help="largest acceptable risk (0.1)")
    parser.add_argument("--members", type=int, default=1, help="critics in the ensemble (1)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 256], help="hidden layers (256 256)")
    parser.add_argument(
        "--support", default="density", choices=("density", "ensemble", "off"), help="rule of support (density)"
    )
    parser.add_argument("--updates", type=int, default=20_000, help="updates at most (20000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (0)")
    parser.add_argument("--task", default="pr2_cup_swirl", help="the task of the recordings (pr2_cup_swirl)")
    parser.add_argument(
        "--policy",
        default="",
        metavar="FILE",
        help="policy of SAC or SQRL: policy.safetensors holds it with the new critic, for `learner:=sqrl`",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, judge, write; status 1 if the critic is not to be relied on.

    Raises:
      ValueError: what cannot be read or trained from.
    """
    from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
    from safe_transfer_ros.critics.training import CriticSettings, TrainingSettings, train_critic
    from safe_transfer_ros.reporting.reliability import draw_reliability

    alpha = CSC_ALPHA if options.alpha is None else options.alpha
    settings = TrainingSettings(
        critic=CriticSettings(
            gamma=options.gamma,
            alpha=alpha if options.conservative else 0.0,
            members=options.members,
            hidden=tuple(options.hidden),
        ),
        epsilon=options.epsilon,
        support=options.support,
        updates=options.updates,
        seed=options.seed,
    )
    start = _start(options)
    options.out.mkdir(parents=True, exist_ok=True)
    transitions = _transitions(options)
    print(f"{len(transitions):,} transitions, {int(transitions['cost'].sum()):,} unsafe")
    with _Display(settings.updates) as display:
        card = train_critic(transitions, settings, transitions.about, options.out, display.show)
    held_out = card["held_out"]
    title = f"{card['kind']} critic {card['sha256'][:12]}"
    draw_reliability(held_out["bins"], title, options.out / "reliability.png")
    ranks = "  ".join(f"{horizon} steps {value:.3f}" for horizon, value in held_out["auroc"].items())
    print(f"held out: Brier {held_out['brier']:.4f} (base rate {held_out['brier_constant']:.4f}), AUROC {ranks}")
    print(card["horizon"])
    low, high = card["data"]["torque_limit"]
    note = ": under any other it knows nothing" if low == high else ""
    if transitions.about.get("action_bound") is not None:
        note = "; it is not told which is in force"  # an observation of tool, block and goal holds no limit
    print(f"torque limits seen: {low:g} to {high:g} N·m{note}")
    print(f"{options.out / 'critic.safetensors'}  version {card['sha256'][:12]}")
    if start is not None:
        print(_join(options, start, transitions.about["task"]))
    for reason in card["against"]:
        print(f"  ! not certified: {reason}")
    return 0 if card["certified"] else NOT_CERTIFIED


def _start(options: argparse.Namespace) -> Any:
    """The policy that the critic is to be joined with; None: none was named.

    Raises:
      ValueError: if it is none that can be, before anything is trained.
    """
    from safe_transfer_ros.transfer.off_policy.start import start_of

    if not options.policy:
        return None
    if options.conservative:
        raise ValueError("--policy is for a critic of SQRL: leave out --conservative")
    return start_of(options.policy)


def _join(options: argparse.Namespace, start: Any, task: str) -> Path:
    """Write one file of the policy and the trained critic; its path."""
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
    from safe_transfer_ros.critics.safety_critic import load_critic
    from safe_transfer_ros.files import write_atomically
    from safe_transfer_ros.tasks.task import TASKS
    from safe_transfer_ros.transfer.sqrl.critic_file import with_critic

    critic, path = load_critic(options.out / "critic.safetensors"), options.out / "policy.safetensors"
    about = {"task": task, "policy": options.policy}
    write_atomically(path, with_critic(start, critic, TASKS[task].limit_input, about))
    return path


def _transitions(options: argparse.Namespace) -> Any:
    """One folder of transitions of all that was given."""
    from safe_transfer_ros.bags.errors import BagError
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.bags.transition_store import ABOUT, Transitions
    from safe_transfer_ros.bags.transitions import write_transitions
    from safe_transfer_ros.tasks.deployment import in_graph

    if len(options.bags) == 1 and (options.bags[0] / ABOUT).exists():
        return Transitions(options.bags[0])
    if any((path / ABOUT).exists() for path in options.bags):
        raise BagError("give recordings, or one folder of transitions; bag to-transitions joins several recordings")
    folder = options.out / "transitions"
    sources = [str(path) for path in options.bags]
    if folder.exists():
        try:
            made = Transitions(folder)
            newest = max(file.stat().st_mtime_ns for path in options.bags for file in Bag(path).files)
            same = [source["bag"] for source in made.about["sources"]] == sources
            if same and newest < (folder / ABOUT).stat().st_mtime_ns:  # nothing was recorded there since
                return made
        except BagError:
            pass  # it was stopped while it was written
        shutil.rmtree(folder)
    transitions, counts = write_transitions([Bag(path) for path in options.bags], in_graph(options.task), folder)
    print(counts.describe())
    return transitions


class _Display(BarDisplay):
    """A bar; elsewhere than on a terminal a line per look at the held-out episodes."""

    def __init__(self, updates: int) -> None:
        console = Console()
        super().__init__(console, progress_bar(console, what="updates"))
        self._bar = self._progress.add_task("", total=updates, numbers="")

    def show(self, check: Any) -> None:
        """Show one check."""
        numbers = f"held-out error {check.brier:.4f}{' *' if check.best else ''}"
        self._progress.update(self._bar, completed=check.updates, numbers=numbers)
        if not self._console.is_terminal:
            print(f"update {check.updates:,}  {numbers}", flush=True)
