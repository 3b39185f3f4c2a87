# SPDX-License-Identifier: Apache-2.0
"""Speed of the whole graph, all six processes with recording, measured from the bag of a real run.

    python benchmarks/graph.py lockstep [--iterations 20] [--set key:=value ...]
    python benchmarks/graph.py realtime [--minutes 10] [--set key:=value ...]

lockstep: environment steps a second during rollouts and over whole iterations (updates included), how a step divides
into hops (robot -> policy_server -> safety_filter -> robot, by arrival at the recorder), processor time per step and
process. realtime: period of the proposals and of the commands against the wanted one, and how many came late.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.launching import domain, pr2_cup_swirl
from safe_transfer_ros.launching.embedded import Launcher
from safe_transfer_ros.record.iteration import read

STATES, ACTIONS, COMMANDS = "/joint_states", "/policy_server/action", "/effort_controller/commands"


def run(run_dir: Path, **given: str) -> dict[str, float]:
    """One run of the graph; processor seconds of each process after its first iteration."""
    plan = pr2_cup_swirl.GRAPH.plan({"run_dir": str(run_dir), **given})
    seconds: dict[str, float] = {}
    at_first: dict[str, float] = {}
    with Launcher(plan.processes, plan.parameters_file, domain.claim(), run_dir / "logs") as launcher:
        while launcher.running():
            for process in plan.processes:
                try:
                    stat = Path(f"/proc/{launcher.process_id(process.node)}/stat").read_text().rsplit(")", 1)[1].split()
                    seconds[process.node] = (int(stat[11]) + int(stat[12])) / 100.0
                except OSError:
                    pass
            if not at_first and (run_dir / "iterations.csv").exists() and len(read(run_dir / "iterations.csv")) > 0:
                at_first = dict(seconds)
            time.sleep(0.1)
    return {node: value - at_first.get(node, 0.0) for node, value in seconds.items()}


def arrivals(bag: Path) -> tuple[dict[tuple[int, int], list[tuple[str, int]]], list[int]]:
    """Arrival times at the recorder, ns: per episode the sequence of topics, and all commands."""
    episodes: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    commands: list[int] = []
    current: tuple[int, int] | None = None
    for topic, message, received in messages(bag, [STATES, ACTIONS, COMMANDS]):
        if topic == ACTIONS:
            current = (message.iteration, message.episode)
        if topic == COMMANDS:
            commands.append(received)
        if current is not None:
            episodes[current].append((topic, received))
            if topic == ACTIONS and message.last:
                current = None
    return episodes, commands


def lockstep(iterations: int, run_dir: Path, given: dict[str, str]) -> None:
    """Throughput and hops."""
    seconds = run(run_dir, **given, iterations=str(iterations), timing="lockstep")
    episodes, _ = arrivals(run_dir / "bag")
    rates, hops = [], defaultdict(list)
    names = {
        (STATES, ACTIONS): "robot state -> proposal (policy_server)",
        (ACTIONS, COMMANDS): "proposal -> command (safety_filter)",
        (COMMANDS, STATES): "command -> next state (mujoco_sim, 10 physics steps)",
    }
    for events in episodes.values():
        actions = [received for topic, received in events if topic == ACTIONS]
        rates.append((len(actions) - 1) / (actions[-1] - actions[0]) * 1e9)
        for (topic, before), (following, after) in zip(events, events[1:], strict=False):
            if (topic, following) in names:
                hops[names[topic, following]].append((after - before) / 1e3)
    records = read(run_dir / "iterations.csv")
    steps = sum(record.steps for record in records)
    whole = sum(record.steps for record in records[1:]) / (records[-1].wall_time_s - records[0].wall_time_s)
    print(f"lockstep, {iterations} iterations, {steps} environment steps, six processes, recording on")
    low, median, high = np.percentile(rates, [5, 50, 95])
    print(f"  rollouts:         {median:7.0f} steps/s median over episodes (5 %: {low:.0f}, 95 %: {high:.0f})")
    print(f"  whole iterations: {whole:7.0f} steps/s, updates and limits included")
    total = sum(np.median(values) for values in hops.values())
    print("  hop                                                      median µs   p99 µs   share")
    for name, values in hops.items():
        middle, late = np.percentile(values, [50, 99])
        print(f"  {name:56} {middle:9.0f} {late:8.0f} {middle / total:7.0%}")
    print("  processor time per step after the first iteration, µs: ", end="")
    later = steps - records[0].steps
    print(", ".join(f"{node} {value / later * 1e6:.0f}" for node, value in seconds.items()), end="; ")
    print(f"together {sum(seconds.values()) / later * 1e6:.0f}")


def realtime(minutes: float, run_dir: Path, given: dict[str, str]) -> None:
    """Period and jitter."""
    per_iteration = 5 * 10.0  # s: five episodes of ten seconds
    iterations = max(1, round(minutes * 60.0 / per_iteration))
    run(run_dir, **given, iterations=str(iterations), timing="realtime")
    episodes, _ = arrivals(run_dir / "bag")
    proposals = [np.diff([t for topic, t in events if topic == ACTIONS]) / 1e6 for events in episodes.values()]
    commands = [np.diff([t for topic, t in events if topic == COMMANDS]) / 1e6 for events in episodes.values()]
    print(f"real time, {iterations} iterations, {len(episodes)} episodes of 10 s, six processes, recording on")
    for name, periods, wanted in (("proposals", proposals, 50.0), ("commands", commands, 5.0)):
        values = np.concatenate(periods)
        quantiles = np.percentile(values, [0.1, 1, 50, 99, 99.9])
        late = np.mean(values > 1.5 * wanted)
        print(f"  {name}: period wanted {wanted:g} ms, mean {values.mean():.3f}, standard deviation {values.std():.3f}")
        print("    p0.1 {:.2f}  p1 {:.2f}  median {:.2f}  p99 {:.2f}  p99.9 {:.2f} ms".format(*quantiles), end="")
        print(f"  max {values.max():.2f} ms; later than 1.5 periods: {late:.4%} of {len(values)}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("timing", choices=("lockstep", "realtime"))
    parser.add_argument("--iterations", type=int, default=20, help="lockstep: iterations of 1,000 steps")
    parser.add_argument("--minutes", type=float, default=10.0, help="real time: how long")
    parser.add_argument("--set", nargs="*", default=[], metavar="key:=value", help="further launch arguments")
    options = parser.parse_args()
    given = dict(word.split(":=", 1) for word in options.set)
    with tempfile.TemporaryDirectory() as folder:
        if options.timing == "lockstep":
            lockstep(options.iterations, Path(folder) / "run", given)
        else:
            realtime(options.minutes, Path(folder) / "run", given)


if __name__ == "__main__":
    main()
