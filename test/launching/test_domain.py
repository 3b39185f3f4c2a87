# SPDX-License-Identifier: Apache-2.0
"""Every run has a ROS domain of its own; real lock files, real processes."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain
from safe_transfer_ros.launching.embedded import Launcher


@pytest.fixture(autouse=True)
def free_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)


def test_two_claims_differ() -> None:
    first, second = domain.claim(), domain.claim()
    assert first.number != second.number


def test_a_domain_in_use_is_refused_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    held = domain.claim()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(held.number))
    with pytest.raises(ConfigurationError, match=rf"domain {held.number} is in use by another run \(process \d+\)"):
        domain.claim()


def test_a_killed_holder_frees_its_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from safe_transfer_ros.launching import domain; d = domain.claim(); print(d.number, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    number = int(holder.stdout.readline())
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    with pytest.raises(ConfigurationError):
        domain.claim()
    holder.kill()
    holder.wait()
    assert domain.claim().number == number


def test_nonsense_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "mine")
    with pytest.raises(ConfigurationError, match="got 'mine'"):
        domain.claim()


def test_a_launcher_holds_the_domain_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    launcher = Launcher((), tmp_path / "parameters.yaml", domain.claim(), tmp_path)
    monkeypatch.setenv("ROS_DOMAIN_ID", launcher.environment["ROS_DOMAIN_ID"])
    with pytest.raises(ConfigurationError, match="in use"):
        domain.claim()


def test_running_lists_the_domains_that_are_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert domain.running() == ()
    first, second = domain.claim(), domain.claim()
    first.serves(tmp_path / "one")
    assert [(run.number, run.run_dir) for run in domain.running()] == [(1, str(tmp_path / "one")), (2, "")]
    assert f"process {os.getpid()}" in str(domain.running()[1])
    first.release()
    assert [run.number for run in domain.running()] == [second.number], "a claim given up is not listed"


def test_a_momentary_look_does_not_keep_a_run_from_its_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    number = domain.claim().number  # the claim is dropped at once, its file stays
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    with next(tmp_path.glob("*/*.lock")).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(domain.time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        assert domain.claim().number == number
