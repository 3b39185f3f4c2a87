# SPDX-License-Identifier: Apache-2.0
"""The code of docs/adding_a_task.md, adding_a_method.md and adding_a_robot.md runs, from a package that is not ours."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("adding_a_task", "adding_a_method", "adding_a_robot")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "=" * 8
NAME = re.compile(r"(?:#|<!--) ([\w/]+\.\w+)(?: -->)?\n")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A package beside ours.

    Attributes:
      folder: On the path of its processes; they run in it, too.
      commands: Of each page, the lines that a reader types.
    """

    folder: Path
    commands: dict[str, list[list[str]]]

    def run(self, *arguments: str, status: int = 0) -> str:
        """What a Python process prints, errors included."""
        finished = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert finished.returncode == status, finished.stdout
        assert "is left out" not in finished.stdout, finished.stdout
        return finished.stdout

    def type(self, *words: str, status: int = 0) -> str:
        """What `safe_transfer` prints."""
        return self.run("-m", "safe_transfer_ros.cli.main", *words, status=status)

    def together(self, *steps: str) -> list[str]:
        """What each of some lines prints, in one process: what they all import is imported once."""
        begin = "import runpy, sys\nfrom safe_transfer_ros.cli.main import main\n"
        end = f"\nprint({MARK!r}); sys.stdout.flush()\n"
        *printed, rest = self.run("-c", begin + end.join((*steps, ""))).split(f"{MARK}\n")
        assert not rest and len(printed) == len(steps), rest
        return printed


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """The files of the pages, and their entry points as pip writes them."""
    folder = tmp_path_factory.mktemp("outside")
    commands: dict[str, list[list[str]]] = {}
    entries: list[str] = []
    for page in PAGES:
        commands[page] = []
        for language, text in BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8")):
            if language == "toml":
                lines = re.sub(r'\[project\.entry-points\."(.*)"\]', r"[\1]", text).replace('"', "")
                entries += lines.splitlines()
            elif language == "sh":
                commands[page] += [shlex.split(line) for line in text.splitlines()]
            else:
                name = NAME.match(text)
                assert name is not None, f"{page}: a block of {language} whose first line names no file:\n{text}"
                file = folder / name[1]
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
    (folder / "two_joint_arm" / "__init__.py").touch()
    about = folder / "outside-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    # A group that two pages add to is one section in the file of an installed package.
    groups: dict[str, list[str]] = {}
    for line in entries:
        if line.startswith("["):
            group = line
        elif line:
            groups.setdefault(group, []).append(line)
    text = "\n".join("\n".join([group, *lines]) for group, lines in groups.items())
    (about / "entry_points.txt").write_text(text + "\n")
    return Outside(folder=folder, commands=commands)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def printed(outside: Outside) -> list[str]:
    """What the commands of the task's page print, and then its programs."""
    commands = outside.commands["adding_a_task"]
    assert all(command[0] == "safe_transfer" for command in commands)
    steps = [f"assert main({command[1:]!r}) == 0" for command in commands]
    programs = ("evaluate_point.py", "make_point.py")
    return outside.together(*steps, *(f"runpy.run_path({name!r}, run_name='__main__')" for name in programs))


def test_a_task_without_a_robot_is_trained_evaluated_and_reported(outside: Outside, printed: list[str]) -> None:
    *trained, evaluated, made = printed
    folder = outside.folder / "runs" / "point"
    epochs = rows(folder / "point.csv")
    assert [row["method"] for row in epochs] == ["trpo"] * 3
    assert np.isfinite([float(epochs[-1][name]) for name in ("evaluation_return", "evaluation_success")]).all()
    assert (folder / "point.png").read_bytes().startswith(b"\x89PNG")
    assert "3 iterations" in trained[0] and "3 iterations" not in trained[1]
    for told in trained:
        assert re.search(r"^\| method +\| TRPO +\|$", told, re.MULTILINE) and "point.png\n\n--quick shows" in told
    assert evaluated.startswith("Evaluation(episodes=20, mean_return=")
    assert made == "0.0 False\n"


@pytest.mark.usefixtures("printed")
def test_a_method_is_trained_and_what_its_changed_code_made_is_told_apart(outside: Outside) -> None:
    (command,) = outside.commands["adding_a_method"][:1]
    assert re.search(r"^\| method +\| Fixed penalty +\|$", outside.type(*command[1:]), re.MULTILINE)
    folder = outside.folder / "runs"
    ours, theirs = rows(folder / "point" / "point.csv"), rows(folder / "fixed-penalty" / "point.csv")
    assert [row["method"] for row in theirs] == ["fixed-penalty"] * 3
    assert theirs[0]["mean_return"] == ours[0]["mean_return"] and theirs[2]["mean_return"] != ours[2]["mean_return"]
    assert all(0.0 < float(row["kl"]) <= 0.01 for row in theirs)
    module = outside.folder / "fixed_penalty.py"
    before = module.read_text()
    module.write_text(before.replace("PENALTY = 5.0", "PENALTY = 50.0"))
    try:
        assert "1 of 1 runs were made by an earlier state of the code" in outside.type(*command[1:])
    finally:
        module.write_text(before)


