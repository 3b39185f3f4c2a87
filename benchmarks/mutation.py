# SPDX-License-Identifier: Apache-2.0
"""Rules that no test would miss: changes safe_transfer_ros/safety one small thing at a time and runs its tests.

    python benchmarks/mutation.py                                # what no run has done yet; two workers, low priority
    python benchmarks/mutation.py safe_transfer_ros/safety/limit # only there
    python benchmarks/mutation.py --seconds 10                   # only the quickest tests, 10 s of them each
    python benchmarks/mutation.py --again                        # survivors once more, by all tests
    python benchmarks/mutation.py --table                        # docs/results/mutation.md and .csv from what is done

A change is noticed where a test in test/safety that runs the changed function fails or hangs. The tests are collected
once; each change is put into the running functions of a fork. (Where it is in no function, the tests that name the
module are run from the start.) Results stand in --out and are kept for as long as the function or class is the same; do
not edit sources or tests while it runs (a copy of the repository will do).

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
import math
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, FunctionType

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
sys.path.insert(0, str(Path(__file__).parent))

import hypothesis  # noqa: E402 - after the environment
import pytest  # noqa: E402
import scipy.stats  # noqa: E402, F401 - loaded once for all forks
from mutation_changes import Change, changes  # noqa: E402

ROOT = Path(__file__).parent.parent
SAFETY, TESTS = Path("safe_transfer_ros/safety"), Path("test/safety")
EQUIVALENT, TABLE, SURVIVORS = (
    ROOT / "docs/results" / name for name in ("mutation_equivalent.csv", "mutation.md", "mutation.csv")
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A change, and the key of its result."""

    file: str
    change: Change
    key: str

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")


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
            found.append(Job(file=str(path), change=change, key=key))
    return found


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*.py") if file.name != "__init__.py"]


# Forks ---------------------------------------------------------------------------------------------------------------


def forked(work: Callable[[], bool], timeout_s: float) -> int:
    """Do work in a fork; its exit status is 0 where that gives True, 1 where not or where it raises.

    The time is the processor's, else a busy machine would take a change that passes for one that hangs.
    """
    child = os.fork()
    if child:
        return child
    os.setsid()
    signal.setitimer(signal.ITIMER_PROF, timeout_s)
    signal.alarm(20 * int(timeout_s))  # work that waits needs no processor
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    status = 1
    try:
        status = 0 if work() else 1
    except BaseException:  # a changed function may raise anything
        status = 1
    finally:
        os._exit(status)


def outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else "noticed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "noticed"


def run(todo: list[Job], work: Callable[[Job], tuple[Callable[[], bool], float]], results: Path, workers: int) -> None:
    """Do jobs, several at a time, and append what came of each to a file."""
    queue, running, done = list(reversed(todo)), {}, 0
    with results.open("a") as file:
        while queue or running:
            while queue and len(running) < workers:
                job = queue.pop()
                running[forked(*work(job))] = job
            child, status = os.waitpid(-1, 0)
            job, came, done = running.pop(child), outcome(status), done + 1
            file.write(json.dumps({"key": job.key, "outcome": came}) + "\n")
            file.flush()
            if came == "survived" or done % 50 == 0:
                what = f"{job.file}:{job.change.line}: {job.change.before} -> {job.change.after}"
                print(f"{done}/{len(todo)} {came}: {what}", flush=True)


# Changes in functions: the tests are collected once -----------------------------------------------------------------


class Collected:
    """A pytest plug-in that runs the collected tests against one change after the other instead of once."""

    def __init__(self, todo: list[Job], results: Path, workers: int, seconds: float) -> None:
        self._todo, self._results, self._workers, self._seconds = todo, results, workers, seconds

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise SystemExit("the tests cannot be collected")
        calls = self._calls(session.items)
        self._tests: dict[tuple[str, str], list[tuple[float, pytest.Item]]] = defaultdict(list)
        for item in session.items:
            seconds, functions = calls[item.nodeid]
            for function in functions:
                self._tests[function].append((seconds, item))
        run(self._todo, self._work, self._results, self._workers)
        return True

    def _work(self, job: Job) -> tuple[Callable[[], bool], float]:
        own = _files_about(job.module)  # most likely to notice
        ordered = sorted(
            self._tests[job.file, job.change.function], key=lambda test: (test[1].path not in own, test[0])
        )
        until = accumulate(seconds for seconds, _ in ordered)
        tests = [test for test, spent in zip(ordered, until, strict=True) if spent <= self._seconds]

        def passes() -> bool:
            put(job)
            for seconds, item in tests:
                signal.setitimer(signal.ITIMER_PROF, 10.0 + 6.0 * seconds)  # a loop without end is soon told from work
                if not _passes(item):
                    return False
            return True

        return passes, 20.0 + 6.0 * sum(seconds for seconds, _ in tests)

    def _calls(self, items: list[pytest.Item]) -> dict[str, tuple[float, list[tuple[str, str]]]]:
        """How long every test takes and which functions of ours it runs, found out in a fork; kept for the next run."""
        sources = b"".join(path.read_bytes() for folder in (SAFETY, TESTS) for path in sorted(folder.rglob("*.py")))
        kept = self._results.parent / f"calls-{hashlib.sha256(sources).hexdigest()[:16]}.json"
        if not kept.exists():
            made = kept.with_suffix(".new")
            child = forked(lambda: _record(items, made), 1800.0)
            if outcome(os.waitpid(child, 0)[1]) != "survived":
                raise SystemExit(f"tests fail before anything was changed: {made.read_text()}")
            made.rename(kept)
        found = json.loads(kept.read_text())
        return {name: (seconds, [tuple(each) for each in functions]) for name, (seconds, functions) in found.items()}


