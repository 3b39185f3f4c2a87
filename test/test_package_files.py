# SPDX-License-Identifier: Apache-2.0
"""The files that describe the package to colcon, to pip and to other ROS nodes say the same thing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from enum import Enum
from pathlib import Path

import pytest

import safe_transfer_ros
from safe_transfer_ros.parameters import sections
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = ROOT / "safe_transfer_msgs"
NODES = set(sections.NODES)

# Import name -> rosdep key of package.xml, where they differ.
ROSDEP_KEYS = {
    "gymnasium": "python3-gymnasium-pip",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "mujoco": "python3-mujoco-pip",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "rosbags": "python3-rosbags-pip",
    "scipy": "python3-scipy",
    "torch": "python3-torch",
    "yaml": "python3-yaml",
}
# No rosdep key: apt brings markupsafe with jinja2, pip the others (docs/installation.md).
PIP_ONLY = {"h5py", "lz4", "markupsafe", "mcap", "minari", "ray", "safetensors", "zstandard"}
PIP_NAMES = {"yaml": "pyyaml"}
OPTIONAL = {"h5py", "lz4", "minari", "ray"}  # for an export, a bag compressed with it, a cluster

POLICY_ACTION = """
    std_msgs/Header header; uint32 iteration; uint32 episode; uint32 step; bool last; bool terminated;
    uint64 policy_version; string actor; string[] action_names; uint8 distribution; float64[] mean; float64[] stddev;
    float64[] bound; float64[] effort
"""
SAFETY_DECISION = """
    std_msgs/Header header; uint32 iteration; uint32 episode; uint32 step; bool last; bool terminated;
    uint8 mode; uint8 verdict; uint32 reasons; string[] joint_names; float64[] position; float64[] velocity;
    float64[] object_pose; float64[] observation; string actor; string[] action_names; uint8 distribution;
    float64[] proposed_mean; float64[] proposed_stddev; float64[] proposed_bound; float64[] proposed_effort;
    float64[] chosen; float64[] applied_effort;
    float64 torque_limit; uint32 limit_iteration; float64 risk; uint64 policy_version; string critic_version
"""
ROLLOUT = """
    uint32 iteration; uint32 episodes; uint32 first_episode; uint64 policy_version; uint32 limit_iteration;
    ---; bool success; string message; uint32 episodes; uint32 steps; ---; uint32 episode; uint32 step
"""
FINE_TUNE = """
    uint32 iterations; ---; bool success; string message; uint32 iterations; ---; uint32 iteration;
    float64 mean_return; float64 unsafety_rate; float64 limit_change_risk; float64 policy_change_risk;
    float64 predicted_unsafety_rate; float64 torque_limit; float64 expected_damage; uint32 interventions;
    uint64 policy_version; float64 wall_time_s; float64 mean_task_return; float64 kl; float64 unsafety_mean;
    float64 unsafety_max; uint32 steps; uint32 iterations; float64 d_safe
