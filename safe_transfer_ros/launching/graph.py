# SPDX-License-Identifier: Apache-2.0
"""The graph as data: launch arguments in, processes with their checked parameters out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros.configuration import ConfigurationError, build, field_types, nearest, parse
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.sections import SECTIONS, SHARED, document, node_of
from safe_transfer_ros.untrusted import UntrustedError, printable, read_yaml


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One launch argument (`name:=value`)."""

    name: str
    description: str
    parameter: str = ""  # "node.parameter" or "/**.parameter" that it sets; empty: handled by the graph itself
    default: str = ""  # empty: the configuration file's value stands
    choices: Collection[str] = ()  # a registry's are looked up when they are asked for

    def explained(self) -> str:
        """The description, and those of the choices where these have some."""
        if not isinstance(self.choices, Mapping):
            return self.description
        each = "; ".join(f"{name}: {choice.description}" for name, choice in self.choices.items())
        return f"{self.description}: {each}"


@dataclass(frozen=True, kw_only=True)
class Process:
    """One node process."""

    node: str  # node name, executable name and module name under safe_transfer_ros.nodes
    ends_run: bool = False  # the run is over when this one exits
    optional: bool = False  # the run goes on without it


# ROS parameter-file layout: node name (or /**) -> parameter -> value.
Parameters = dict[str, dict[str, Any]]


_NAMESPACE = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")


def namespace(text: str) -> str:
    """A namespace as a person writes it, with a slash before it; empty: the root.

    Raises:
      ConfigurationError: if it is not a ROS namespace.
    """
    inside = text.strip("/")
    if inside and not _NAMESPACE.fullmatch(f"/{inside}"):
        raise ConfigurationError(
            f"namespace must be words of letters, digits and _ joined by /, such as left; got '{text}'"
        )
    return f"/{inside}" if inside else ""


def read_parameters(path: Path) -> Parameters:
    """Read a ROS parameter file (`/**/node: ros__parameters: {...}`; `node:` alone means the same here).

    A section that is there twice is merged, as ROS does; a parameter that is there twice is refused.

    Raises:
      ConfigurationError: missing, unreadable, or of another layout; the text names the file and the place.
    """
    try:
        content = read_yaml(path, merge_sections=2)
    except OSError as error:
        raise ConfigurationError(f"cannot read configuration {path}: {error.strerror or error}") from error
    except UntrustedError as error:
        raise ConfigurationError(str(error)) from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: expected 'node: ros__parameters: ...', got {type(content).__name__}")
    parameters: Parameters = {}
    for name, section in content.items():
        node = node_of(str(name))
        values = section.get("ros__parameters") if isinstance(section, dict) else None
        if not isinstance(values, dict):
            raise ConfigurationError(f"{path}: section '{printable(node)}' must hold a 'ros__parameters:' mapping")
        if node != SHARED and node not in SECTIONS:
            known = [SHARED, *SECTIONS]
            raise ConfigurationError(f"{path}: unknown node '{printable(node)}'; {nearest(node, known)}")
        _check_names(path, node, values)
        known_values = parameters.setdefault(node, {})  # `node` and `/**/node` are one section
        twice = known_values.keys() & values.keys()
        if twice:
            raise ConfigurationError(f"{path}: {node}: {', '.join(sorted(twice))} is given twice: leave one out")
        known_values.update(values)
    return parameters


def _check_names(path: Path, node: str, values: Mapping[Any, Any]) -> None:
    known = field_types(ExperimentParameters if node == SHARED else SECTIONS[node])
    for name in values:
        if name == "use_sim_time":
            raise ConfigurationError(
                f"{path}: {node}: use_sim_time is not taken: ages are measured on the steady clock, and all else is "
                "told by the robot's own stamps; leave it out"
            )
        if name not in known:
            raise ConfigurationError(
                f"{path}: {node} has no parameter '{printable(name)}'; {nearest(str(name), known)}"
            )


def on_top(parameters: Parameters, layer: Parameters) -> Parameters:
    """Merge the parameters of a second file over those of the first."""
    nodes = [*parameters, *(node for node in layer if node not in parameters)]
    return {node: parameters.get(node, {}) | layer.get(node, {}) for node in nodes}


def write_parameters(parameters: Parameters, path: Path) -> None:
    """Write a ROS parameter file; `--params-file` and `config:=` read it back."""
    path.write_text(parameters_text(parameters))


def parameters_text(parameters: Parameters) -> str:
    """The YAML text of a ROS parameter file."""
    return yaml.safe_dump(document(parameters), sort_keys=False)


def apply_arguments(
    parameters: Parameters, given: Mapping[str, str], declared: tuple[Argument, ...]
) -> tuple[Parameters, dict[str, str]]:
    """Apply launch arguments on top of a configuration.

    Args:
      parameters: From the configuration file.
      given: Argument name -> text. Besides the declared ones, `node.parameter` names any parameter.
      declared: The graph's arguments.

    Returns:
      The parameters with the overrides applied, and the arguments the graph handles itself (defaults filled in).

    Raises:
      ConfigurationError: unknown argument, or value not among the choices.
    """
    known = {argument.name: argument for argument in declared}
    result: Parameters = {node: dict(values) for node, values in parameters.items()}
    own = {argument.name: argument.default for argument in declared if not argument.parameter}
    for name, text in given.items():
        argument = known.get(name)
        if argument is None and "." not in name:
            raise ConfigurationError(f"unknown launch argument '{name}'; {nearest(name, known)}")
        if argument is not None and argument.choices and text not in argument.choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(argument.choices)}, got '{text}'")
        target = name if argument is None else argument.parameter
        if not target:
            own[name] = text
        elif text != "":
            node, _, parameter = target.rpartition(".")
            result.setdefault(node, {})[parameter] = _typed(node, parameter, text)
    return result, own


def _typed(node: str, parameter: str, text: str) -> Any:
    settings_type = ExperimentParameters if node == SHARED else SECTIONS.get(node)
    if settings_type is None:
        raise ConfigurationError(f"unknown node '{node}'; {nearest(node, SECTIONS)}")
    kinds = field_types(settings_type)
    if parameter not in kinds:
        raise ConfigurationError(f"{node} has no parameter '{parameter}'; {nearest(parameter, kinds)}")
    return parse(text, kinds[parameter], f"{node}.{parameter}")


def default_of(node: str, parameter: str) -> Any:
    """Value of a parameter that no file gives."""
    settings_type: Any = ExperimentParameters if node == SHARED else SECTIONS[node]
    [field] = [field for field in dataclasses.fields(settings_type) if field.name == parameter]
    return field.default


def complete(parameters: Parameters) -> Parameters:
    """Check every parameter of every node and fill in the defaults, so that the file is the whole truth of a run.

    Raises:
      ConfigurationError: see `configuration.build`.
    """
    experiment = build(ExperimentParameters, parameters.get(SHARED, {}), where="configuration")
    result: Parameters = {SHARED: dataclasses.asdict(experiment)}
    for node, settings_type in SECTIONS.items():
        result[node] = dataclasses.asdict(build(settings_type, parameters.get(node, {}), where=node))
    return result
