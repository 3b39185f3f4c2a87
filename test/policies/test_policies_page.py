# SPDX-License-Identifier: Apache-2.0
"""docs/policies.md: its code runs, its table is the kinds there are, and what is refused is told as it says."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from others_policies import attribute, model, node, value

from safe_transfer_ros.learning.policy_file import check_fits, load_policy
from safe_transfer_ros.policies.contract import ACTION_KINDS, ACTIVATIONS, LAWS, PARTS, SOURCES, read_contract
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.policies.loading import any_policy_from_bytes, kinds, policy_to_bytes
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.untrusted import load_yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policies.md").read_text()
CONTRACTS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[0], {})
    assert "'mean.weight': (7, 64)" in capsys.readouterr().out
    policy, _ = load_policy(make("pr2_cup_swirl"), "mine.safetensors")
    assert policy.kind == "gaussian"


def test_every_kind_is_on_the_page_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)`", PAGE.split("## Format")[1].split("## ")[0], re.MULTILINE)
    assert sorted(listed[1:]) == sorted(kinds())  # the first is the heading


def test_every_part_field_and_kind_of_a_contract_is_on_the_page() -> None:
    importing = PAGE.split("## Importing a policy")[1].split("## A policy that is a process")[0]
    for name in (*PARTS, *ACTION_KINDS, *LAWS, *SOURCES, *ACTIVATIONS):
        assert f"`{name}`" in importing, name


SEEING = [text for text in CONTRACTS if "part: image" in text]


def test_the_model_of_two_inputs_that_the_page_tells_of_is_imported() -> None:
    pytest.importorskip("onnxruntime")
    nodes = [
        node("GlobalAveragePool", ["image"], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
        node("Concat", ["means", "joints"], ["both"], attribute("axis", 1)),
        node("MatMul", ["both", "w"], ["y"]),
    ]
    inputs = [value("image", 1, 3, 84, 84), value("joints", 1, 7)]
    data = model(nodes, {"w": np.ones((10, 7), dtype=np.float32)}, inputs, [value("y", 1, 7)])
    (text,) = SEEING
    contract = read_contract(load_yaml(text, "the page"))
    check_fits(import_policy(data, contract, origin="the page").policy, make(contract.task, RobotTask))  # type: ignore[type-abstract]


@pytest.mark.parametrize("text", [text for text in CONTRACTS if text not in SEEING])
def test_a_contract_on_the_page_fits_its_task(text: str) -> None:
    contract = read_contract(load_yaml(text, "the page"))
    content = {"kind": "contracted", "contract": contract.content}
    inputs = sum(
        {"joint_position": 7, "joint_velocity": 7, "tool_position": 3}.get(p.name, 1) for p in contract.observation
    )
    layers = {
        "hidden.0.weight": (4, inputs),
        "hidden.0.bias": (4,),
        "mean.weight": (7, 4),
        "mean.bias": (7,),
        "log_std": (7,),
    }
    tensors = {} if contract.is_process else {n: np.zeros(shape, dtype=np.float32) for n, shape in layers.items()}
    policy, _ = any_policy_from_bytes(policy_to_bytes(tensors, content))
    check_fits(policy, make(contract.task, RobotTask))  # type: ignore[type-abstract]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("policy.pth", b"x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (zipped(), "a zip archive, as stable-baselines3 and torch.save write: not read"),
        (pickle.dumps({}), "a pickle: never read"),
        (b"hello", "5 bytes that are none"),
    ],
)
def test_a_file_of_another_format_is_told_what_is_taken_and_where_that_stands(
    tmp_path: Path, data: bytes, told: str
) -> None:
    path = tmp_path / "sac.zip"
    path.write_bytes(data)
    with pytest.raises(
        WeightsError, match="expected a policy as a safetensors file with the tensors of docs/policies.md"
    ) as error:
        load_policy(make("pr2_cup_swirl"), str(path))
    assert told in str(error.value) and str(path) in str(error.value)
