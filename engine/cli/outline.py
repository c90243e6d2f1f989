"""Parameters of functions and classes, read from source code without imports."""

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
    """One parameter in source code.

    Attributes:
        name: Name, with a dotted prefix for the fields of a nested dataclass.
        type: Source text of its annotation.
        default: Source text of its default; None if it is required.
        about: Its description in the docstring.
    """

    name: str
    type: str
    default: str | None
    about: str


def parameters(target: str, prefix: str = "") -> Iterator[Parameter]:
    """Read the parameters of a function or class without importing it.

    The fields of dataclasses among the parameters become parameters.

    Args:
        target: ``module:function`` or ``module:Class``.
        prefix: Prefix of the names.

    Raises:
        LookupError: If there is no such definition.
    """
    module, _, name = target.partition(":")
    home, node = definition(module, name)
    descriptions = _documented_parameters(node)
    for argument, annotation, default in _declared_parameters(home, node):
        # a nested dataclass
        inner = _dataclass(home, annotation.id) if isinstance(annotation, ast.Name) else None
        if inner is not None:
            yield from parameters(inner, f"{prefix}{argument}.")
            continue

        yield Parameter(
            name=prefix + argument,
            type="Any" if annotation is None else _source(home, annotation),
            default=None if default is None else _source(home, default),
            about=descriptions.get(argument, ""),
        )


@cache
def tree(module: str) -> ast.Module:
    """Parse a module without importing the packages above it."""
    return ast.parse(module_file(module).read_text(encoding="utf-8"))


def module_file(module: str) -> Path:
    """Find the file of a module.

    Raises:
        LookupError: If there is no such module.
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
    """Find the definition of a function or class, following imports.

    Returns:
        The module that defines it, and its syntax tree.

    Raises:
        LookupError: If there is no such definition.
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
    """Return the module and the original name of each imported name."""
    imports: dict[str, list[tuple[str, str]]] = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                origin = (node.module, alias.name)
                imports.setdefault(alias.asname or alias.name, []).append(origin)
    return imports


def _declared_parameters(
    module: str, node: Definition
) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Yield name, annotation and default of each parameter."""
    # a function
    if isinstance(node, ast.FunctionDef):
        yield from _arguments(node)
        return

    # the fields of a dataclass
    if _is_dataclass(node):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id, field.annotation, field.value
        return

    # the constructor of a class, or of its base class
    for method in _constructors(node):
        yield from _arguments(method)
        return
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield from _declared_parameters(*definition(module, base.id))


def _constructors(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """Return the ``__init__`` of a class, if it has one."""
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return [function for function in functions if function.name == "__init__"]


def _arguments(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Yield name, annotation and default of each argument except ``self``."""
    positional = node.args.posonlyargs + node.args.args
    missing = len(positional) - len(node.args.defaults)
    defaults: list[ast.expr | None] = [None] * missing
    defaults += node.args.defaults
    pairs = list(zip(positional, defaults, strict=True))
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    for argument, default in pairs:
        if argument.arg != "self":
            yield argument.arg, argument.annotation, default


def _is_dataclass(node: ast.ClassDef) -> bool:
    """Return True if a class has the dataclass decorator."""
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _dataclass(module: str, name: str) -> str | None:
    """Return ``module:Class`` of a dataclass; None for any other name."""
    try:
        home, node = definition(module, name)
    except LookupError:
        return None
    if isinstance(node, ast.ClassDef) and _is_dataclass(node):
        return f"{home}:{node.name}"
    return None


def _documented_parameters(node: Definition) -> dict[str, str]:
    """Return the description of each parameter in the docstrings."""
    from docstring_parser import parse

    documented: list[Definition] = [node]
    if isinstance(node, ast.ClassDef):
        documented += _constructors(node)
    descriptions: dict[str, str] = {}
    for part in documented:
        for parameter in parse(ast.get_docstring(part) or "").params:
            descriptions[parameter.arg_name] = parameter.description or ""
    return descriptions


def _source(module: str, node: ast.expr) -> str:
    """Return the source of a default or type, with the module's constants substituted."""
    return ast.unparse(_SubstituteConstants(module).visit(copy.deepcopy(node)))


class _SubstituteConstants(ast.NodeTransformer):
    """Replaces the names of a module's constants by their values."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _constant(self.module, node.id) or node


@cache
def _constant(module: str, name: str) -> ast.expr | None:
    """Return the value of a constant that a module assigns or imports; None for other names."""
    try:
        statements = tree(module).body
    except LookupError:
        return None
    for statement in statements:
        if isinstance(statement, ast.Assign):
            targets = [ast.unparse(target) for target in statement.targets]
            if targets == [name]:
                return ast.parse(_source(module, statement.value), mode="eval").body
    for other, original in _imports(module).get(name, []):
        value = _constant(other, original)
        if value is not None:
            return value
    return None
