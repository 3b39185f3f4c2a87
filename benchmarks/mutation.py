# SPDX-License-Identifier: Apache-2.0
"""Rules that no test would miss: changes safe_transfer_ros/safety one small thing at a time and runs its tests.

    python benchmarks/mutation.py                                # what no run has done yet; two workers, low priority
    python benchmarks/mutation.py safe_transfer_ros/safety/limit # only there
    python benchmarks/mutation.py --again                        # survivors once more, after tests were added
    python benchmarks/mutation.py --table                        # docs/results/mutation.md and .csv from what is done

A change is noticed where the module's own test file, or else one in test/safety that uses the module, fails or hangs.
Each runs in a fork of one process that has the libraries loaded already. Results stand in --out and are kept for as
long as the function or class that was changed is the same; do not edit sources or tests while it runs (a copy of the
repository will do).

What changes nothing that could be observed is listed with the reason in docs/results/mutation_equivalent.csv and does
not count.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
sys.path.insert(0, str(Path(__file__).parent))

from mutation_changes import Change, changes  # noqa: E402 - after the path

ROOT = Path(__file__).parent.parent
SAFETY, TESTS = Path("safe_transfer_ros/safety"), Path("test/safety")
EQUIVALENT, TABLE, SURVIVORS = (
    ROOT / "docs/results" / name for name in ("mutation_equivalent.csv", "mutation.md", "mutation.csv")
)
PRELOADED = ("numpy", "scipy.special", "scipy.stats", "scipy.integrate", "pytest", "hypothesis.stateful")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A change and the tests that are to notice it."""

    file: str
    change: Change
    key: str
    stages: tuple[tuple[str, ...], ...]


def jobs(folders: list[str]) -> list[Job]:
    """Every change of every file below some folders."""
    found: list[Job] = []
    for path in dict.fromkeys(file for folder in folders for file in sorted(_python_files(Path(folder)))):
        source = path.read_text()
        same: Counter[tuple[str, str, str]] = Counter()
        for change in changes(source):
            what = (change.code, change.before, change.after)
            same[what] += 1
            text = json.dumps([str(path), change.part, *what, same[what]])
            key = hashlib.sha256(text.encode()).hexdigest()[:16]
            found.append(Job(file=str(path), change=change, key=key, stages=_stages(path)))
    return found


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*.py") if file.name != "__init__.py"]


def _stages(path: Path) -> tuple[tuple[str, ...], ...]:
    """The module's own test file; then all in test/safety that use the module."""
    own = TESTS / path.relative_to(SAFETY).parent / f"test_{path.stem}.py"
    module = ".".join(path.relative_to(SAFETY.parent).with_suffix("").parts)
    everywhere = module in (TESTS / "conftest.py").read_text()
    files = {str(file) for file in TESTS.rglob("test_*.py") if everywhere or module in file.read_text()}
    first = (str(own),) if own.exists() else ()
    rest = tuple(sorted(files - set(first)))
    return tuple(stage for stage in (first, rest) if stage)


class _Finder(importlib.abc.MetaPathFinder):
    """Puts a changed source in the place of a module."""

    def __init__(self, module: str, file: str, source: str) -> None:
        self._module, self._file, self._source = module, file, source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._file, loader=_Loader(fullname, self._file, self._source)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, file: str, source: str) -> None:
        super().__init__(name, file)
        self._source = source

    def get_code(self, fullname):
        return compile(self._source, self.path, "exec")


def start(job: Job | None, tests: tuple[str, ...], timeout_s: float) -> int:
    """Run tests in a fork; its exit status is pytest's."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    signal.alarm(int(timeout_s) + 1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    status = 3
    try:
        import pytest

        if job is not None:
            module = job.file.removesuffix(".py").replace("/", ".")
            sys.meta_path.insert(0, _Finder(module, str(ROOT / job.file), job.change.source))
        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", f"--confcutdir={TESTS}", *tests]))
    except BaseException:  # an import of the changed module may raise anything
        status = 1
    finally:
        os._exit(status)


def wait(child: int) -> str:
    """What came of a fork."""
    _, status = os.waitpid(child, 0)
    return outcome(status)


def outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) == signal.SIGALRM else "noticed"
    return {0: "survived", 5: "no tests"}.get(os.WEXITSTATUS(status), "noticed")


def run(todo: list[Job], results: Path, workers: int) -> None:
    """Do jobs and append what came of each to a file."""
    slowest: dict[tuple[str, ...], float] = {}
    for tests in {stage for job in todo for stage in job.stages}:
        began = time.monotonic()
        if wait(start(None, tests, 600.0)) != "survived":
            raise SystemExit(f"the tests fail before anything was changed: {' '.join(tests)}")
        slowest[tests] = time.monotonic() - began
    queue = [(job, 0) for job in reversed(todo)]
    running: dict[int, tuple[Job, int]] = {}
    done = 0
    with results.open("a") as file:
        while queue or running:
            while queue and len(running) < workers:
                job, stage = queue.pop()
                tests = job.stages[stage]
                running[start(job, tests, 20.0 + 6.0 * slowest[tests])] = (job, stage)
            child, status = os.waitpid(-1, 0)
            job, stage = running.pop(child)
            came = outcome(status)
            if came == "survived" and stage + 1 < len(job.stages):
                queue.append((job, stage + 1))
                continue
            done += 1
            file.write(json.dumps({"key": job.key, "outcome": came}) + "\n")
            file.flush()
            if came == "survived" or done % 50 == 0:
                change = job.change
                print(
                    f"{done}/{len(todo)} {came}: {job.file}:{change.line}: {change.before} -> {change.after}",
                    flush=True,
                )


def recorded(results: Path) -> dict[str, str]:
    """Outcome by key, the newest one."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {row["key"]: row["outcome"] for row in map(json.loads, lines)}


