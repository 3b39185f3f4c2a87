# SPDX-License-Identifier: Apache-2.0
"""docs/parameters.md: every parameter of every node, from its declaration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from safe_transfer_ros.configuration import Lease, field_types
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.sections import SECTIONS, SHARED, section_name

_KINDS: dict[Any, str] = {int: "int", float: "double", str: "string", bool: "bool", Lease: "double, or off"}
_HEAD = """\
# Parameters

<!-- Generated from safe_transfer_ros/parameters/ by `python scripts/generate_docs.py`: do not edit. -->

Every parameter of every node. A parameter file has the layout of ROS, one section for each node:

    /**:
      ros__parameters: {seed: 3}
    /**/safety_filter:
      ros__parameters: {action_timeout: 0.08}

Write a section as `/**/node`, which holds in every namespace: `node` alone holds only in the root, and elsewhere ROS
passes over it without a word. So a node that is given files with sections by name, and none of its own among them,
refuses to start. On the command line of a graph `node.parameter:=value` sets any of them (`safe_transfer up`,
`ros2 launch`), and `ros2 param describe` tells a running node's.

Unknown names, values out of range and combinations that do not fit are refused at start, in one line. All are fixed
from then on, but for the ones marked *live*, which may be shortened while the filter runs. A protection that can be
switched off is switched off by the word `off`; a number never does it. Times are in seconds.
"""


def text() -> str:
    """The whole page."""
    sections = {SHARED: ExperimentParameters, **SECTIONS}
    return "\n".join([_HEAD, *("\n".join(_section(node, settings)) for node, settings in sections.items())])


def _section(node: str, settings: type) -> Iterator[str]:
    kinds = field_types(settings)
    yield f"## {'All nodes' if node == SHARED else node}\n"
    yield f"Section `{section_name(node)}`.\n"
    yield "| parameter | type | default | range | meaning |"
    yield "|---|---|---|---|---|"
    for field in dataclasses.fields(settings):
        meaning = field.metadata["description"].replace("|", "\\|")
        live = " *live*" if field.metadata["live"] else ""
        default = _value(field.default)
        yield f"| `{field.name}`{live} | {_KINDS[kinds[field.name]]} | {default} | {_range(field)} | {meaning} |"
    yield ""


def _range(field: dataclasses.Field[Any]) -> str:
    if field.metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in field.metadata["choices"])
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    return "" if minimum is None else f"{_value(minimum)} to {_value(maximum)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    return f"{value:.10g}"
