"""Parameters of functions and classes read from their source, so that help needs no import of what they import."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Parameter:
    """One parameter as its source has it.

    Attributes:
        name: With dots before the names of a nested dataclass's fields.
        type: Source text of its annotation.
        default: Source text of its default; None if it is required.
        about: What its docstring says.
    """

    name: str
    type: str
    default: str | None
    about: str


def parameters(target: str, prefix: str = "") -> Iterator[Parameter]:
    """Read the parameters of ``module:function`` or ``module:Class`` without importing it; dataclasses among them unfold.

    Raises:
        LookupError: If there is no such definition.
    """
    module, _, name = target.partition(":")
    home, node = definition(module, name)
    about = _documented(node)
    for argument, annotation, default in _declared(home, node):
        kind = "Any" if annotation is None else _value(home, annotation)
        inner = _dataclass(home, annotation.id) if isinstance(annotation, ast.Name) else None
        if inner is not None:
            yield from parameters(inner, f"{prefix}{argument}.")
            continue
        yield Parameter(
            prefix + argument,
            kind,
            None if default is None else _value(home, default),
            about.get(argument, ""),
        )


@cache
def tree(module: str) -> ast.Module:
    """A module's syntax tree; the packages above it are not imported."""
    return ast.parse(source(module).read_text(encoding="utf-8"))


def source(module: str) -> Path:
    """A module's file.

    Raises:
        LookupError: If there is none.
    """
    root, *rest = module.split(".")
    spec = find_spec(root)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        base = Path(folder).joinpath(*rest)
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
    msg = f"no module {module}"
    raise LookupError(msg)


def definition(module: str, name: str) -> tuple[str, Definition]:
    """Where a function or class is defined, wherever the module has it from.

    Raises:
        LookupError: If it is not there.
    """
    for node in tree(module).body:
        if isinstance(node, Definition) and node.name == name:
            return module, node
    for other, original in _imports(module).get(name, []):
        try:
            return definition(other, original)
        except LookupError:
            continue
    msg = f"no {name} in {module}"
    raise LookupError(msg)


@cache
def _imports(module: str) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, []).append((node.module, alias.name))
    return found


def _declared(
    module: str, node: Definition
) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Name, annotation and default of each parameter."""
    if isinstance(node, ast.FunctionDef):
        yield from _arguments(node)
        return
    if _is_dataclass(node):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id, field.annotation, field.value
        return
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            yield from _arguments(method)
            return
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield from _declared(*definition(module, base.id))


def _arguments(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    given = node.args.posonlyargs + node.args.args
    defaults: list[ast.expr | None] = [None] * (len(given) - len(node.args.defaults)) + list(
        node.args.defaults
    )
    every = [
        *zip(given, defaults, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    for argument, default in every:
        if argument.arg != "self":
            yield argument.arg, argument.annotation, default


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _dataclass(module: str, name: str) -> str | None:
    try:
        home, node = definition(module, name)
    except LookupError:
        return None
    return f"{home}:{node.name}" if isinstance(node, ast.ClassDef) and _is_dataclass(node) else None


def _documented(node: Definition) -> dict[str, str]:
    """What the docstrings say of each parameter."""
    from docstring_parser import parse

    texts = [ast.get_docstring(node) or ""]
    if isinstance(node, ast.ClassDef):
        methods = [
            part
            for part in node.body
            if isinstance(part, ast.FunctionDef) and part.name == "__init__"
        ]
        texts += [ast.get_docstring(method) or "" for method in methods]
    about: dict[str, str] = {}
    for text in texts:
        about |= {part.arg_name: part.description or "" for part in parse(text).params}
    return about


def _value(module: str, node: ast.expr) -> str:
    """Text of a default or a type; names of a module's constants and types are replaced by what they stand for."""
    return ast.unparse(_Replaced(module).visit(copy.deepcopy(node)))


class _Replaced(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _constant(self.module, node.id) or node


@cache
def _constant(module: str, name: str) -> ast.expr | None:
    """What a name stands for that a module assigns or imports; None if it is no constant."""
    try:
        statements = tree(module).body
    except LookupError:
        return None
    for statement in statements:
        if isinstance(statement, ast.Assign) and [
            ast.unparse(target) for target in statement.targets
        ] == [name]:
            return ast.parse(_value(module, statement.value), mode="eval").body
    found = (_constant(other, original) for other, original in _imports(module).get(name, []))
    return next((node for node in found if node is not None), None)
