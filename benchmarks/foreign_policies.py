# SPDX-License-Identifier: Apache-2.0
"""Three policies of others on the cup swirl, through the graph, each with a report.

  python benchmarks/foreign_policies.py            # needs `pip install stable-baselines3 onnx onnxruntime`

A PPO of stable-baselines3, trained here on the nominal arm for a short time; the ONNX model exported from it; and a
planner that is a process of its own and sends chunks of joint positions (`benchmarks/swirl_planner.py`). Each is
imported by `safe_transfer import-policy` and run by `safe_transfer up ... learner:=none` on the graph's own arm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import yaml

import safe_transfer_ros.environments  # noqa: F401 - makes the ids known
from safe_transfer_ros.record.iteration import read

TORQUE = 3.0  # N·m that an action of 1 stands for
CLIP = 10.0
DOMAIN = "78"
CHUNK = {"length": 8, "rate_hz": 20, "follow": 4}


def environment() -> gymnasium.Env[Any, Any]:
    made = gymnasium.make("safe_transfer_ros/Pr2CupSwirl-v0")
    made = gymnasium.wrappers.TransformAction(
        made,
        lambda action: TORQUE * np.asarray(action, dtype=np.float64),
        gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32),
    )
    return gymnasium.wrappers.DtypeObservation(made, np.float32)


def train(out: Path, steps: int, seed: int) -> None:
    """Train, and write the zip, its ONNX, its contract's scaling and some of its own outputs."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    vector = VecNormalize(DummyVecEnv([environment] * 8), clip_obs=CLIP, gamma=0.95)
    policy = {"log_std_init": -1.5, "net_arch": [64, 64]}
    model = PPO(
        "MlpPolicy",
        vector,
        n_steps=400,
        batch_size=800,
        gamma=0.95,
        learning_rate=1e-3,
        seed=seed,
        device="cpu",
        policy_kwargs=policy,
    )
    model.learn(steps)
    model.save(out / "ppo.zip")
    scaling = {
        "mean": vector.obs_rms.mean.tolist(),
        "stddev": np.sqrt(vector.obs_rms.var + 1e-8).tolist(),
        "clip": CLIP,
    }
    (out / "scaling.yaml").write_text(yaml.safe_dump(scaling))
    actor = torch.nn.Sequential(*model.policy.mlp_extractor.policy_net, model.policy.action_net)
    names = {"input_names": ["observation"], "output_names": ["action"]}
    torch.onnx.export(actor, (torch.zeros(1, 18),), str(out / "ppo.onnx"), dynamo=False, **names)
    observation = np.random.default_rng(0).uniform(-2.0, 2.0, (100, 18)).astype(np.float32)
    with torch.no_grad():
        output = model.policy.get_distribution(torch.as_tensor(observation)).mode().numpy()
    np.savez(out / "examples.npz", observation=observation, output=output)


def contracts(out: Path) -> dict[str, dict[str, Any]]:
    observed = [{"part": "task"} | yaml.safe_load((out / "scaling.yaml").read_text())]
    torque = {"kind": "torque", "scale": TORQUE}
    swirl = {"task": "pr2_cup_swirl"}
    targets = {"kind": "joint_position", "stiffness": 12.0, "damping": 1.0, "chunk": CHUNK}
    return {
        "ppo.zip": swirl | {"source": "sb3_ppo", "distribution": "gaussian", "observation": observed, "action": torque},
        "ppo.onnx": swirl
        | {
            "source": "onnx",
            "distribution": "deterministic",
            "observation": observed,
            "action": torque | {"clip": 1.0},
        },
        "planner": swirl | {"source": "process", "distribution": "deterministic", "action": targets},
    }


def command(*words: object) -> None:
    told = [str(word) for word in words]
    print("$ safe_transfer", *told, flush=True)
    subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.cli.main", *told],
        check=True,
        env=os.environ | {"ROS_DOMAIN_ID": DOMAIN},
    )


def run(out: Path, name: str, contract: dict[str, Any], words: list[str]) -> list[str]:
    """Import one policy, run it, and return the rows of the table."""
    file, written, folder = out / f"{name}.safetensors", out / f"{name}.yaml", out / f"run-{name}"
    written.write_text(yaml.safe_dump(contract, sort_keys=False))
    source = [] if name == "planner" else [out / name, "--examples", out / "examples.npz"]
    command("import-policy", *source, "--contract", written, "--out", file)
    planner = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("swirl_planner.py"))], env=os.environ | {"ROS_DOMAIN_ID": DOMAIN}
    )
    began = time.monotonic()
    try:
        command("up", "pr2_cup_swirl", f"policy:={file}", "learner:=none", f"run_dir:={folder}", *words)
    finally:
        planner.kill()
        planner.wait()
    print(f"{name}: {time.monotonic() - began:.0f} s")
    return table(folder, name)


def iterations(folder: Path) -> int:
    return len(read(folder / "iterations.csv"))


def table(folder: Path, name: str) -> list[str]:
    """Rows of one run."""
    report = "yes" if (folder / "report.html").exists() else "no"
    return [
        f"| {name} | {row.iteration} | {row.mean_task_return:.1f} | {row.unsafety_rate:.3f} | {row.torque_limit:.3g} | "
        f"{row.expected_damage:.3f} | {row.interventions} of {row.steps} | {report} |"
        for row in read(folder / "iterations.csv")[:: max(1, iterations(folder) - 1)]  # the first and the last
    ]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/foreign_policies"), help="folder for everything")
    parser.add_argument("--steps", type=int, default=1_000_000, help="environment steps of the training (1000000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="*", default=["iterations:=4"], help="launch arguments (iterations:=4)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "examples.npz").exists():
        try:
            began = time.monotonic()
            train(options.out, options.steps, options.seed)
            print(f"trained {options.steps} steps in {time.monotonic() - began:.0f} s")
        except ImportError as error:
            print(
                f"this needs stable-baselines3 and onnx ({error}): pip install stable-baselines3 onnx", file=sys.stderr
            )
            return 2
    rows = ["| policy | iteration | task return | p_u | T_lim, N·m | p_u T_lim, N·m | interventions | report |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for name, contract in contracts(options.out).items():
        rows += run(options.out, name, contract, options.words)
    folder = options.out / "run-shipped"
    command("up", "pr2_cup_swirl", "learner:=none", f"run_dir:={folder}", *options.words)  # ours, to compare with
    rows += table(folder, "pr2_cup_swirl, shipped")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
