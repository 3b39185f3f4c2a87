# SPDX-License-Identifier: Apache-2.0
"""Which run the view is of, and that it stays with it: claims are real, the link to the filter is played."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filter_messages import status

from safe_transfer_ros.cli import watch
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain
from safe_transfer_ros.safety.reasons import Mode


class Link:
    """A link that hears nothing by itself."""

    def __init__(self, view: object, listening: object) -> None:
        self.view, self.listening, self.closed = view, listening, False

    def spin(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run but the test's own is seen."""
    (tmp_path / "claims").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "claims"))
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setattr(watch, "_join", Link)
    monkeypatch.setattr(watch, "DISCOVERY_PERIOD_S", 0.0)
    yield


def run_in(run_dir: Path, monkeypatch: pytest.MonkeyPatch, number: int = 0) -> domain.Domain:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number or 90))
    claimed = domain.claim()
    monkeypatch.delenv("ROS_DOMAIN_ID")
    claimed.serves(run_dir)
    return claimed


def watching(*words: str) -> watch._Watch:
    """The view that a command line asks for."""
    parser = argparse.ArgumentParser()
    watch.add_parser(parser.add_subparsers())
    options = parser.parse_args(["watch", *words])
    assert options.run is watch.run, "an option has taken the command's place"
    return watch._Watch(watch.RunChoice(options))


def test_a_run_is_chosen_by_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = run_in(tmp_path / "a", monkeypatch, 90), run_in(tmp_path / "b", monkeypatch, 91)
    with pytest.raises(ConfigurationError, match="several runs are up.*choose by --run or --domain"):
        watching()
    monkeypatch.chdir(tmp_path)
    view = watching("--run", "b")
    assert (view.listening.domain, view.listening.run) == (91, str(tmp_path / "b"))
    with pytest.raises(ConfigurationError, match=r"--run .*/c is not the directory of a run that is up: up are .*90"):
        watching("--run", "c")
    one.release()
    other.release()
    with pytest.raises(ConfigurationError, match="none is up on this machine"):
        watching("--run", "b")


def test_another_run_on_the_same_domain_is_not_followed_unless_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_in(tmp_path / "a", monkeypatch)
    view = watching()
    view.view.on_status(status(Mode.DISARMED), 0.0)
    view.turn()
    assert view.listening.run == str(tmp_path / "a")
    link = view._link
    view.press("f")
    assert view._link is link, "the filter is there: nothing else is followed"
    first.release()
    view.turn()
    assert not view.view.stranger, "that its launcher has gone does not make the filter a stranger"
    monkeypatch.setattr(domain.os, "getpid", lambda: 1)
    second = run_in(tmp_path / "b", monkeypatch)
    view.turn()
    assert view.view.stranger and view.listening.run == str(tmp_path / "a")
    view.press("f")
    assert view._link is not link and link.closed
    assert view.view.heard is None and view.listening.run == str(tmp_path / "b")
    second.release()
