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
    with pytest.raises(ConfigurationError, match=f"domain {number} is in use"):
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


def test_a_strangers_link_is_never_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    folder = tmp_path / f"safe_transfer_ros-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    for number in range(1, 102):
        (folder / f"domain_{number}.lock").symlink_to(thesis)
    with pytest.raises(OSError, match="symbolic|not a file of ours"):
        domain.claim()
    assert domain.running() == ()
    (folder / "domain_1.lock").unlink()
    os.link(thesis, folder / "domain_1.lock")
    with pytest.raises(OSError, match="not a file of ours"):
        domain.claim()
    (folder / "domain_1.lock").unlink()
    os.mkfifo(folder / "domain_1.lock")
    with pytest.raises(OSError, match="not a file of ours"):
        domain.claim()
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize("how", ["a link", "open to others", "another user's", "a file"])
def test_a_folder_that_is_not_ours_alone_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"safe_transfer_ros-{os.geteuid()}"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif how == "a file":
        folder.touch()
    else:
        folder.mkdir(mode=0o700)
        if how == "open to others":
            folder.chmod(0o777)
        elif os.geteuid() == 0:
            os.chown(folder, 12345, 12345)
        else:
            pytest.skip("only root can give a folder away")
    with pytest.raises(ConfigurationError, match="no other user can write to: remove it, or set TMPDIR"):
        domain.claim()
    assert domain.running() == ()


def test_the_folder_is_the_users_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0)
    try:
        held = domain.claim()
    finally:
        os.umask(before)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and held.number == 1
    assert next(folder.iterdir()).stat().st_mode & 0o777 == 0o600


def test_another_user_of_the_machine_gets_another_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their file lies where we cannot see it; the name is one for all."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = domain.claim()
    monkeypatch.setattr(domain, "_folder", lambda: tmp_path / "another_users")
    assert domain.claim().number == 2
    assert domain.claim(namespace="/left").number == 2, "a free one is nobody's, whatever their namespace"
    monkeypatch.setenv("ROS_DOMAIN_ID", "1")
    with pytest.raises(ConfigurationError, match=r"in use by another run \(another user's\)"):
        domain.claim()
    first.release()
    assert domain.claim().number == 1


def test_what_a_run_calls_itself_reaches_no_terminal_raw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = domain.claim()
    held.serves(tmp_path / "run\x1b[2J")
    (run,) = domain.running()
    assert str(run).endswith("run\\x1b[2J)")
