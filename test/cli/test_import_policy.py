# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer import-policy`: it prints what it understood; what is wrong is one line, and nothing is written."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from others_policies import Ppo, contract, mlp, mlp_model, sb3_zip

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.cli.run import parse_arguments, pick_graph
from safe_transfer_ros.interpreter import invocation
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.tasks.task import make

torch.manual_seed(0)
PPO = sb3_zip(Ppo(18, 7))


def run(tmp_path: Path, data: bytes | None, content: Any, *more: str, out: str = "out.safetensors") -> int:
    (tmp_path / "contract.yaml").write_text(content if isinstance(content, str) else json.dumps(content))
    files = []
    if data is not None:
        (tmp_path / "policy.zip").write_bytes(data)
        files = [str(tmp_path / "policy.zip")]
    given = ["import-policy", *files, "--contract", str(tmp_path / "contract.yaml"), "--out", str(tmp_path / out)]
    return main([*given, *more])


def test_a_zip_of_stable_baselines3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, PPO, contract("sb3_ppo", "gaussian")) == 0
    told = capsys.readouterr().out
    for expected in (
        "MLP 18 x 8 x 8 x 7, tanh",
        "observes 18 numbers: task",
        "distribution gaussian",
        "200 sampled states",
    ):
        assert expected in told
    policy, _ = load_policy(make("pr2_cup_swirl"), str(tmp_path / "out.safetensors"))  # type: ignore[arg-type]
    assert isinstance(policy, ContractedPolicy)


def test_onnx_is_compared_with_onnxruntime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    assert run(tmp_path, mlp_model(mlp((18, 5, 7))), contract("onnx")) == 0
    told = capsys.readouterr().out
    assert "a plain MLP: evaluated without onnxruntime" in told and "of the source" in told


def test_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"kind": "torque", "chunk": {"length": 8, "rate_hz": 20, "follow": 4}}
    assert run(tmp_path, None, contract("process", action=rules)) == 0
    assert "in chunks of 8 at 20 Hz, of which 4 are followed" in capsys.readouterr().out
    assert (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("task", "kind", "graph"),
    [("pr2_cup_swirl", "torque", "pr2_cup_swirl"), ("panda_push_topple", "tool_motion", "panda_push task:=topple")],
)
def test_the_command_that_it_suggests_is_one_that_can_be_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, kind: str, graph: str
) -> None:
    assert run(tmp_path, None, contract("process", task=task, action={"kind": kind}), out="out of it.safetensors") == 0
    command = capsys.readouterr().out.splitlines()[-1].strip()
    policy = shlex.quote(str(tmp_path / "out of it.safetensors"))
    assert command == f"{invocation()} up {graph} policy:={policy} learner:=none"
    name, *words = shlex.split(command.removeprefix(f"{invocation()} up "))
    given = parse_arguments(words)
    plan = pick_graph(name).plan({**given, "run_dir": str(tmp_path / "run")})
    assert given["policy"] == str(tmp_path / "out of it.safetensors") and plan.processes


def test_its_makers_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "made.npz", observation=np.zeros((3, 18)), output=np.ones((3, 7)))
    assert run(tmp_path, PPO, contract("sb3_ppo"), "--examples", str(tmp_path / "made.npz")) == 2
    assert "observation 0: expected the source's outputs" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("data", "content", "told"),
    [
        (PPO, contract("sb3_ppo", "gaussain"), "contract.yaml: expected distribution as one of"),
        (PPO, contract("sb3_sac"), "expected actor.mu.weight"),
        (
            PPO,
            contract("sb3_ppo", task="panda_push_topple"),
            "expected kind tool_motion in panda_push_topple, got torque",
        ),
        (PPO, contract("sb3_ppo", task="swirl"), "unknown task 'swirl'"),
        (
            PPO,
            contract("sb3_ppo", observation=[{"part": "joint_position"}]),
            "takes 18 numbers, the contract's parts are 7",
        ),
        (b"\x80\x02}.", contract("sb3_ppo"), "as a zip archive, got 4 bytes that are none"),
        (PPO, "a: [", "is not YAML"),
        (PPO, "task: a\ntask: b\n", "'task' is given twice"),
        (PPO, contract("process"), "a process of its own has no file"),
        (None, contract("sb3_ppo"), "has a file"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, content: Any, told: str
) -> None:
    assert run(tmp_path, data, content) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and error.startswith("safe_transfer: ")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_file_to_write_must_be_named_as_a_policy_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, PPO, contract("sb3_ppo"), out="out.zip") == 2
    assert "expected --out as NAME.safetensors" in capsys.readouterr().err


def test_a_policy_that_can_learn_is_one_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"action": {"kind": "torque", "scale": 3.0}}
    assert run(tmp_path, PPO, contract("sb3_ppo", "gaussian", **rules), "--learnable") == 0
    assert "kind gaussian" in capsys.readouterr().out
    policy, _ = load_policy(make("pr2_cup_swirl"), str(tmp_path / "out.safetensors"))  # type: ignore[arg-type]
    assert policy.kind == "gaussian"
    assert run(tmp_path, PPO, contract("sb3_ppo"), "--learnable", out="no.safetensors") == 2
    assert "leave --learnable out" in capsys.readouterr().err and not (tmp_path / "no.safetensors").exists()
