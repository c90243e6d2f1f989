"""The README's commands exist, and so does every path it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"configs/[\w/]+\.yaml|[a-z_]+/[\w/]+\.py", README))))
def test_paths_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"python -m (\w+ \w+)", README))))
def test_commands_exist(command):
    room, verb = command.split()
    assert re.search(rf"\b{verb}\b", (ROOT / room / "__main__.py").read_text())


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.MULTILINE))))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
