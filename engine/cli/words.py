"""Types of options in words: what help and messages say instead of ``Union[int, NoneType]``."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

PLAIN = {
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
"""What values of a type are, for people."""

METAVARS = {
    "int": "N",
    "float": "X",
    "bool": "true|false",
    "str": "TEXT",
    "Path": "PATH",
    "dict": "{A: 1}",
    "list": "[A, B]",
}


def type_text(kind: Any) -> str:
    """A type as source text without modules: ``int | None``, ``Literal['a', 'b']``."""
    text = (
        kind
        if isinstance(kind, str)
        else kind.__name__
        if isinstance(kind, type) and not hasattr(kind, "__args__")
        else str(kind)
    )
    text = re.sub(r"<class '([^']+)'>", r"\1", text)
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])(?=[^']*(?:'[^']*'[^']*)*$)", "", text)


def choices(text: str) -> list[str]:
    """The values of the ``Literal`` types in a type's text."""
    return [
        str(value)
        for part in _parts(_tree(text))
        if _name(part) == "Literal"
        for value in _literals(part)
    ]


def in_words(text: str) -> str:
    """What may be given for a type, to be read after "is not" or "give"."""
    parts = [part for part in _parts(_tree(text)) if not _is_none(part)]
    return " or ".join(dict.fromkeys(_words(part) for part in parts)) or "null"


def metavar(text: str) -> str:
    """A type's sign in a list of options: ``N``, ``{a,b}``, ``PATH``."""
    parts = [part for part in _parts(_tree(text)) if not _is_none(part)]
    return "|".join(dict.fromkeys(_sign(part) for part in parts)) or "null"


def did_you_mean(given: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?``, or nothing if no known word is near."""
    near = get_close_matches(given.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    return (
        f"; did you mean {next(name for name in known if name.lower() == near[0])}?" if near else ""
    )


def listed(names: Sequence[str]) -> str:
    """``one of a, b, c``, or the one there is."""
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ast.Name("Any")


def _parts(node: ast.expr) -> list[ast.expr]:
    """Members of a union, in any of its spellings."""
    if isinstance(node, ast.BinOp):
        return _parts(node.left) + _parts(node.right)
    if isinstance(node, ast.Subscript) and _name(node) in ("Union", "Optional"):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [part for item in inner for part in _parts(item)]
    return [node]


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_none(node: ast.expr) -> bool:
    return _name(node) == "NoneType" or (isinstance(node, ast.Constant) and node.value is None)


def _literals(node: ast.expr) -> list[object]:
    assert isinstance(node, ast.Subscript)
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [item.value for item in items if isinstance(item, ast.Constant)]


def _words(node: ast.expr) -> str:
    name = _name(node)
    if name == "Literal":
        return listed([str(value) for value in _literals(node)])
    if name == "tuple" and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        inner = [
            item
            for item in node.slice.elts
            if not (isinstance(item, ast.Constant) and item.value is ...)
        ]
        return (
            f"{len(inner)} values such as [a, b]"
            if len(inner) == len(node.slice.elts)
            else PLAIN["list"]
        )
    return PLAIN.get(name, f"the name of a class ({name})" if name else "any value")


def _sign(node: ast.expr) -> str:
    name = _name(node)
    if name == "Literal":
        return "{" + ",".join(str(value) for value in _literals(node)) + "}"
    if name in ("tuple", "Sequence", "set"):
        name = "list"
    return METAVARS.get(name, "VALUE" if PLAIN.get(name, "") or not name else "CLASS")
