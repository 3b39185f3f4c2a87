# SPDX-License-Identifier: Apache-2.0
"""Controllers by what a person types: "module:function", or "path:function" for a Python file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

from safe_transfer_ros.policies import controller
from safe_transfer_ros.policies.controller import Controller, ControllerPolicy
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.registry import load


def is_function(name: str) -> bool:
    """Whether a name is a function's, and not a file's."""
    return ":" in name and not Path(name).is_file()


def absolute(name: str) -> str:
    """The name with the path of its file, if it has one, from the root: other processes may be elsewhere."""
    where, _, attribute = name.rpartition(":")
    return f"{Path(where).absolute()}:{attribute}" if where.endswith(".py") else name


def function(name: str) -> Controller:
    """Load a function.

    Raises:
      ValueError: if there is none.
    """
    where, _, attribute = name.rpartition(":")
    try:
        found = getattr(_module(Path(where)), attribute) if where.endswith(".py") else load(name)
    except (ImportError, AttributeError, OSError) as error:
        raise ValueError(
            f"expected module:function, or path:function for a Python file, got '{name}': {error}"
        ) from error
    if not callable(found):
        raise ValueError(f"expected a function of observations, got {found!r} for '{name}'")
    made: Controller = found
    return made


def fingerprint(name: str) -> str:
    """Hash of what decides a function's actions: its name, and the source of its module.

    Raises:
      ValueError: if there is no such function.
    """
    found = inspect.unwrap(function(name))
    source = inspect.getsourcefile(found if inspect.isroutine(found) else type(found))
    content = Path(source).read_bytes() if source else name.encode()
    return hashlib.sha256(content + f":{name.rpartition(':')[2]}".encode()).hexdigest()


def tell(name: str) -> str:
    """Let policies of this process name a function by its fingerprint, which is returned.

    Raises:
      ValueError: if there is no such function.
    """
    found = fingerprint(name)
    controller.tell(found, function(name))
    return found


def policy_of_function(name: str, *, observation_size: int, action_size: int) -> bytes:
    """A policy file of a function, which this process is told of.

    Args:
      name: See the module.
      observation_size: Of the task.
      action_size: Of the task.

    Raises:
      ValueError: if there is no such function.
    """
    about = {
        "kind": ControllerPolicy.kind,
        "fingerprint": tell(name),
        "observation_size": str(observation_size),
        "action_size": str(action_size),
        "controller": name,
    }
    return policy_to_bytes({}, about)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
