# SPDX-License-Identifier: Apache-2.0
"""How long a newcomer waits: from a clone to the first report, and to a policy of one's own behind the filter.

    python benchmarks/newcomer.py [--source URL_OR_FOLDER] [--keep FOLDER]

Each way begins with a clone of its own, without an environment; pip's cache is as it is on this machine, and said.
Types the commands of the manual, one after the other, and prints the table of docs/quick_start.md. The policy is
an MLP of torch with weights by chance, as a stranger's state dict; what it does to the arm is not the point here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CONTRACT = """\
task: pr2_cup_swirl
source: state_dict
network:
  activation: tanh
observation:
  - part: joint_position
  - part: joint_velocity
action:
  kind: torque
  scale: 0.3
distribution: deterministic
"""
POLICY = "import torch; torch.manual_seed(0); net = torch.nn.Sequential(torch.nn.Linear(14, 64), torch.nn.Tanh(), "
POLICY += "torch.nn.Linear(64, 7)); torch.save(net.state_dict(), 'mine.pt')"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command that a person types.

    Attributes:
      command: As it is typed.
      gives: Files that are there afterwards, by pattern.
      shown: In the table; None: the command itself.
    """

    command: str
    gives: str = ""
    shown: str | None = None


def ways(source: str) -> dict[str, list[Step]]:
    """Both ways, step by step."""
    clone = Step(command=f"git clone -q {source} safe_transfer_ros", shown="git clone ...")
    own = [
        Step(command="make setup"),
        Step(command=f'.venv/bin/python -c "{POLICY}"', gives="mine.pt", shown="(a policy of one's own: mine.pt)"),
        Step(
            command=f"cat > contract.yaml <<'END'\n{CONTRACT}END",
            gives="contract.yaml",
            shown="(11 lines: contract.yaml)",
        ),
        Step(
            command=".venv/bin/safe_transfer import-policy mine.pt --contract contract.yaml --out mine.safetensors",
            gives="mine.safetensors",
        ),
        Step(
            command=".venv/bin/safe_transfer up pr2_cup_swirl policy:=mine.safetensors learner:=none iterations:=1 "
            "run_dir:=runs/mine",
            gives="runs/mine/report.html",
        ),
    ]
    return {
        "to the first report": [clone, Step(command="make run", gives="runs/*/report.html")],
        "to a policy of one's own behind the filter": [clone, *own],
    }


def walk(name: str, steps: list[Step], folder: Path) -> list[tuple[str, float]]:
    """Type the steps in an empty folder; time of each, s.

    Raises:
      SystemExit: if one fails or does not give what it should.
    """
    environment = {key: value for key, value in os.environ.items() if key in ("HOME", "PATH", "LANG", "TERM")}
    taken = []
    for step in steps:
        inside = folder / "safe_transfer_ros"
        where = inside if inside.exists() else folder
        began = time.monotonic()
        done = subprocess.run(["bash", "-c", step.command], cwd=where, env=environment, capture_output=True, text=True)
        taken.append((step.shown or step.command, time.monotonic() - began))
        if done.returncode or (step.gives and not list(where.glob(step.gives))):
            sys.exit(
                f"{name}: {step.command}\nended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        print(f"{taken[-1][1]:7.1f} s  {step.shown or step.command}", file=sys.stderr, flush=True)
    return taken


def main() -> None:
    """Walk both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--source", default=str(Path(__file__).resolve().parents[1]), help="what is cloned (this checkout)"
    )
    parser.add_argument("--keep", type=Path, help="keep the clones here")
    options = parser.parse_args()
    cache = Path.home() / ".cache" / "pip"
    there = "there" if cache.exists() else "empty"
    print(f"{os.cpu_count()} processors; load {os.getloadavg()[0]:.1f}; pip's cache is {there}\n")
    print("| way | command | minutes |\n|---|---|---|")
    for name, steps in ways(options.source).items():
        folder = Path(options.keep or tempfile.mkdtemp(prefix="newcomer-")) / name.replace(" ", "_").replace("'", "")
        folder.mkdir(parents=True)
        try:
            taken = walk(name, steps, folder)
        finally:
            if options.keep is None:
                shutil.rmtree(folder.parent, ignore_errors=True)
        for shown, seconds in taken:
            print(f"| {name} | `{shown}` | {seconds / 60:.1f} |")
        print(
            f"| {name} | **{len(taken)} commands** | **{sum(seconds for _, seconds in taken) / 60:.1f}** |", flush=True
        )


if __name__ == "__main__":
    main()
