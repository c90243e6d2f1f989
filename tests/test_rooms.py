"""Who may import whom: a room may import those above it, never those below."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SYSTEMS = ["rid", "detectors", "indexing", "sentinels"]
BOTTOM = ["engine", "images", "checkpoints", "models", "datamodules"]
"""From the ground up."""

MAY_IMPORT = {room: {*BOTTOM[: place + 1]} for place, room in enumerate(BOTTOM)}
MAY_IMPORT |= {room: {room, *BOTTOM} for room in SYSTEMS}
MAY_IMPORT["eval"] = {"eval", *SYSTEMS, *BOTTOM}
MAY_IMPORT["tiny"] = {"tiny", "eval", *SYSTEMS, *BOTTOM}


def modules() -> dict[str, Path]:
    """Every module of the rooms, by its dotted name."""
    files = [file for room in MAY_IMPORT for file in sorted((ROOT / room).rglob("*.py"))]
    return {
        str(file.relative_to(ROOT).with_suffix(""))
        .replace("/", ".")
        .removesuffix(".__init__"): file
        for file in files
    }


def imported(source: str) -> set[str]:
    """Dotted names a source imports, anywhere in it, for type checking, too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(source: str) -> set[str]:
    return {name.split(".")[0] for name in imported(source)} & (set(MAY_IMPORT) | {"tests"})


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_rooms_import_only_what_they_may(room):
    found = {
        str(file.relative_to(ROOT)): rooms_imported(file.read_text()) - MAY_IMPORT[room]
        for file in sorted((ROOT / room).rglob("*.py"))
    }
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


def circles() -> list[list[str]]:
    """Sets of modules that import one another, directly or through others."""
    known = modules()
    graph = {
        name: sorted(imported(file.read_text()) & set(known) - {name})
        for name, file in known.items()
    }
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_no_modules_import_one_another():
    assert circles() == []


def test_a_forbidden_import_is_seen():
    assert rooms_imported("def f():\n    from eval.studies.arms import build_arms") - MAY_IMPORT[
        "rid"
    ] == {"eval"}
    assert rooms_imported("import tiny.portraits as p") - MAY_IMPORT["datamodules"] == {"tiny"}


def test_an_installed_copy_has_every_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        str(file.parent.relative_to(ROOT)).replace("/", ".")
        for room in MAY_IMPORT
        for file in (ROOT / room).rglob("__init__.py")
    }
    assert set(listed) == found


def test_no_room_is_left_out():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(MAY_IMPORT)
