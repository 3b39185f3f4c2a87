# SPDX-License-Identifier: Apache-2.0
"""Settings dataclasses as ROS parameters: declared with description and range, checked as a whole, read-only unless
declared live.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from safe_transfer_ros.configuration import ConfigurationError, build, field_types, nearest
from safe_transfer_ros.parameters.sections import names_node, section_name, section_names
from safe_transfer_ros.untrusted import UntrustedError, read_yaml

Settings = TypeVar("Settings")

# Declared by rclpy itself on every node.
BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides")


def declare(node: Node, *settings_types: type) -> list[Any]:
    """Declare the fields of several settings dataclasses on a node and build them.

    Parameters are read-only unless declared live, and a node decides itself which changes of those it takes. An
    override that belongs to none of the dataclasses is an error, where rclpy would silently ignore it.

    Raises:
      ConfigurationError: parameter files were given and none has a section of this node's own; unknown name, wrong
        type, out of range, or a rule between values broken.
    """
    _require_own_section(node)
    kinds = {name: kind for each in settings_types for name, kind in field_types(each).items()}
    overrides = node._parameter_overrides  # rclpy offers no public way to see undeclared overrides
    for name in overrides:
        if name not in kinds and name.split(".")[0] not in BUILT_IN:
            raise ConfigurationError(
                f"{node.get_name()}: unknown parameter '{name}'; {nearest(name, [*kinds, *BUILT_IN])}"
            )
    return [_declare_one(node, each, overrides) for each in settings_types]


def _require_own_section(node: Node) -> None:
    """Refuse to run on defaults because of a section's name: ROS passes over what does not match without a word.

    Files that hold nothing but what is for every node lack nothing.
    """
    files = parameter_files(sys.argv)
    sections = [section for file in files for section in _sections(file)]
    full_name = node.get_fully_qualified_name()
    named = [section for section in sections if section.rsplit("/", 1)[-1] not in ("*", "**")]
    if named and not any(names_node(section, full_name) for section in named):
        raise ConfigurationError(
            f"{node.get_name()}: no section for {full_name} in {', '.join(files)}, which has {', '.join(named)}: write "
            f"it as {section_name(node.get_name())}, which holds in every namespace"
        )


def parameter_files(arguments: Sequence[str]) -> list[str]:
    """The files that a process was given by `--params-file`."""
    return [file for option, file in pairwise(arguments) if option == "--params-file"]


def _sections(file: str) -> list[str]:
    try:
        content = read_yaml(file, merge_sections=2)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except UntrustedError as error:
        raise ConfigurationError(str(error)) from None
    return list(section_names(content)) if isinstance(content, dict) else []


def _declare_one(node: Node, settings_type: type[Settings], overrides: dict[str, Any]) -> Settings:
    names = field_types(settings_type)
    given = {name: overrides[name].value for name in names if name in overrides}
    settings = build(settings_type, given, where=node.get_name())
    for field in dataclasses.fields(settings_type):  # type: ignore[arg-type]
        # The checked value is declared in place of the override, so that `0` given for a float setting stays a float.
        value = getattr(settings, field.name)
        overrides.pop(field.name, None)
        node.declare_parameter(field.name, value, _descriptor(field, type(value)))
    return settings


def _descriptor(field: dataclasses.Field[Any], kind: type) -> ParameterDescriptor:
    metadata = field.metadata
    choices = f" (one of: {', '.join(metadata['choices'])})" if metadata.get("choices") else ""
    descriptor = ParameterDescriptor(description=metadata["description"] + choices, read_only=not metadata["live"])
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    if minimum is None or maximum is None:
        return descriptor
    if kind is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(minimum), to_value=float(maximum))]
    elif kind is int:
        descriptor.integer_range = [IntegerRange(from_value=int(minimum), to_value=int(maximum))]
    return descriptor
