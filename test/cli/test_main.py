# SPDX-License-Identifier: Apache-2.0
"""The command line: words in any order, the nearest word for a wrong one, nothing heavy imported for --help."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros.cli import main as program
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.interpreter import invocation, shadowed

ROOT = Path(__file__).parents[2]


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    """Options that a subcommand is called with."""
    seen: list[argparse.Namespace] = []
    command = next(word for word in words if word in program.COMMANDS)
    module = importlib.import_module(f"safe_transfer_ros.cli.{program.COMMANDS[command][0]}")
    add = module.add_parser

    def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        add(subparsers)
        subparsers.choices[command].set_defaults(run=lambda options: seen.append(options) or 0)

    monkeypatch.setattr(module, "add_parser", add_parser)
    monkeypatch.setattr(program, "_check_ros", lambda: None)
    assert main(list(words)) == 0
    return seen[0]


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--no-report", "pr2_cup_swirl", "a:=1", "b:=2"),
        ("up", "pr2_cup_swirl", "--no-report", "a:=1", "b:=2"),
        ("up", "pr2_cup_swirl", "a:=1", "--no-report", "b:=2"),
        ("up", "pr2_cup_swirl", "a:=1", "b:=2", "--no-report"),
    ],
)
def test_options_may_stand_between_launch_arguments(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    options = parsed(monkeypatch, *words)
    assert options.no_report and options.graph == "pr2_cup_swirl" and options.arguments == ["a:=1", "b:=2"]


def test_so_they_may_for_commission(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parsed(monkeypatch, "commission", "pr2_cup_swirl", "a:=1", "--step", "e_stop", "b:=2")
    assert options.step == ["e_stop"] and options.arguments == ["a:=1", "b:=2"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "pr2_cup_swirl", "--seed", "2"], "did you mean seed:=2?"),
        (["up", "pr2_cup_swirl", "--d-safe=0.3", "a:=1"], "did you mean d_safe:=0.3?"),
        (["up", "pr2_cup_swirl", "a:=1", "--seed"], "did you mean seed:=VALUE?"),
        (["rnu", "pr2_cup_swirl"], "unknown command 'rnu'; did you mean 'run'?"),
        (["doctor", "a:=1"], "unrecognized arguments: a:=1"),
        (["watch", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_a_wrong_word_is_named_with_the_nearest_right_one(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(told)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_nothing_heavy_is_imported_to_say_what_there_is(option: str) -> None:
    code = (
        "import sys; sys.argv[0] = 'safe_transfer'\n"
        "from safe_transfer_ros.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules.keys() & {'torch', 'matplotlib', 'rclpy', 'mujoco', 'scipy'}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]" and "safe_transfer" in done.stdout


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    subparsers = argparse.ArgumentParser().add_subparsers()
    for module in dict.fromkeys(module for module, _ in program.COMMANDS.values()):
        importlib.import_module(f"safe_transfer_ros.cli.{module}").add_parser(subparsers)
    own = {action.dest: action.help for action in subparsers._choices_actions}
    assert own == {name: text for name, (_, text) in program.COMMANDS.items()}


def test_a_suggested_command_can_be_typed_where_we_were_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAFE_TRANSFER_COMMAND", raising=False)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}:/usr/bin")
    assert invocation() == "safe_transfer"
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "argv", [str(scripts / "safe_transfer"), "up"])
    assert invocation() == str(scripts / "safe_transfer")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "main.py")])
    assert invocation() == f"{sys.executable} -m safe_transfer_ros.cli.main"
    other = tmp_path / "safe_transfer"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert invocation() != "safe_transfer", "another environment's"
    monkeypatch.setenv("SAFE_TRANSFER_COMMAND", "scripts/in_venv.sh safe_transfer")
    assert invocation() == "scripts/in_venv.sh safe_transfer"


@pytest.mark.parametrize("activated", [False, True])
def test_in_venv_says_how_to_call_it_again_where_that_is_needed(tmp_path: Path, activated: bool) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("in_venv.sh", "clean_environment.sh"):
        (tmp_path / "scripts" / name).write_text((ROOT / "scripts" / name).read_text())
        (tmp_path / "scripts" / name).chmod(0o755)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("safe_transfer", "say"):
        (programs / name).write_text('#!/bin/sh\necho "${SAFE_TRANSFER_COMMAND:-nothing}"\n')
        (programs / name).chmod(0o755)
    path = f"{programs}:/usr/bin:/bin" if activated else "/usr/bin:/bin"
    done = subprocess.run(
        ["scripts/in_venv.sh", "say"], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("nothing" if activated else "scripts/in_venv.sh safe_transfer")


def test_a_module_of_this_environment_is_not_shadowed() -> None:
    assert shadowed("numpy") is None and shadowed("no_such_module") is None


SPEAKS = """
import sys
from safe_transfer_ros.cli import doctor
from safe_transfer_ros.cli.main import main
def run(options):
    for number in range(100_000):
        print(f"{number} N\u00b7m")
    return 0
doctor.run = run
sys.exit(main(["doctor"]))
"""


def test_a_terminal_without_our_letters_gets_others() -> None:
    environment = dict(os.environ) | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", SPEAKS], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "7 N?m" in done.stdout


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SPEAKS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("0 N")
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 141)


def test_a_pipe_that_is_not_our_output_is_an_error(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    def run(options: argparse.Namespace) -> int:
        raise BrokenPipeError("a worker has gone")

    monkeypatch.setattr("safe_transfer_ros.cli.doctor.run", run)
    assert main(["doctor"]) == 2
    assert "a worker has gone" in capfd.readouterr().err
