# SPDX-License-Identifier: Apache-2.0
"""The safety filter for an hour in real time: a trainer updating beside it, a random fault every few seconds.

    python benchmarks/soak.py [--minutes 60] [--out runs/soak] [--priority 20]

One filter process from the start to the end. Every command it publishes is held against the promises (bounds, rate,
freshness), also between the faults; each fault is judged as in `safe_transfer fault-campaign`; at the end the bag must
hold what was published before every fault. Memory of the filter's process is sampled after each fault. Writes soak.csv,
soak.png and summary.txt; status 1 if a promise was broken or memory grew.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from safe_transfer_ros.faults import promises, recorded, repeat
from safe_transfer_ros.faults.fault import Fault, Safe
from safe_transfer_ros.faults.stage import Setting, Stage
from safe_transfer_ros.faults.table import FAULTS
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import dds

SETTING = Setting(e_stop=True, intruder=True, simulated_clock=True, parameters={"safety_filter": {"e_stop_lease": 0.2}})
# The filter must live on, and a process that was killed stays in the graph for twenty seconds: those have their rows in
# the campaign. A stage has one robot, one critic and one first limit.
LEFT_OUT = ("policy_killed", "monitor_killed", "limit_above_ceiling")
GROWTH_ALLOWED = 2.0  # MB an hour


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line of soak.csv: a fault, and the filter's memory after it."""

    minutes: float
    fault: str
    kept: str
    time_to_safe_ms: float
    allowed_ms: float
    stall_ms: float
    resident_mb: float
    broken: str


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="directory to write")
    parser.add_argument("--seed", type=int, default=0, help="of the faults and their moments")
    parser.add_argument("--priority", type=int, default=0, help="SCHED_FIFO priority, see safe_transfer fault-campaign")
    parser.add_argument("--trainer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trainer:
        return train_for_ever()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    dds.set_defaults()
    samples, lost = soak(options)
    return report(samples, lost, options)


def faults() -> tuple[Fault, ...]:
    """Those that one long-lived filter with one setting can be put through."""
    alike = ("intruder", "e_stop", "simulated_clock", "parameters")  # what SETTING has more of does them no harm
    plain = {field.name for field in fields(Setting)} - set(alike)
    return tuple(
        fault
        for fault in FAULTS
        if fault.name not in LEFT_OUT
        and fault.ends_filter is None
        and fault.ends_recorder is None
        and all(getattr(fault.setting, name) == getattr(SETTING, name) for name in plain)
    )


def soak(options: argparse.Namespace) -> tuple[list[Sample], int]:
    """Run it: what every fault showed, and how many messages the bag lacks."""
    rng = random.Random(options.seed)
    choice, samples, published = faults(), [], []
    claimed = domain.claim()
    options.out.mkdir(parents=True, exist_ok=True)
    stage = Stage(SETTING, options.out / "stage", claimed.number, seed=options.seed, priority=options.priority)
    with trainer(), open(options.out / "soak.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        with stage:
            begin = time.monotonic()
            judged_ns = time.monotonic_ns()
            try:
                while time.monotonic() - begin < 60.0 * options.minutes:
                    time.sleep(rng.uniform(0.5, 3.0))
                    fault = rng.choice(choice)
                    outcome = repeat.run(fault, stage, rng)
                    published.append(outcome.published)
                    now_ns = time.monotonic_ns()
                    broken, late = between(stage, judged_ns, now_ns)
                    outcome.broken += [text for text in broken if text not in outcome.broken]
                    outcome.late += [text for text in late if text not in outcome.late]
                    judged_ns = now_ns
                    sample = Sample(
                        minutes=round((time.monotonic() - begin) / 60.0, 4),
                        fault=fault.name,
                        kept=outcome.kept,
                        time_to_safe_ms=round(outcome.time_to_safe_ms, 2),
                        allowed_ms=outcome.allowed_ms,
                        stall_ms=round(outcome.stall_ms, 1),
                        resident_mb=resident_mb(stage.process_id("filter")),
                        broken="; ".join(outcome.broken + outcome.late),
                    )
                    samples.append(sample)
                    writer.writerow(asdict(sample))
                    file.flush()
                    say(sample, options.minutes, len(samples))
                    stage.forget()
            except KeyboardInterrupt:
                print("\ninterrupted: what was seen until now is reported")
    claimed.release()
    return samples, sum(recorded.missing(stage.bags, published))


def between(stage: Stage, begin_ns: int, end_ns: int) -> tuple[list[str], list[str]]:
    """Promises broken by any command of a span of time, faults and what lies between them."""
    commands = [(t, torque) for t, torque in list(stage.observer.commands) if begin_ns <= t < end_ns]
    times = np.array([t for t, _ in commands], dtype=np.int64)
    return promises.broken(
        times, [torque for _, torque in commands], stage.bounds, stage.grants(), stage.times("policy")
    )


def resident_mb(process: int) -> float:
    """Resident memory of a process that is its own, without files it shares with others, MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024.0
    raise ValueError(f"/proc/{process}/status has no RssAnon")


@contextmanager
def trainer() -> Iterator[None]:
    """Policy updates without a pause, as nice as the trainer's node."""
    process = subprocess.Popen([sys.executable, __file__, "--trainer"], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def train_for_ever() -> int:
    """TRPO updates of the cup-swirl policy on batches of a thousand steps."""
    from safe_transfer_ros.algorithms.single_thread import single_thread
    from safe_transfer_ros.algorithms.trpo import TrpoBatch, trpo_update
    from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
    from safe_transfer_ros.policies.forward import GaussianPolicy
    from safe_transfer_ros.policies.gaussian import initial_parameters
    from safe_transfer_ros.policies.weights import Architecture

    parent = os.getppid()
    os.nice(5)
    rng = np.random.default_rng(0)
    parameters = initial_parameters(Architecture(observation_size=18, hidden=(64, 64, 64), action_size=7), seed=0)
    with single_thread():
        while os.getppid() == parent:
            observations = rng.standard_normal((1000, 18)).astype(np.float32)
            actions = GaussianPolicy(parameters).sample(observations, rng.standard_normal((1000, 7))).astype(np.float32)
            batch = TrpoBatch(observations=observations, actions=actions, advantages=rng.standard_normal(1000))
            parameters = trpo_update(parameters, batch, TrustRegionSettings(max_kl=0.01), seed=0).parameters
    return 0


def growth(samples: list[Sample]) -> float:
    """Growth of the filter's memory after the first tenth, MB an hour: slope of the line through the samples."""
    settled = [sample for sample in samples if sample.minutes >= 0.1 * samples[-1].minutes]
    hours = np.array([sample.minutes for sample in settled]) / 60.0
    return float(np.polyfit(hours, [sample.resident_mb for sample in settled], 1)[0]) if len(settled) > 2 else 0.0


def say(sample: Sample, minutes: float, count: int) -> None:
    """Progress: in place on a terminal; elsewhere only what was not kept."""
    text = (
        f"{sample.minutes:6.1f}/{minutes:g} min  {count:4} faults  filter {sample.resident_mb:.1f} MB  {sample.fault}"
    )
    if sample.kept != "yes":
        print(f"{text}: {sample.kept}: {sample.broken}", flush=True)
    elif sys.stdout.isatty():
        print(f"\r{text:100}", end="", flush=True)


def report(samples: list[Sample], lost: int, options: argparse.Namespace) -> int:
    """Summary and plot; the exit status."""
    if len(samples) < 2:
        print("too short to tell anything")
        return 1
    kept = Counter(sample.kept for sample in samples)
    slope = growth(samples)
    first, last = samples[0].resident_mb, samples[-1].resident_mb
    load = os.getloadavg()[2]
    lines = [
        f"{samples[-1].minutes:.1f} minutes, {len(samples)} faults of {len({s.fault for s in samples})} kinds, "
        f"a trainer updating beside; load average {load:.1f} on {os.cpu_count()} processors, "
        f"SCHED_FIFO priority {options.priority}",
        f"promises: {kept['yes']} faults kept all, {kept['no']} broke one, {kept['stalled']} late with the machine",
        f"messages published before a fault and not in the bag: {lost}",
        f"filter's own resident memory: {first:.1f} MB at the first fault, {last:.1f} MB at the last, "
        f"{slope:+.2f} MB an hour after the first tenth",
    ]
    text = "\n".join(lines)
    (options.out / "summary.txt").write_text(text + "\n", encoding="utf-8")
    plot(samples, options.out / "soak.png")
    print(f"\n{text}\n{options.out / 'soak.png'}")
    long_enough = samples[-1].minutes >= 10.0  # before that the slope is that of the start
    return int(bool(kept["no"] or lost or (long_enough and slope > GROWTH_ALLOWED)))


def plot(samples: list[Sample], path: Path) -> None:
    """Memory over time, and for each fault how much of the time allowed it took to safe torque."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from safe_transfer_ros.reporting.plots import BLUE, INK, STYLE, VERMILLION

    minutes = np.array([sample.minutes for sample in samples])
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 7.2), dpi=144, layout="constrained")
        memory, times = figure.subplots(2, 1, height_ratios=(1, 2))
        resident = np.array([sample.resident_mb for sample in samples])
        memory.plot(minutes, resident, color=BLUE)
        memory.set_ylim(0.0, 1.25 * resident.max())
        memory.set_title(f"filter's own resident memory (MB; {growth(samples):+.2f} an hour)")
        memory.set_xlabel("minutes")
        names = sorted({fault.what for fault in faults() if fault.safe is not Safe.UNCHANGED})
        what = {fault.name: fault.what for fault in faults()}
        timed = [sample for sample in samples if sample.time_to_safe_ms == sample.time_to_safe_ms]
        names = [name for name in names if name in {what[sample.fault] for sample in timed}]
        for sample in timed:
            times.plot(
                100.0 * sample.time_to_safe_ms / sample.allowed_ms,
                names.index(what[sample.fault]),
                marker="o" if sample.kept == "yes" else "X",
                markersize=3.5 if sample.kept == "yes" else 8.0,
                color=BLUE if sample.kept == "yes" else VERMILLION,
                alpha=0.5,
            )
        times.axvline(100.0, color=INK, linewidth=1.0, linestyle=":")
        times.set_xlim(left=0.0)
        times.set_yticks(range(len(names)), names)
        times.set_title("time to safe torque")
        times.set_xlabel("% of the time allowed, most of which is the timeout itself")
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    raise SystemExit(main())
