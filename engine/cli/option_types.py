"""Names and placeholders of option types for help and messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

DESCRIPTIONS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "Path": "a path",
    "PosixPath": "a path",
    "Any": "any value",
    "object": "any value",
    "list": "a list such as [a, b]",
    "tuple": "a list such as [a, b]",
    "Sequence": "a list such as [a, b]",
    "set": "a list such as [a, b]",
    "dict": "pairs such as {a: 1}",
    "Mapping": "pairs such as {a: 1}",
    "NoneType": "null",
    "None": "null",
}
"""Descriptions of a type's values, to be read after "is not"."""

METAVARS = {
    "int": "N",
    "float": "X",
    "bool": "true|false",
    "str": "TEXT",
    "Path": "PATH",
    "dict": "{A: 1}",
    "list": "[A, B]",
}
"""Placeholders of a type's values in help."""


def type_text(kind: Any) -> str:
    """Format a type as source text without modules, such as ``int | None``."""
    if isinstance(kind, str):
        text = kind
    elif isinstance(kind, type) and not hasattr(kind, "__args__"):
        text = kind.__name__
    else:
        text = str(kind)
    text = re.sub(r"<class '([^']+)'>", r"\1", text)
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])(?=[^']*(?:'[^']*'[^']*)*$)", "", text)


def choices(text: str) -> list[str]:
    """Return the values of all ``Literal`` types in a type's text."""
    values = []
    for part in _union_members(_parse(text)):
        if _name(part) == "Literal":
            values += [str(value) for value in _literals(part)]
    return values


def describe(text: str) -> str:
    """Describe the values that a type allows, to be read after "is not"."""
    parts = [part for part in _union_members(_parse(text)) if not _is_none(part)]
    return " or ".join(dict.fromkeys(_describe_member(part) for part in parts)) or "null"


def metavar(text: str) -> str:
    """Return the placeholder of a type in help: ``N``, ``{a,b}``, ``PATH``."""
    parts = [part for part in _union_members(_parse(text)) if not _is_none(part)]
    return "|".join(dict.fromkeys(_placeholder(part) for part in parts)) or "null"


def did_you_mean(given: str, known: Sequence[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest known word, or nothing.

    A dotted name of a known group is compared within the group, by its last part alone: a long
    group would make all of its names look alike.
    """
    group, dot, last = given.rpartition(".")
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == group]
    if dot and siblings:
        return did_you_mean(last, siblings).replace("mean ", f"mean {group}.")
    by_lower = {name.lower(): name for name in reversed(known)}
    closest = get_close_matches(given.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    return f"; did you mean {by_lower[closest[0]]}?" if closest else ""


def one_of(names: Sequence[str]) -> str:
    """Format names as ``one of a, b, c``; a single name as itself."""
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _parse(text: str) -> ast.expr:
    """Parse a type's text; text that is no expression becomes ``Any``."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ast.Name("Any")


def _union_members(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union: ``A | B``, ``Union[A, B]`` or ``Optional[A]``."""
    if isinstance(node, ast.BinOp):
        return _union_members(node.left) + _union_members(node.right)
    if isinstance(node, ast.Subscript) and _name(node) in ("Union", "Optional"):
        return [part for item in _items(node) for part in _union_members(item)]
    return [node]


def _items(node: ast.Subscript) -> list[ast.expr]:
    """Return the parameters of a generic type."""
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _name(node: ast.expr) -> str:
    """Return the name of a type without module and parameters."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_none(node: ast.expr) -> bool:
    """Return True for the type of None."""
    return _name(node) == "NoneType" or (isinstance(node, ast.Constant) and node.value is None)


def _literals(node: ast.expr) -> list[object]:
    """Return the values of a ``Literal`` type."""
    assert isinstance(node, ast.Subscript)
    return [item.value for item in _items(node) if isinstance(item, ast.Constant)]


def _describe_member(node: ast.expr) -> str:
    """Describe the values of one member of a union."""
    name = _name(node)
    if name == "Literal":
        return one_of([str(value) for value in _literals(node)])
    if name == "tuple" and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        items = node.slice.elts
        if any(isinstance(item, ast.Constant) and item.value is ... for item in items):
            return DESCRIPTIONS["list"]
        return f"{len(items)} values such as [a, b]"
    return DESCRIPTIONS.get(name, f"the name of a class ({name})" if name else "any value")


def _placeholder(node: ast.expr) -> str:
    """Return the placeholder of one member of a union."""
    name = _name(node)
    if name == "Literal":
        return "{" + ",".join(str(value) for value in _literals(node)) + "}"
    if name in ("tuple", "Sequence", "set"):
        name = "list"
    if name in METAVARS:
        return METAVARS[name]
    return "VALUE" if name in DESCRIPTIONS or not name else "CLASS"
