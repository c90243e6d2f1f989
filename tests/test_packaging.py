"""Editable install: console scripts, requirements, defaults from any working directory."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from checkpoints.folders import project_path
from tests.commands import ROOMS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
DYNAMIC = PROJECT["tool"]["setuptools"]["dynamic"]


def test_every_entry_point_has_a_console_script():
    scripts = PROJECT["project"]["scripts"]
    assert set(scripts) == {"image-eval" if room == "eval" else room for room in ROOMS}
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert name == "ROOM.start"
        assert callable(import_module(module).ROOM.start)


def test_requirements_have_one_home():
    extras = DYNAMIC["optional-dependencies"]
    files = [
        file for entry in (DYNAMIC["dependencies"], *extras.values()) for file in entry["file"]
    ]
    assert {Path(file).name for file in files} == {
        file.name for file in ROOT.glob("requirements*.txt")
    } - {"requirements-uv.txt"}
    for file in files:
        assert "-r " not in (ROOT / file).read_text(), "setuptools reads no files inside files"


def test_every_package_is_typed():
    top = {name for name in PROJECT["tool"]["setuptools"]["packages"] if "." not in name}
    assert all((ROOT / name / "py.typed").is_file() for name in top)


@pytest.mark.parametrize("command", [["--help"], ["protect", "--version"]])
def test_a_console_script_runs_its_package(command, tmp_path):
    script = "import sys; from rid.__main__ import ROOM; ROOM.start()"
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0
    assert done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "rid protect PHOTOS -o OUT",
        "detectors scan PHOTOS -o OUT/s.csv --weights checkpoints/tiny/detector",
        "indexing search PHOTOS -o OUT/m.csv --index checkpoints/tiny/index",
        "sentinels embed PHOTOS -o OUT --weights checkpoints/tiny/embedder",
    ],
)
def test_shipped_models_are_found_from_any_folder(command, tmp_path):
    (tmp_path / "PHOTOS").mkdir()
    Image.effect_noise((80, 80), 40).convert("RGB").save(tmp_path / "PHOTOS" / "a.png")
    arguments = [*command.split(), "--accelerator", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_what_is_in_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_path("checkpoints/tiny") == ROOT / "checkpoints" / "tiny"
    assert project_path("no/such") == Path("no/such")
    (tmp_path / "checkpoints" / "tiny").mkdir(parents=True)
    assert project_path("checkpoints/tiny") == Path("checkpoints/tiny")
