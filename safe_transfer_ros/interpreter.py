# SPDX-License-Identifier: Apache-2.0
"""Start of Python processes, without the current folder among the places that modules are imported from.

`python -m` and `python -c` put the current folder first, so a yaml.py that lies in the folder of somebody who starts
a run would be executed in the safety filter. Python 3.11 has an option against it. Before, the place is taken out by
the first statement that is executed; what the interpreter does by itself before that, reading .pth files (which put
ROS on the path) among it, does not look there.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_TAKE_OUT = "import sys; del sys.path[0]"


def module_command(module: str, *arguments: str, version: tuple[int, int] | None = None) -> list[str]:
    """Command that runs a module as a program.

    Args:
      module: Its full name.
      arguments: Its arguments.
      version: Python's version, where it is not this one.
    """
    if (version or sys.version_info[:2]) >= (3, 11):
        return [sys.executable, "-P", "-m", module, *arguments]
    program = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return program_command(program, *arguments, version=version)


def program_command(program: str, *arguments: str, version: tuple[int, int] | None = None) -> list[str]:
    """Command that runs the text of a program.

    Args:
      program: The text.
      arguments: Its arguments.
      version: Python's version, where it is not this one.
    """
    if (version or sys.version_info[:2]) >= (3, 11):
        return [sys.executable, "-P", "-c", program, *arguments]
    return [sys.executable, "-c", f"{_TAKE_OUT}\n{program}", *arguments]


def safe_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for child processes: theirs leave the current folder out as well.

    An empty entry of PYTHONPATH stands for the current folder, and comes of `PYTHONPATH=$PYTHONPATH:/somewhere`.
    """
    result = dict(environment)
    places = [place for place in result.get("PYTHONPATH", "").split(os.pathsep) if place]
    if places:
        result["PYTHONPATH"] = os.pathsep.join(places)
    else:
        result.pop("PYTHONPATH", None)
    return result | {"PYTHONSAFEPATH": "1"}  # known from Python 3.11 on


def invocation() -> str:
    """Beginning of a command line that runs `safe_transfer` in the shell of whoever started this process.

    scripts/in_venv.sh says how it was called, where that shell does not find the program by itself.
    """
    through = os.environ.get("SAFE_TRANSFER_COMMAND", "")
    if through:
        return through
    found, own = shutil.which("safe_transfer"), Path(sysconfig.get_path("scripts")) / "safe_transfer"
    if found and (not own.exists() or os.path.samefile(found, own)):
        return "safe_transfer"
    typed = Path(sys.argv[0])
    if typed.name == "safe_transfer" and typed.exists():
        return shlex.quote(str(typed))
    return shlex.join([sys.executable, "-m", "safe_transfer_ros.cli.main"])


def shadowed(module: str) -> str | None:
    """Place from which another copy of a module would be imported than this environment's own; None: there is none.

    A sourced ROS puts its own packages in front, on PYTHONPATH, and compiled ones are for its Python alone.
    """
    own = Path(sysconfig.get_path("purelib")) / module
    found = importlib.util.find_spec(module)
    if not own.is_dir() or found is None or found.origin is None:
        return None
    place = Path(found.origin).parent
    return None if os.path.samefile(place, own) else str(place)