def equivalents() -> dict[tuple[str, str, str, str], str]:
    """Why a change makes no difference, by file, code, before and after."""
    if not EQUIVALENT.exists():
        return {}
    with EQUIVALENT.open(newline="") as file:
        return {(row["file"], row["code"], row["before"], row["after"]): row["why"] for row in csv.DictReader(file)}


def write_table(all_jobs: list[Job], outcomes: dict[str, str]) -> None:
    """The score of every file, and every survivor."""
    why = equivalents()
    rows, survivors = [], []
    for name in sorted({job.file for job in all_jobs}):
        own = [job for job in all_jobs if job.file == name]
        done = [job for job in own if job.key in outcomes]
        left = [job for job in done if outcomes[job.key] == "survived"]
        reasons = [why.get((name, job.change.code, job.change.before, job.change.after), "") for job in left]
        survivors += list(zip(left, reasons, strict=True))
        alike = sum(bool(reason) for reason in reasons)
        rows.append((name, len(own), len(done), len(left) - alike, alike))
    TABLE.write_text(_text(rows, survivors))
    with SURVIVORS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "line", "code", "before", "after", "equivalent_because"))
        for job, reason in survivors:
            writer.writerow((job.file, job.change.line, job.change.code, job.change.before, job.change.after, reason))
    total = [sum(row[column] for row in rows) for column in (1, 2, 3, 4)]
    print(f"{total[0]} changes, {total[1]} tried, {total[2]} unnoticed, {total[3]} equivalent: {_score(*total[1:])}")


def _score(done: int, unnoticed: int, alike: int) -> str:
    return f"{100.0 * (1.0 - unnoticed / (done - alike)):.1f} %" if done > alike else "-"


def _text(rows: list[tuple[str, int, int, int, int]], survivors: list[tuple[Job, str]]) -> str:
    lines = [
        "# Mutation score of the safety rules",
        "",
        "Made by `python benchmarks/mutation.py --table`; do not edit. One small change of `safe_transfer_ros/safety`",
        "at a time (a comparison turned, a term dropped, a check removed), then the tests in `test/safety`. A change",
        "that no test notices is a rule that nobody would miss. The score leaves out changes that make no difference;",
        "why each of them makes none is in [mutation.csv](mutation.csv).",
        "",
        "| file | changes | tried | unnoticed | no difference | score |",
        "|---|---|---|---|---|---|",
    ]
    for name, changed, done, unnoticed, alike in rows:
        short = name.removeprefix("safe_transfer_ros/")
        lines.append(f"| {short} | {changed} | {done} | {unnoticed} | {alike} | {_score(done, unnoticed, alike)} |")
    total = [sum(row[column] for row in rows) for column in (1, 2, 3, 4)]
    lines.append(f"| **all** | {total[0]} | {total[1]} | {total[2]} | {total[3]} | {_score(*total[1:])} |")
    missed = [job for job, reason in survivors if not reason]
    if missed:
        lines += ["", "## Unnoticed", ""]
        for job in missed:
            change, name = job.change, job.file.removeprefix("safe_transfer_ros/")
            lines.append(f"- `{name}:{change.line}`: `{change.before}` -> `{change.after}`")
    return "\n".join(lines) + "\n"


def _do_not_shrink() -> None:
    """A failing example is enough; the smallest one takes seconds."""
    import hypothesis

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", phases=phases)
    hypothesis.settings.load_profile("mutation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", nargs="*", default=[str(SAFETY)], help="files or folders below safe_transfer_ros/safety"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="try what survived once more")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--out", type=Path, default=Path("runs/mutation"))
    options = parser.parse_args()
    os.chdir(ROOT)
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "outcomes.jsonl"
    if options.table:
        write_table(jobs([str(SAFETY)]), recorded(results))
        return
    os.nice(15)
    for name in PRELOADED:
        importlib.import_module(name)
    _do_not_shrink()
    outcomes = recorded(results)
    why = equivalents()

    def wanted(job: Job) -> bool:
        if job.key not in outcomes:
            return True
        known = (job.file, job.change.code, job.change.before, job.change.after) in why
        return options.again and outcomes[job.key] == "survived" and not known

    run([job for job in jobs(options.paths) if wanted(job)], results, options.workers)


if __name__ == "__main__":
    main()
