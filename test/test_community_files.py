# SPDX-License-Identifier: Apache-2.0
"""Files for people and services around the repository: valid by their schemas, and true of what is in it.

No container runtime and no GitHub here: that the jobs and the image run is not tested.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github/workflows/ci.yml"
PIP_ONLY = {"mcap", "safetensors", "zstandard"}  # no rosdep key
NO_ROSDEP = re.compile(r"pip install (?:--no-cache-dir )?(mcap[ \w]*)")


def commands() -> list[str]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.github-workflows", ".github/workflows/ci.yml"), ("vendor.citation-file-format", "CITATION.cff")],
)
def test_it_is_valid_by_its_schema(schema: str, file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_the_packages() -> None:
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]) == version


def test_the_workflow_calls_what_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(commands())
    assert set(re.findall(r"\bmake (\w+)", text)) <= targets
    assert re.search(r"^\.ci/run$", text, re.MULTILINE), "the tests that decide on a change"
    for path in re.findall(r"src/safe_transfer_ros/(\S+)", text):
        assert (ROOT / path).exists(), path
    for launch in re.findall(r"ros2 launch safe_transfer_ros (\S+)", text):
        assert (ROOT / "launch" / launch).exists(), launch


def test_every_job_ends() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert all(job["timeout-minutes"] <= 60 for job in jobs.values())


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", "Dockerfile", "docs/installation.md"])
def test_what_rosdep_cannot_install_is_installed_by_pip(file: str) -> None:
    found = NO_ROSDEP.search((ROOT / file).read_text())
    assert found and set(found.group(1).split()) == PIP_ONLY


def test_the_image_builds_from_what_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists(), source
    ignored = (ROOT / ".dockerignore").read_text().split()
    for needed in ("package.xml", "setup.py", "safe_transfer_ros", "safe_transfer_msgs", "resource", "weights"):
        assert (ROOT / needed).exists() and needed not in ignored


def test_the_container_for_development_is_set_up_as_make_does() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    script, what = container["postCreateCommand"].split()
    assert (ROOT / script).exists() and f"{script} {what}" in (ROOT / "Makefile").read_text()
