# SPDX-License-Identifier: Apache-2.0
"""Every small change of a Python source that a test ought to notice: a comparison turned, a term or a check dropped."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Change:
    """One small change of a source.

    Attributes:
      line: Where it begins, from 1.
      code: That line without its indentation.
      before: The piece that is replaced, one line.
      after: What it is replaced by.
      source: The whole source with it.
      part: The function, class or statement of the module that it is in, unchanged.
      function: Qualified name of the function whose body it is in; empty where it is in none.
    """

    line: int
    code: str
    before: str
    after: str
    source: str
    part: str
    function: str


_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_SWAPPED = {"min": "max", "minimum": "maximum", "all": "any", "ceil": "floor", "isnan": "isfinite"}
_SWAPPED |= {new: old for old, new in _SWAPPED.items() if new != "isfinite"}
_OPERANDS = {"min", "max", "minimum", "maximum", "clip"}  # each may be dropped: a missing clamp
_DROPPED = {"abs", "sqrt", "square", "sorted", "round", "copy"}  # f(x) -> x


def changes(source: str) -> Iterator[Change]:
    """All small changes of a source, in order of place; none in annotations, docstrings, messages and decorators."""
    tree = ast.parse(source)
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    data = source.encode()
    edits = ((part, *edit) for part in tree.body for edit in _edits(part))
    bodies = list(_bodies(tree))
    for part, node, after in edits:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        before = data[begin:end].decode()
        yield Change(
            line=node.lineno,
            code=lines[node.lineno - 1].decode().strip(),
            before=" ".join(before.split()),
            after=" ".join(after.split()),
            source=(data[:begin] + after.encode() + data[end:]).decode(),
            part=ast.get_source_segment(source, part) or "",
            function=next((name for name, lines_of in bodies if node.lineno in lines_of), ""),
        )


def _bodies(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, range]]:
    """Outermost functions and methods, and the lines of their bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _bodies(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef):
            yield f"{prefix}{child.name}", range(child.body[0].lineno, (child.end_lineno or child.lineno) + 1)


def _edits(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """(node, its new text) for a tree, outer before inner."""
    if isinstance(node, ast.stmt):
        yield from _statement(node)
    elif isinstance(node, ast.expr):
        yield from ((node, f"({ast.unparse(new)})") for new in _expression(node))
    for child in _children(node):
        yield from _edits(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr):
        return  # a message
    if isinstance(node, ast.Raise):
        return  # what it says
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # zip's check of lengths that are equal by construction
    if isinstance(node, ast.FunctionDef):
        yield from (default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None)
        yield from node.body
    elif isinstance(node, ast.ClassDef):
        yield from node.body
    elif isinstance(node, ast.AnnAssign):
        if node.value is not None:
            yield node.value
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("TypeVar", "cast", "dataclass")):
        return
    else:
        yield from ast.iter_child_nodes(node)


def _statement(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Raise | ast.Expr | ast.Continue | ast.Break | ast.Delete):
        yield node, "pass"
    elif isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
    ):
        yield node, "pass"
    elif isinstance(node, ast.AugAssign):
        yield node, "pass"
        yield node, f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
        new = _BINARY.get(type(node.op))
        if new is not None:
            yield node, ast.unparse(ast.AugAssign(target=node.target, op=new(), value=node.value))
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield node, "return None"
    if isinstance(node, ast.If | ast.While):
        yield node.test, f"not ({ast.unparse(node.test)})"


def _expression(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=ops):
            for index, operation in enumerate(ops):
                for new in _COMPARE[type(operation)]:
                    yield _with(node, ops=[*ops[:index], new(), *ops[index + 1 :]])
        case ast.BoolOp(op=operation, values=values):
            yield _with(node, op=ast.Or() if isinstance(operation, ast.And) else ast.And())
            yield from (_with(node, values=[v for v in values if v is not dropped]) for dropped in values)
        case ast.BinOp(left=left, op=operation, right=right):
            if type(operation) in _BINARY:
                yield _with(node, op=_BINARY[type(operation)]())
            yield from (left, right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(value=not value)
        case ast.Constant(value=int() as value):
            yield from (ast.Constant(value=value + 1), ast.Constant(value=value - 1))
        case ast.Constant(value=float() as value):
            yield from (ast.Constant(value=new) for new in (value * 1.25 + 0.01, value * 0.8 - 0.01))
        case ast.Call():
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[ast.expr]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _SWAPPED:
        new = _SWAPPED[name]
        is_attribute = isinstance(node.func, ast.Attribute)
        yield _with(node, func=_with(node.func, **({"attr": new} if is_attribute else {"id": new})))
    if name in _OPERANDS and len(node.args) > 1:
        yield from (argument for argument in node.args if not isinstance(argument, ast.Starred))
    if name in _DROPPED and len(node.args) == 1 and not isinstance(node.args[0], ast.GeneratorExp):
        yield node.args[0]
    if name == "copy" and isinstance(node.func, ast.Attribute) and not node.args:
        yield node.func.value


def _with(node: ast.expr, **fields: object) -> ast.expr:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