"""
INTERFACES = {
    "msg/ActionChunk.msg": """
        std_msgs/Header header; string[] action_names; uint32 length; float64 period; float64[] actions
    """,
    "msg/PolicyAction.msg": POLICY_ACTION,
    "msg/SafetyDecision.msg": SAFETY_DECISION,
    "msg/TorqueLimit.msg": """
        std_msgs/Header header; uint32 iteration; float64 torque_limit; builtin_interfaces/Duration lease
    """,
    "msg/FilterStatus.msg": """
        std_msgs/Header header; uint8 mode; uint32 cause; uint32 iteration; float64 torque_limit;
        bool accepted; bool lease_lost; string critic_version; bool connected; string message
    """,
    "msg/FrankaState.msg": """
        std_msgs/Header header; uint64 cycle; uint64 arm_time; string[] name; float64[7] position; float64[7] velocity;
        float64[7] effort; float64[7] external_effort; float64[7] commanded_effort; uint8 robot_mode; bool moving;
        string standing; string ended; float64 success_rate; uint32 lost_cycles; float64 read_to_write
    """,
    "msg/UnsafetyEstimate.msg": """
        std_msgs/Header header; uint32 iteration; uint64 policy_version; uint32 steps; uint32 missing;
        float64 unsafety_rate; float64 limit_change_risk; float64 policy_change_risk;
        float64 predicted_unsafety_rate; float64 torque_limit; float64 next_torque_limit;
        float64 expected_damage; float64 d_safe; float64 kl; float64 unsafety_mean; float64 unsafety_max
    """,
    "msg/PolicyWeights.msg": """
        std_msgs/Header header; uint64 version; uint32 iteration; uint32 steps; float64 kl; float64 kl_bound;
        uint8[] data; string sha256
    """,
    "msg/CriticWeights.msg": """
        std_msgs/Header header; uint32 iteration; uint8[] data; string sha256
    """,
    "msg/PolicyStatus.msg": """
        std_msgs/Header header; uint64 version; string sha256; bool accepted; string message
    """,
    "action/Rollout.action": ROLLOUT,
    "action/FineTune.action": FINE_TUNE,
    "srv/ResetEpisode.srv": """
        uint64 seed; uint32 episode; ---; bool success; string message; builtin_interfaces/Time stamp
    """,
}


def manifest(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "package.xml").getroot()


def dependencies(folder: Path) -> set[str]:
    return {element.text for element in manifest(folder) if element.tag.endswith("depend") and element.text}


@pytest.fixture(scope="module")
def setup_arguments() -> dict:
    """What setup.py tells setuptools, by running it."""
    script = (
        "import json, setuptools\n"
        "setuptools.setup = lambda **keywords: print(json.dumps(keywords))\n"
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), {'__file__': 'setup.py'})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def imported_modules(folder: Path) -> set[str]:
    """Top-level names that the code below a folder imports from elsewhere than Python and this package."""
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"safe_transfer_ros"}


def fields(text: str) -> list[str]:
    """Fields of an interface file in order, one `type name` each, and `---` between its parts."""
    found = []
    for line in text.splitlines():
        line = " ".join(line.partition("#")[0].split())
        if line and "=" not in line:
            found.append(line)
    return found


def constants(text: str, prefix: str) -> dict[str, int]:
    pattern = rf"^uint(?:8|32) {prefix}_(\w+)=(\d+)"
    return {name: int(value) for name, value in re.findall(pattern, text, flags=re.MULTILINE)}


def test_one_version_everywhere(setup_arguments: dict) -> None:
    messages = (MESSAGES / "pyproject.toml").read_text(encoding="utf-8")
    assert {
        manifest(ROOT).findtext("version"),
        manifest(MESSAGES).findtext("version"),
        setup_arguments["version"],
        re.search(r'^version = "(.*)"', messages, flags=re.MULTILINE)[1],
    } == {safe_transfer_ros.__version__}


def test_one_name_and_licence_everywhere(setup_arguments: dict) -> None:
    assert manifest(ROOT).findtext("name") == setup_arguments["name"] == safe_transfer_ros.__name__
    assert manifest(ROOT).findtext("license") == setup_arguments["license"] == "Apache-2.0"
    assert (ROOT / "resource" / setup_arguments["name"]).is_file()
    assert manifest(ROOT).findtext("export/build_type") == "ament_python"
    assert manifest(ROOT).get("format") == manifest(MESSAGES).get("format") == "3"


def test_every_entry_point_exists(setup_arguments: dict) -> None:
    commands = dict(entry.split(" = ") for entry in setup_arguments["entry_points"]["console_scripts"])
    assert set(commands) == NODES | {"safe_transfer"}
    for target in commands.values():
        module, function = target.split(":")
        file = ROOT / (module.replace(".", "/") + ".py")
        assert file.is_file(), f"setup.py names {module}, and {file} is not there"
        functions = [node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if hasattr(node, "name")]
        assert function in functions, f"{file} has no function {function}()"


def test_every_package_is_installed(setup_arguments: dict) -> None:
    folders = {file.parent.relative_to(ROOT) for file in (ROOT / "safe_transfer_ros").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} == set(setup_arguments["packages"])


def test_the_files_the_code_looks_up_are_installed(setup_arguments: dict) -> None:
    folders = setup_arguments["data_files"]
    installed = {f"{target}/{Path(file).name}" for target, files in folders for file in files}
    share = "share/safe_transfer_ros"
    for needed in (
        "share/ament_index/resource_index/packages/safe_transfer_ros",
        f"{share}/package.xml",
        f"{share}/launch/pr2_cup_swirl.launch.py",
        f"{share}/config/pr2_cup_swirl.yaml",
        f"{share}/urdf/pr2_left_arm.urdf",
        f"{share}/rviz/pr2_cup_swirl.rviz",
        f"{share}/foxglove/safe_transfer.json",
        f"{share}/plotjuggler/safe_transfer.xml",
        f"{share}/weights/pr2_cup_swirl.safetensors",
    ):
        assert needed in installed


def test_every_import_is_a_declared_dependency(setup_arguments: dict) -> None:
    ours = imported_modules(ROOT / "safe_transfer_ros") | imported_modules(ROOT / "launch")
    declared = dependencies(ROOT)
    missing = {name for name in ours - PIP_ONLY if ROSDEP_KEYS.get(name, name) not in declared}
    assert not missing, f"imported and not in package.xml: {sorted(missing)}"

    required = {re.split(r"[<>=!\[]", line)[0] for line in setup_arguments["install_requires"]}
    libraries = {PIP_NAMES.get(name, name) for name in ours & (set(ROSDEP_KEYS) | PIP_ONLY) - OPTIONAL}
    assert libraries <= required, f"imported and not in setup.py: {sorted(libraries - required)}"


def test_messages_are_all_built() -> None:
    cmake = (MESSAGES / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"^  ((?:msg|srv|action)/\S+)$", cmake, flags=re.MULTILINE))
    folders = [MESSAGES / kind for kind in ("msg", "srv", "action")]
    there = {str(file.relative_to(MESSAGES)) for folder in folders for file in folder.iterdir()}
    assert listed == there == set(INTERFACES)


@pytest.mark.parametrize("name", INTERFACES)
def test_fields_of_an_interface(name: str) -> None:
    """Names, types and order are what a recorded bag and another program rely on."""
    expected = [" ".join(field.split()) for field in INTERFACES[name].split(";")]
    assert fields((MESSAGES / name).read_text(encoding="utf-8")) == expected


@pytest.mark.parametrize("name", INTERFACES)
def test_every_field_says_what_it_is(name: str) -> None:
    silent = [
        line
        for line in (MESSAGES / name).read_text(encoding="utf-8").splitlines()
        if line.strip() and line.strip() not in ("---", "bool success") and "#" not in line
    ]
    assert not [line for line in silent if "_NONE=" not in line], "no comment with meaning and unit"


@pytest.mark.parametrize(("prefix", "numbers"), [("REASON", Reason), ("MODE", Mode), ("VERDICT", Verdict)])
def test_constants_are_those_of_the_filter(prefix: str, numbers: type[Enum]) -> None:
    text = (MESSAGES / "msg/SafetyDecision.msg").read_text(encoding="utf-8")
    assert constants(text, prefix) == {name: int(value) for name, value in numbers.__members__.items()}


def test_pinned_versions_of_the_build_match_those_of_the_run() -> None:
    """Messages compiled against one version of the ROS wheels and run with another may not load."""
    run = dict(re.findall(r"^(ros-[\w-]+)==(\S+)$", (ROOT / "requirements/ros.txt").read_text(), re.MULTILINE))
    builds = [(ROOT / "requirements/colcon.txt").read_text()]
    builds += [(folder / "pyproject.toml").read_text() for folder in (MESSAGES, ROOT / "interfaces/tf2_msgs")]
    pinned = [pair for text in builds for pair in re.findall(r"(ros-[\w-]+)(?:\[\w+\])?==([\d.]+)", text)]
    assert pinned
    differ = {(name, version, run[name]) for name, version in pinned if name in run and run[name] != version}
    assert not differ
