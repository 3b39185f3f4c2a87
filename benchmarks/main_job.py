# SPDX-License-Identifier: Apache-2.0
"""The main job over several seeds, adaptive and fixed, through the ROS graph: a CSV summary and two figures.

    python benchmarks/main_job.py --seeds 3 --out runs/main_job [--d-safe 0.2 --set perturbation:=light_sticky ...]

Without options it is what `make run` does.

Runs that are there already are not repeated, so an interrupted study goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter

from safe_transfer_ros.files import write_rows
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.record.iteration import IterationRecord, read

STORY = ["initial_torque_limit:=0.3", "perturbation:=literal", "unsafety_monitor.benefit:=false"]  # see Makefile
TICKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 2, 3)  # of the torque limit, N·m
ENDS = 5  # iterations averaged at the start and at the end


def run(run_dir: Path, iterations: int, arguments: list[str]) -> list[IterationRecord]:
    done = len(read(run_dir / "iterations.csv")) if (run_dir / "iterations.csv").exists() else 0
    if done < iterations:
        own = [f"resume:={run_dir}"] if (run_dir / "config.yaml").exists() else [f"run_dir:={run_dir}", *arguments]
        command = module_command("safe_transfer_ros.cli.main", "up", "pr2_cup_swirl")
        subprocess.run([*command, f"iterations:={iterations}", *own], check=True)
    return read(run_dir / "iterations.csv")


def summary(name: str, seed: int, rows: list[IterationRecord], d_safe: float) -> dict[str, object]:
    returns = np.array([row.mean_return for row in rows])
    task = np.array([row.mean_task_return for row in rows])
    damage = np.array([row.expected_damage for row in rows])
    limits = np.array([row.torque_limit for row in rows])
    rises = limits[1:] / limits[:-1]
    return {
        "limit": name,
        "seed": seed,
        "iterations": len(rows),
        "return_first_5": round(float(returns[:ENDS].mean()), 1),
        "return_last_5": round(float(returns[-ENDS:].mean()), 1),
        "task_return_first_5": round(float(task[:ENDS].mean()), 1),
        "task_return_last_5": round(float(task[-ENDS:].mean()), 1),
        "largest_damage": round(float(damage.max()), 4),
        "iterations_over_d_safe": int((damage > d_safe).sum()),
        "first_iteration_over": int(np.argmax(damage > d_safe)) if (damage > d_safe).any() else "",
        "largest_unsafety_rate": round(float(max(row.unsafety_rate for row in rows)), 4),
        "torque_limit_last": round(float(limits[-1]), 4),
        "largest_rise": round(float(rises.max()), 6),
        "steps_per_second": round(sum(row.steps for row in rows[1:]) / (rows[-1].wall_time_s - rows[0].wall_time_s)),
    }


def draw(runs: dict[str, list[list[IterationRecord]]], d_safe: float, out: Path) -> None:
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
    plt.rcParams.update({"grid.color": "#e5e5e5"})
    colours = {"adaptive": "#0072b2", "fixed": "#d55e00"}
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), constrained_layout=True)
    panels = (("mean_return", "return of an episode"), ("expected_damage", "expected damage p·T [N·m]"))
    for axis, (column, label) in zip(axes, (*panels, ("torque_limit", "torque limit [N·m]")), strict=True):
        for name, seeds in runs.items():
            values = np.array([[getattr(row, column) for row in rows] for rows in seeds])
            for row in values:
                axis.plot(row, color=colours[name], linewidth=0.8, alpha=0.35)
            axis.plot(
                values.mean(axis=0), color=colours[name], linewidth=2, label=f"{name} limit, mean of {len(seeds)}"
            )
        axis.set_xlabel("iteration")
        axis.set_title(label, fontsize=11, loc="left")
    axes[0].set_yscale("symlog", linthresh=100)
    axes[1].axhline(d_safe, color="black", linewidth=1.2)
    axes[1].annotate("D_safe", (0, d_safe), xytext=(0, 3), textcoords="offset points")
    axes[1].set_yscale("symlog", linthresh=0.1)
    axes[1].set_ylim(bottom=0)
    axes[2].set_yscale("log")
    for axis, ticks in ((axes[0], (-1000, -300, -100, 0)), (axes[1], (0, 0.1, 0.2, 0.5, 1, 2, 3)), (axes[2], TICKS)):
        low, high = axis.get_ylim()
        axis.set_yticks([tick for tick in ticks if low <= tick <= high], labels=None)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}".replace("-", "−")))
        axis.minorticks_off()
    axes[1].legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.12))
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs/main_job"))
    parser.add_argument("--d-safe", type=float, default=0.5)
    parser.add_argument("--only", choices=("adaptive", "fixed"), help="leave the other out")
    parser.add_argument("--set", nargs="*", default=STORY, metavar="key:=value", help="further launch arguments")
    options = parser.parse_args()
    runs: dict[str, list[list[IterationRecord]]] = {}
    rows = []
    for seed in range(options.seeds):
        for name in ("adaptive", "fixed"):
            if options.only in (None, name):
                arguments = [f"seed:={seed}", f"limit_rule:={name}", f"d_safe:={options.d_safe}", *options.set]
                records = run(options.out / f"{name}-{seed}", options.iterations, arguments)
                runs.setdefault(name, []).append(records)
                rows.append(summary(name, seed, records, options.d_safe))
    write_rows(options.out / "summary.csv", rows)
    print((options.out / "summary.csv").read_text())
    draw(runs, options.d_safe, options.out / "main_job.png")


if __name__ == "__main__":
    main()