@cache
def _files_about(module: str) -> frozenset[Path]:
    """Test files that name a module."""
    stem = module.rpartition(".")[2]
    files = (ROOT / TESTS).rglob("test_*.py")
    return frozenset(file for file in files if stem in file.name or module in file.read_text())


def _record(items: list[pytest.Item], path: Path) -> bool:
    prefix, seen, found = str(ROOT / SAFETY), set(), {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(prefix):
            seen.add((frame.f_code.co_filename, frame.f_code.co_qualname.split(".<locals>")[0]))

    for item in items:
        seen.clear()
        began = time.process_time()
        sys.setprofile(note)
        passed = _passes(item)
        sys.setprofile(None)
        if not passed:
            path.write_text(item.nodeid)
            return False
        functions = [(str(Path(file).relative_to(ROOT)), name) for file, name in seen]
        found[item.nodeid] = (time.process_time() - began, functions)
    path.write_text(json.dumps(found))
    return True


def _passes(item: pytest.Item) -> bool:
    from _pytest.runner import runtestprotocol

    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def put(job: Job) -> None:
    """Put the changed body of a function in the place of the one that is loaded."""
    module, codes = sys.modules[job.module], {}
    waiting = [compile(job.change.source, str(ROOT / job.file), "exec")]
    while waiting:
        code = waiting.pop()
        codes[code.co_qualname] = code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    put_in = False
    for function in _functions(vars(module).values(), job.module):
        if function.__code__.co_qualname == job.change.function:
            function.__code__ = codes[job.change.function]
            put_in = True
    if not put_in:
        raise SystemExit(f"{job.module} has no function {job.change.function}")


def _functions(values: Iterable[object], module: str) -> Iterator[FunctionType]:
    for value in values:
        if isinstance(value, type) and value.__module__ == module:
            yield from _functions(vars(value).values(), module)
        value = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
        if isinstance(value, FunctionType) and value.__module__ == module:
            yield value


# Changes elsewhere: everything from the start -----------------------------------------------------------------------


class _Finder(importlib.abc.MetaPathFinder):
    """Puts a changed source in the place of a module."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._job.module:
            return None
        file = str(ROOT / self._job.file)
        loader = _Loader(fullname, file)
        loader.source = self._job.change.source
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    source = ""

    def get_code(self, fullname):
        return compile(self.source, self.path, "exec")


def from_the_start(job: Job) -> tuple[Callable[[], bool], float]:
    module = job.module.removeprefix("safe_transfer_ros.")
    everywhere = module in (TESTS / "conftest.py").read_text()
    named = [str(file) for file in sorted(TESTS.rglob("test_*.py")) if everywhere or module in file.read_text()]
    own = [file for file in named if Path(file).name == f"test_{Path(job.file).name}"]  # most likely to notice
    rest = [file for file in named if file not in own]
    parts = [files for files in (own, rest, [str(TESTS)]) if files]  # at last all, as most go through other modules

    def passes() -> bool:
        sys.meta_path.insert(0, _Finder(job))
        return all(pytest.main([*_OPTIONS, "-x", *files]) == 0 for files in parts)

    return passes, 300.0


_OPTIONS = ("-q", "-p", "no:cacheprovider", f"--confcutdir={TESTS}")


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
    parser.add_argument("--seconds", type=float, default=math.inf, help="tests per change; the quickest go first")
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
    _do_not_shrink()
    outcomes = recorded(results)
    why = equivalents()

    def wanted(job: Job) -> bool:
        if job.key not in outcomes:
            return True
        known = (job.file, job.change.code, job.change.before, job.change.after) in why
        return options.again and outcomes[job.key] == "survived" and not known

    todo = [job for job in jobs(options.paths) if wanted(job)]
    run([job for job in todo if not job.change.function], from_the_start, results, options.workers)
    todo = [job for job in todo if job.change.function]
    if todo:
        pytest.main([*_OPTIONS, str(TESTS)], plugins=[Collected(todo, results, options.workers, options.seconds)])


if __name__ == "__main__":
    main()