def test_help_and_errors_name_what_came_from_outside(outside: Outside) -> None:
    wanted = (["train", "--help"], ["pretrain", "--help"], ["up", "--help"], ["train", "fixed-penalti", "point"])
    steps = (f"try: main({words!r})\nexcept SystemExit: pass" for words in wanted)
    train, pretrain, up, mistake = outside.together(*steps)
    assert "fixed-penalty    TRPO on the reward less a fixed penalty per failure" in train
    assert re.search(r"^TASK: .*\bpoint, .*\breach_forward$", train, re.MULTILINE)
    assert "reach_forward" in pretrain and "point" not in pretrain.split("task", 1)[1].split("options")[0]
    assert "two_joint_reach" in up and "annealing: lowers the standard deviation" in up
    assert "pspt|csc|none|dual_agent|sqrl|sac|annealing" in up
    assert "unknown method 'fixed-penalti': did you mean 'fixed-penalty'?" in mistake


def test_a_module_that_is_imported_before_us_is_known(outside: Outside) -> None:
    """Its import brings ours along, which asks for all tasks while it is not yet through."""
    program = """
import gymnasium, point_task
from safe_transfer_ros.environments import register_environments
from safe_transfer_ros.tasks.task import TASKS
print(TASKS["point"])
register_environments()
gymnasium.make("safe_transfer_ros/Point-v0").reset(seed=0)
"""
    assert outside.run("-W", "ignore::UserWarning", "-c", program) == "<class 'point_task.Point'>\n"


def test_a_robot_is_pretrained_and_its_graph_planned(outside: Outside) -> None:
    pretrain, up = outside.commands["adding_a_robot"]
    assert up[:3] == ["safe_transfer", "up", "two_joint_reach"]
    planned = f"""
from safe_transfer_ros.cli.run import parse_arguments, pick_graph
graph = pick_graph({up[2]!r})
plan = graph.plan(parse_arguments({up[3:]!r}) | {{"run_dir": "runs/up"}})
print(*(process.node for process in plan.processes))
print(plan.parameters["/**"]["task"], plan.parameters["trainer"]["iterations"], plan.parameters["/**"]["d_safe"])
plan = graph.plan(parse_arguments({up[3:]!r}) | {{"run_dir": "runs/annealing", "learner": "annealing"}})
print(plan.parameters["trainer"]["learner"])
"""
    told, plans = outside.together(f"assert main({pretrain[1:]!r}) == 0", planned)
    assert "policy: " in told
    nodes, parameters, learner = plans.splitlines()
    assert nodes == "trainer policy_server safety_filter unsafety_monitor mujoco_sim bag_recorder"
    assert (parameters, learner) == ("reach_forward 3 0.2", "annealing")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_robot_s_task_is_the_same_alone_and_side_by_side(outside: Outside) -> None:
    program = """
import numpy as np
from gymnasium.utils.env_checker import check_env
from safe_transfer_ros.tasks import task
from safe_transfer_ros.tasks.environment import TorqueEnv
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

class Still:
    def distribution(self, observation):
        return np.zeros((len(observation), 2)), np.full(2, 0.1)

reach = task.make("reach_forward")
assert reach.robot.joint_names == ("shoulder", "wrist")
assert reach.robot.limits.soft_upper.tolist() == [1.9, np.inf]
check_env(TorqueEnv(reach, torque_limit=1.0), skip_render_check=True)
with VectorTorqueEnv(reach, threads=1) as env:
    batch = env.rollout(Still(), torque_limits=[0.1, 3.0], seed=0)
assert batch.observation.shape == (2, 51, 5)
single = TorqueEnv(reach)
single.reset(seed=0, options={"episode": 1, "torque_limit": 3.0})
for step in range(50):
    *_, info = single.step(batch.proposed[1, step])
np.testing.assert_array_equal(info["position"], batch.position[1, -1])
"""
    outside.run("-W", "ignore", "-c", program)


def test_a_learner_of_the_graph_says_the_divergence_of_its_step(outside: Outside) -> None:
    """The page's formula against the divergence of the two policies, in closed form per dimension."""
    program = """
import numpy as np
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.policies.weights import from_bytes
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.graph_learners import LEARNERS, Beginning

data = find("pr2_cup_swirl").read_bytes()
beginning = Beginning(graph=in_graph("pr2_cup_swirl"), policy=data, max_kl=0.1, leave_one_out=False, seed=0)
learner = LEARNERS["annealing"].begin(beginning)
told = learner.update([], 0)
old, new = (np.exp(from_bytes(file)[0]["log_std"].astype(float)) for file in (data, learner.policy({})))
np.testing.assert_allclose(new, 0.95 * old, rtol=1e-6)
np.testing.assert_allclose(told, np.sum(np.log(new / old) + old**2 / (2 * new**2) - 0.5), rtol=1e-5)
assert 0.0 < told < learner.kl_bound and learner.critic() is None
"""
    outside.run("-c", program)
