"""Who may import whom."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BOTTOM = {"datamodules", "checkpoints"}
SYSTEMS = {"rid", "detectors", "indexing", "sentinels"}
MAY_IMPORT = {room: {room} for room in BOTTOM}
MAY_IMPORT |= {room: {room} | BOTTOM for room in SYSTEMS}
MAY_IMPORT["eval"] = {"eval"} | SYSTEMS | BOTTOM
MAY_IMPORT["tiny"] = {"tiny", "eval"} | SYSTEMS | BOTTOM


def rooms_imported(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names & (set(MAY_IMPORT) | {"tests"})


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_rooms_import_only_what_they_may(room):
    for file in sorted((ROOT / room).rglob("*.py")):
        if file.name == "__main__.py" and room in BOTTOM:  # a door, from which the systems' formats are called
            continue
        forbidden = rooms_imported(file.read_text()) - MAY_IMPORT[room]
        assert not forbidden, f"{file.relative_to(ROOT)} imports {', '.join(sorted(forbidden))}"


def test_a_forbidden_import_is_seen():
    assert rooms_imported("def f():\n    from eval.arms import build_arms") - MAY_IMPORT["rid"] == {"eval"}
    assert rooms_imported("import tiny.portraits as p") - MAY_IMPORT["datamodules"] == {"tiny"}


def test_an_installed_copy_has_every_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {str(file.parent.relative_to(ROOT)).replace("/", ".") for room in MAY_IMPORT for file in (ROOT / room).rglob("__init__.py")}
    assert set(listed) == found


def test_no_room_is_left_out():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(MAY_IMPORT)
